// Texture features against scikit-image and PyWavelets (golden_features.json, made by golden_features.py) and closed forms.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "tensor/files.h"
#include "tensor/random.h"
#include "zoo/features/gabor.h"
#include "zoo/features/glcm.h"
#include "zoo/features/hog.h"
#include "zoo/features/lbp.h"
#include "zoo/features/texture.h"
#include "zoo/features/wavelet.h"

using namespace sono;
using namespace sono::zoo;
using nlohmann::json;

namespace {

const json& golden() {
  static const json all = json::parse(read_file(std::string(SONO_SOURCE_DIR) + "/tests/zoo/golden_features.json"));
  return all;
}

Tensor image_of(const json& g) {
  std::vector<float> v;
  for (const int p : g.at("image")) v.push_back(static_cast<float>(p / 1000.0));
  return Tensor::from<float>({golden().at("height"), golden().at("width")}, v);
}

Tensor disc() {
  Tensor mask({31, 27}, Dtype::u8);
  for (int64_t i = 0; i < mask.size(); i++) {
    const int64_t y = i / 27 - 15, x = i % 27 - 13;
    mask.data<uint8_t>()[i] = y * y + x * x < 110;
  }
  return mask;
}

// Every tenth row and the mean magnitude.
void check_map(const Tensor& t, const json& expected) {
  const std::vector<double> v = t.to_vector<double>(), rows = expected.at("rows");
  const auto columns = static_cast<size_t>(t.dim(1));
  double sum = 0, largest = 0;
  for (const double a : v) sum += std::abs(a);
  for (size_t i = 0; i < rows.size(); i++) largest = std::max(largest, std::abs(rows[i] - v.at(i / columns * 10 * columns + i % columns)));
  CHECK(largest < 2e-6);
  CHECK(std::abs(sum / static_cast<double>(v.size()) - expected.at("mean").get<double>()) < 2e-6);
}

}  // namespace

TEST_CASE("glcm: matrices and properties of scikit-image, with and without a mask") {
  for (const json& g : golden().at("cases")) {
    const Tensor levels = quantised_image(image_of(g), 16);
    for (const json& row : g.at("glcm"))
      for (const bool masked : {false, true}) {
        const Tensor p = glcm(levels, masked ? disc() : Tensor(), {.levels = 16, .distance = row.at("distance"), .angle = row.at("angle")});
        const GlcmProperties q = glcm_properties(p);
        const double found[] = {q.contrast, q.dissimilarity, q.homogeneity, q.asm_, q.energy, q.correlation, q.entropy};
        const json& expected = row.at(masked ? "masked" : "values");
        for (size_t k = 0; k < 7; k++) CHECK(std::abs(found[k] - expected[k].get<double>()) < 1e-5 * std::max(1.0, std::abs(found[k])));
      }
  }
  const GlcmProperties flat = glcm_properties(glcm(Tensor::full({4, 4}, 3, Dtype::u8), {}, {.levels = 8}));
  CHECK(flat.asm_ == 1);
  CHECK(flat.correlation == 1);
  CHECK(flat.entropy == 0);
  CHECK_THROWS_AS(glcm(Tensor::full({4, 4}, 9, Dtype::u8), {}, {.levels = 8}), NumericError);
}

TEST_CASE("lbp: codes of scikit-image; rotated and uniform codes do not change when the image turns") {
  for (const json& g : golden().at("cases"))
    for (const json& row : g.at("lbp")) {
      const std::string method = row.at("method");
      const Tensor code = lbp(image_of(g), {.points = row.at("points"), .radius = row.at("radius"), .method = method == "plain" ? LbpMethod::plain : method == "rotated" ? LbpMethod::rotated : LbpMethod::uniform});
      const std::vector<int32_t> all = code.to_vector<int32_t>(), expected = row.at("codes");
      const size_t step = row.at("step");
      int differ = 0;
      for (size_t i = 0; i < expected.size(); i++) differ += expected[i] != all.at(i / 27 * step * 27 + i % 27);
      CHECK(differ == 0);
    }
  Random random(1);
  Tensor image({9, 9}), turned({9, 9});
  for (int64_t i = 0; i < 81; i++) image.data<float>()[i] = static_cast<float>(random.uniform());
  for (int64_t y = 0; y < 9; y++)
    for (int64_t x = 0; x < 9; x++) turned.data<float>()[x * 9 + 8 - y] = image.data<float>()[y * 9 + x];
  for (const LbpMethod method : {LbpMethod::rotated, LbpMethod::uniform}) {
    const Tensor a = lbp(image, {.points = 4, .radius = 1, .method = method}), b = lbp(turned, {.points = 4, .radius = 1, .method = method});
    for (int64_t y = 1; y < 8; y++)
      for (int64_t x = 1; x < 8; x++) CHECK(a.at({y, x}) == b.at({x, 8 - y}));
  }
  const std::vector<double> h = lbp_histogram(lbp(image), {}, 10);
  CHECK(std::abs(std::accumulate(h.begin(), h.end(), 0.0) - 1) < 1e-12);
}

