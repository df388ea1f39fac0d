#include "zoo/features/lbp.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <string>

namespace sono::zoo {
namespace {

double pixel(const float* v, int64_t H, int64_t W, int64_t y, int64_t x) { return y < 0 || y >= H || x < 0 || x >= W ? 0 : static_cast<double>(v[y * W + x]); }

double between(const float* v, int64_t H, int64_t W, double y, double x) {
  const double y0 = std::floor(y), x0 = std::floor(x), dy = y - y0, dx = x - x0;
  const auto r = static_cast<int64_t>(y0), c = static_cast<int64_t>(x0), r1 = static_cast<int64_t>(std::ceil(y)), c1 = static_cast<int64_t>(std::ceil(x));
  const double top = (1 - dx) * pixel(v, H, W, r, c) + dx * pixel(v, H, W, r, c1), bottom = (1 - dx) * pixel(v, H, W, r1, c) + dx * pixel(v, H, W, r1, c1);
  return (1 - dy) * top + dy * bottom;
}

int32_t code_of(uint32_t bits, int64_t points, LbpMethod method) {
  const auto n = static_cast<uint32_t>(points), all = n == 32 ? ~0u : (1u << n) - 1;
  const auto turned = [&](uint32_t b) { return (b >> 1 | b << (n - 1)) & all; };
  if (method == LbpMethod::plain) return static_cast<int32_t>(bits);
  if (method == LbpMethod::uniform) return std::popcount(bits ^ turned(bits)) <= 2 ? std::popcount(bits) : static_cast<int32_t>(points + 1);
  uint32_t least = bits;
  for (int64_t k = 1; k < points; k++) least = std::min(least, bits = turned(bits));
  return static_cast<int32_t>(least);
}

}  // namespace

Tensor lbp(const Tensor& image, const LbpOptions& o) {
  if (image.rank() != 2) throw ShapeError("[lbp] wants an image (H, W), got " + to_string(image.shape()));
  if (o.points < 1 || o.points > 24 || !(o.radius > 0))
    throw NumericError("[lbp] wants 1 … 24 points and a radius above 0, got " + std::to_string(o.points) + " and " + std::to_string(o.radius));
  const int64_t H = image.dim(0), W = image.dim(1);
  std::vector<double> down, right;  // to five decimals: neighbours that should lie on pixels do
  for (int64_t k = 0; k < o.points; k++) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(o.points);
    down.push_back(std::round(-o.radius * std::sin(angle) * 1e5) / 1e5);
    right.push_back(std::round(o.radius * std::cos(angle) * 1e5) / 1e5);
  }
  Tensor code({H, W}, Dtype::i32);
  const float* v = image.data<float>();
  for (int64_t y = 0; y < H; y++)
    for (int64_t x = 0; x < W; x++) {
      uint32_t bits = 0;
      for (size_t k = 0; k < down.size(); k++) {
        const double neighbour = between(v, H, W, static_cast<double>(y) + down[k], static_cast<double>(x) + right[k]);
        bits |= static_cast<uint32_t>(neighbour >= static_cast<double>(v[y * W + x])) << k;
      }
      code.data<int32_t>()[y * W + x] = code_of(bits, o.points, o.method);
    }
  return code;
}

int64_t lbp_codes(const LbpOptions& o) { return o.method == LbpMethod::uniform ? o.points + 2 : int64_t{1} << o.points; }

std::vector<double> lbp_histogram(const Tensor& code, const Tensor& mask, int64_t codes) {
  if (mask && mask.shape() != code.shape()) throw ShapeError("[lbp] mask " + to_string(mask.shape()) + " of codes " + to_string(code.shape()));
  std::vector<double> histogram(static_cast<size_t>(codes));
  double sum = 0;
  for (int64_t i = 0; i < code.size(); i++)
    if (!mask || mask.data<uint8_t>()[i]) histogram.at(static_cast<size_t>(code.data<int32_t>()[i]))++, sum++;
  if (sum > 0)
    for (double& h : histogram) h /= sum;
  return histogram;
}

}  // namespace sono::zoo
