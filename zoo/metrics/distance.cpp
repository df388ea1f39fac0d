#include "zoo/metrics/distance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/parallel.h"

namespace sono::zoo {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// d(i) = min over j of (h(i - j))² + f(j) along one line of n values. Parabola j stands at v[k] and rules from z[k] to z[k + 1];
// places with f = inf carry no parabola.
class LineTransform {
 public:
  LineTransform(int64_t n, double h) : n_(n), h2_(h * h), f_(n), v_(n), z_(n + 1) {}

  void operator()(double* line, int64_t stride) {
    for (int64_t i = 0; i < n_; i++) f_[i] = line[i * stride];
    int64_t last = -1;
    for (int64_t q = 0; q < n_; q++) {
      if (f_[q] == infinity) continue;
      double from = -infinity;
      while (last >= 0 && (from = crossing(q, v_[last])) <= z_[last]) last--;
      if (last < 0) from = -infinity;
      v_[++last] = q, z_[last] = from, z_[last + 1] = infinity;
    }
    if (last < 0) return;
    for (int64_t i = 0, k = 0; i < n_; i++) {
      while (z_[k + 1] < static_cast<double>(i)) k++;
      const auto step = static_cast<double>(i - v_[k]);
      line[i * stride] = h2_ * step * step + f_[v_[k]];
    }
  }

 private:
  double crossing(int64_t q, int64_t p) const {
    return ((f_[q] - f_[p]) / h2_ + static_cast<double>(q * q - p * p)) / (2 * static_cast<double>(q - p));
  }

  int64_t n_;
  double h2_;
  std::vector<double> f_;
  std::vector<int64_t> v_;
  std::vector<double> z_;
};

// Lines along one axis: `count` of them, line i starts at start(i).
template <class Start>
void transform_axis(double* values, int64_t count, int64_t length, int64_t stride, double h, Start start) {
  if (length < 2) return;
  parallel_for(count, 64, [&](int64_t first, int64_t last) {
    LineTransform transform(length, h);
    for (int64_t i = first; i < last; i++) transform(values + start(i), stride);
  });
}

}  // namespace

Extent mask_extent(const char* operation, const Tensor& mask) {
  const std::string name = std::string("[") + operation + "] ";
  if (!mask) throw ShapeError(name + "the mask is an empty handle; a mask of zeros says that there is nothing");
  if (mask.rank() != 2 && mask.rank() != 3) throw ShapeError(name + "a mask is (H, W) or (D, H, W), got " + to_string(mask.shape()));
  if (mask.dtype() != Dtype::u8)
    throw DtypeError(name + "a mask holds u8 label values, got " + to_string(mask.dtype()) + "; threshold probabilities first");
  return {mask.rank() == 3 ? mask.dim(0) : 1, mask.dim(-2), mask.dim(-1)};
}

Tensor distance_transform(const Tensor& mask, Spacing spacing) {
  const auto [depth, height, width] = mask_extent("distance_transform", mask);
  for (double s : {spacing.x, spacing.y, spacing.z})
    if (!(s > 0 && std::isfinite(s)))
      throw NumericError("[distance_transform] a spacing of " + std::to_string(s) + " mm is not a positive number");
  Tensor result(mask.shape(), Dtype::f64);
  double* d = result.data<double>();
  const uint8_t* m = mask.data<uint8_t>();
  for (int64_t i = 0; i < mask.size(); i++) d[i] = m[i] ? 0 : infinity;
  const int64_t plane = height * width, w = width;
  transform_axis(d, depth * height, width, 1, spacing.x, [=](int64_t i) { return i * w; });
  transform_axis(d, depth * width, height, width, spacing.y, [=](int64_t i) { return i / w * plane + i % w; });
  transform_axis(d, plane, depth, plane, spacing.z, [](int64_t i) { return i; });
  for (int64_t i = 0; i < result.size(); i++) d[i] = std::sqrt(d[i]);
  return result;
}

}  // namespace sono::zoo
