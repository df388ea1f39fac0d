#include "zoo/sim/scan_convert.h"

#include <algorithm>
#include <cmath>

namespace sono::zoo::sim {
namespace {

// value at (z, x) between four neighbours
inline float bilinear(const float* p, int64_t stride, float wz, float wx) {
  const float above = p[0] + wx * (p[1] - p[0]), below = p[stride] + wx * (p[stride + 1] - p[stride]);
  return above + wz * (below - above);
}

void expect(const char* operation, const Tensor& t, int64_t rows, int64_t columns) {
  if (t.shape() != Shape{rows, columns})
    throw ShapeError(std::string("[") + operation + "] expected " + to_string(Shape{rows, columns}) + ", got " + to_string(t.shape()));
}

struct Point {
  double row, beam;
};  // in samples of the grid

Point on_grid(const Grid& g, double x, double z) {
  if (g.radius <= 0) return {(z - g.z0) / g.dz, (x - g.x0) / g.dx};
  const double depth = std::sqrt(x * x + (z + g.radius) * (z + g.radius)) - g.radius;
  return {(depth - g.z0) / g.dz, (std::atan2(x, z + g.radius) - g.x0) / g.dx};
}

// Weights of one output sample of a separable resampling: `taps` inputs from `first` on.
struct Taps {
  int64_t first;
  std::vector<float> weights;
};

// Triangle of half width max(1, ratio) input samples around each output's centre: bilinear when enlarging, antialiased when shrinking.
std::vector<Taps> triangle_taps(int64_t outputs, int64_t inputs, double offset, double ratio) {
  std::vector<Taps> all(static_cast<size_t>(outputs));
  const double half = std::max(1.0, ratio);
  for (int64_t i = 0; i < outputs; i++) {
    const double centre = offset + ratio * static_cast<double>(i);
    const int64_t first = std::clamp<int64_t>(static_cast<int64_t>(std::floor(centre - half)) + 1, 0, inputs - 1);
    const int64_t last = std::clamp<int64_t>(static_cast<int64_t>(std::ceil(centre + half)) - 1, first, inputs - 1);
    double total = 0;
    for (int64_t k = first; k <= last; k++) total += std::max(1e-9, 1 - std::abs(static_cast<double>(k) - centre) / half);
    all[i].first = first;
    for (int64_t k = first; k <= last; k++)
      all[i].weights.push_back(static_cast<float>(std::max(1e-9, 1 - std::abs(static_cast<double>(k) - centre) / half) / total));
  }
  return all;
}

}  // namespace

ScanConverter::ScanConverter(const Grid& g, const Frame& f)
    : frame_(f),
      beams_(g.beams),
      rows_(g.rows),
      from_(static_cast<size_t>(f.height * f.width), -1),
      wz_(from_.size()),
      wx_(from_.size()),
      mask_(Tensor::zeros({f.height, f.width}, Dtype::u8)) {
  uint8_t* inside = mask_.data<uint8_t>();
  for (int64_t i = 0; i < f.height; i++)
    for (int64_t j = 0; j < f.width; j++) {
      const Point p = on_grid(g, f.x(static_cast<double>(j)), f.z(static_cast<double>(i)));
      if (!(p.row >= 0 && p.beam >= 0 && p.row <= static_cast<double>(g.rows - 1) && p.beam <= static_cast<double>(g.beams - 1))) continue;
      const int64_t row = std::min(static_cast<int64_t>(p.row), g.rows - 2), beam = std::min(static_cast<int64_t>(p.beam), g.beams - 2),
                    k = i * f.width + j;
      from_[k] = static_cast<int32_t>(row * g.beams + beam);
      wz_[k] = static_cast<float>(p.row - static_cast<double>(row)), wx_[k] = static_cast<float>(p.beam - static_cast<double>(beam));
      inside[k] = 1;
    }
}

Tensor ScanConverter::operator()(const Tensor& polar) const {
  expect("scan_convert", polar, rows_, beams_);
  Tensor image({frame_.height, frame_.width});
  const float* in = polar.data<float>();
  float* out = image.data<float>();
  for (size_t k = 0; k < from_.size(); k++) out[k] = from_[k] < 0 ? 0.0f : bilinear(in + from_[k], beams_, wz_[k], wx_[k]);
  return image;
}

InverseScanConverter::InverseScanConverter(const Grid& g, const Frame& f)
    : grid_(g), frame_(f), from_(static_cast<size_t>(g.rows * g.beams)), wz_(from_.size()), wx_(from_.size()) {
  for (int64_t j = 0; j < g.beams; j++) {
    const double lateral = g.x0 + g.dx * static_cast<double>(j);  // mm or radians
    const double dx = g.radius > 0 ? std::sin(lateral) : 0, dz = g.radius > 0 ? std::cos(lateral) : 1;
    for (int64_t i = 0; i < g.rows; i++) {
      const double reach = g.radius + g.depth(static_cast<double>(i));
      const double x = g.radius > 0 ? reach * dx : lateral, z = reach * dz - g.radius;
      const double column = std::clamp((x - f.left) / f.spacing - 0.5, 0.0, static_cast<double>(f.width - 1));
      const double row = std::clamp((z - f.top) / f.spacing - 0.5, 0.0, static_cast<double>(f.height - 1));
      const int64_t c = std::min(static_cast<int64_t>(column), f.width - 2), r = std::min(static_cast<int64_t>(row), f.height - 2),
                    k = i * g.beams + j;
      from_[k] = static_cast<int32_t>(r * f.width + c);
      wz_[k] = static_cast<float>(row - static_cast<double>(r)), wx_[k] = static_cast<float>(column - static_cast<double>(c));
    }
  }
}

Tensor InverseScanConverter::operator()(const Tensor& picture) const {
  expect("inverse scan_convert", picture, frame_.height, frame_.width);
  Tensor polar({grid_.rows, grid_.beams});
  const float* in = picture.data<float>();
  float* out = polar.data<float>();
  for (size_t k = 0; k < from_.size(); k++) out[k] = bilinear(in + from_[k], frame_.width, wz_[k], wx_[k]);
  return polar;
}

Tensor resample(const Tensor& picture, const Grid& g, const Frame& f) {
  expect("resample", picture, g.rows, g.beams);
  const auto down = triangle_taps(f.height, g.rows, (f.z(0) - g.z0) / g.dz, f.spacing / g.dz),
             across = triangle_taps(f.width, g.beams, (f.x(0) - g.x0) / g.dx, f.spacing / g.dx);
  Tensor image({f.height, f.width});
  std::vector<float> line(static_cast<size_t>(g.beams));
  for (int64_t i = 0; i < f.height; i++) {
    std::fill(line.begin(), line.end(), 0.0f);
    for (size_t k = 0; k < down[i].weights.size(); k++) {
      const float *row = picture.data<float>() + (down[i].first + static_cast<int64_t>(k)) * g.beams, w = down[i].weights[k];
      for (int64_t x = 0; x < g.beams; x++) line[x] += w * row[x];
    }
    float* out = image.data<float>() + i * f.width;
    for (int64_t j = 0; j < f.width; j++) {
      float sum = 0;
      for (size_t k = 0; k < across[j].weights.size(); k++) sum += across[j].weights[k] * line[across[j].first + static_cast<int64_t>(k)];
      out[j] = sum;
    }
  }
  return image;
}

Tensor mean_rows(const Tensor& picture, int64_t n) {
  const int64_t rows = picture.dim(0) / n, beams = picture.dim(1);
  Tensor out = Tensor::zeros({rows, beams});
  for (int64_t z = 0; z < rows; z++)
    for (int64_t k = 0; k < n; k++) {
      const float* row = picture.data<float>() + (z * n + k) * beams;
      float* o = out.data<float>() + z * beams;
      for (int64_t x = 0; x < beams; x++) o[x] += row[x] / static_cast<float>(n);
    }
  return out;
}

Grid thinned(const Grid& g, int64_t n) {
  Grid out = g;
  out.rows = g.rows / n, out.dz = g.dz * static_cast<double>(n), out.z0 = g.depth(0.5 * static_cast<double>(n - 1));
  return out;
}

}  // namespace sono::zoo::sim
