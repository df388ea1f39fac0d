// Augmentation: everything that is known of an image moves with it, and nothing happens outside the scan mask.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/zoo/test_data_common.h"
#include "zoo/data/augment.h"
#include "zoo/metrics/measurement.h"

using namespace sono;
using namespace sono::zoo;
using namespace sono::zoo::tests;

namespace {

Augmentation nothing() {
  Augmentation a;
  a.flip = a.affine = a.elastic = a.gamma = a.noise = a.blur = a.speckle = a.attenuation = a.shadow = 0;
  return a;
}

Augmentation everything() {
  Augmentation a;
  a.flip = a.affine = a.elastic = a.gamma = a.noise = a.blur = a.speckle = a.attenuation = a.shadow = 1;
  return a;
}

// A head of brightness 1 on 0.2, in a round scan, with all of its labels.
Sample head() {
  Sample s;
  s.labels.ellipse = Ellipse{60, 55, 26, 17, 0.5};
  s.labels.mask = ellipse_mask(*s.labels.ellipse, 120, 128);
  s.image = Tensor::full({120, 128, 1}, 0.2);
  for (int64_t i = 0; i < s.image.size(); i++)
    if (s.labels.mask.data<uint8_t>()[i]) s.image.data<float>()[i] = 1;
  s.scan_mask = disc(120, 128, 64, 60, 55, 1);
  s.labels.measurements = {{"head circumference", 137, "mm"}};
  s.labels.boxes = {{34, 34, 53, 43, 0, 1}};
  s.labels.landmarks = {{"centre", 60, 55, 1}};
  s.meta.spacing = {0.3, 0.3};
  return s;
}

double overlap(const Tensor& a, const Tensor& b) {
  int64_t both = 0, any = 0;
  for (int64_t i = 0; i < a.size(); i++) {
    both += a.data<uint8_t>()[i] && b.data<uint8_t>()[i];
    any += a.data<uint8_t>()[i] || b.data<uint8_t>()[i];
  }
  return any ? static_cast<double>(both) / static_cast<double>(any) : 1;
}

Tensor bright(const Tensor& image, float threshold) {
  Tensor m({image.dim(0), image.dim(1)}, Dtype::u8);
  for (int64_t i = 0; i < m.size(); i++) m.data<uint8_t>()[i] = image.data<float>()[i] > threshold;
  return m;
}

std::array<double, 2> centre(const Tensor& mask) {
  double x = 0, y = 0, n = 0;
  for (int64_t i = 0; i < mask.size(); i++)
    if (mask.data<uint8_t>()[i]) x += static_cast<double>(i % mask.dim(1)), y += static_cast<double>(i / mask.dim(1)), n++;
  return {x / n, y / n};
}

}  // namespace

TEST_CASE("a draw depends on seed, epoch and index alone; the sample is left as it was") {
  const Sample s = head();
  const std::vector<float> before = s.image.to_vector<float>();
  const Sample a = augment(s, {}, 1, 2, 3), b = augment(s, {}, 1, 2, 3);
  CHECK(a.image.to_vector<float>() == b.image.to_vector<float>());
  CHECK(a.labels.mask.to_vector<int>() == b.labels.mask.to_vector<int>());
  for (const Sample& other : {augment(s, everything(), 2, 2, 3), augment(s, everything(), 1, 3, 3), augment(s, everything(), 1, 2, 4)})
    CHECK(other.image.to_vector<float>() != augment(s, everything(), 1, 2, 3).image.to_vector<float>());
  CHECK(s.image.to_vector<float>() == before);
  const Sample same = augment(s, nothing(), 1, 2, 3);
  for (int64_t i = 0; i < s.image.size(); i++)
    REQUIRE(same.image.data<float>()[i] == (s.scan_mask.data<uint8_t>()[i] ? before[static_cast<size_t>(i)] : 0));
  CHECK(same.labels.measurements.size() == 1);
}

