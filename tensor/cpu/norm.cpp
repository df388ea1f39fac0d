// Normalisation on the CPU: x as (A, L, G, K), statistics over L and K. Bound by memory: what counts is how often it is walked through.
// Beyond the cache (x of 64 MB) 91 to 113 % of the triad's speed on one core of a Zen 5.
//   vector      f32. Statistics in one pass: blocks of 128 KB give the mean and the squared deviations of their columns, and are combined
//   in
//               double and in order [Chan, Golub, LeVeque 1979]: accurate, and the same bits with any number of threads. Narrow rows are
//               read as several side by side. Forward reads x twice and writes y; backward reads gy and x twice and writes gx, over gy if
//               it may: where relu has cut is found again from x, so that y is neither read nor kept. Layer norm (L = 1) goes row by row.
//               With max pooling in the same pass (normalize_pool) forward writes a quarter, or y and a quarter; backward reads gradient of
//               the maxima, and which value was the largest is found again from x as well: there is no index.
//   reference   two passes for mean and variance, sums in double, f32 and f64
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tensor/cpu/simd.h"
#include "tensor/cpu/windows.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

template <class Args>
bool fits(const Args&) {
  return true;
}

// Calls f(index in x, channel) for every value that belongs to statistic s = a * G + g.
template <class F>
void for_each_value(const std::array<int64_t, 4>& view, int64_t s, F f) {
  const auto [A, L, G, K] = view;
  const int64_t a = s / G, g = s % G;
  for (int64_t l = 0; l < L; l++)
    for (int64_t k = 0; k < K; k++) f(((a * L + l) * G + g) * K + k, g * K + k);
}

