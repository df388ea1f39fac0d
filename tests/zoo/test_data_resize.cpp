// Sizes, fits, the scan mask and polygons.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "tests/zoo/test_data_common.h"
#include "zoo/data/resize.h"
#include "zoo/data/scan_mask.h"
#include "zoo/metrics/measurement.h"

using namespace sono;
using namespace sono::zoo;
using namespace sono::zoo::tests;

namespace {

double overlap(const Tensor& a, const Tensor& b) {  // Jaccard
  int64_t both = 0, any = 0;
  for (int64_t i = 0; i < a.size(); i++) {
    both += a.data<uint8_t>()[i] && b.data<uint8_t>()[i];
    any += a.data<uint8_t>()[i] || b.data<uint8_t>()[i];
  }
  return any ? static_cast<double>(both) / static_cast<double>(any) : 1;
}

}  // namespace

TEST_CASE("resize_bilinear equals torch's interpolate, with and without antialias") {
  Tensor x({3, 4}, Dtype::f32);
  for (int64_t i = 0; i < 12; i++) x.data<float>()[i] = static_cast<float>(std::pow(i, 1.5));
  struct Case {
    int64_t height, width;
    bool antialias;
    std::vector<float> expected;
  };
  const Case cases[] = {
      // torch.nn.functional.interpolate(mode="bilinear", antialias=…)
      {2, 3, true, {3.54529f, 6.04837f, 9.31862f, 18.31978f, 23.17161f, 28.4055f}},
      {2, 3, false, {2.25751f, 4.67032f, 8.07191f, 19.64965f, 25.2182f, 31.2254f}},
      {1, 2, true, {12.02818f, 17.25055f}},
      {1, 2, false, {9.59017f, 16.6086f}},
      {2,
       6,
       true,
       {3.0f, 3.90881f, 5.22788f, 6.86887f, 8.73591f, 10.19269f, 17.14214f, 19.10488f, 21.76896f, 24.57426f, 27.51124f, 29.74689f}},
      {2,
       6,
       false,
       {2.0f, 2.77254f, 3.92016f, 5.42048f, 7.16137f, 8.52718f, 18.97056f, 21.00782f, 23.76946f, 26.66694f, 29.69177f, 31.99222f}}};
  for (const Case& c : cases) {
    const std::vector<float> y = resize_bilinear(x, c.height, c.width, c.antialias).to_vector<float>();
    REQUIRE(y.size() == c.expected.size());
    for (size_t i = 0; i < y.size(); i++) CHECK(y[i] == doctest::Approx(c.expected[i]).epsilon(1e-5));
  }
  Tensor colour({3, 4, 2}, Dtype::f32);  // channels do not mix
  for (int64_t i = 0; i < 12; i++) colour.data<float>()[2 * i] = x.data<float>()[i], colour.data<float>()[2 * i + 1] = -x.data<float>()[i];
  const Tensor small = resize_bilinear(colour, 2, 3), plain = resize_bilinear(x, 2, 3);
  for (int64_t i = 0; i < 6; i++) {
    CHECK(small.data<float>()[2 * i] == plain.data<float>()[i]);
    CHECK(small.data<float>()[2 * i + 1] == -plain.data<float>()[i]);
  }
  CHECK_THROWS_AS(resize_bilinear(x, 0, 3), ShapeError);
}

TEST_CASE("resize_nearest keeps values and finds the nearest pixel") {
  const Tensor x = Tensor::from<uint8_t>({1, 4}, {1, 2, 3, 4});
  CHECK(resize_nearest(x, 1, 2).to_vector<int>() == std::vector<int>{2, 4});
  CHECK(resize_nearest(x, 2, 8).to_vector<int>() == std::vector<int>{1, 1, 2, 2, 3, 3, 4, 4, 1, 1, 2, 2, 3, 3, 4, 4});
}

TEST_CASE("a fitted mask comes back in place") {
  for (const auto& [h, w] : {std::pair<int64_t, int64_t>{270, 400}, {335, 201}, {64, 64}}) {
    const Tensor mask =
        disc(h, w, 0.4 * static_cast<double>(w), 0.55 * static_cast<double>(h), 0.3 * static_cast<double>(std::min(h, w)), 1);
    for (const FitMode mode : {FitMode::letterbox, FitMode::stretch}) {
      const Fit fit(h, w, 192, 128, mode);
      const Tensor small = fit.mask(mask), back = fit.restore_mask(small);
      CHECK(small.shape() == Shape{192, 128});
      CHECK(back.shape() == mask.shape());
      CHECK(overlap(mask, back) > 0.95);
    }
  }
  const Fit wide(100, 200, 128, 128);
  CHECK(wide.rows == 64);
  CHECK(wide.top == 32);
  CHECK(wide.left == 0);
  CHECK(wide.image(Tensor::ones({100, 200, 1})).at({31, 60, 0}) == 0);
  CHECK(wide.image(Tensor::ones({100, 200, 1})).at({32, 60, 0}) == doctest::Approx(1));
}

