// The metrics against closed forms, and against scipy, scikit-image and scikit-learn (golden_metrics.json, made by golden_metrics.py).
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>

#include "tensor/files.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/metrics/bootstrap.h"
#include "zoo/metrics/classification.h"
#include "zoo/metrics/components.h"
#include "zoo/metrics/measurement.h"
#include "zoo/metrics/segmentation.h"
#include "zoo/metrics/statistics.h"

using namespace sono;
using namespace sono::zoo;
using nlohmann::json;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

const json& golden() {
  static const json all = json::parse(read_file(std::string(SONO_SOURCE_DIR) + "/tests/zoo/golden_metrics.json"));
  return all;
}

Tensor mask_of(const Shape& shape, const std::string& digits) {
  Tensor mask(shape, Dtype::u8);
  REQUIRE(mask.size() == static_cast<int64_t>(digits.size()));
  for (int64_t i = 0; i < mask.size(); i++) mask.data<uint8_t>()[i] = static_cast<uint8_t>(digits[static_cast<size_t>(i)] - '0');
  return mask;
}

std::string digits_of(const Tensor& mask) {
  std::string digits;
  for (uint8_t v : mask.to_vector<uint8_t>()) digits += static_cast<char>('0' + v);
  return digits;
}

Spacing spacing_of(const json& s) { return {s[0], s[1], s.size() > 2 ? s[2].get<double>() : 1.0}; }

void check_close(double value, const json& expected, double tolerance = 1e-12) {
  if (expected.is_null())
    CHECK(std::isnan(value));
  else
    CHECK(std::abs(value - expected.get<double>()) <= tolerance * std::max(1.0, std::abs(expected.get<double>())));
}

Tensor disc(int64_t n, double cx, double cy, double r) { return ellipse_mask({cx, cy, r, r, 0}, n, n); }

Tensor random_mask(const Shape& shape, uint64_t seed, double part) {
  Random random(seed);
  Tensor mask(shape, Dtype::u8);
  for (int64_t i = 0; i < mask.size(); i++) mask.data<uint8_t>()[i] = random.chance(part);
  return mask;
}

double brute_distance(const Tensor& mask, int64_t z, int64_t y, int64_t x, Spacing s) {
  const auto [depth, height, width] = mask_extent("test", mask);
  double best = infinity;
  for (int64_t k = 0, i = 0; k < depth; k++)
    for (int64_t j = 0; j < height; j++)
      for (int64_t l = 0; l < width; l++, i++)
        if (mask.data<uint8_t>()[i])
          best = std::min(best,
                          std::hypot(static_cast<double>(x - l) * s.x, static_cast<double>(y - j) * s.y, static_cast<double>(z - k) * s.z));
  return best;
}

}  // namespace

TEST_CASE("overlaps and surface distances are those of scipy, scikit-image and scikit-learn") {
  for (const json& c : golden()["masks"]) {
    const Shape shape = c["shape"].get<Shape>();
    CAPTURE(to_string(shape));
    const Tensor truth = mask_of(shape, c["truth"]), prediction = mask_of(shape, c["prediction"]);
    const Overlap o = overlap(truth, prediction);
    check_close(dice(o), c["dice"]);
    check_close(jaccard(o), c["jaccard"]);
    check_close(sensitivity(o), c["sensitivity"]);
    check_close(specificity(o), c["specificity"]);
    check_close(positive_predictive_value(o), c["ppv"]);
    check_close(negative_predictive_value(o), c["npv"]);
    const SurfaceDistances d = surface_distances(truth, prediction, spacing_of(c["spacing"]));
    check_close(hausdorff(d), c["hausdorff"]);
    check_close(hausdorff95(d), c["hd95"]);
    check_close(hausdorff95(d, Directions::pooled), c["hd95_pooled"]);
    check_close(assd(d), c["assd"]);
    check_close(assd(d, Averaging::mean_of_means), c["assd_mean_of_means"]);
    check_close(surface_dice(d, 1.5), c["surface_dice"]);
    const SurfaceDistances swapped = surface_distances(prediction, truth, spacing_of(c["spacing"]));
    CHECK(hausdorff95(swapped) == hausdorff95(d));
    check_close(assd(swapped), assd(d));
  }
}

