// Softmax and cross-entropy of short rows (classes) by transposing `lanes` rows at a time, of long rows and of columns directly. Some 20 to
// 25 operations a value, most of them in exp.
#include "tensor/cpu/simd/math.h"
#include "tensor/scalar_math.h"

namespace sono::cpu::SONO_ISA {

float extreme(const float* x, int64_t n, bool smallest);  // reduce.cpp
void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to, int64_t ld_to);

namespace {

constexpr int64_t short_row = 64;

// One vector of columns, n rows that are `step` apart.
template <int L>
void columns(const float* x, int64_t n, int64_t step, bool log, float* y) {
  using F = typename VectorOf<L>::Float;
  F largest = load<F>(x), sum{};
  for (int64_t i = 1; i < n; i++) {
    const F value = load<F>(x + i * step);
    largest = value > largest ? value : largest;
  }
  for (int64_t i = 0; i < n; i++) {
    const F shifted = load<F>(x + i * step) - largest, e = exp_negative<L>(shifted);
    sum += e;
    store(y + i * step, log ? shifted : e);
  }
  const F last = log ? logarithm<L>(sum) : F(1.0f / sum);
  for (int64_t i = 0; i < n; i++) {
    const F value = load<F>(y + i * step);
    store<F>(y + i * step, log ? F(value - last) : F(value * last));
  }
}

// Sum over i < n of value(i), which gives a vector from there on. In blocks: the error of long sums grows with their length.
template <class F>
float sum_of(int64_t n, F value) {
  float sum = 0;
  for (int64_t first = 0; first < n; first += 2048) {
    Vec wide{};
    float rest = 0;
    for_each_vector(smaller(2048, n - first), [&]<int L>(int64_t c) {
      const typename VectorOf<L>::Float v = value.template operator()<L>(first + c);
      if constexpr (L == lanes)
        wide += v;
      else
        rest += total<L>(v);
    });
    sum += total<lanes>(wide) + rest;
  }
  return sum;
}

void long_row(const float* x, int64_t n, bool log, float* y) {
  const float largest = extreme(x, n, false);
  const float sum = sum_of(n, [&]<int L>(int64_t i) {
    using F = typename VectorOf<L>::Float;
    const F shifted = load<F>(x + i) - largest, e = exp_negative<L>(shifted);
    store(y + i, log ? shifted : e);
    return e;
  });
  const float last = log ? math::log(sum) : 1 / sum;
  for_each_vector(n, [&]<int L>(int64_t c) {
    using F = typename VectorOf<L>::Float;
    const F value = load<F>(y + c);
    store<F>(y + c, log ? F(value - last) : F(value * last));
  });
}

}  // namespace

void softmax_rows(const float* x, int64_t rows, int64_t n, bool log, float* y) {
  if (n > short_row) {
    for (int64_t r = 0; r < rows; r++) long_row(x + r * n, n, log, y + r * n);
    return;
  }
  float tile[short_row * lanes] = {};  // (n, lanes): lanes rows, transposed
  for (int64_t r = 0; r < rows; r += lanes) {
    const int64_t height = smaller(lanes, rows - r);
    transpose(x + r * n, n, height, n, tile, lanes);
    columns<lanes>(tile, n, lanes, log, tile);
    transpose(tile, lanes, n, height, y + r * n, n);
  }
}

void softmax_columns(const float* x, int64_t n, int64_t inner, bool log, float* y) {
  for_each_vector(inner, [&]<int L>(int64_t c) { columns<L>(x + c, n, inner, log, y + c); });
}

