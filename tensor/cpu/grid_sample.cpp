// Sampling an image or volume at the points of a grid, on the CPU. A point reads 2^d neighbours (or the nearest one); outside is zero.
//   vectors     f32. Places of 64 points at a time, then all channels of a point's neighbours in registers. The image's gradient is
//               scattered: threads have images of their own, and where there are few of them bands of rows, each of which looks at all
//               points
//   reference   f32 and f64. The image's gradient is scattered, so a thread has an image of its own
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

template <class Args>
bool fits(const Args&) {
  return true;
}

struct Frame {
  int64_t dims, size[3], step[3];  // along x, y, z: number of pixels and the distance between them, in pixels
  bool nearest, align_corners;
};

Frame frame_of(const Tensor& x, const Tensor& grid, bool nearest, bool align_corners) {
  const int64_t D = x.dim(1), H = x.dim(2), W = x.dim(3);
  return {grid.dim(-1), {W, H, D}, {1, W, W * H}, nearest, align_corners};
}

// Calls f(pixel, weight, derivative of the weight by x, y, z in units of the grid) for the neighbours of a point that lie inside.
template <class T, class F>
void for_each_neighbour(const Frame& f, const T* point, F call) {
  int64_t low[3] = {};
  double part[3] = {}, slope[3] = {};
  for (int64_t d = 0; d < f.dims; d++) {
    const auto n = static_cast<double>(f.size[d]);
    slope[d] = f.align_corners ? (n - 1) / 2 : n / 2;
    const double at = (static_cast<double>(point[d]) + 1) * slope[d] - (f.align_corners ? 0 : 0.5);
    if (!(at > -1 && at < n)) return;  // NaN too
    const double whole = f.nearest ? std::nearbyint(at) : std::floor(at);
    low[d] = static_cast<int64_t>(whole);
    part[d] = at - whole;
  }
  for (int64_t corner = 0; corner < (f.nearest ? 1 : int64_t{1} << f.dims); corner++) {
    int64_t pixel = 0;
    double weight = 1, derivative[3] = {1, 1, 1};
    bool inside = true;
    for (int64_t d = 0; d < f.dims; d++) {
      const bool upper = corner >> d & 1;
      const int64_t i = low[d] + upper;
      inside = inside && i >= 0 && i < f.size[d];
      pixel += i * f.step[d];
      const double w = f.nearest ? 1 : upper ? part[d] : 1 - part[d];
      weight *= w;
      for (int64_t e = 0; e < f.dims; e++) derivative[e] *= e == d ? (f.nearest ? 0 : upper ? slope[d] : -slope[d]) : w;
    }
    if (inside) call(pixel, weight, derivative);
  }
}

template <class T>
void forward(const GridSampleArgs& a) {
  const Frame f = frame_of(a.x, a.grid, a.nearest, a.align_corners);
  const int64_t C = a.x.dim(4), image = a.x.size() / std::max<int64_t>(1, a.x.dim(0)), points = a.y.dim(1) * a.y.dim(2) * a.y.dim(3);
  parallel_for(a.y.dim(0) * points, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, C)), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; p++) {
      const T* x = a.x.data<T>() + p / points * image;
      T* y = a.y.data<T>() + p * C;
      std::fill_n(y, C, T(0));
      for_each_neighbour(f, a.grid.data<T>() + p * f.dims, [&](int64_t pixel, double weight, const double*) {
        for (int64_t c = 0; c < C; c++) y[c] += static_cast<T>(weight) * x[pixel * C + c];
      });
    }
  });
}

template <class T>
void backward(const GridSampleBackwardArgs& a) {
  const Frame f = frame_of(a.x, a.grid, a.nearest, a.align_corners);
  const int64_t C = a.x.dim(4), image = a.x.size() / std::max<int64_t>(1, a.x.dim(0)), points = a.gy.dim(1) * a.gy.dim(2) * a.gy.dim(3);
  parallel_for(a.x.dim(0), 1, [&](int64_t first, int64_t last) {
    if (a.gx) std::fill(a.gx.data<T>() + first * image, a.gx.data<T>() + last * image, T(0));
    for (int64_t p = first * points; p < last * points; p++) {
      const int64_t n = p / points;
      const T *gy = a.gy.data<T>() + p * C, *x = a.x.data<T>() + n * image;
      double toward[3] = {};
      for_each_neighbour(f, a.grid.data<T>() + p * f.dims, [&](int64_t pixel, double weight, const double* derivative) {
        double product = 0;
        for (int64_t c = 0; c < C; c++) {
          if (a.gx) a.gx.data<T>()[n * image + pixel * C + c] += static_cast<T>(weight) * gy[c];
          product += static_cast<double>(gy[c]) * x[pixel * C + c];
        }
        for (int64_t d = 0; d < f.dims; d++) toward[d] += product * derivative[d];
      });
      if (a.ggrid)
        for (int64_t d = 0; d < f.dims; d++) a.ggrid.data<T>()[p * f.dims + d] = static_cast<T>(toward[d]);
    }
  });
}