TEST_CASE("a fitted sample: labels move with the image, spacing keeps millimetres, nothing outside the scan shows") {
  Sample s;
  s.image = Tensor::ones({100, 200, 1});
  s.scan_mask = disc(100, 200, 100, 50, 45, 1);
  s.labels.mask = disc(100, 200, 120, 40, 10, 1);
  s.labels.boxes = {{110, 30, 21, 21, 1, 1}};
  s.labels.landmarks = {{"centre", 120, 40, 1}};
  s.labels.ellipse = Ellipse{120, 40, 10, 10, 0};
  s.meta.spacing = {0.2, 0.2};
  const Sample f = Fit(100, 200, 50, 100).sample(s);
  CHECK(f.labels.landmarks[0].x == doctest::Approx(59.75));
  CHECK(f.labels.boxes[0].width == doctest::Approx(10.5));
  CHECK(f.labels.ellipse->a == doctest::Approx(5));
  CHECK((*f.meta.spacing)[0] == doctest::Approx(0.4));
  CHECK(f.image.at({0, 0, 0}) == 0);
  CHECK(f.image.at({25, 50, 0}) == doctest::Approx(1));
  CHECK(s.image.at({0, 0, 0}) == 1);  // the source is not touched
  CHECK(overlap(f.labels.mask, ellipse_mask(*f.labels.ellipse, 50, 100)) > 0.8);
  CHECK(Fit(100, 200, 50, 100).sample(s, false).image.at({0, 0, 0}) == doctest::Approx(1));
}

TEST_CASE("an affine map of an ellipse is the ellipse of the mapped points") {
  const Ellipse e{30, 40, 20, 8, 0.7};
  const Affine map{1.1, 0.4, 5, -0.3, 0.8, 9};
  const Ellipse t = transformed(e, map);
  for (double angle = 0; angle < 6.28; angle += 0.3) {
    const double u = e.a * std::cos(angle), v = e.b * std::sin(angle);
    const auto [x, y] = map(e.cx + u * std::cos(e.angle) - v * std::sin(e.angle), e.cy + u * std::sin(e.angle) + v * std::cos(e.angle));
    const double du = (x - t.cx) * std::cos(t.angle) + (y - t.cy) * std::sin(t.angle),
                 dv = -(x - t.cx) * std::sin(t.angle) + (y - t.cy) * std::cos(t.angle);
    CHECK(du * du / (t.a * t.a) + dv * dv / (t.b * t.b) == doctest::Approx(1));
  }
  const auto [x, y] = (map.inverse() * map)(3, -7);
  CHECK(x == doctest::Approx(3));
  CHECK(y == doctest::Approx(-7));
}

TEST_CASE("the scan mask is the hull of the largest lit piece: text beside the sector is outside") {
  const auto in_sector = [](int64_t x, int64_t y) {
    const double dx = static_cast<double>(x) - 60, dy = static_cast<double>(y) + 10;
    return std::hypot(dx, dy) < 85 && std::hypot(dx, dy) > 20 && std::abs(dx) < 0.7 * dy;
  };
  const auto lit = [&](int64_t x, int64_t y) {
    return in_sector(x, y) && !(x > 50 && x < 62 && y > 30 && y < 45);
  };  // with a black cyst in it
  Tensor image = to_unit(
      drawn(90, 120, [&](int64_t x, int64_t y) { return lit(x, y) || (x < 12 && y < 6 && (x + y) % 2) ? 100 : 0; }).view({90, 120, 1}));
  const Tensor mask = find_scan_mask(image);
  const Tensor expected = drawn(90, 120, [&](int64_t x, int64_t y) { return in_sector(x, y); });
  CHECK(mask.at({3, 3}) == 0);            // text
  CHECK(mask.at({38, 56}) == 1);          // cyst
  CHECK(overlap(mask, expected) > 0.93);  // the hull closes the curved top
  for (int64_t i = 0; i < mask.size(); i++)
    if (expected.data<uint8_t>()[i]) REQUIRE(mask.data<uint8_t>()[i] == 1);
  CHECK(overlap(find_scan_mask(Tensor::zeros({5, 7, 1})), Tensor::ones({5, 7}, Dtype::u8)) == 1);  // nothing lit: everywhere
}

TEST_CASE("pieces join over rows in any order") {
  // A U of two arms that meet only in the last row, beside a larger single block.
  Tensor image = to_unit(drawn(20, 40, [](int64_t x, int64_t y) {
                           return (x == 2 || x == 9 || (y == 19 && x >= 2 && x <= 9)) ? 9 : x >= 30 && y < 3 ? 9 : 0;
                         }).view({20, 40, 1}));
  const Tensor mask = find_scan_mask(image);
  CHECK(mask.at({0, 5}) == 1);  // within the U's hull: 46 pixels against 30
  CHECK(mask.at({1, 32}) == 0);
}

TEST_CASE("polygons fill what they enclose") {
  const Tensor mask = Tensor::zeros({60, 60}, Dtype::u8);
  std::vector<std::array<double, 2>> circle;
  for (int i = 0; i < 90; i++)
    circle.push_back({30.2 + 20 * std::cos(i * std::numbers::pi / 45), 29.6 + 20 * std::sin(i * std::numbers::pi / 45)});
  fill_polygon(mask, circle, 3);
  int64_t inside = 0;
  for (int64_t i = 0; i < mask.size(); i++) inside += mask.data<uint8_t>()[i] == 3;
  CHECK(static_cast<double>(inside) == doctest::Approx(std::numbers::pi * 400).epsilon(0.01));
  fill_polygon(mask, {{-10, -10}, {5, -10}, {5, 5}, {-10, 5}}, 1);  // beyond the edge
  CHECK(mask.at({0, 0}) == 1);
  CHECK(mask.at({8, 2}) == 0);
  const auto hull = convex_hull({{0, 0}, {4, 0}, {4, 4}, {0, 4}, {2, 2}, {2, 0}});
  CHECK(hull.size() == 4);
}