TEST_CASE("the distance transform is exact, at odd sizes, with spacing, and with threads") {
  for (const Shape& shape : {Shape{1, 1}, {1, 17}, {15, 1}, {7, 31}, {33, 33}, {3, 5, 7}, {1, 4, 9}})
    for (double part : {0.02, 0.3, 1.0})
      for (const Spacing& s : {Spacing{}, Spacing{0.2, 0.31, 2.5}}) {
        CAPTURE(to_string(shape));
        const Tensor mask = random_mask(shape, 11, part), d = distance_transform(mask, s);
        const auto [depth, height, width] = mask_extent("test", mask);
        for (int64_t z = 0, i = 0; z < depth; z++)
          for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++, i++) {
              const double expected = brute_distance(mask, z, y, x, s);
              if (std::isinf(expected))
                REQUIRE(std::isinf(d.data<double>()[i]));
              else
                REQUIRE(std::abs(d.data<double>()[i] - expected) < 1e-12);
            }
      }
  const Tensor large = random_mask({257, 301}, 5, 0.001);
  set_threads(1);
  const std::vector<double> one = distance_transform(large).to_vector<double>();
  set_threads(2);
  CHECK(distance_transform(large).to_vector<double>() == one);
  set_threads(0);
}

TEST_CASE("empty masks: nothing against nothing is not defined, a missed object is at infinity") {
  for (const Shape& shape : {Shape{6, 9}, {3, 4, 5}}) {
    const Tensor none = Tensor::zeros(shape, Dtype::u8), some = random_mask(shape, 3, 0.4);
    const Overlap both = overlap(none, none);
    CHECK(std::isnan(dice(both)));
    CHECK(std::isnan(jaccard(both)));
    CHECK(dice(both, BothEmpty::one) == 1);
    CHECK(std::isnan(sensitivity(both)));
    CHECK(specificity(both) == 1);
    const SurfaceDistances nothing = surface_distances(none, none);
    for (double v :
         {hausdorff(nothing), hausdorff95(nothing), hausdorff95(nothing, Directions::pooled), assd(nothing), surface_dice(nothing, 1)})
      CHECK(std::isnan(v));
    for (const auto& [truth, prediction] : {std::pair{none, some}, std::pair{some, none}}) {
      const Overlap o = overlap(truth, prediction);
      CHECK(dice(o) == 0);
      CHECK(dice(o, BothEmpty::one) == 0);
      CHECK(jaccard(o) == 0);
      const SurfaceDistances d = surface_distances(truth, prediction);
      for (double v : {hausdorff(d), hausdorff95(d), hausdorff95(d, Directions::pooled), assd(d), assd(d, Averaging::mean_of_means)})
        CHECK(v == infinity);
      CHECK(surface_dice(d, 100) == 0);
    }
  }
}

TEST_CASE("closed forms of overlap and distance") {
  const Tensor small = disc(101, 50, 50, 20), large = disc(101, 50, 50, 26);
  const SurfaceDistances d = surface_distances(small, large, {0.5, 0.5});
  CHECK(std::abs(hausdorff(d) - 3) < 0.5 * std::numbers::sqrt2 * 0.5);  // radii 20 and 26 at 0.5 mm: 3 mm, within half a diagonal
  const double r = 20.0 * 20 / (26.0 * 26);
  CHECK(dice(overlap(small, large)) == doctest::Approx(2 * r / (1 + r)).epsilon(0.005));
  CHECK(jaccard(overlap(small, large)) == doctest::Approx(r).epsilon(0.005));
  const double dc = dice(overlap(small, large));
  CHECK(jaccard(overlap(small, large)) == doctest::Approx(dc / (2 - dc)).epsilon(1e-12));
  const SurfaceDistances same = surface_distances(small, small);
  CHECK(hausdorff(same) == 0);
  CHECK(surface_dice(same, 0) == 1);
  const Tensor grown = mask_of({1, 5}, "11100"), shrunk = mask_of({1, 5}, "10000");
  CHECK(volume_difference(overlap(shrunk, grown), {0.5, 0.4}) == doctest::Approx(0.4));
  CHECK(relative_volume_error(overlap(shrunk, grown)) == doctest::Approx(200));
  CHECK(std::isnan(relative_volume_error(overlap(Tensor::zeros({1, 5}, Dtype::u8), grown))));
  CHECK(digits_of(label_mask(mask_of({2, 3}, "012210"), 2)) == "001100");
  CHECK(digits_of(surface(mask_of({4, 5}, "11111111111111111111"))) == "11111100011000111111");
}

