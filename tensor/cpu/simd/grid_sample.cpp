// Sampling an image at points: the places of a block of points are found first, in a loop over whole vectors, then each point's neighbours
// are added up over its channels.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

constexpr int64_t block = 64;

template <int Dims>
struct Places {
  double at[Dims][block];
  int32_t low[Dims][block], inside[block];  // inside: within a pixel of the image, and a number
  float part[Dims][block];
};

// In f64: in f32 the place would be wrong by a 10^-5th of a pixel already in images of some 100 pixels.
template <int Dims>
void find(const GridFrame& f, const float* grid, int64_t points, Places<Dims>& p) {
  for (int64_t i = 0; i < points; i++) p.inside[i] = -1;
  for (int d = 0; d < Dims; d++) {
    const double slope = f.slope[d], shift = f.shift[d], n = static_cast<double>(f.size[d]);
    for (int64_t i = 0; i < points; i++) {
      const double at = (static_cast<double>(grid[i * Dims + d]) + 1) * slope - shift;
      const bool near = at > -1 && at < n;
      p.inside[i] &= near ? -1 : 0;
      p.at[d][i] = near ? at : 0;
    }
    if (f.nearest)
      for (int64_t i = 0; i < points; i++) p.low[d][i] = static_cast<int32_t>(__builtin_nearbyint(p.at[d][i])), p.part[d][i] = 0;
    else
      for (int64_t i = 0; i < points; i++) {
        const int32_t low = static_cast<int32_t>(p.at[d][i] + 1) - 1;  // floor: at > -1
        p.low[d][i] = low, p.part[d][i] = static_cast<float>(p.at[d][i] - low);
      }
  }
}

// Calls use(k, pixel, weight) for those of the 2^Dims neighbours of point i that lie inside the frame, k: bit d set where it is the upper
// one along d.
template <int Dims, class F>
inline void for_each_neighbour(const GridFrame& f, const Places<Dims>& p, int64_t i, F use) {
  if (!p.inside[i]) return;
  const int corners = f.nearest ? 1 : 1 << Dims;
  int64_t first = 0;
  bool all = true;
  for (int d = 0; d < Dims; d++) {
    const int64_t low = p.low[d][i];
    first += low * f.step[d];
    all = all && low >= f.from[d] && low + 1 < f.to[d];
  }
  for (int k = 0; k < corners; k++) {
    int64_t pixel = first;
    float weight = 1;
    bool here = true;
    for (int d = 0; d < Dims; d++) {
      const int upper = k >> d & 1;
      weight *= upper ? p.part[d][i] : 1 - p.part[d][i];
      pixel += upper * f.step[d];
      if (!all) here = here && p.low[d][i] + upper >= f.from[d] && p.low[d][i] + upper < f.to[d];
    }
    if (here) use(k, pixel, weight);
  }
}

// y[c] = sum over k < n of weight[k] * x[k][c], in registers.
inline void blend(const float* const* x, const float* weight, int n, int64_t channels, float* y) {
  for_each_vector(channels, [&]<int L>(int64_t c) {
    using F = typename VectorOf<L>::Float;
    F sum{};
    for (int k = 0; k < n; k++) sum += weight[k] * load<F>(x[k] + c);
    store(y + c, sum);
  });
}

inline float dot(const float* a, const float* b, int64_t n) {
  int64_t c = 0;
  float rest = 0;
  if (n >= lanes) {
    Vec sum{};
    for (; c + lanes <= n; c += lanes) sum += load<Vec>(a + c) * load<Vec>(b + c);
    rest = total<lanes>(sum);
  }
  for (; c < n; c++) rest += a[c] * b[c];
  return rest;
}

template <int Dims>
void sample(const GridFrame& f, const float* x, const float* grid, int64_t points, float* y) {
  Places<Dims> p;
  for (int64_t first = 0; first < points; first += block) {
    const int64_t n = smaller(block, points - first);
    find<Dims>(f, grid + first * Dims, n, p);
    for (int64_t i = 0; i < n; i++, y += f.channels) {
      const float* neighbour[1 << Dims];
      float weights[1 << Dims];
      int count = 0;
      for_each_neighbour<Dims>(
          f, p, i, [&](int, int64_t pixel, float weight) { neighbour[count] = x + pixel * f.channels, weights[count++] = weight; });
      blend(neighbour, weights, count, f.channels, y);
    }
  }
}

template <int Dims>
void scatter(const GridFrame& f, const float* grid, const float* gy, int64_t points, float* gx) {
  Places<Dims> p;
  for (int64_t first = 0; first < points; first += block) {
    const int64_t n = smaller(block, points - first);
    find<Dims>(f, grid + first * Dims, n, p);
    for (int64_t i = 0; i < n; i++, gy += f.channels)
      for_each_neighbour<Dims>(f, p, i, [&](int, int64_t pixel, float weight) {
        float* to = gx + pixel * f.channels;
        for_each_vector(f.channels, [&]<int L>(int64_t c) {
          using F = typename VectorOf<L>::Float;
          store(to + c, load<F>(to + c) + weight * load<F>(gy + c));
        });
      });
  }
}

template <int Dims>
void slopes(const GridFrame& f, const float* x, const float* grid, const float* gy, int64_t points, float* ggrid) {
  Places<Dims> p;
  for (int64_t first = 0; first < points; first += block) {
    const int64_t n = smaller(block, points - first);
    find<Dims>(f, grid + first * Dims, n, p);
    for (int64_t i = 0; i < n; i++, gy += f.channels, ggrid += Dims) {
      float toward[Dims] = {};
      for_each_neighbour<Dims>(f, p, i, [&](int k, int64_t pixel, float) {
        const float product = dot(x + pixel * f.channels, gy, f.channels);
        for (int e = 0; e < Dims; e++) {
          float derivative = product;
          for (int d = 0; d < Dims; d++) {
            const bool upper = k >> d & 1;
            derivative *= d == e ? (upper ? 1.0f : -1.0f) : upper ? p.part[d][i] : 1 - p.part[d][i];
          }
          toward[e] += derivative;
        }
      });
      for (int e = 0; e < Dims; e++) ggrid[e] = f.nearest ? 0 : toward[e] * static_cast<float>(f.slope[e]);
    }
  }
}

}  // namespace

void grid_sample(const GridFrame& f, const float* x, const float* grid, int64_t points, float* y) {
  f.dims == 2 ? sample<2>(f, x, grid, points, y) : sample<3>(f, x, grid, points, y);
}
void grid_scatter(const GridFrame& f, const float* grid, const float* gy, int64_t points, float* gx) {
  f.dims == 2 ? scatter<2>(f, grid, gy, points, gx) : scatter<3>(f, grid, gy, points, gx);
}
void grid_slopes(const GridFrame& f, const float* x, const float* grid, const float* gy, int64_t points, float* ggrid) {
  f.dims == 2 ? slopes<2>(f, x, grid, gy, points, ggrid) : slopes<3>(f, x, grid, gy, points, ggrid);
}

}  // namespace sono::cpu::SONO_ISA
