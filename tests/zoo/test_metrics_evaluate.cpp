// evaluate(): which metrics appear, their means and intervals, and what the JSON says.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "zoo/metrics/evaluate.h"
#include "zoo/metrics/segmentation.h"

using namespace sono;
using namespace sono::zoo;
using nlohmann::json;

namespace {

Tensor row_mask(const std::string& digits) {
  Tensor mask({1, static_cast<int64_t>(digits.size())}, Dtype::u8);
  for (size_t i = 0; i < digits.size(); i++) mask.data<uint8_t>()[i] = static_cast<uint8_t>(digits[i] - '0');
  return mask;
}

Sample masked(const std::string& digits, std::optional<std::array<double, 2>> spacing = std::array{0.5, 0.5},
              const std::string& patient = "") {
  Sample s;
  s.labels.mask = row_mask(digits);
  s.meta.spacing = spacing;
  s.meta.patient = patient;
  return s;
}

Labels predicted(const std::string& digits) {
  Labels l;
  l.mask = row_mask(digits);
  return l;
}

Sample of_category(int category) {
  Sample s;
  s.labels.category = category;
  return s;
}

Labels called(std::vector<float> probabilities) {
  Labels l;
  l.probabilities = std::move(probabilities);
  return l;
}

Sample measured(double value, const std::string& name = "head circumference", const std::string& unit = "mm") {
  Sample s;
  s.labels.measurements = {{name, value, unit}};
  s.meta.spacing = {{0.1, 0.1}};
  return s;
}

Labels says(double value, const std::string& name = "head circumference", const std::string& unit = "mm") {
  Labels l;
  l.measurements = {{name, value, unit}};
  return l;
}

}  // namespace

TEST_CASE("masks give the metrics of masks, with the empty policy, and the agreed JSON") {
  const std::vector<Sample> truths{masked("0111000"), masked("0110000"), masked("0000000"), masked("0000000"), masked("0011000")};
  const std::vector<Labels> predictions{predicted("0111000"), predicted("0000000"), predicted("0000000"), predicted("0100000"),
                                        predicted("0001100")};
  const Scores s = evaluate(truths, predictions, {.system = "unet", .data = "test"});
  const json j = to_json(s);
  CHECK(j["system"] == "unet");
  CHECK(j["data"] == "test");
  CHECK(j["cases"] == 5);
  CHECK(j["spacing"] == "mm");
  CHECK(j["per_case"].size() == 5);
  const json& dice = j["metrics"]["dice"];
  CHECK(dice["mean"].get<double>() == doctest::Approx((1 + 0 + 0 + 0.5) / 4));
  CHECK(dice["n"] == 4);
  CHECK(dice["undefined"] == 1);
  CHECK(j["per_case"][2]["dice"].is_null());
  CHECK(j["per_case"][4]["dice"] == 0.5);
  const json& hd = j["metrics"]["hd95_mm"];
  CHECK(hd["mean"].is_null());  // two at infinity
  CHECK(hd["infinite"] == 2);
  CHECK(hd["n"] == 4);
  CHECK(hd["finite_mean"] == doctest::Approx(0.2375));  // 0, and the 95th percentile of 0 and 0.5 mm
  CHECK(j["metrics"]["missed"]["mean"].get<double>() == doctest::Approx(1.0 / 3));
  CHECK(j["metrics"]["missed"]["count"] == 1);
  CHECK(j["metrics"]["missed"]["n"] == 3);
  CHECK(j["metrics"]["false_alarm"]["mean"] == 0.5);
  CHECK(j["metrics"]["specificity"]["n"] == 5);
  CHECK(j["metrics"]["sensitivity"]["n"] == 3);
  for (const auto& [name, m] : j["metrics"].items()) {
    if (m["mean"].is_null()) continue;
    CHECK(m["lo"].get<double>() <= m["mean"].get<double>());
    CHECK(m["mean"].get<double>() <= m["hi"].get<double>());
  }
  for (const char* absent : {"accuracy", "auc", "hc_mae_mm", "dice_1"}) CHECK_FALSE(j["metrics"].contains(absent));
  CHECK(j.dump().find("nan") == std::string::npos);
}

TEST_CASE("the diagonal may stand for the distance to a missed object") {
  const Scores s = evaluate({masked("0110")}, {predicted("0000")}, {.penalty_for_missed = true});
  CHECK(s.metrics.at("hd95_mm").mean == doctest::Approx(0.5 * std::hypot(4, 1)));
  CHECK(evaluate({masked("0000")}, {predicted("0000")}, {.both_empty = BothEmpty::one}).metrics.at("dice").mean == 1);
}