TEST_CASE("mask, scan mask, ellipse, box and landmark move with the image") {
  Augmentation a = nothing();
  SUBCASE("mirror") { a.flip = 1; }
  SUBCASE("affine") { a.affine = 1; }
  SUBCASE("mirror and affine") { a.flip = a.affine = 1; }
  SUBCASE("elastic") { a.elastic = 1; }
  SUBCASE("all") { a.flip = a.affine = a.elastic = 1; }
  const Sample s = head();
  for (int64_t i = 0; i < 12; i++) {
    const Sample t = augment(s, a, 7, 0, i);
    CAPTURE(i);
    CHECK(overlap(bright(t.image, 0.6f), t.labels.mask) > 0.93);
    CHECK(overlap(bright(t.image, 0.05f), t.scan_mask) > 0.97);
    const auto [x, y] = centre(t.labels.mask);
    REQUIRE(t.labels.landmarks.size() == 1);
    CHECK(std::hypot(t.labels.landmarks[0].x - x, t.labels.landmarks[0].y - y) < (a.elastic > 0 ? 2.0 : 0.5));
    REQUIRE(t.labels.boxes.size() == 1);
    const Box& b = t.labels.boxes[0];
    CHECK(std::hypot(b.x + (b.width - 1) / 2 - x, b.y + (b.height - 1) / 2 - y) < (a.elastic > 0 ? 3.0 : 1.0));
    CHECK(t.labels.ellipse.has_value() == (a.elastic == 0));
    if (t.labels.ellipse) CHECK(overlap(ellipse_mask(*t.labels.ellipse, 120, 128), t.labels.mask) > 0.95);
    CHECK(t.labels.measurements.empty() == (a.affine > 0 || a.elastic > 0));
  }
}

TEST_CASE("without shear the millimetres stay what they were") {
  Augmentation a = nothing();
  a.affine = 1, a.shear = 0, a.scale = 0.3, a.translation = 0;
  const Sample s = head();
  for (int64_t i = 0; i < 6; i++) {
    const Sample t = augment(s, a, 3, 0, i);
    CHECK(t.labels.measurements.size() == 1);
    CHECK(circumference_mm(*t.labels.ellipse, {(*t.meta.spacing)[0], (*t.meta.spacing)[1]}) ==
          doctest::Approx(circumference_mm(*s.labels.ellipse, {0.3, 0.3})));
    CHECK((*t.meta.spacing)[0] != 0.3);
  }
}

TEST_CASE("brightness changes inside the scan mask only, and stays within [0, 1]") {
  Augmentation a = everything();
  a.flip = a.affine = a.elastic = 0;
  const Sample s = head();
  for (int64_t i = 0; i < 5; i++) {
    const Sample t = augment(s, a, 1, 0, i);
    CHECK(t.labels.mask.to_vector<int>() == s.labels.mask.to_vector<int>());
    int64_t changed = 0;
    for (int64_t k = 0; k < t.image.size(); k++) {
      const float v = t.image.data<float>()[k];
      REQUIRE((v >= 0 && v <= 1));
      if (!s.scan_mask.data<uint8_t>()[k]) REQUIRE(v == 0);
      changed += v != s.image.data<float>()[k];
    }
    CHECK(changed > 5000);
  }
}

