#include "zoo/features/gabor.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <string>
#include <vector>

#include "zoo/features/mirror.h"

namespace sono::zoo {
namespace {

using Complex = std::complex<double>;

// exp(-t^2 / 2 s^2 + 2 pi i f t) / (sqrt(2 pi) s) for t = -radius … radius.
std::vector<Complex> wave(double s, double frequency, int64_t radius) {
  std::vector<Complex> taps;
  for (int64_t t = -radius; t <= radius; t++) {
    const auto x = static_cast<double>(t);
    taps.push_back(std::polar(std::exp(-x * x / (2 * s * s)) / (std::sqrt(2 * std::numbers::pi) * s), 2 * std::numbers::pi * frequency * x));
  }
  return taps;
}

// out(i) = sum_t taps(t) in(i - t), along lines of n values that are `stride` apart.
void convolve_line(const Complex* in, Complex* out, int64_t n, int64_t stride, const std::vector<Complex>& taps) {
  const auto radius = static_cast<int64_t>(taps.size()) / 2;
  std::vector<Complex> line(static_cast<size_t>(n + 2 * radius));
  for (int64_t i = -radius; i < n + radius; i++) line[static_cast<size_t>(i + radius)] = in[mirrored(i, n) * stride];
  for (int64_t i = 0; i < n; i++) {
    double re = 0, im = 0;
    for (size_t t = 0; t < taps.size(); t++) {
      const Complex &a = taps[taps.size() - 1 - t], &b = line[static_cast<size_t>(i) + t];
      re += a.real() * b.real() - a.imag() * b.imag(), im += a.real() * b.imag() + a.imag() * b.real();
    }
    out[i * stride] = {re, im};
  }
}

}  // namespace

Gabor gabor(const Tensor& image, const GaborOptions& o) {
  if (image.rank() != 2 || image.size() == 0) throw ShapeError("[gabor] wants an image (H, W), got " + to_string(image.shape()));
  if (!(o.frequency > 0 && o.frequency <= 0.5) || !(o.bandwidth > 0))
    throw NumericError("[gabor] wants a frequency within (0, 0.5] and a bandwidth above 0, got " + std::to_string(o.frequency) + " and " + std::to_string(o.bandwidth));
  const double octaves = std::exp2(o.bandwidth), s = std::sqrt(std::log(2.0) / 2) * (octaves + 1) / (octaves - 1) / (std::numbers::pi * o.frequency);
  const double c = std::cos(o.angle), d = std::sin(o.angle), reach = 3 * s;
  const auto radius = static_cast<int64_t>(std::ceil(std::max({std::abs(reach * c), std::abs(reach * d), 1.0})));
  const int64_t H = image.dim(0), W = image.dim(1);
  const float* v = image.data<float>();
  std::vector<Complex> pixels(v, v + H * W), rows(pixels.size());
  const std::vector<Complex> along = wave(s, o.frequency * c, radius), down = wave(s, o.frequency * d, radius);
  for (int64_t y = 0; y < H; y++) convolve_line(&pixels[static_cast<size_t>(y * W)], &rows[static_cast<size_t>(y * W)], W, 1, along);
  for (int64_t x = 0; x < W; x++) convolve_line(&rows[static_cast<size_t>(x)], &pixels[static_cast<size_t>(x)], H, W, down);
  Gabor g{Tensor({H, W}, Dtype::f64), Tensor({H, W}, Dtype::f64)};
  for (size_t i = 0; i < pixels.size(); i++) g.real.data<double>()[i] = pixels[i].real(), g.imaginary.data<double>()[i] = pixels[i].imag();
  return g;
}

Tensor Gabor::magnitude() const {
  Tensor m(real.shape(), Dtype::f64);
  for (int64_t i = 0; i < m.size(); i++) m.data<double>()[i] = std::hypot(real.data<double>()[i], imaginary.data<double>()[i]);
  return m;
}

}  // namespace sono::zoo