template <class T>
T* optional(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

// Value i, of statistic s, on its channel's line.
template <class T>
struct Line {
  const T *x, *mean, *rstd, *scale, *shift;
  template <class Args>
  explicit Line(const Args& a)
      : x(a.x.template data<T>()),
        mean(a.mean.template data<T>()),
        rstd(a.rstd.template data<T>()),
        scale(optional<T>(a.scale)),
        shift(optional<T>(a.shift)) {}
  T at(int64_t i, int64_t s, int64_t channel) const {
    return (x[i] - mean[s]) * rstd[s] * (scale ? scale[channel] : T(1)) + (shift ? shift[channel] : T(0));
  }
};

template <class T>
void given(const NormArgs& a) {
  const Line<T> line(a);
  parallel_for(a.view[0] * a.view[2], 1, [&, y = a.y.data<T>(), add = optional<T>(a.add)](int64_t first, int64_t last) {
    for (int64_t s = first; s < last; s++)
      for_each_value(a.view, s, [&](int64_t i, int64_t channel) {
        const T value = line.at(i, s, channel) + (add ? add[i] : T(0));
        y[i] = a.relu && value < 0 ? T(0) : value;
      });
  });
}

template <class T>
void normalize(const NormArgs& a) {
  const double n = static_cast<double>(a.view[1] * a.view[3]);
  const T* x = a.x.data<T>();
  for (int64_t s = 0; s < a.view[0] * a.view[2]; s++) {
    double sum = 0, squares = 0;
    for_each_value(a.view, s, [&](int64_t i, int64_t) { sum += x[i]; });
    const double mean = sum / n;
    for_each_value(a.view, s, [&](int64_t i, int64_t) { squares += (x[i] - mean) * (x[i] - mean); });
    a.mean.data<T>()[s] = static_cast<T>(mean);
    a.rstd.data<T>()[s] = static_cast<T>(1 / std::sqrt(squares / n + a.epsilon));
  }
  if (a.y) given<T>(a);
}

// With h = (x - mean) * rstd and d = gy * scale (0 where relu cut): gx = rstd * (d - mean of d - h * mean of d h).
template <class T>
void backward(const NormBackwardArgs& a) {
  const double n = static_cast<double>(a.view[1] * a.view[3]);
  const Line<T> line(a);
  const T *gy = a.gy.data<T>(), *y = optional<T>(a.y), *scale = optional<T>(a.scale);
  T *gx = a.gx.data<T>(), *gadd = optional<T>(a.gadd);
  std::vector<double> gscale(a.view[2] * a.view[3]), gshift(gscale.size());
  for (int64_t s = 0; s < a.view[0] * a.view[2]; s++) {
    double sum = 0, sum_h = 0;
    const auto upstream = [&](int64_t i, int64_t c) { return a.relu && (y ? y[i] : line.at(i, s, c)) <= 0 ? T(0) : gy[i]; };
    const auto h = [&](int64_t i) { return static_cast<double>((line.x[i] - line.mean[s]) * line.rstd[s]); };
    for_each_value(a.view, s, [&](int64_t i, int64_t c) {
      const double g = upstream(i, c), d = g * (scale ? scale[c] : T(1));
      gscale[c] += g * h(i), gshift[c] += g;
      sum += d, sum_h += d * h(i);
    });
    for_each_value(a.view, s, [&](int64_t i, int64_t c) {
      const T g = upstream(i, c);
      if (gadd) gadd[i] = g;
      gx[i] = static_cast<T>(line.rstd[s] * (g * (scale ? scale[c] : T(1)) - sum / n - h(i) * sum_h / n));
    });
  }
  if (a.gscale) std::copy(gscale.begin(), gscale.end(), a.gscale.data<T>());
  if (a.gshift) std::copy(gshift.begin(), gshift.end(), a.gshift.data<T>());
}

// x as batch norm sees it.
template <class Args>
std::array<int64_t, 4> view_of(const Args& a) {
  const int64_t C = a.x.dim(4);
  return {1, C ? a.x.size() / C : 0, C, 1};
}

// Calls f(first value of the pixel in pooled, first values of the window's pixels in x) for every window.
template <class F>
void for_each_window(const Shape& x, const Shape& pooled, const std::array<int64_t, 3>& window, F f) {
  const int64_t Do = pooled[1], Ho = pooled[2], Wo = pooled[3], C = x[4];
  std::vector<int64_t> at;
  for (int64_t p = 0; p < pooled[0] * Do * Ho * Wo; p++) {
    const int64_t n = p / (Do * Ho * Wo), d = p / (Ho * Wo) % Do * window[0], i = p / Wo % Ho * window[1], j = p % Wo * window[2];
    at.clear();
    for (int64_t k = 0; k < window[0] * window[1] * window[2]; k++)
      at.push_back((((n * x[1] + d + k / (window[1] * window[2])) * x[2] + i + k / window[2] % window[1]) * x[3] + j + k % window[2]) * C);
    f(p * C, at);
  }
}

// The place of the window's largest value of a channel, the first of equals.
template <class T, class F>
int64_t largest(const std::vector<int64_t>& at, int64_t c, F value) {
  int64_t best = at[0] + c;
  for (int64_t place : at)
    if (value(place + c) > value(best) || (std::isnan(value(place + c)) && !std::isnan(value(best)))) best = place + c;
  return best;
}

template <class T>
void normalize_pool(const NormPoolArgs& a) {
  const Tensor y = a.y ? a.y : Tensor::empty_like(a.x);
  normalize<T>({a.x, a.scale, a.shift, y, a.mean, a.rstd, view_of(a), a.epsilon, a.relu});
  for_each_window(a.x.shape(), a.pooled.shape(), a.window, [&](int64_t pixel, const std::vector<int64_t>& at) {
    for (int64_t c = 0; c < a.x.dim(4); c++)
      a.pooled.data<T>()[pixel + c] = y.data<T>()[largest<T>(at, c, [&](int64_t i) { return y.data<T>()[i]; })];
  });
}

// The maxima's gradients are added to those of y, then it is the norm alone.
template <class T>
void pool_backward(const NormPoolBackwardArgs& a) {
  const Tensor g = a.gy ? a.gy.clone() : Tensor::zeros_like(a.x);
  const Line<T> line(a);
  for_each_window(a.x.shape(), a.gpooled.shape(), a.window, [&](int64_t pixel, const std::vector<int64_t>& at) {
    for (int64_t c = 0; c < a.x.dim(4); c++)
      g.data<T>()[largest<T>(at, c, [&](int64_t i) { return line.at(i, c, c); })] += a.gpooled.data<T>()[pixel + c];
  });
  backward<T>({g, a.x, {}, a.scale, a.shift, a.mean, a.rstd, a.gx, a.gscale, a.gshift, view_of(a), a.relu});
}

}  // namespace reference

