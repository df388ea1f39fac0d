// Normalisation of blocks of rows. A block fits into the first- or second-level cache, so that two passes over it read memory once.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// Upstream gradient, 0 where a relu has cut.
template <class V>
inline V cut(const float* gy, const float* y, int64_t i) {
  const V g = load<V>(gy + i);
  if (!y) return g;
  return load<V>(y + i) <= 0 ? V{} : g;
}

template <class V>
inline V positive(V v) {
  return v < 0 ? V{} : v;
}  // NaN stays

}  // namespace

void column_moments(const float* x, int64_t rows, int64_t columns, float* mean, float* squares) {
  for_each_vector(columns, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    V s[4] = {}, q[4] = {};
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) s[i] += load<V>(x + (r + i) * columns + c);
    for (; r < rows; r++) s[0] += load<V>(x + r * columns + c);
    const V m = ((s[0] + s[1]) + (s[2] + s[3])) / static_cast<float>(rows);
    for (r = 0; r + 4 <= rows; r += 4)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        const V d = load<V>(x + (r + i) * columns + c) - m;
        q[i] += d * d;
      }
    for (; r < rows; r++) {
      const V d = load<V>(x + r * columns + c) - m;
      q[0] += d * d;
    }
    store(mean + c, m);
    store(squares + c, (q[0] + q[1]) + (q[2] + q[3]));
  });
}

void normalize(const float* x, int64_t rows, int64_t columns, const Affine& a, float* y) {
  for_each_vector(columns, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V mean = load<V>(a.mean + c), scale = load<V>(a.scale + c), shift = load<V>(a.shift + c);
    if (a.relu)
      for (int64_t r = 0; r < rows; r++) store(y + r * columns + c, positive<V>((load<V>(x + r * columns + c) - mean) * scale + shift));
    else
      for (int64_t r = 0; r < rows; r++) store<V>(y + r * columns + c, (load<V>(x + r * columns + c) - mean) * scale + shift);
  });
}

void gradient_sums(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const float* mean, float* sum_g,
                   float* sum_gx) {
  for_each_vector(columns, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V m = load<V>(mean + c);
    V s[4] = {}, q[4] = {};
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        const V g = cut<V>(gy, y, (r + i) * columns + c);
        s[i] += g, q[i] += g * (load<V>(x + (r + i) * columns + c) - m);
      }
    for (; r < rows; r++) {
      const V g = cut<V>(gy, y, r * columns + c);
      s[0] += g, q[0] += g * (load<V>(x + r * columns + c) - m);
    }
    store(sum_g + c, (s[0] + s[1]) + (s[2] + s[3]));
    store(sum_gx + c, (q[0] + q[1]) + (q[2] + q[3]));
  });
}

void normalize_gradient(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const float* mean,
                        const float* scale, const float* slope, const float* offset, float* gx) {
  for_each_vector(columns, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V m = load<V>(mean + c), a = load<V>(scale + c), b = load<V>(slope + c), d = load<V>(offset + c);
    for (int64_t i = c; i < rows * columns; i += columns) store<V>(gx + i, a * cut<V>(gy, y, i) + ((load<V>(x + i) - m) * b + d));
  });
}

void row_moments(const float* x, int64_t n, float* mean, float* squares) {
  Vec s{}, q{};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) s += load<Vec>(x + i);
  float m = total<lanes>(s), rest = 0;
  for (; i < n; i++) m += x[i];
  m /= static_cast<float>(n);
  for (i = 0; i + lanes <= n; i += lanes) {
    const Vec d = load<Vec>(x + i) - m;
    q += d * d;
  }
  for (; i < n; i++) rest += (x[i] - m) * (x[i] - m);
  *mean = m, *squares = total<lanes>(q) + rest;
}

void normalize_row(const float* x, int64_t n, float mean, float rstd, const float* scale, const float* shift, bool relu, float* y) {
  for_each_vector(n, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    V v = (load<V>(x + c) - mean) * rstd;
    if (scale) v = v * load<V>(scale + c);
    if (shift) v = v + load<V>(shift + c);
    store(y + c, relu ? positive(v) : v);
  });
}

void normalize_row_gradient(const float* gy, const float* x, const float* y, int64_t n, float mean, float rstd, const float* scale,
                            float* gscale, float* gshift, float* gx) {
  float sum_d = 0, sum_dh = 0;  // of d = g * scale and d * h
  for_each_vector(n, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V g = cut<V>(gy, y, c), h = (load<V>(x + c) - mean) * rstd, d = scale ? V(g * load<V>(scale + c)) : g, dh = d * h;
    store<V>(gscale + c, load<V>(gscale + c) + g * h);
    store<V>(gshift + c, load<V>(gshift + c) + g);
    sum_d += total<L>(d), sum_dh += total<L>(dh);
  });
  const float a = sum_d / static_cast<float>(n), b = sum_dh / static_cast<float>(n);
  for_each_vector(n, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V g = cut<V>(gy, y, c), h = (load<V>(x + c) - mean) * rstd, d = scale ? V(g * load<V>(scale + c)) : g;
    store<V>(gx + c, (d - a - h * b) * rstd);
  });
}

}  // namespace sono::cpu::SONO_ISA
