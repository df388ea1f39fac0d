#include "zoo/features/texture.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "zoo/features/gabor.h"
#include "zoo/features/glcm.h"
#include "zoo/features/lbp.h"
#include "zoo/features/wavelet.h"

namespace sono::zoo {
namespace {

class Builder {
 public:
  explicit Builder(const Tensor& mask) : mask_(mask) {}
  void add(const std::string& name, double value) {
    result.names.push_back(name);
    result.values.push_back(static_cast<float>(value));
  }
  template <class F>
  double mean(const Tensor& t, F&& f) const {  // of f(value) over the mask; t f32 or f64
    const Tensor values = t.to(Dtype::f64);
    double sum = 0, n = 0;
    for (int64_t i = 0; i < values.size(); i++)
      if (!mask_ || mask_.data<uint8_t>()[i]) sum += f(values.data<double>()[i]), n++;
    return sum / n;
  }
  double mean(const Tensor& t) const {
    return mean(t, [](double v) { return v; });
  }
  double moment(const Tensor& t, double centre, int power) const {
    return mean(t, [&](double v) { return std::pow(v - centre, power); });
  }
  TextureFeatures result;

 private:
  const Tensor& mask_;
};

void add_grey(Builder& b, const Tensor& image, const Tensor& mask) {
  const double mean = b.mean(image), variance = b.moment(image, mean, 2), deviation = std::sqrt(variance);
  const bool flat = variance < 1e-12;
  b.add("grey.mean", mean);
  b.add("grey.deviation", deviation);
  b.add("grey.skewness", flat ? 0 : b.moment(image, mean, 3) / (variance * deviation));
  b.add("grey.kurtosis", flat ? 3 : b.moment(image, mean, 4) / (variance * variance));
  double entropy = 0;
  for (const double p : lbp_histogram(quantised_image(image, 32).to(Dtype::i32), mask, 32))
    if (p > 0) entropy -= p * std::log(p);
  b.add("grey.entropy", entropy);
}

void add_glcm(Builder& b, const Tensor& image, const Tensor& mask, const TextureOptions& o) {
  constexpr const char* names[] = {"contrast", "dissimilarity", "homogeneity", "asm", "energy", "correlation", "entropy"};
  const Tensor levels = quantised_image(image, o.levels);
  for (const int64_t d : o.distances) {
    std::vector<std::vector<double>> values(7);
    for (int a = 0; a < 4; a++) {
      const GlcmProperties g = glcm_properties(glcm(levels, mask, {.levels = o.levels, .distance = d, .angle = a * std::numbers::pi / 4}));
      const double all[] = {g.contrast, g.dissimilarity, g.homogeneity, g.asm_, g.energy, g.correlation, g.entropy};
      for (size_t k = 0; k < 7; k++) values[k].push_back(all[k]);
    }
    for (size_t k = 0; k < 7; k++) {
      const auto [low, high] = std::minmax_element(values[k].begin(), values[k].end());
      const std::string name = "glcm.d" + std::to_string(d) + "." + names[k];
      b.add(name + ".mean", (values[k][0] + values[k][1] + values[k][2] + values[k][3]) / 4);
      b.add(name + ".range", *high - *low);
    }
  }
}

void add_lbp(Builder& b, const Tensor& image, const Tensor& mask) {
  for (const LbpOptions& o : {LbpOptions{.points = 8, .radius = 1}, LbpOptions{.points = 16, .radius = 2}}) {
    const std::vector<double> histogram = lbp_histogram(lbp(image, o), mask, lbp_codes(o));
    for (size_t k = 0; k < histogram.size(); k++) b.add("lbp.p" + std::to_string(o.points) + "." + std::to_string(k), histogram[k]);
  }
}

void add_gabor(Builder& b, const Tensor& image, const TextureOptions& o) {
  for (const double f : o.frequencies)
    for (int a = 0; a < 4; a++) {
      const Tensor m = gabor(image, {.frequency = f, .angle = a * std::numbers::pi / 4}).magnitude();
      const double mean = b.mean(m);
      const std::string name = "gabor.f" + std::to_string(static_cast<int>(std::lround(1000 * f))) + ".a" + std::to_string(45 * a);
      b.add(name + ".mean", mean);
      b.add(name + ".deviation", std::sqrt(b.moment(m, mean, 2)));
    }
}

void add_wavelet(Builder& b, const Tensor& image, const TextureOptions& o) {
  const std::vector<WaveletLevel> levels = undecimated_wavelet(image, {.levels = o.wavelet_levels});
  for (size_t j = 0; j < levels.size(); j++)
    for (const auto& [band, t] : {std::pair<const char*, const Tensor*>{"horizontal", &levels[j].horizontal}, {"vertical", &levels[j].vertical}, {"diagonal", &levels[j].diagonal}}) {
      const std::string name = "wavelet." + std::to_string(j + 1) + "." + band;
      b.add(name + ".mean", b.mean(*t, [](double v) { return std::abs(v); }));
      b.add(name + ".variance", b.moment(*t, b.mean(*t), 2));
      b.add(name + ".energy", b.moment(*t, 0, 2));
    }
}

}  // namespace

TextureFeatures texture_features(const Tensor& image, const Tensor& mask, const TextureOptions& options) {
  if (image.rank() != 2 || (mask && mask.shape() != image.shape()))
    throw ShapeError("[texture] wants an image (H, W) and a mask of that size, got " + to_string(image.shape()) + (mask ? " and " + to_string(mask.shape()) : ""));
  const int64_t pixels = mask ? std::count_if(mask.data<uint8_t>(), mask.data<uint8_t>() + mask.size(), [](uint8_t m) { return m != 0; }) : image.size();
  if (pixels < 16) throw NumericError("[texture] " + std::to_string(pixels) + " pixels in the mask are too few for a texture; 16 or more are needed");
  Builder b(mask);
  add_grey(b, image, mask);
  add_glcm(b, image, mask, options);
  add_lbp(b, image, mask);
  add_gabor(b, image, options);
  add_wavelet(b, image, options);
  return std::move(b.result);
}

}  // namespace sono::zoo