namespace vector {

using cpu::Affine, cpu::simd, cpu::Windows;

constexpr int64_t block_floats = 32768;

template <class Args>
bool fits(const Args& a) {
  return a.x.dtype() == Dtype::f32 && a.x.size() > 0;
}
// Rows of their own (L = 1) are not joined with anything.
bool fits_norm(const NormArgs& a) { return fits(a) && !((a.add || !a.y) && a.view[1] == 1); }
bool fits_backward(const NormBackwardArgs& a) { return fits(a) && !(a.gadd && a.view[1] == 1); }

// x as blocks of rows of `width` = G * K columns, or of `side` such rows side by side, so that vectors are full and come in fours; rows
// that are left over are a block of their own.
struct Blocks {
  int64_t A, L, G, K, width, side, wide, wide_rows, rows_per_block, whole, count;
  explicit Blocks(const std::array<int64_t, 4>& view) : A(view[0]), L(view[1]), G(view[2]), K(view[3]), width(G * K) {
    const int64_t lanes = simd().lanes;
    int64_t wanted = lanes / std::gcd(lanes, width);
    while (wanted * width < 4 * lanes) wanted *= 2;
    side = L >= 4 * wanted ? wanted : 1, wide = side * width, wide_rows = L / side;
    rows_per_block = std::max<int64_t>(1, block_floats / wide);
    whole = (wide_rows + rows_per_block - 1) / rows_per_block, count = whole + (L % side ? 1 : 0);
  }
  double samples() const { return static_cast<double>(L * K); }
  int64_t rows(int64_t block) const { return block < whole ? std::min(rows_per_block, wide_rows - block * rows_per_block) : L % side; }
  int64_t columns(int64_t block) const { return block < whole ? wide : width; }
  int64_t first(int64_t a, int64_t block) const { return (a * L * width) + std::min(block * rows_per_block, wide_rows) * wide; }