TEST_CASE("masks that cannot be compared are refused in one line") {
  const Tensor mask = Tensor::zeros({4, 5}, Dtype::u8);
  CHECK_THROWS_WITH_AS(overlap(mask, Tensor::zeros({5, 4}, Dtype::u8)),
                       "[overlap] true mask (4, 5) and predicted mask (5, 4) differ in shape; bring the prediction to the image's size",
                       ShapeError);
  CHECK_THROWS_AS(overlap(mask, Tensor::zeros({4, 5}, Dtype::f32)), DtypeError);
  CHECK_THROWS_AS(overlap(mask, Tensor()), ShapeError);
  CHECK_THROWS_AS(surface(Tensor::zeros({4}, Dtype::u8)), ShapeError);
  CHECK_THROWS_AS(distance_transform(mask, {.x = 0}), NumericError);
  CHECK_THROWS_AS(distance_transform(mask, {.x = not_a_number}), NumericError);
}

TEST_CASE("percentiles and ranks are NumPy's and SciPy's") {
  const json& c = golden()["percentiles"];
  for (size_t i = 0; i < c["q"].size(); i++) check_close(percentile(c["values"], c["q"][i]), c["expected"][i]);
  CHECK(midranks(c["ranked"]) == c["ranks"].get<std::vector<double>>());
  CHECK(percentile({7}, 95) == 7);
  CHECK(percentile({1, 2, infinity}, 50) == 2);
  CHECK(percentile({1, infinity}, 50) == infinity);
  CHECK(percentile({infinity, infinity}, 50) == infinity);
  CHECK(std::isnan(percentile({}, 50)));
  CHECK_THROWS_AS(percentile({1, not_a_number}, 50), NumericError);
  CHECK_THROWS_AS(percentile({1}, 101), NumericError);
  CHECK(midranks({}).empty());
}

TEST_CASE("AUC, DeLong's variance, average precision and the ROC curve, with ties") {
  for (const json& c : golden()["two_categories"]) {
    const auto truth = c["truth"].get<std::vector<int>>();
    const auto scores = c["scores"].get<std::vector<double>>();
    check_close(auc(truth, scores), c["auc"]);
    check_close(average_precision(truth, scores), c["ap"]);
    const AucInterval d = delong(truth, scores);
    check_close(d.auc, c["auc"]);
    check_close(d.variance, c["variance"]);
    check_close(d.lo, c["lo"], 1e-9);
    check_close(d.hi, c["hi"], 1e-9);
    const auto curve = roc_curve(truth, scores);
    REQUIRE(curve.size() == c["fpr"].size());
    double area = 0;
    for (size_t i = 0; i < curve.size(); i++) {
      check_close(curve[i].false_positive_rate, c["fpr"][i]);
      check_close(curve[i].true_positive_rate, c["tpr"][i]);
      if (i)
        area += (curve[i].false_positive_rate - curve[i - 1].false_positive_rate) *
                (curve[i].true_positive_rate + curve[i - 1].true_positive_rate) / 2;
    }
    check_close(area, c["auc"]);
  }
  CHECK(auc({0, 0, 1, 1}, {0.1, 0.4, 0.35, 0.8}) == 0.75);
  CHECK(auc({0, 1, 0, 1}, {1, 1, 1, 1}) == 0.5);
  CHECK(auc({1, 0}, {-infinity, infinity}) == 0);
  CHECK(std::isnan(auc({1, 1}, {0.2, 0.3})));
  CHECK(std::isnan(auc({}, {})));
  CHECK(std::isnan(average_precision({0, 0}, {0.2, 0.3})));
  CHECK(roc_curve({1, 1}, {0.2, 0.3}).empty());
  CHECK_THROWS_WITH_AS(auc({0, 1}, {0.5, not_a_number}), "[auc] the score of case 1 is NaN", NumericError);
  CHECK_THROWS_AS(auc({0, 2}, {0.5, 0.1}), NumericError);
  CHECK_THROWS_AS(average_precision({0}, {0.5, 0.1}), ShapeError);
}

