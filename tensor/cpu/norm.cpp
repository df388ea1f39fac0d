// Normalisation on the CPU: x as (A, L, G, K), statistics over L and K.
//   vector      f32. x is read in blocks of 64 KB; each block gives mean and squared deviations of its columns (two passes, the second from
//   the
//               cache), and the blocks are combined in double and in order [Chan, Golub, LeVeque 1979]: as accurate as two passes over
//               everything, read once, the same bits with any number of threads. Narrow rows are read as several side by side. Forward
//               moves 3 times x's bytes, backward 5 (7 with relu). Layer norm (L = 1) goes row by row.
//   reference   two passes for mean and variance, sums in double, f32 and f64
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

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

// Calls f(index in x, channel) for every value that belongs to statistic s = a * G + g.
template <class F>
void for_each_value(const std::array<int64_t, 4>& view, int64_t s, F f) {
  const auto [A, L, G, K] = view;
  const int64_t a = s / G, g = s % G;
  for (int64_t l = 0; l < L; l++)
    for (int64_t k = 0; k < K; k++) f(((a * L + l) * G + g) * K + k, g * K + k);
}

template <class T>
void given(const NormArgs& a) {
  const T *x = a.x.data<T>(), *scale = a.scale ? a.scale.data<T>() : nullptr, *shift = a.shift ? a.shift.data<T>() : nullptr;
  const T *mean = a.mean.data<T>(), *rstd = a.rstd.data<T>();
  parallel_for(a.view[0] * a.view[2], 1, [&, y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t s = first; s < last; s++)
      for_each_value(a.view, s, [&](int64_t i, int64_t channel) {
        const T value = (x[i] - mean[s]) * rstd[s] * (scale ? scale[channel] : T(1)) + (shift ? shift[channel] : T(0));
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
  given<T>(a);
}

// With h = (x - mean) * rstd and d = gy * scale (0 where relu cut): gx = rstd * (d - mean of d - h * mean of d h).
template <class T>
void backward(const NormBackwardArgs& a) {
  const double n = static_cast<double>(a.view[1] * a.view[3]);
  const T *gy = a.gy.data<T>(), *x = a.x.data<T>(), *y = a.relu ? a.y.data<T>() : nullptr, *scale = a.scale ? a.scale.data<T>() : nullptr;
  const T *mean = a.mean.data<T>(), *rstd = a.rstd.data<T>();
  std::vector<double> gscale(a.view[2] * a.view[3]), gshift(gscale.size());
  for (int64_t s = 0; s < a.view[0] * a.view[2]; s++) {
    double sum = 0, sum_h = 0;
    const auto upstream = [&](int64_t i) { return y && y[i] <= 0 ? T(0) : gy[i]; };
    for_each_value(a.view, s, [&](int64_t i, int64_t channel) {
      const double h = (x[i] - mean[s]) * rstd[s], g = upstream(i), d = g * (scale ? scale[channel] : T(1));
      gscale[channel] += g * h, gshift[channel] += g;
      sum += d, sum_h += d * h;
    });
    for_each_value(a.view, s, [&](int64_t i, int64_t channel) {
      const double h = (x[i] - mean[s]) * rstd[s], d = upstream(i) * (scale ? scale[channel] : T(1));
      a.gx.data<T>()[i] = static_cast<T>(rstd[s] * (d - sum / n - h * sum_h / n));
    });
  }
  if (a.gscale) std::copy(gscale.begin(), gscale.end(), a.gscale.data<T>());
  if (a.gshift) std::copy(gshift.begin(), gshift.end(), a.gshift.data<T>());
}

}  // namespace reference

namespace vector {

using cpu::Affine, cpu::simd;

constexpr int64_t block_floats = 16384;

template <class Args>
bool fits(const Args& a) {
  return a.x.dtype() == Dtype::f32 && a.x.size() > 0;
}

// x as blocks of rows of `width` = G * K columns, or of `side` such rows side by side, so that vectors are full; rows that are left over
// are a block of their own.
struct Blocks {
  int64_t A, L, G, K, width, side, wide, wide_rows, rows_per_block, whole, count;
  explicit Blocks(const std::array<int64_t, 4>& view) : A(view[0]), L(view[1]), G(view[2]), K(view[3]), width(G * K) {
    const int64_t lanes = simd().lanes, wanted = lanes / std::gcd(lanes, width);
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
    parallel_for(A * count, std::max<int64_t>(1, 2 * block_floats / (std::min(rows_per_block, wide_rows) * wide + 1)),
                 [&](int64_t from, int64_t until) {
                   for (int64_t i = from; i < until; i++) f(i, i / count, first(i / count, i % count), rows(i % count), columns(i % count));
                 });
  }
  // Calls f(rows, partial result) for every partial result of column `channel` of a; partial has one row of `wide` per block.
  template <class F>
  void for_each_part(int64_t a, int64_t channel, const float* partial, F f) const {
    for (int64_t b = 0; b < count; b++)
      for (int64_t column = channel; column < columns(b); column += width)
        f(static_cast<double>(rows(b)), static_cast<double>(partial[(a * count + b) * wide + column]));
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

void columns_given(const NormArgs& a, const Blocks& b) {
  const float *mean = a.mean.data<float>(), *rstd = a.rstd.data<float>();
  const Tensor t = table<3>(b, [&](int64_t row, int64_t n, int64_t channel) {
    const int64_t s = n * b.G + channel / b.K;
    return row == 0 ? mean[s] : row == 1 ? rstd[s] * value_or(a.scale, channel, 1) : value_or(a.shift, channel, 0);
  });
  const float* values = t.data<float>();
  b.for_each([&](int64_t, int64_t n, int64_t first, int64_t rows, int64_t columns) {
    const Affine affine{values + n * b.wide, values + (b.A + n) * b.wide, values + (2 * b.A + n) * b.wide, a.relu};
    simd().normalize(a.x.data<float>() + first, rows, columns, affine, a.y.data<float>() + first);
  });
}

void column_statistics(const NormArgs& a, const Blocks& b) {
  const Tensor partial({2, b.A * b.count, b.wide});
  float *means = partial.data<float>(), *squares = means + b.A * b.count * b.wide;
  b.for_each([&](int64_t i, int64_t, int64_t first, int64_t rows, int64_t columns) {
    simd().column_moments(a.x.data<float>() + first, rows, columns, means + i * b.wide, squares + i * b.wide);
  });
  for (int64_t s = 0; s < b.A * b.G; s++) {
    const int64_t n = s / b.G, first = s % b.G * b.K;
    double sum = 0, deviations = 0;
    for (int64_t c = first; c < first + b.K; c++) b.for_each_part(n, c, means, [&](double rows, double mean) { sum += rows * mean; });
    const double mean = sum / b.samples();
    for (int64_t c = first; c < first + b.K; c++) {
      b.for_each_part(n, c, means, [&](double rows, double m) { deviations += rows * (m - mean) * (m - mean); });
      b.for_each_part(n, c, squares, [&](double, double q) { deviations += q; });
    }
    a.mean.data<float>()[s] = static_cast<float>(mean);
    a.rstd.data<float>()[s] = static_cast<float>(1 / std::sqrt(deviations / b.samples() + a.epsilon));
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
  columns_given(a, b);
}

void given(const NormArgs& a) {
  if (a.view[1] == 1) return rows<true>(a);
  columns_given(a, Blocks(a.view));
}

void backward_columns(const NormBackwardArgs& a) {
  const Blocks b(a.view);
  const float *gy = a.gy.data<float>(), *x = a.x.data<float>(), *y = a.relu ? a.y.data<float>() : nullptr;
  const float *mean = a.mean.data<float>(), *rstd = a.rstd.data<float>();
  const Tensor partial({2, b.A * b.count, b.wide});
  float *g_sums = partial.data<float>(), *gx_sums = g_sums + b.A * b.count * b.wide;
  const Tensor means = table<1>(b, [&](int64_t, int64_t n, int64_t channel) { return mean[n * b.G + channel / b.K]; });
  b.for_each([&](int64_t i, int64_t n, int64_t first, int64_t rows, int64_t columns) {
    simd().gradient_sums(gy + first, x + first, y ? y + first : nullptr, rows, columns, means.data<float>() + n * b.wide,
                         g_sums + i * b.wide, gx_sums + i * b.wide);
  });
  std::vector<double> gscale(b.width), gshift(b.width), slope(b.A * b.G), offset(b.A * b.G);
  for (int64_t n = 0; n < b.A; n++)
    for (int64_t c = 0; c < b.width; c++) {
      const int64_t s = n * b.G + c / b.K;
      double g = 0, gh = 0;
      b.for_each_part(n, c, g_sums, [&](double, double sum) { g += sum; });
      b.for_each_part(n, c, gx_sums, [&](double, double sum) { gh += sum * rstd[s]; });
      gshift[c] += g, gscale[c] += gh;
      offset[s] -= g * value_or(a.scale, c, 1) * rstd[s] / b.samples();
      slope[s] -= gh * value_or(a.scale, c, 1) * rstd[s] * rstd[s] / b.samples();
    }
  const Tensor t = table<3>(b, [&](int64_t row, int64_t n, int64_t channel) {
    const int64_t s = n * b.G + channel / b.K;
    return row == 0 ? rstd[s] * value_or(a.scale, channel, 1) : static_cast<float>(row == 1 ? slope[s] : offset[s]);
  });
  b.for_each([&](int64_t, int64_t n, int64_t first, int64_t rows, int64_t columns) {
    const float* values = t.data<float>() + n * b.wide;
    simd().normalize_gradient(gy + first, x + first, y ? y + first : nullptr, rows, columns, means.data<float>() + n * b.wide, values,
                              values + b.A * b.wide, values + 2 * b.A * b.wide, a.gx.data<float>() + first);
  });
  if (a.gscale) std::copy(gscale.begin(), gscale.end(), a.gscale.data<float>());
  if (a.gshift) std::copy(gshift.begin(), gshift.end(), a.gshift.data<float>());
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
      simd().normalize_row_gradient(a.gy.data<float>() + s * K, a.x.data<float>() + s * K, a.relu ? a.y.data<float>() + s * K : nullptr, K,
                                    a.mean.data<float>()[s], a.rstd.data<float>()[s], a.scale ? a.scale.data<float>() + c : nullptr,
                                    gscale + c, gshift + c, a.gx.data<float>() + s * K);
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

}  // namespace vector

template <class Args, class F>
constexpr auto both_dtypes(F) {
  return +[](const Args& a) { visit_real("normalize", a.x.dtype(), [&]<class T>() { F{}.template operator()<T>(a); }); };
}
constexpr auto reference_normalize = both_dtypes<NormArgs>([]<class T>(const NormArgs& a) { reference::normalize<T>(a); });
constexpr auto reference_given = both_dtypes<NormArgs>([]<class T>(const NormArgs& a) { reference::given<T>(a); });
constexpr auto reference_backward = both_dtypes<NormBackwardArgs>([]<class T>(const NormBackwardArgs& a) { reference::backward<T>(a); });

constexpr Implementation<NormArgs> normalize_list[] = {{"vector", vector::fits<NormArgs>, vector::normalize},
                                                       {"reference", reference::fits<NormArgs>, reference_normalize}};
constexpr Implementation<NormArgs> given_list[] = {{"vector", vector::fits<NormArgs>, vector::given},
                                                   {"reference", reference::fits<NormArgs>, reference_given}};
constexpr Implementation<NormBackwardArgs> backward_list[] = {{"vector", vector::fits<NormBackwardArgs>, vector::backward},
                                                              {"reference", reference::fits<NormBackwardArgs>, reference_backward}};

}  // namespace

Kernel<NormArgs> normalize{"normalize", normalize_list, {}}, normalize_given{"normalize_given", given_list, {}};
Kernel<NormBackwardArgs> normalize_backward{"normalize_backward", backward_list, {}};

}  // namespace sono::kernels