  // Calls f(block of all, a, first value in x, rows, columns), in parallel.
  template <class F>
  void for_each(F f) const {
    parallel_for(A * count, std::max<int64_t>(1, block_floats / (std::min(rows_per_block, wide_rows) * wide + 1)),
                 [&](int64_t from, int64_t until) {
                   for (int64_t i = from; i < until; i++) f(i, i / count, first(i / count, i % count), rows(i % count), columns(i % count));
                 });
  }
  // Calls f(rows, the results of `width` columns) for all partial results of a; partial has one row of `wide` per block.
  template <class F>
  void for_each_part(int64_t a, const float* partial, F f) const {
    for (int64_t b = 0; b < count; b++)
      for (int64_t column = 0; column < columns(b); column += width)
        f(static_cast<double>(rows(b)), partial + (a * count + b) * wide + column);
  }
};

// Values per column of the wide rows of each a: table[row][a][column] = value(row, a, channel).
template <int Rows, class F>
Tensor table(const Blocks& b, F value) {
  const Tensor t({Rows, b.A, b.wide});
  for (int64_t r = 0, i = 0; r < Rows; r++)
    for (int64_t a = 0; a < b.A; a++)
      for (int64_t c = 0; c < b.wide; c++, i++) t.data<float>()[i] = value(r, a, c % b.width);
  return t;
}

float value_or(const Tensor& t, int64_t i, float other) { return t ? t.data<float>()[i] : other; }

// The constants of the lines, one Affine per a.
template <class Args>
Tensor lines(const Args& a, const Blocks& b) {
  const float *mean = a.mean.template data<float>(), *rstd = a.rstd.template data<float>();
  return table<3>(b, [&](int64_t row, int64_t n, int64_t channel) {
    const int64_t s = n * b.G + channel / b.K;
    return row == 0 ? mean[s] : row == 1 ? rstd[s] * value_or(a.scale, channel, 1) : value_or(a.shift, channel, 0);
  });
}

Affine affine_of(const Tensor& lines, const Blocks& b, int64_t n, bool relu) {
  const float* values = lines.data<float>();
  return {values + n * b.wide, values + (b.A + n) * b.wide, values + (2 * b.A + n) * b.wide, relu};
}

void columns_given(const NormArgs& a, const Blocks& b) {
  const Tensor constants = lines(a, b);
  const float* add = a.add ? a.add.data<float>() : nullptr;
  b.for_each([&](int64_t, int64_t n, int64_t first, int64_t rows, int64_t columns) {
    simd().normalize(a.x.data<float>() + first, add ? add + first : nullptr, rows, columns, affine_of(constants, b, n, a.relu),
                     a.y.data<float>() + first);
  });
}

// Writes a.mean and a.rstd.
template <class Args>
void column_statistics(const Args& a, const Blocks& b) {
  const Tensor partial({2, b.A * b.count, b.wide});
  float *means = partial.data<float>(), *squares = means + b.A * b.count * b.wide;
  b.for_each([&](int64_t i, int64_t, int64_t first, int64_t rows, int64_t columns) {
    simd().column_moments(a.x.template data<float>() + first, rows, columns, means + i * b.wide, squares + i * b.wide);
  });
  for (int64_t n = 0; n < b.A; n++) {
    std::vector<double> sums(b.width), mean(b.G), deviations(b.width);
    b.for_each_part(n, means, [&](double rows, const float* m) {
      for (int64_t c = 0; c < b.width; c++) sums[c] += rows * m[c];
    });
    for (int64_t c = 0; c < b.width; c++) mean[c / b.K] += sums[c] / b.samples();
    for (int64_t c = 0; c < b.width; c++) sums[c] = mean[c / b.K];
    b.for_each_part(n, means, [&](double rows, const float* m) {
      for (int64_t c = 0; c < b.width; c++) deviations[c] += rows * (m[c] - sums[c]) * (m[c] - sums[c]);
    });
    b.for_each_part(n, squares, [&](double, const float* q) {
      for (int64_t c = 0; c < b.width; c++) deviations[c] += q[c];
    });
    for (int64_t g = 0; g < b.G; g++) {
      double all = 0;
      for (int64_t c = g * b.K; c < (g + 1) * b.K; c++) all += deviations[c];
      a.mean.template data<float>()[n * b.G + g] = static_cast<float>(mean[g]);
      a.rstd.template data<float>()[n * b.G + g] = static_cast<float>(1 / std::sqrt(all / b.samples() + a.epsilon));
    }
  }
}

// L = 1: each statistic belongs to one row of K values.
template <bool Given>
void rows(const NormArgs& a) {
  const int64_t G = a.view[2], K = a.view[3];
  parallel_for(a.view[0] * G, std::max<int64_t>(1, block_floats / K), [&](int64_t first, int64_t last) {
    for (int64_t s = first; s < last; s++) {
      const float* x = a.x.data<float>() + s * K;
      float &mean = a.mean.data<float>()[s], &rstd = a.rstd.data<float>()[s];
      if constexpr (!Given) {
        float squares;
        simd().row_moments(x, K, &mean, &squares);
        rstd = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(K) + a.epsilon));
      }
      simd().normalize_row(x, K, mean, rstd, a.scale ? a.scale.data<float>() + s % G * K : nullptr,
                           a.shift ? a.shift.data<float>() + s % G * K : nullptr, a.relu, a.y.data<float>() + s * K);
    }
  });
}

void normalize(const NormArgs& a) {
  if (a.view[1] == 1) return rows<false>(a);
  const Blocks b(a.view);
  column_statistics(a, b);
  if (a.y) columns_given(a, b);
}

void given(const NormArgs& a) {
  if (a.view[1] == 1) return rows<true>(a);
  columns_given(a, Blocks(a.view));
}

// What gx is made of besides the lines: gx = scale * g + (x - mean) * slope + offset. Collects the sums of g and g (x - mean) of each a.
class Slopes {
 public:
  explicit Slopes(const Blocks& b) : b_(b), gscale_(b.width), gshift_(b.width), slope_(b.A * b.G), offset_(b.A * b.G) {}

  template <class Args>
  void take(const Args& a, int64_t n, const std::vector<double>& g, const std::vector<double>& gx) {
    for (int64_t c = 0; c < b_.width; c++) {
      const int64_t s = n * b_.G + c / b_.K;
      const double rstd = a.rstd.template data<float>()[s], scale = value_or(a.scale, c, 1), gh = gx[c] * rstd;
      gshift_[c] += g[c], gscale_[c] += gh;
      offset_[s] -= g[c] * scale * rstd / b_.samples();
      slope_[s] -= gh * scale * rstd * rstd / b_.samples();
    }
  }
  Tensor constants() const {
    return table<2>(b_, [&](int64_t row, int64_t n, int64_t channel) {
      return static_cast<float>((row == 0 ? slope_ : offset_)[n * b_.G + channel / b_.K]);
    });
  }
  void write(const Tensor& gscale, const Tensor& gshift) const {
    if (gscale) std::copy(gscale_.begin(), gscale_.end(), gscale.data<float>());
    if (gshift) std::copy(gshift_.begin(), gshift_.end(), gshift.data<float>());
  }