TEST_CASE("one case of unknown spacing puts all distances into pixels, and the key says so") {
  const std::vector<Labels> shifted{predicted("0011000"), predicted("0011000")};
  const Scores known = evaluate({masked("0110000"), masked("0110000", {{0.2, 0.9}})}, shifted);
  CHECK(known.spacing == "mm");
  CHECK(known.per_case[0].values.at("hd95_mm") == doctest::Approx(0.95 * 0.5));  // half of the surface fits, half is a pixel off
  CHECK(known.per_case[1].values.at("hd95_mm") == doctest::Approx(0.95 * 0.2));
  const Scores unknown = evaluate({masked("0110000"), masked("0110000", {})}, shifted);
  CHECK(unknown.spacing == "pixel");
  for (const CaseScores& row : unknown.per_case) CHECK(row.values.at("hd95_mm") == doctest::Approx(0.95));
  CHECK_FALSE(unknown.per_case[0].values.count("hd95_px"));
}

TEST_CASE("several labels: each for itself, and the mean over those present") {
  const Scores s = evaluate({masked("11022000"), masked("11000000")}, {predicted("11002200"), predicted("11000000")},
                            {.mask_labels = {"background", "left lung", "heart"}});
  CHECK(s.per_case[0].values.at("dice_left_lung") == 1);
  CHECK(s.per_case[0].values.at("dice_heart") == 0.5);
  CHECK(s.per_case[0].values.at("dice") == 0.75);
  CHECK(s.per_case[1].values.at("dice") == 1);  // no heart there and none found
  CHECK_FALSE(s.per_case[1].values.count("dice_heart"));
  CHECK(s.metrics.at("dice").mean == doctest::Approx(0.875));
  CHECK(s.metrics.at("dice_heart").n == 1);
  const Scores lost = evaluate({masked("1122")}, {predicted("1111")});
  CHECK(lost.per_case[0].values.at("missed") == 1);
  CHECK(std::isinf(lost.per_case[0].values.at("hd95_mm")));
  CHECK(lost.per_case[0].values.at("dice_2") == 0);
}

TEST_CASE("two categories: accuracy, AUC and their kin, of the positive category") {
  std::vector<Sample> truths;
  std::vector<Labels> predictions;
  const std::vector<std::pair<int, float>> cases{{0, 0.1f}, {0, 0.4f}, {1, 0.35f}, {1, 0.8f}, {0, 0.2f}, {1, 0.9f}};
  for (auto [truth, p] : cases) truths.push_back(of_category(truth)), predictions.push_back(called({1 - p, p}));
  const Scores s = evaluate(truths, predictions, {.categories = {"benign", "malignant"}});
  CHECK(s.metrics.at("accuracy").mean == doctest::Approx(5.0 / 6));
  CHECK(s.metrics.at("auc").mean == doctest::Approx(8.0 / 9));
  CHECK(s.metrics.at("sensitivity").mean == doctest::Approx(2.0 / 3));
  CHECK(s.metrics.at("specificity").mean == 1);
  CHECK(s.metrics.at("f1").mean == doctest::Approx(0.8));
  CHECK(s.metrics.at("auc").n == 6);
  CHECK(s.confusion == ConfusionMatrix{{3, 0}, {1, 2}});
  CHECK(s.roc.size() == 7);
  REQUIRE(s.delong);
  CHECK(s.delong->auc == doctest::Approx(8.0 / 9));
  for (const auto& [name, m] : s.metrics) {
    CAPTURE(name);
    CHECK(0 <= m.lo);
    CHECK(m.lo <= m.mean);
    CHECK(m.mean <= m.hi);
    CHECK(m.hi <= 1);
  }
  const json j = to_json(s);
  CHECK(j["metrics"]["auc"]["delong"].size() == 2);
  CHECK(j["per_case"][2]["category"] == 1);
  CHECK(j["per_case"][2]["predicted_category"] == 0);
  CHECK(j["per_case"][2]["probability"].get<double>() == doctest::Approx(0.35));
  const Scores other = evaluate(truths, predictions, {.positive = 0});
  CHECK(other.metrics.at("sensitivity").mean == 1);
  CHECK(other.metrics.at("auc").mean == doctest::Approx(8.0 / 9));
}

TEST_CASE("a single category in the test set leaves the AUC undefined, as null") {
  const Scores s = evaluate({of_category(1), of_category(1)}, {called({0.2f, 0.8f}), called({0.6f, 0.4f})});
  CHECK(to_json(s)["metrics"]["auc"]["mean"].is_null());
  CHECK(to_json(s)["metrics"]["auc"]["n"] == 0);
  CHECK(s.metrics.at("accuracy").mean == 0.5);
}

TEST_CASE("three categories give macro means, and without probabilities no AUC") {
  const auto call = [](int k) {
    Labels l;
    l.category = k;
    return l;
  };
  const Scores s = evaluate({of_category(0), of_category(1), of_category(2), of_category(2)}, {call(0), call(1), call(2), call(1)});
  CHECK(s.metrics.at("accuracy").mean == 0.75);
  CHECK(s.metrics.at("sensitivity").mean == doctest::Approx((1 + 1 + 0.5) / 3));
  CHECK_FALSE(s.metrics.count("auc"));
  CHECK(s.confusion.size() == 3);
  const Scores p = evaluate({of_category(0), of_category(1), of_category(2)},
                            {called({0.8f, 0.1f, 0.1f}), called({0.1f, 0.8f, 0.1f}), called({0.2f, 0.2f, 0.6f})});
  CHECK(p.metrics.at("auc").mean == 1);
  CHECK(p.roc.empty());
}