TEST_CASE("more than two categories: confusion and macro means") {
  const json& c = golden()["many_categories"];
  const auto truth = c["truth"].get<std::vector<int>>(), predicted = c["predicted"].get<std::vector<int>>();
  const auto probabilities = c["probabilities"].get<std::vector<std::vector<float>>>();
  const ConfusionMatrix m = confusion_matrix(truth, predicted, 4);
  CHECK(m == c["confusion"].get<ConfusionMatrix>());
  check_close(accuracy(m), c["accuracy"]);
  check_close(macro_f1(m), c["f1"]);
  check_close(macro_sensitivity(m), c["sensitivity"]);
  check_close(macro_specificity(m), c["specificity"]);
  check_close(macro_auc(truth, probabilities), c["auc"]);
  check_close(macro_average_precision(truth, probabilities), c["ap"]);
  const ConfusionMatrix absent = confusion_matrix({0, 1, 1}, {0, 1, 0}, 3);  // category 2 neither occurs nor is called
  CHECK(macro_f1(absent) == doctest::Approx(2.0 / 3));
  CHECK(std::isnan(accuracy(confusion_matrix({}, {}, 2))));
  CHECK_THROWS_AS(confusion_matrix({0, 3}, {0, 1}, 3), NumericError);
  CHECK_THROWS_AS(macro_auc({0, 1}, {{0.5f, 0.5f}, {1.0f}}), ShapeError);
}

TEST_CASE("the ellipse fit is the direct least squares one, and exact on an ellipse") {
  const json& c = golden()["ellipse"];
  const auto fitted = fit_ellipse(c["points"].get<std::vector<Point>>());
  REQUIRE(fitted);
  check_close(fitted->cx, c["cx"], 1e-8);
  check_close(fitted->cy, c["cy"], 1e-8);
  check_close(fitted->a, c["a"], 1e-8);
  check_close(fitted->b, c["b"], 1e-8);
  check_close(fitted->angle, c["angle"], 1e-8);
  for (const Ellipse& e :
       {Ellipse{300, 200, 120, 80, 0.7}, Ellipse{1e4, -3e3, 5, 4.9, -1.2}, Ellipse{0, 0, 1, 1, 0}, Ellipse{5, 5, 50, 2, 1.5}}) {
    std::vector<Point> points;
    for (double t : {0.1, 0.4, 1.3, 2.0, 2.9, 3.3, 4.5})
      points.push_back({e.cx + e.a * std::cos(t) * std::cos(e.angle) - e.b * std::sin(t) * std::sin(e.angle),
                        e.cy + e.a * std::cos(t) * std::sin(e.angle) + e.b * std::sin(t) * std::cos(e.angle)});
    const auto back = fit_ellipse(points);
    REQUIRE(back);
    CHECK(back->cx == doctest::Approx(e.cx).epsilon(1e-6));
    CHECK(back->cy == doctest::Approx(e.cy).epsilon(1e-6));
    CHECK(back->a == doctest::Approx(e.a).epsilon(1e-6));
    CHECK(back->b == doctest::Approx(e.b).epsilon(1e-6));
    if (e.a > e.b) CHECK(back->angle == doctest::Approx(e.angle).epsilon(1e-5));
  }
}

TEST_CASE("points that fix no ellipse give none") {
  CHECK_FALSE(fit_ellipse(std::vector<Point>{}));
  CHECK_FALSE(fit_ellipse(std::vector<Point>(10, Point{3, 4})));
  CHECK_FALSE(fit_ellipse(std::vector<Point>{{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}, {6, 6}}));
  CHECK_FALSE(fit_ellipse(std::vector<Point>{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {2, 2}}));
  CHECK_FALSE(fit_ellipse(std::vector<Point>{{0, 0}, {1, not_a_number}, {0, 1}, {1, 1}, {2, 2}, {3, 1}}));
  CHECK_FALSE(fit_ellipse(Tensor::zeros({20, 20}, Dtype::u8)));
  CHECK_FALSE(fit_ellipse(Tensor::ones({20, 20}, Dtype::u8)));  // no outline: the image's edge is none
  Tensor one = Tensor::zeros({20, 20}, Dtype::u8);
  one.data<uint8_t>()[210] = 1;
  CHECK_FALSE(fit_ellipse(one));
}

