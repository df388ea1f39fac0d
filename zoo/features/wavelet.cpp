#include "zoo/features/wavelet.h"

#include <cmath>
#include <string>

#include "zoo/features/mirror.h"

namespace sono::zoo {
namespace {

// An image with `margin` more values on each side.
struct Plane {
  int64_t rows, columns;
  std::vector<double> v;
  Plane(int64_t r, int64_t c) : rows(r), columns(c), v(static_cast<size_t>(r * c)) {}
  double& at(int64_t y, int64_t x) { return v[static_cast<size_t>(y * columns + x)]; }
  double at(int64_t y, int64_t x) const { return v[static_cast<size_t>(y * columns + x)]; }
};

// out(i) = sum_m taps(m) in(i + step (n / 2 - m)) down the columns (or along the rows). Beyond the plane: its mirror image, which only
// reaches the margin that is cut off at the end.
Plane filtered(const Plane& in, const std::vector<double>& taps, int64_t step, bool down) {
  Plane out(in.rows, in.columns);
  const auto n = static_cast<int64_t>(taps.size());
  for (int64_t m = 0; m < n; m++) {
    const int64_t shift = step * (n / 2 - m);
    const double tap = taps[static_cast<size_t>(m)];
    for (int64_t y = 0; y < in.rows; y++)
      for (int64_t x = 0; x < in.columns; x++)
        out.at(y, x) += tap * (down ? in.at(mirrored(y + shift, in.rows), x) : in.at(y, mirrored(x + shift, in.columns)));
  }
  return out;
}

Tensor cut(const Plane& p, int64_t margin) {
  Tensor t({p.rows - 2 * margin, p.columns - 2 * margin}, Dtype::f64);
  double* out = t.data<double>();
  for (int64_t y = margin; y < p.rows - margin; y++)
    for (int64_t x = margin; x < p.columns - margin; x++) *out++ = p.at(y, x);
  return t;
}

}  // namespace

std::vector<WaveletLevel> undecimated_wavelet(const Tensor& image, const WaveletOptions& o) {
  if (image.rank() != 2 || image.size() == 0) throw ShapeError("[wavelet] wants an image (H, W), got " + to_string(image.shape()));
  if (o.levels < 1 || o.levels > 8) throw NumericError("[wavelet] wants 1 … 8 levels, got " + std::to_string(o.levels));
  const double root = std::sqrt(3.0), scale = 4 * std::sqrt(2.0);
  const std::vector<double> low = o.haar ? std::vector<double>{std::sqrt(0.5), std::sqrt(0.5)}
                                         : std::vector<double>{(1 - root) / scale, (3 - root) / scale, (3 + root) / scale, (1 + root) / scale};
  std::vector<double> high;  // the quadrature mirror: high(m) = (-1)^(m+1) low(n - 1 - m)
  for (size_t m = 0; m < low.size(); m++) high.push_back((m % 2 ? 1 : -1) * low[low.size() - 1 - m]);
  const int64_t margin = static_cast<int64_t>(low.size()) * ((int64_t{1} << o.levels) - 1);
  Plane now(image.dim(0) + 2 * margin, image.dim(1) + 2 * margin);
  for (int64_t y = 0; y < now.rows; y++)
    for (int64_t x = 0; x < now.columns; x++)
      now.at(y, x) = static_cast<double>(image.data<float>()[mirrored(y - margin, image.dim(0)) * image.dim(1) + mirrored(x - margin, image.dim(1))]);
  std::vector<WaveletLevel> levels;
  for (int64_t j = 0; j < o.levels; j++) {
    const int64_t step = int64_t{1} << j;
    const Plane smooth = filtered(now, low, step, true), rough = filtered(now, high, step, true);
    now = filtered(smooth, low, step, false);
    levels.push_back({cut(now, margin), cut(filtered(rough, low, step, false), margin), cut(filtered(smooth, high, step, false), margin),
                      cut(filtered(rough, high, step, false), margin)});
  }
  return levels;
}

}  // namespace sono::zoo