TEST_CASE("masks and categories together keep both sensitivities apart") {
  Sample s = masked("0110");
  s.labels.category = 1;
  Labels l = predicted("0100");
  l.probabilities = {0.3f, 0.7f};
  const Scores scores = evaluate({s}, {l});
  CHECK(scores.metrics.at("pixel_sensitivity").mean == 0.5);
  CHECK(scores.metrics.at("sensitivity").mean == 1);
}

TEST_CASE("measurements: absolute error, bias, agreement, and what was not measured") {
  Labels nothing;
  const Scores s = evaluate({measured(180), measured(200), measured(50)}, {says(182), says(197), nothing});
  CHECK(s.metrics.at("hc_mae_mm").mean == doctest::Approx((2 + 3 + 50) / 3.0));
  CHECK(s.metrics.at("hc_bias_mm").mean == doctest::Approx((2 - 3 - 50) / 3.0));
  CHECK(s.metrics.at("missed").mean == doctest::Approx(1.0 / 3));
  CHECK(s.agreements.at("head circumference").summary.n == 3);
  CHECK(to_json(s)["per_case"][0]["hc_predicted_mm"] == 182);
  CHECK_FALSE(to_json(s)["per_case"][2].contains("hc_predicted_mm"));
  const Scores pixels = evaluate({measured(180, "head circumference", "pixel")}, {says(170, "head circumference", "px")});
  CHECK(pixels.spacing == "pixel");
  CHECK(pixels.metrics.at("hc_mae_mm").mean == 10);
  CHECK(evaluate({measured(60, "volume", "mL")}, {says(66, "volume", "mL")}).metrics.at("volume_mae_ml").mean == 6);
  CHECK_THROWS_WITH_AS(evaluate({measured(180)}, {says(900, "head circumference", "pixel")}),
                       "[evaluate] case '0': the true head circumference is in mm, the predicted one in pixel", Error);
}

TEST_CASE("images of one patient are resampled together") {
  std::vector<Sample> apart, together;
  std::vector<Labels> predictions;
  for (int i = 0; i < 12; i++) {
    apart.push_back(masked("0111100")), together.push_back(masked("0111100", {{1, 1}}, i < 6 ? "a" : "b"));
    predictions.push_back(predicted(i < 6 ? "0111100" : "0111111"));
  }
  const Summary one = evaluate(apart, predictions).metrics.at("dice"), two = evaluate(together, predictions).metrics.at("dice");
  CHECK(one.mean == two.mean);
  CHECK(two.hi - two.lo > 1.5 * (one.hi - one.lo));
  CHECK(two.lo == doctest::Approx(0.8));  // two patients: either alone may be drawn
  CHECK(two.hi == 1);
}

TEST_CASE("what cannot be compared is refused") {
  CHECK_THROWS_AS(evaluate({masked("0110")}, {}), ShapeError);
  CHECK_THROWS_AS(evaluate({masked("0110")}, {predicted("011")}), ShapeError);
  CHECK_THROWS_AS(evaluate({masked("0110"), masked("0110")}, {predicted("0110"), Labels{}}), Error);
  CHECK_THROWS_AS(evaluate({of_category(0), of_category(1)}, {called({0.5f, 0.5f}), Labels{}}), Error);
  CHECK_THROWS_AS(evaluate({of_category(3)}, {called({0.5f, 0.5f})}), Error);
  CHECK_THROWS_AS(evaluate({of_category(0)}, {called({std::numeric_limits<float>::quiet_NaN(), 0.5f})}), NumericError);
  const Scores nothing = evaluate(std::vector<Sample>{}, {});
  CHECK(nothing.metrics.empty());
  CHECK(to_json(nothing)["cases"] == 0);
}

TEST_CASE("the best, median and worst cases, none of them twice") {
  std::vector<Sample> truths;
  std::vector<Labels> predictions;
  for (int i = 0; i < 7; i++) {
    truths.push_back(masked("11111111"));
    predictions.push_back(
        predicted(std::string(static_cast<size_t>(i), '1') + std::string(static_cast<size_t>(8 - i), '0')));  // the more the better
  }
  const Scores s = evaluate(truths, predictions);
  const Examples e = pick_examples(s, 2);
  CHECK(e.by == "dice");
  CHECK(e.best == std::vector<size_t>{6, 5});
  CHECK(e.worst == std::vector<size_t>{0, 1});
  CHECK(e.median == std::vector<size_t>{2, 3});
  const Examples few = pick_examples(evaluate({masked("11"), masked("11")}, {predicted("11"), predicted("10")}), 3);
  CHECK(few.best == std::vector<size_t>{0});
  CHECK(few.worst == std::vector<size_t>{1});
  CHECK(few.median.empty());
  const Examples hc = pick_examples(evaluate({measured(100), measured(100), measured(100)}, {says(101), says(90), says(104)}), 1);
  CHECK(hc.by == "hc_mae_mm");
  CHECK(hc.best == std::vector<size_t>{0});
  CHECK(hc.worst == std::vector<size_t>{1});
}