namespace {

// Calls f(first row, rows, tile (classes, lanes) of the rows transposed); where Back, the tile then goes back into the rows of out.
template <bool Back, class F>
void for_each_tile(const ClassRows& c, float* out, F f) {
  float tile[short_row * lanes] = {};
  for (int64_t r = 0; r < c.rows; r += lanes) {
    const int64_t height = smaller(lanes, c.rows - r);
    transpose(c.x + r * c.classes, c.classes, height, c.classes, tile, lanes);
    f(r, height, tile);
    if constexpr (Back) transpose(tile, lanes, c.classes, height, out + r * c.classes, c.classes);
  }
}

// Values of the rows of a tile, and back; `other` in lanes without a row.
template <class V, class T>
inline V of_rows(const T* from, int64_t rows, T other) {
  if (rows == lanes) return load<V>(from);
  T values[lanes];
  for (int64_t l = 0; l < lanes; l++) values[l] = l < rows ? from[l] : other;
  return load<V>(values);
}
inline void to_rows(float* to, Vec v, int64_t rows) {
  if (rows == lanes) return store(to, v);
  for (int64_t l = 0; l < rows; l++) to[l] = v[l];
}

// No class is -1.
inline int32_t ignored(const ClassRows& c) {
  const auto ignore = static_cast<int32_t>(c.ignore);
  return ignore == c.ignore ? ignore : -1;
}

// The weight of each row's target.
inline Vec target_weight(const ClassRows& c, IntVec target) {
  Vec weight = Vec{} + 1.0f;
  for (int64_t k = 0; c.weight && k < c.classes; k++) weight = target == static_cast<int32_t>(k) ? Vec{} + c.weight[k] : weight;
  return target == ignored(c) ? Vec{} : weight;
}

inline float weight_of(const ClassRows& c, int64_t k) { return c.weight ? c.weight[k] : 1.0f; }
template <int L>
inline typename VectorOf<L>::Float weights_of(const ClassRows& c, int64_t k) {
  using F = typename VectorOf<L>::Float;
  return c.weight ? load<F>(c.weight + k) : F{} + 1.0f;
}

// The loss of one row of many classes.
void cross_entropy_row(const ClassRows& c, int64_t r, float* y, float* row_weight, float* log_sum) {
  const float* x = c.x + r * c.classes;
  const float largest = extreme(x, c.classes, false), shift = largest - largest == 0 ? largest : 0.0f;
  const float sum = sum_of(c.classes, [&]<int L>(int64_t k) { return exp_negative<L>(load<typename VectorOf<L>::Float>(x + k) - shift); });
  const float total = math::log(sum) + shift, share = c.smoothing / static_cast<float>(c.classes);
  log_sum[r] = total, row_weight[r] = y[r] = 0;
  const int32_t target = c.target[r];
  if (target == ignored(c)) return;
  const float smooth = share == 0 ? 0 : sum_of(c.classes, [&]<int L>(int64_t k) {
    return (total - load<typename VectorOf<L>::Float>(x + k)) * weights_of<L>(c, k);
  });
  row_weight[r] = weight_of(c, target);
  y[r] = (1 - c.smoothing) * row_weight[r] * (total - x[target]) + share * smooth;
}

void cross_entropy_gradient_of_row(const ClassRows& c, int64_t r, float all, float total, float gy, float* gx) {
  const int32_t target = c.target[r];
  if (target == ignored(c) || gy == 0) {
    __builtin_memset(gx, 0, static_cast<size_t>(c.classes) * sizeof(float));
    return;
  }
  const float share = c.smoothing / static_cast<float>(c.classes), hit = (1 - c.smoothing) * weight_of(c, target), sum = hit + all;
  for_each_vector(c.classes, [&]<int L>(int64_t k) {
    using F = typename VectorOf<L>::Float;
    const F p = exp_negative<L>(load<F>(c.x + r * c.classes + k) - total);
    store<F>(gx + k, gy * (p * sum - share * weights_of<L>(c, k)));
  });
  gx[target] -= gy * hit;
}

}  // namespace

void cross_entropy_rows(const ClassRows& c, float* y, float* row_weight, float* log_sum) {
  if (c.classes > short_row) {
    for (int64_t r = 0; r < c.rows; r++) cross_entropy_row(c, r, y, row_weight, log_sum);
    return;
  }
  const float share = c.smoothing / static_cast<float>(c.classes);
  for_each_tile<false>(c, nullptr, [&](int64_t first, int64_t rows, const float* tile) {
    Vec largest = load<Vec>(tile), sum{}, smooth{};
    for (int64_t k = 1; k < c.classes; k++) {
      const Vec value = load<Vec>(tile + k * lanes);
      largest = value > largest ? value : largest;
    }
    const Vec shift = largest - largest == 0 ? largest : Vec{};
    for (int64_t k = 0; k < c.classes; k++) sum += exp_negative<lanes>(load<Vec>(tile + k * lanes) - shift);
    const Vec total = logarithm<lanes>(sum) + shift;
    if (share > 0)
      for (int64_t k = 0; k < c.classes; k++) smooth += (total - load<Vec>(tile + k * lanes)) * weight_of(c, k);
    const IntVec target = of_rows<IntVec>(c.target + first, rows, ignored(c));
    const Vec weight = target_weight(c, target);
    Vec own{};
    for (int64_t k = 0; k < c.classes; k++) own = target == static_cast<int32_t>(k) ? load<Vec>(tile + k * lanes) : own;
    const Vec loss = (1 - c.smoothing) * weight * (total - own) + share * smooth;
    to_rows(log_sum + first, total, rows), to_rows(row_weight + first, weight, rows);
    to_rows(y + first, target == ignored(c) ? Vec{} : loss, rows);
  });
}

// dy/dx[k] = p[k] * (sum of counts) - counts[k], counts as in y = -sum over k of counts[k] log p[k].
void cross_entropy_gradient(const ClassRows& c, const float* log_sum, const float* gy, float* gx) {
  const float share = c.smoothing / static_cast<float>(c.classes);
  float all = 0;
  for (int64_t k = 0; k < c.classes; k++) all += share * weight_of(c, k);
  if (c.classes > short_row) {
    for (int64_t r = 0; r < c.rows; r++) cross_entropy_gradient_of_row(c, r, all, log_sum[r], gy[r], gx + r * c.classes);
    return;
  }
  for_each_tile<true>(c, gx, [&](int64_t first, int64_t rows, float* tile) {
    const IntVec target = of_rows<IntVec>(c.target + first, rows, ignored(c));
    const Vec total = of_rows<Vec>(log_sum + first, rows, 0.0f), hit = (1 - c.smoothing) * target_weight(c, target), sum = hit + all;
    const Vec given = of_rows<Vec>(gy + first, rows, 0.0f), up = target == ignored(c) ? Vec{} : given;  // 0 where the row does not count
    for (int64_t k = 0; k < c.classes; k++) {
      const Vec p = exp_negative<lanes>(load<Vec>(tile + k * lanes) - total), value = up * (p * sum - share * weight_of(c, k)),
                all_but = up == 0 ? Vec{} : value;
      store<Vec>(tile + k * lanes, target == static_cast<int32_t>(k) ? Vec(all_but - up * hit) : all_but);
    }
  });
}

}  // namespace sono::cpu::SONO_ISA