 private:
  const Blocks& b_;
  std::vector<double> gscale_, gshift_, slope_, offset_;
};

void backward_columns(const NormBackwardArgs& a) {
  const Blocks b(a.view);
  const float *gy = a.gy.data<float>(), *x = a.x.data<float>(), *y = a.relu && a.y ? a.y.data<float>() : nullptr;
  const Tensor partial = Tensor::zeros({2, b.A * b.count, b.wide}), forward = lines(a, b);
  float *g_sums = partial.data<float>(), *gx_sums = g_sums + b.A * b.count * b.wide;
  b.for_each([&](int64_t i, int64_t n, int64_t first, int64_t rows, int64_t columns) {
    simd().gradient_sums(gy + first, x + first, y ? y + first : nullptr, rows, columns, affine_of(forward, b, n, a.relu),
                         g_sums + i * b.wide, gx_sums + i * b.wide);
  });
  Slopes slopes(b);
  for (int64_t n = 0; n < b.A; n++) {
    std::vector<double> g(b.width), gx(b.width);
    const auto add_to = [&](std::vector<double>& all) {
      return [&](double, const float* part) {
        for (int64_t c = 0; c < b.width; c++) all[c] += part[c];
      };
    };
    b.for_each_part(n, g_sums, add_to(g));
    b.for_each_part(n, gx_sums, add_to(gx));
    slopes.take(a, n, g, gx);
  }
  const Tensor constants = slopes.constants();
  float* gadd = a.gadd ? a.gadd.data<float>() : nullptr;
  b.for_each([&](int64_t, int64_t n, int64_t first, int64_t rows, int64_t columns) {
    const float* slope = constants.data<float>() + n * b.wide;
    simd().normalize_gradient(gy + first, x + first, y ? y + first : nullptr, rows, columns, affine_of(forward, b, n, a.relu), slope,
                              slope + b.A * b.wide, a.gx.data<float>() + first, gadd ? gadd + first : nullptr);
  });
  slopes.write(a.gscale, a.gshift);
}

void backward_rows(const NormBackwardArgs& a) {
  const int64_t G = a.view[2], K = a.view[3], statistics = a.view[0] * G, width = G * K;
  const int64_t rows_per_chunk = std::max({int64_t{1}, block_floats / K, (statistics + 63) / 64}),
                chunks = (statistics + rows_per_chunk - 1) / rows_per_chunk;
  const Tensor partial = Tensor::zeros({chunks, 2, width});
  parallel_for(chunks, 1, [&](int64_t chunk, int64_t) {
    float *gscale = partial.data<float>() + chunk * 2 * width, *gshift = gscale + width;
    for (int64_t s = chunk * rows_per_chunk; s < std::min(statistics, (chunk + 1) * rows_per_chunk); s++) {
      const int64_t c = s % G * K;
      simd().normalize_row_gradient(a.gy.data<float>() + s * K, a.x.data<float>() + s * K, a.y ? a.y.data<float>() + s * K : nullptr, K,
                                    a.mean.data<float>()[s], a.rstd.data<float>()[s], a.scale ? a.scale.data<float>() + c : nullptr,
                                    a.shift ? a.shift.data<float>() + c : nullptr, a.relu, gscale + c, gshift + c,
                                    a.gx.data<float>() + s * K);
    }
  });
  const auto add_up = [&](int64_t which, const Tensor& out) {
    for (int64_t c = 0; out && c < width; c++) {
      double sum = 0;
      for (int64_t chunk = 0; chunk < chunks; chunk++) sum += partial.data<float>()[(2 * chunk + which) * width + c];
      out.data<float>()[c] = static_cast<float>(sum);
    }
  };
  add_up(0, a.gscale), add_up(1, a.gshift);
}

void backward(const NormBackwardArgs& a) {
  if (a.view[1] == 1)
    backward_rows(a);
  else
    backward_columns(a);
}