TEST_CASE("head circumference of a mask, also with unequal spacing and where the image cuts the head") {
  const Ellipse head{270.3, 251.8, 190, 140, 0.35};
  const Tensor mask = ellipse_mask(head, 540, 560);
  const auto fitted = fit_ellipse(mask);
  REQUIRE(fitted);
  CHECK(std::abs(fitted->a - head.a) < 0.05);
  CHECK(std::abs(fitted->b - head.b) < 0.05);
  CHECK(std::abs(fitted->angle - head.angle) < 1e-3);
  CHECK(std::abs(circumference_mm(*fitted, {0.15, 0.15}) - 0.15 * perimeter(head)) < 0.03);
  // The same head on pixels of 0.1 x 0.2 mm.
  const Ellipse in_mm{30, 28, 20, 15, 0.6}, in_pixels = scaled(in_mm, 1 / 0.1, 1 / 0.2);
  const auto squeezed = fit_ellipse(ellipse_mask(in_pixels, 280, 600));
  REQUIRE(squeezed);
  CHECK(std::abs(circumference_mm(*squeezed, {0.1, 0.2}) - perimeter(in_mm)) < 0.03);
  const Ellipse low{270, 60, 190, 100, 0.1};  // a part lies above the image
  const auto cut = fit_ellipse(ellipse_mask(low, 400, 560));
  REQUIRE(cut);
  CHECK(std::abs(perimeter(*cut) - perimeter(low)) < 1.5);
}

TEST_CASE("Ramanujan's perimeter against a fine polygon, and scaling against sampled points") {
  for (const Ellipse& e : {Ellipse{0, 0, 60, 47, 0}, Ellipse{0, 0, 50, 50, 0}, Ellipse{0, 0, 3, 0, 0}}) {
    double length = 0;
    const int n = 200000;
    for (int i = 0; i < n; i++) {
      const double t = 2 * std::numbers::pi * i / n, u = 2 * std::numbers::pi * (i + 1) / n;
      length += std::hypot(e.a * (std::cos(u) - std::cos(t)), e.b * (std::sin(u) - std::sin(t)));
    }
    CHECK(std::abs(perimeter(e) - length) < (e.b > 0 ? 1e-6 : 0.01));  // a flat ellipse is the formula's worst case: 4a within 0.04 %
  }
  CHECK(perimeter({0, 0, 0, 0, 0}) == 0);
  const Ellipse e{10, 20, 7, 4, 0.9}, s = scaled(e, 0.3, 1.7);
  for (int i = 0; i < 12; i++) {
    const double t = 0.5 * i, x = 0.3 * (e.cx + e.a * std::cos(t) * std::cos(e.angle) - e.b * std::sin(t) * std::sin(e.angle)),
                 y = 1.7 * (e.cy + e.a * std::cos(t) * std::sin(e.angle) + e.b * std::sin(t) * std::cos(e.angle));
    const double dx = x - s.cx, dy = y - s.cy, u = (dx * std::cos(s.angle) + dy * std::sin(s.angle)) / s.a,
                 v = (dy * std::cos(s.angle) - dx * std::sin(s.angle)) / s.b;
    CHECK(u * u + v * v == doctest::Approx(1).epsilon(1e-9));
  }
  CHECK(s.a >= s.b);
}

TEST_CASE("Bland-Altman") {
  const json& c = golden()["agreement"];
  const BlandAltman b = bland_altman(c["truth"], c["predicted"]);
  check_close(b.bias, c["bias"]);
  check_close(b.deviation, c["deviation"]);
  check_close(b.lower, c["bias"].get<double>() - 1.96 * c["deviation"].get<double>());
  check_close(b.upper, c["bias"].get<double>() + 1.96 * c["deviation"].get<double>());
  check_close(b.mean_absolute, c["mean_absolute"]);
  check_close(b.root_mean_square, c["root_mean_square"]);
  check_close(b.correlation, c["correlation"]);
  const BlandAltman one = bland_altman({3}, {4});
  CHECK(one.bias == 1);
  CHECK(one.deviation == 0);
  CHECK(std::isnan(one.correlation));
  CHECK(std::isnan(bland_altman({}, {}).bias));
  CHECK_THROWS_AS(bland_altman({1}, {}), ShapeError);
}

