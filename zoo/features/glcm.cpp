#include "zoo/features/glcm.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace sono::zoo {

Tensor quantised_image(const Tensor& image, int64_t levels, double low, double high) {
  if (levels < 2 || levels > 256) throw NumericError("[glcm] levels must be within 2 … 256, got " + std::to_string(levels));
  if (!(high > low)) throw NumericError("[glcm] the range from " + std::to_string(low) + " to " + std::to_string(high) + " is empty");
  Tensor out(image.shape(), Dtype::u8);
  const float* v = image.data<float>();
  for (int64_t i = 0; i < image.size(); i++) {
    const double share = (static_cast<double>(v[i]) - low) / (high - low);
    out.data<uint8_t>()[i] = static_cast<uint8_t>(std::clamp(std::floor(share * static_cast<double>(levels)), 0.0, static_cast<double>(levels - 1)));
  }
  return out;
}

Tensor glcm(const Tensor& image, const Tensor& mask, const GlcmOptions& o) {
  if (image.rank() != 2 || (mask && mask.shape() != image.shape()))
    throw ShapeError("[glcm] wants levels (H, W) and a mask of that size, got " + to_string(image.shape()) + (mask ? " and " + to_string(mask.shape()) : ""));
  if (o.distance < 1) throw NumericError("[glcm] distance must be at least 1, got " + std::to_string(o.distance));
  const int64_t H = image.dim(0), W = image.dim(1), L = o.levels;
  const auto down = static_cast<int64_t>(std::round(std::sin(o.angle) * static_cast<double>(o.distance)));
  const auto right = static_cast<int64_t>(std::round(std::cos(o.angle) * static_cast<double>(o.distance)));
  const uint8_t *v = image.data<uint8_t>(), *inside = mask ? mask.data<uint8_t>() : nullptr;
  for (int64_t i = 0; i < H * W; i++)
    if (v[i] >= L) throw NumericError("[glcm] level " + std::to_string(v[i]) + " is not within 0 … " + std::to_string(L - 1));
  Tensor p = Tensor::zeros({L, L}, Dtype::f64);
  double *count = p.data<double>(), sum = 0;
  for (int64_t y = std::max<int64_t>(0, -down); y < std::min(H, H - down); y++)
    for (int64_t x = std::max<int64_t>(0, -right); x < std::min(W, W - right); x++) {
      const int64_t a = y * W + x, b = (y + down) * W + x + right;
      if (inside && !(inside[a] && inside[b])) continue;
      count[v[a] * L + v[b]]++, sum++;
      if (o.symmetric) count[v[b] * L + v[a]]++, sum++;
    }
  if (sum > 0) std::for_each(count, count + p.size(), [&](double& c) { c /= sum; });
  return p;
}

GlcmProperties glcm_properties(const Tensor& p) {
  const int64_t L = p.dim(0);
  const double* v = p.data<double>();
  const auto sum = [&](auto&& f) {
    double total = 0;
    for (int64_t i = 0; i < L; i++)
      for (int64_t j = 0; j < L; j++)
        if (v[i * L + j] > 0) total += f(v[i * L + j], static_cast<double>(i), static_cast<double>(j));
    return total;
  };
  GlcmProperties g{};
  g.contrast = sum([](double q, double i, double j) { return q * (i - j) * (i - j); });
  g.dissimilarity = sum([](double q, double i, double j) { return q * std::abs(i - j); });
  g.homogeneity = sum([](double q, double i, double j) { return q / (1 + (i - j) * (i - j)); });
  g.asm_ = sum([](double q, double, double) { return q * q; });
  g.energy = std::sqrt(g.asm_);
  g.entropy = -sum([](double q, double, double) { return q * std::log(q); });
  const double mi = sum([](double q, double i, double) { return q * i; }), mj = sum([](double q, double, double j) { return q * j; });
  const double vi = sum([&](double q, double i, double) { return q * (i - mi) * (i - mi); }), vj = sum([&](double q, double, double j) { return q * (j - mj) * (j - mj); });
  const double scale = std::sqrt(vi) * std::sqrt(vj);
  g.correlation = scale > 1e-15 ? sum([&](double q, double i, double j) { return q * (i - mi) * (j - mj); }) / scale : 1;
  return g;
}

}  // namespace sono::zoo