// Rows of windows, and what they leave over, as units of work: unit u is the window[0] x window[1] rows of x that row u of the windows
// covers, or fewer behind the last of them.
struct WindowRows {
  int64_t N, D, H, W, C, Do, Ho, Wo, deep, high, per_chunk, chunks, ahead;
  std::array<int64_t, 3> window;
  bool past;

  // written: of the size of x, or nothing.
  WindowRows(const Shape& x, const Shape& pooled, const std::array<int64_t, 3>& w, const float* written)
      : N(x[0]), D(x[1]), H(x[2]), W(x[3]), C(x[4]), Do(pooled[1]), Ho(pooled[2]), Wo(pooled[3]), window(w) {
    deep = (D + w[0] - 1) / w[0], high = (H + w[1] - 1) / w[1];
    per_chunk = std::max<int64_t>(1, block_floats / (w[0] * w[1] * W * C));
    chunks = (N * deep * high + per_chunk - 1) / per_chunk;
    ahead = cpu::values_ahead(count(x), w[1] * W * C);
    past = written && cpu::goes_past(count(x), C, {written});
  }

  // Calls windows(Windows, first value of the image in x, first pixel in pooled) and rest(first value in x, pixels), in parallel; `chunk`
  // comes first.
  template <class OfWindows, class OfRest>
  void for_each(OfWindows windows, OfRest rest) const {
    parallel_for(chunks, 1, [&](int64_t chunk, int64_t end) {
      std::vector<int64_t> at(window[0] * window[1] * window[2]), rows;
      for (; chunk < end; chunk++)
        for (int64_t u = chunk * per_chunk; u < std::min(N * deep * high, (chunk + 1) * per_chunk); u++) {
          const int64_t n = u / (deep * high), d = u / high % deep, i = u % high;
          rows.clear();
          for (int64_t k = d * window[0]; k < std::min(D, (d + 1) * window[0]); k++)
            for (int64_t l = i * window[1]; l < std::min(H, (i + 1) * window[1]); l++) rows.push_back((k * H + l) * W);
          const bool whole = d < Do && i < Ho && Wo > 0;
          if (whole) {
            for (size_t p = 0; p < at.size(); p++) at[p] = rows[p / window[2]] + static_cast<int64_t>(p) % window[2];
            windows(chunk, Windows{at.data(), static_cast<int64_t>(at.size()), Wo, window[2], C, ahead, past}, n * D * H * W * C,
                    ((n * Do + d) * Ho + i) * Wo);
          }
          const int64_t first = whole ? Wo * window[2] : 0;
          for (int64_t row : rows)
            if (first < W) rest(chunk, (n * D * H * W + row + first) * C, W - first);
        }
    });
  }
};

void normalize_pool(const NormPoolArgs& a) {
  const auto view = reference::view_of(a);
  column_statistics(a, Blocks(view));
  Blocks one(view);
  one.wide = one.width;  // constants of single pixels
  const Tensor constants = lines(a, one);
  const Affine affine = affine_of(constants, one, 0, a.relu);
  const float* x = a.x.data<float>();
  float* y = a.y ? a.y.data<float>() : nullptr;
  WindowRows(a.x.shape(), a.pooled.shape(), a.window, y)
      .for_each(
          [&](int64_t, const Windows& w, int64_t image, int64_t pixel) {
            simd().normalize_pool_row(w, x + image, affine, y ? y + image : nullptr, a.pooled.data<float>() + pixel * w.channels);
          },
          [&](int64_t, int64_t first, int64_t pixels) {
            if (y) simd().normalize(x + first, nullptr, pixels, one.width, affine, y + first);
          });
}