TEST_CASE("components, the largest piece and holes are scipy's") {
  for (const json& c : golden()["components"]) {
    const Tensor mask = mask_of(c["shape"].get<Shape>(), c["mask"]);
    CHECK(components(mask, Neighbours::faces).sizes == c["sizes_faces"].get<std::vector<int64_t>>());
    CHECK(components(mask).sizes == c["sizes_all"].get<std::vector<int64_t>>());
    CHECK(digits_of(largest_component(mask)) == c["largest"].get<std::string>());
    CHECK(digits_of(fill_holes(mask)) == c["filled"].get<std::string>());
  }
}

TEST_CASE("pieces and holes of several labels, and of nothing") {
  CHECK(digits_of(largest_component(mask_of({3, 6},
                                            "110022"
                                            "000000"
                                            "111020"))) ==
        "000022"
        "000000"
        "111000");
  CHECK(digits_of(largest_component(mask_of({1, 5}, "10001"))) == "10000");  // of equals the first
  CHECK(digits_of(fill_holes(mask_of({3, 7},
                                     "1110222"
                                     "1010202"
                                     "1110222"))) == "111022211102221110222");
  CHECK(digits_of(fill_holes(mask_of({3, 4},
                                     "1122"
                                     "1002"
                                     "1122"))) == "112210021122");  // between two labels: no one's
  CHECK(digits_of(fill_holes(mask_of({3, 3},
                                     "010"
                                     "101"
                                     "000"))) == "010101000");  // open below
  const Tensor none = Tensor::zeros({4, 4}, Dtype::u8);
  CHECK(components(none).sizes.empty());
  CHECK(digits_of(largest_component(none)) == digits_of(none));
  CHECK(digits_of(fill_holes(none)) == digits_of(none));
  CHECK(components(Tensor::ones({700, 700}, Dtype::u8)).sizes == std::vector<int64_t>{490000});  // no recursion
}

TEST_CASE("the bootstrap covers the normal mean's interval, and is wider where patients repeat") {
  Random random(21);
  std::vector<double> values;
  std::vector<int64_t> each(400), groups(400);
  for (int64_t i = 0; i < 400; i++) {
    if (i % 4 == 0)
      values.push_back(random.normal());
    else
      values.push_back(values.back());  // four equal images of each of 100 patients
    each[static_cast<size_t>(i)] = i, groups[static_cast<size_t>(i)] = i / 4;
  }
  const Statistic mean = [&](const std::vector<int64_t>& cases) {
    double sum = 0;
    for (int64_t i : cases) sum += values[static_cast<size_t>(i)];
    return sum / static_cast<double>(cases.size());
  };
  double m = 0, square = 0;
  for (double v : values) m += v / 400, square += v * v / 400;
  const double error = std::sqrt((square - m * m) / 100);  // of the mean of 100 patients
  const Interval grouped = bootstrap(groups, mean), single = bootstrap(each, mean);
  CHECK(grouped.lo == doctest::Approx(m - 1.96 * error).epsilon(0.1));
  CHECK(grouped.hi == doctest::Approx(m + 1.96 * error).epsilon(0.1));
  CHECK((grouped.hi - grouped.lo) / (single.hi - single.lo) == doctest::Approx(2).epsilon(0.1));
}

TEST_CASE("the bootstrap is the same with any number of threads, and differs by seed") {
  const std::vector<int64_t> groups{0, 1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<double> v{0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.5, 0.6, 0.4};
  const Statistic mean = [&](const std::vector<int64_t>& cases) {
    double sum = 0;
    for (int64_t i : cases) sum += v[static_cast<size_t>(i)];
    return sum / static_cast<double>(cases.size());
  };
  set_threads(1);
  const Interval one = bootstrap(groups, mean);
  set_threads(2);
  const Interval two = bootstrap(groups, mean);
  set_threads(0);
  CHECK(one.lo == two.lo);
  CHECK(one.hi == two.hi);
  CHECK(bootstrap(groups, mean, {.seed = 1}).lo != one.lo);
  CHECK(bootstrap(groups, mean, {.level = 0.5}).lo > one.lo);
  const Interval never = bootstrap(groups, [](const auto&) { return not_a_number; });
  CHECK(std::isnan(never.lo));
  CHECK(std::isnan(bootstrap({}, mean).hi));
  CHECK_THROWS_AS(bootstrap(groups, mean, {.replicates = 0}), NumericError);
  CHECK(group_numbers({"b", "", "a", "b", "", "a"}) == std::vector<int64_t>{0, 1, 2, 0, 3, 2});
}