void forward(const GridSampleArgs& a) {
  visit_real("grid_sample", a.x.dtype(), [&]<class T>() { forward<T>(a); });
}
void backward(const GridSampleBackwardArgs& a) {
  visit_real("grid_sample", a.x.dtype(), [&]<class T>() { backward<T>(a); });
}

}  // namespace reference

namespace vectors {

template <class Args>
bool fits(const Args& a) {
  return a.x.dtype() == Dtype::f32 && a.x.size() > 0 && a.x.size() <= INT32_MAX;
}

cpu::GridFrame frame_of(const Tensor& x, const Tensor& grid, bool nearest, bool align_corners) {
  const reference::Frame plain = reference::frame_of(x, grid, nearest, align_corners);
  cpu::GridFrame f{};
  f.dims = plain.dims, f.channels = x.dim(4), f.nearest = nearest;
  for (int64_t d = 0; d < f.dims; d++) {
    f.size[d] = f.to[d] = plain.size[d], f.step[d] = plain.step[d], f.from[d] = 0;
    f.slope[d] = static_cast<double>(f.size[d] - (align_corners ? 1 : 0)) / 2, f.shift[d] = align_corners ? 0 : 0.5;
  }
  return f;
}

// Calls f(image, first point in it, points) for parts of the points of all images.
template <class F>
void for_each_part(int64_t images, int64_t points, int64_t channels, F f) {
  const int64_t part = std::clamp<int64_t>(32768 / channels, 64, 4096), parts = (points + part - 1) / part;
  parallel_for(images * parts, 1, [&](int64_t i, int64_t) {
    const int64_t first = i % parts * part;
    f(i / parts, first, std::min(part, points - first));
  });
}

void forward(const GridSampleArgs& a) {
  const cpu::GridFrame f = frame_of(a.x, a.grid, a.nearest, a.align_corners);
  const int64_t image = a.x.size() / a.x.dim(0), points = a.y.dim(1) * a.y.dim(2) * a.y.dim(3);
  for_each_part(a.y.dim(0), points, f.channels, [&](int64_t n, int64_t first, int64_t count) {
    const int64_t p = n * points + first;
    cpu::simd().grid_sample(f, a.x.data<float>() + n * image, a.grid.data<float>() + p * f.dims, count, a.y.data<float>() + p * f.channels);
  });
}

void backward(const GridSampleBackwardArgs& a) {
  const cpu::GridFrame f = frame_of(a.x, a.grid, a.nearest, a.align_corners);
  const int64_t images = a.x.dim(0), image = a.x.size() / images, points = a.gy.dim(1) * a.gy.dim(2) * a.gy.dim(3);
  const float *x = a.x.data<float>(), *grid = a.grid.data<float>(), *gy = a.gy.data<float>();
  if (a.ggrid)
    for_each_part(images, points, f.channels, [&](int64_t n, int64_t first, int64_t count) {
      const int64_t p = n * points + first;
      cpu::simd().grid_slopes(f, x + n * image, grid + p * f.dims, gy + p * f.channels, count, a.ggrid.data<float>() + p * f.dims);
    });
  if (!a.gx) return;
  const int64_t slow = f.dims - 1, rows = f.size[slow], row = f.step[slow] * f.channels,
                bands = images >= 8 ? 1 : std::min<int64_t>(4, rows);
  parallel_for(images * bands, 1, [&](int64_t i, int64_t) {
    cpu::GridFrame band = f;
    const int64_t n = i / bands, b = i % bands;
    band.from[slow] = b * rows / bands, band.to[slow] = (b + 1) * rows / bands;
    float* gx = a.gx.data<float>() + n * image;
    std::memset(gx + band.from[slow] * row, 0, static_cast<size_t>((band.to[slow] - band.from[slow]) * row) * sizeof(float));
    cpu::simd().grid_scatter(band, grid + n * points * f.dims, gy + n * points * f.channels, points, gx);
  });
}

}  // namespace vectors

constexpr Implementation<GridSampleArgs> forward_list[] = {{"vectors", vectors::fits<GridSampleArgs>, vectors::forward},
                                                           {"reference", reference::fits<GridSampleArgs>, reference::forward}};
constexpr Implementation<GridSampleBackwardArgs> backward_list[] = {
    {"vectors", vectors::fits<GridSampleBackwardArgs>, vectors::backward},
    {"reference", reference::fits<GridSampleBackwardArgs>, reference::backward}};

}  // namespace

Kernel<GridSampleArgs> grid_sample{"grid_sample", forward_list, {}};
Kernel<GridSampleBackwardArgs> grid_sample_backward{"grid_sample_backward", backward_list, {}};

}  // namespace sono::kernels