void pool_backward(const NormPoolBackwardArgs& a) {
  Blocks one(reference::view_of(a));
  one.wide = one.width;
  const int64_t C = one.width;
  float* out = a.gx.data<float>();
  const WindowRows rows(a.x.shape(), a.gpooled.shape(), a.window, a.gy && a.gy.raw() == a.gx.raw() ? nullptr : out);
  const Tensor partial = Tensor::zeros({rows.chunks, 2, C}), forward = lines(a, one);
  const Affine affine = affine_of(forward, one, 0, a.relu);
  const float *x = a.x.data<float>(), *gy = a.gy ? a.gy.data<float>() : nullptr, *gpooled = a.gpooled.data<float>();
  rows.for_each(
      [&](int64_t chunk, const Windows& w, int64_t image, int64_t pixel) {
        float* sums = partial.data<float>() + chunk * 2 * C;
        simd().pool_gradient_sums(w, gpooled + pixel * C, gy ? gy + image : nullptr, x + image, affine, sums, sums + C);
      },
      [&](int64_t chunk, int64_t first, int64_t pixels) {
        float* sums = partial.data<float>() + chunk * 2 * C;
        if (gy) simd().gradient_sums(gy + first, x + first, nullptr, pixels, C, affine, sums, sums + C);
      });
  std::vector<double> g(C), gx(C);
  for (int64_t i = 0; i < rows.chunks * C; i++) {
    const float* sums = partial.data<float>() + i / C * 2 * C + i % C;
    g[i % C] += sums[0], gx[i % C] += sums[C];
  }
  Slopes slopes(one);
  slopes.take(a, 0, g, gx);
  const Tensor constants = slopes.constants();
  const float *slope = constants.data<float>(), *offset = slope + C;
  rows.for_each(
      [&](int64_t, const Windows& w, int64_t image, int64_t pixel) {
        simd().pool_gradient(w, gpooled + pixel * C, gy ? gy + image : nullptr, x + image, affine, slope, offset, out + image);
      },
      [&](int64_t, int64_t first, int64_t pixels) {
        if (gy)
          simd().normalize_gradient(gy + first, x + first, nullptr, pixels, C, affine, slope, offset, out + first, nullptr);
        else  // no gradient of its own: (x - mean) * slope + offset
          simd().normalize(x + first, nullptr, pixels, C, {affine.mean, slope, offset, false}, out + first);
      });
  slopes.write(a.gscale, a.gshift);
}

}  // namespace vector

template <class Args, class F>
constexpr auto both_dtypes(F) {
  return +[](const Args& a) { visit_real("normalize", a.x.dtype(), [&]<class T>() { F{}.template operator()<T>(a); }); };
}
constexpr auto reference_normalize = both_dtypes<NormArgs>([]<class T>(const NormArgs& a) { reference::normalize<T>(a); });
constexpr auto reference_given = both_dtypes<NormArgs>([]<class T>(const NormArgs& a) { reference::given<T>(a); });
constexpr auto reference_backward = both_dtypes<NormBackwardArgs>([]<class T>(const NormBackwardArgs& a) { reference::backward<T>(a); });
constexpr auto reference_pool = both_dtypes<NormPoolArgs>([]<class T>(const NormPoolArgs& a) { reference::normalize_pool<T>(a); });
constexpr auto reference_pool_backward =
    both_dtypes<NormPoolBackwardArgs>([]<class T>(const NormPoolBackwardArgs& a) { reference::pool_backward<T>(a); });

constexpr Implementation<NormArgs> normalize_list[] = {{"vector", vector::fits_norm, vector::normalize},
                                                       {"reference", reference::fits<NormArgs>, reference_normalize}};
constexpr Implementation<NormArgs> given_list[] = {{"vector", vector::fits_norm, vector::given},
                                                   {"reference", reference::fits<NormArgs>, reference_given}};
constexpr Implementation<NormBackwardArgs> backward_list[] = {{"vector", vector::fits_backward, vector::backward},
                                                              {"reference", reference::fits<NormBackwardArgs>, reference_backward}};
constexpr Implementation<NormPoolArgs> pool_list[] = {{"vector", vector::fits<NormPoolArgs>, vector::normalize_pool},
                                                      {"reference", reference::fits<NormPoolArgs>, reference_pool}};
constexpr Implementation<NormPoolBackwardArgs> pool_backward_list[] = {
    {"vector", vector::fits<NormPoolBackwardArgs>, vector::pool_backward},
    {"reference", reference::fits<NormPoolBackwardArgs>, reference_pool_backward}};

}  // namespace

Kernel<NormArgs> normalize{"normalize", normalize_list, {}}, normalize_given{"normalize_given", given_list, {}};
Kernel<NormBackwardArgs> normalize_backward{"normalize_backward", backward_list, {}};
Kernel<NormPoolArgs> normalize_pool{"normalize_pool", pool_list, {}};
Kernel<NormPoolBackwardArgs> normalize_pool_backward{"normalize_pool_backward", pool_backward_list, {}};

}  // namespace sono::kernels