TEST_CASE("each step does what its name says") {
  Sample s;
  s.image = Tensor::full({64, 64, 3}, 0.4);
  const auto with = [&](double Augmentation::*step, const Augmentation& ranges = nothing()) {
    Augmentation a = ranges;
    a.*step = 1;
    return augment(s, a, 5, 0, 1).image;
  };
  const auto statistics = [](const Tensor& t) {
    double m = 0, q = 0;
    for (int64_t i = 0; i < t.size(); i++) m += t.data<float>()[i];
    m /= static_cast<double>(t.size());
    for (int64_t i = 0; i < t.size(); i++) q += std::pow(t.data<float>()[i] - m, 2);
    return std::array<double, 2>{m, std::sqrt(q / static_cast<double>(t.size()))};
  };
  CHECK(statistics(with(&Augmentation::gamma))[1] < 1e-6);
  CHECK(std::abs(statistics(with(&Augmentation::gamma))[0] - 0.4) > 1e-4);
  for (const auto step : {&Augmentation::noise, &Augmentation::speckle}) {
    const Tensor t = with(step);
    const auto [mean, deviation] = statistics(t);
    CHECK(mean == doctest::Approx(0.4).epsilon(0.01));
    CHECK(deviation > 1e-4);
    CHECK(deviation < 0.1);
    CHECK(t.at({10, 10, 0}) == t.at({10, 10, 2}));  // the channels of a grey image stay equal
  }
  const Tensor dark = with(&Augmentation::attenuation);
  CHECK(dark.at({0, 32, 0}) > dark.at({32, 32, 0}));
  CHECK(dark.at({32, 32, 0}) > dark.at({63, 32, 0}));
  const Tensor shadow = with(&Augmentation::shadow);
  CHECK(statistics(shadow)[0] < 0.4);
  CHECK(statistics(with(&Augmentation::blur))[1] < 1e-6);  // a flat image stays flat, edges included
  s.image = Tensor::zeros({64, 64, 1});
  s.image.data<float>()[32 * 64 + 32] = 1;
  const Tensor point = with(&Augmentation::blur);
  CHECK(point.at({32, 32, 0}) < 1);
  CHECK(point.at({32, 33, 0}) == doctest::Approx(point.at({31, 32, 0})));
  CHECK(statistics(point)[0] * 64 * 64 == doctest::Approx(1));
  s.image = Tensor::zeros({2, 3, 1});
  for (int64_t i = 0; i < 6; i++) s.image.data<float>()[i] = 0.1f * static_cast<float>(i);
  const Tensor mirrored = with(&Augmentation::flip);
  for (int64_t y = 0; y < 2; y++)
    for (int64_t x = 0; x < 3; x++) CHECK(mirrored.at({y, x, 0}) == doctest::Approx(s.image.at({y, 2 - x, 0})));
}

TEST_CASE("a step's draw does not depend on the other steps") {
  Sample s;
  s.image = Tensor::full({32, 32, 1}, 0.4);
  Augmentation a = nothing(), b = nothing();
  a.flip = a.affine = 1, b.flip = b.affine = 1;
  b.rotation = 15, b.gamma = 0;
  a.noise = 0, b.noise_deviation = 0.2;
  CHECK(augment(s, a, 1, 1, 1).scan_mask.to_vector<int>() == augment(s, b, 1, 1, 1).scan_mask.to_vector<int>());
}

TEST_CASE("boxes and landmarks that leave the image go") {
  Augmentation a = nothing();
  a.affine = 1, a.rotation = a.shear = a.scale = 0, a.translation = 0.9;
  Sample s = head();
  s.labels.landmarks = {{"corner", 1, 1, 1}};
  s.labels.boxes = {{0, 0, 8, 8, 0, 1}};
  int gone = 0;
  for (int64_t i = 0; i < 30; i++) {
    const Sample t = augment(s, a, 1, 0, i);
    for (const Landmark& l : t.labels.landmarks) CHECK((l.x >= -0.5 && l.y >= -0.5 && l.x < 127.5 && l.y < 119.5));
    for (const Box& b : t.labels.boxes)
      CHECK((b.x >= 0 && b.y >= 0 && b.x + b.width <= 128 && b.y + b.height <= 120 && b.width * b.height >= 15.9));
    gone += t.labels.boxes.empty();
  }
  CHECK(gone > 5);
  CHECK(gone < 30);
}

TEST_CASE("settings that make no sense are named") {
  const Sample s = head();
  const auto refused = [&](const Augmentation& a, const std::string& word) {
    return is_clear(error_of([&] { augment(s, a, 0, 0, 0); }), word);
  };
  CHECK(refused({.flip = 1.5}, "flip"));
  CHECK(refused({.noise = -0.1}, "noise"));
  CHECK(refused({.gamma = std::nan("")}, "gamma"));
  CHECK(refused({.rotation = 500}, "rotation"));
  CHECK(refused({.blur_sigma = -1}, "blur_sigma"));
  Sample flat;
  flat.image = Tensor::zeros({4, 4});
  CHECK_THROWS_AS(augment(flat, {}, 0, 0, 0), ShapeError);
}