TEST_CASE("hog: blocks of scikit-image; an image smaller than a block is refused") {
  for (const json& g : golden().at("cases"))
    for (const json& row : g.at("hog")) {
      const std::vector<float> h = hog(image_of(g), {.orientations = row.at("orientations"), .cell = row.at("cell"), .block = row.at("block")});
      const std::vector<double> expected = row.at("values");
      REQUIRE(h.size() == expected.size());
      double largest = 0;
      for (size_t i = 0; i < h.size(); i++) largest = std::max(largest, std::abs(static_cast<double>(h[i]) - expected[i]));
      CHECK(largest < 1e-5);
    }
  CHECK_THROWS_AS(hog(Tensor::zeros({16, 40}), {.cell = 8, .block = 3}), ShapeError);
}

TEST_CASE("gabor: responses of scikit-image; a wave of the filter's own frequency answers most") {
  for (const json& g : golden().at("cases"))
    for (const json& row : g.at("gabor")) {
      const Gabor found = gabor(image_of(g), {.frequency = row.at("frequency"), .angle = row.at("angle")});
      check_map(found.real, row.at("real"));
      check_map(found.imaginary, row.at("imaginary"));
    }
  Tensor wave({40, 40});
  for (int64_t i = 0; i < 1600; i++) wave.data<float>()[i] = static_cast<float>(std::cos(2 * 3.14159265 * 0.2 * static_cast<double>(i % 40)));
  const double own = gabor(wave, {.frequency = 0.2}).magnitude().at({20, 20});
  CHECK(std::abs(own - 0.5) < 0.01);  // half of a cosine is the wave that the filter passes, at gain 1
  CHECK(gabor(wave, {.frequency = 0.2, .angle = 1.5708}).magnitude().at({20, 20}) < 0.1 * own);
  CHECK_THROWS_AS(gabor(wave, {.frequency = 0.6}), NumericError);
}

TEST_CASE("wavelet: bands of PyWavelets at an odd size; a constant image has no detail") {
  for (const json& g : golden().at("cases"))
    for (const json& row : g.at("wavelet")) {
      const std::vector<WaveletLevel> levels = undecimated_wavelet(image_of(g), {.levels = 3, .haar = row.at("name") == "haar"});
      for (size_t j = 0; j < 3; j++) {
        const json& e = row.at("levels")[j];
        check_map(levels[j].approximation, e.at("approximation"));
        check_map(levels[j].horizontal, e.at("horizontal"));
        check_map(levels[j].vertical, e.at("vertical"));
        check_map(levels[j].diagonal, e.at("diagonal"));
      }
    }
  const WaveletLevel flat = undecimated_wavelet(Tensor::ones({5, 3}), {.levels = 1})[0];
  for (const Tensor& band : {flat.horizontal, flat.vertical, flat.diagonal})
    for (const double v : band.to_vector<double>()) CHECK(std::abs(v) < 1e-12);
}

TEST_CASE("texture features: names of their own, finite, only of the mask's pixels") {
  const json& g = golden().at("cases")[1];
  const Tensor image = image_of(g), mask = disc();
  const TextureFeatures t = texture_features(image, mask);
  CHECK(t.names.size() == t.values.size());
  CHECK(std::set<std::string>(t.names.begin(), t.names.end()).size() == t.names.size());
  CHECK(t.names.size() == 5 + 3 * 14 + 10 + 18 + 24 + 27);
  for (const float v : t.values) CHECK(std::isfinite(v));
  Tensor other = image.clone();
  other.data<float>()[0] = 1 - other.data<float>()[0];  // a corner, far from the mask
  const TextureFeatures u = texture_features(other, mask);
  for (size_t i = 0; i < 47; i++) CHECK(t.values[i] == u.values[i]);  // grey levels and co-occurrence
  double mean = 0, n = 0;
  for (int64_t i = 0; i < image.size(); i++)
    if (mask.data<uint8_t>()[i]) mean += static_cast<double>(image.data<float>()[i]), n++;
  CHECK(std::abs(static_cast<double>(t.values[0]) - mean / n) < 1e-6);
  CHECK_NOTHROW(texture_features(Tensor::zeros({7, 9}), {}));
  CHECK_THROWS_AS(texture_features(image, Tensor::zeros({31, 27}, Dtype::u8)), NumericError);
}
