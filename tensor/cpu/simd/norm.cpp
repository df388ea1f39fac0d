// Normalisation of blocks of rows, and of rows of pooling windows. All are bound by memory. Groups of columns keep their constants (or
// their sums) in registers while bands of rows, short enough for the first-level cache, pass by: memory is walked through in order, once.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// A line per column. Forward and backward call this one function, so that both round alike and see the same values below zero.
template <class V>
struct Line {
  V mean, scale, shift;
  Line() = default;
  Line(const Affine& a, int64_t c) : mean(load<V>(a.mean + c)), scale(load<V>(a.scale + c)), shift(load<V>(a.shift + c)) {}
  V operator()(V x) const { return (x - mean) * scale + shift; }
};

template <class V>
inline V positive(V v) {
  return v < 0 ? V{} : v;
}  // NaN stays

// Where a relu has cut is known from the output, found again from the input, or nowhere.
enum class Cut { nowhere, by_output, by_input };

template <Cut cut, class V>
inline V upstream(const float* gy, const float* y, int64_t i, const Line<V>& line, V x) {
  const V g = load<V>(gy + i);
  if constexpr (cut == Cut::by_output) return load<V>(y + i) <= 0 ? V{} : g;
  if constexpr (cut == Cut::by_input) return line(x) <= 0 ? V{} : g;
  return g;
}

// Calls f<Cut>.
template <class F>
inline void with_cut(const float* y, bool relu, F f) {
  if (y)
    f.template operator()<Cut::by_output>();
  else if (relu)
    f.template operator()<Cut::by_input>();
  else
    f.template operator()<Cut::nowhere>();
}

// Calls f<true> or f<false>.
template <class F>
inline void with(bool condition, F f) {
  condition ? f.template operator()<true>() : f.template operator()<false>();
}

// Calls f<all, Far> for rows of windows; what went past the cache is there for others when it returns.
template <class F>
inline void with_distance(const Windows& w, bool all, F f) {
  with(all, [&]<bool All>() { w.ahead ? f.template operator()<All, true>() : f.template operator()<All, false>(); });
  if (w.past) stores_done();
}

// Calls f<L, W>(c) for groups of W vectors of L columns, Most at most, that cover [0, n).
template <int Most, class F>
inline void for_each_group(int64_t n, F f) {
  int64_t c = 0;
  for (; c + Most * lanes <= n; c += Most * lanes) f.template operator()<lanes, Most>(c);
  if constexpr (Most > 2)
    if (c + 2 * lanes <= n) f.template operator()<lanes, 2>(c), c += 2 * lanes;
  if (c + lanes <= n) f.template operator()<lanes, 1>(c), c += lanes;
  if constexpr (lanes > 4)
    for (; c + 4 <= n; c += 4) f.template operator()<4, 1>(c);
  for (; c < n; c++) f.template operator()<1, 1>(c);
}

// The same for bands of rows: f<L, W>(c, first value of the band in column c, the first one behind it).
template <int Most, class F>
inline void for_each_patch(int64_t rows, int64_t columns, F f) {
  const int64_t band = columns <= Most * lanes ? rows : columns < 4096 ? 4096 / columns : 1;
  for (int64_t r = 0; r < rows; r += band)
    for_each_group<Most>(
        columns, [&]<int L, int W>(int64_t c) { f.template operator()<L, W>(c, r * columns + c, smaller(rows, r + band) * columns); });
}

// Four vectors of columns take 20 registers for their constants; rows of 64 columns are then read in order.
constexpr int gradient_group = lanes == 16 ? 4 : 2;

template <class V>
inline void add_to(float* sum, V v) {
  store<V>(sum, load<V>(sum) + v);
}

}  // namespace

// One pass: sums of d = x - k and of d^2, k the mean of the first rows, if it is finite. The deviation of k is part of the column's own
// variance, rows / 8 times at most, so no more digits are lost than the sums lose by themselves; these are made of runs of 64 rows.
void column_moments(const float* x, int64_t rows, int64_t columns, float* mean, float* squares) {
  for_each_group<4>(columns, [&]<int L, int W>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    constexpr int side = W == 1 ? 4 : W == 2 ? 2 : 1;  // rows side by side: additions wait for one another
    V k[W] = {}, sum[W] = {}, square[W] = {};
    const int64_t first = smaller(rows, 8);
    for (int64_t r = 0; r < first; r++)
      for (int w = 0; w < W; w++) k[w] += load<V>(x + r * columns + c + w * L);
    for (int w = 0; w < W; w++) k[w] = k[w] / static_cast<float>(first), k[w] = k[w] - k[w] == 0 ? k[w] : V{};
    for (int64_t r = 0; r < rows;) {
      V s[side][W] = {}, q[side][W] = {};
      const auto take = [&](int64_t row, int i) {
#pragma GCC unroll 4
        for (int w = 0; w < W; w++) {
          const V d = load<V>(x + row * columns + c + w * L) - k[w];
          s[i][w] += d, q[i][w] += d * d;
        }
      };
      const int64_t end = smaller(rows, r + 64);
      for (; r + side <= end; r += side)
#pragma GCC unroll 4
        for (int i = 0; i < side; i++) take(r + i, i);
      for (; r < end; r++) take(r, 0);
      for (int i = 0; i < side; i++)
        for (int w = 0; w < W; w++) sum[w] += s[i][w], square[w] += q[i][w];
    }
    for (int w = 0; w < W; w++) {
      const V d = sum[w] / static_cast<float>(rows), left = square[w] - sum[w] * d;
      store<V>(mean + c + w * L, k[w] + d);
      store<V>(squares + c + w * L, left < 0 ? V{} : left);
    }
  });
}

void normalize(const float* x, const float* add, int64_t rows, int64_t columns, const Affine& a, float* y) {
  with(add != nullptr, [&]<bool Add>() {
    with(a.relu, [&]<bool Relu>() {
      for_each_patch<4>(rows, columns, [&]<int L, int W>(int64_t c, int64_t first, int64_t end) {
        using V = typename VectorOf<L>::Float;
        Line<V> line[W];
#pragma GCC unroll 4
        for (int w = 0; w < W; w++) line[w] = Line<V>(a, c + w * L);
        for (int64_t i = first; i < end; i += columns)
#pragma GCC unroll 4
          for (int w = 0; w < W; w++) {
            V v = line[w](load<V>(x + i + w * L));
            if constexpr (Add) v += load<V>(add + i + w * L);
            if constexpr (Relu) v = positive<V>(v);
            store<V>(y + i + w * L, v);
          }
      });
    });
  });
}

void gradient_sums(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const Affine& a, float* sum_g,
                   float* sum_gx) {
  with_cut(y, a.relu, [&]<Cut cut>() {
    for_each_patch<gradient_group>(rows, columns, [&]<int L, int W>(int64_t c, int64_t first, int64_t end) {
      using V = typename VectorOf<L>::Float;
      Line<V> line[W];
      constexpr int sides = W > 2 ? 1 : 2;
      V s[sides][W] = {}, q[sides][W] = {};
#pragma GCC unroll 4
      for (int w = 0; w < W; w++) line[w] = Line<V>(a, c + w * L);
      const auto take = [&](int64_t i, int side) {
#pragma GCC unroll 4
        for (int w = 0; w < W; w++) {
          const V v = load<V>(x + i + w * L), g = upstream<cut, V>(gy, y, i + w * L, line[w], v);
          s[side][w] += g, q[side][w] += g * (v - line[w].mean);
        }
      };
      int64_t i = first;
      if constexpr (sides == 2)
        for (; i + columns < end; i += 2 * columns) take(i, 0), take(i + columns, 1);
      for (; i < end; i += columns) take(i, 0);
      const auto all = [](const V(&v)[sides][W], int w) { return sides == 2 ? V(v[0][w] + v[sides - 1][w]) : v[0][w]; };
      for (int w = 0; w < W; w++) add_to<V>(sum_g + c + w * L, all(s, w)), add_to<V>(sum_gx + c + w * L, all(q, w));
    });
  });
}

void normalize_gradient(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const Affine& a, const float* slope,
                        const float* offset, float* gx, float* gadd) {
  with_cut(y, a.relu, [&]<Cut cut>() {
    with(gadd != nullptr, [&]<bool Add>() {
      for_each_patch<gradient_group>(rows, columns, [&]<int L, int W>(int64_t c, int64_t first, int64_t end) {
        using V = typename VectorOf<L>::Float;
        Line<V> line[W];
        V b[W], d[W];
#pragma GCC unroll 4
        for (int w = 0; w < W; w++) line[w] = Line<V>(a, c + w * L), b[w] = load<V>(slope + c + w * L), d[w] = load<V>(offset + c + w * L);
        for (int64_t i = first; i < end; i += columns)
#pragma GCC unroll 4
          for (int w = 0; w < W; w++) {
            const int64_t at = i + w * L;
            const V v = load<V>(x + at), g = upstream<cut, V>(gy, y, at, line[w], v);
            if constexpr (Add) store<V>(gadd + at, g);
            store<V>(gx + at, g * line[w].scale + ((v - line[w].mean) * b[w] + d[w]));
          }
      });
    });
  });
}

namespace {

// The values of a window of P positions (0: as many as w says), normalised: the largest, what it was made of, and which it is, the first of
// equals. NaN needs no care: it has spoilt the statistics, and so all values of its channel.
template <int P, int L, bool Far>
struct Window {
  using V = typename VectorOf<L>::Float;
  using I = typename VectorOf<L>::Int;
  V largest, x;
  I which{};

  Window(const Windows& w, const float* image, int64_t first, const Line<V>& line)
      : x(load_ahead<Far, V>(image + w.at[0] * w.channels + first, w.ahead)) {
    largest = line(x);
    const int positions = P ? P : static_cast<int>(w.positions);
#pragma GCC unroll 8
    for (int p = 1; p < positions; p++) {
      const V raw = load_ahead<Far, V>(image + w.at[p] * w.channels + first, w.ahead), value = line(raw);
      const I take = value > largest;
      largest = take ? value : largest, x = take ? raw : x, which = take ? p - I{} : which;
    }
  }
};

// f<P> with the number of positions where it is a common one.
template <class F>
inline void with_positions(int64_t positions, F f) {
  if (positions == 4)
    f.template operator()<4>();
  else if (positions == 8)
    f.template operator()<8>();
  else
    f.template operator()<0>();
}

// By value: what a lambda refers to would be read again after every store.
template <int P, bool Relu, bool All, bool Far>
void normalize_windows(const Windows w, const float* x, const Affine a, float* y, float* pooled) {
  const int64_t positions = P ? P : w.positions;
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using V = typename VectorOf<L>::Float;
      const Line<V> line(a, c);
      V largest{};
#pragma GCC unroll 8
      for (int64_t p = 0; p < positions; p++) {
        const int64_t i = (w.at[p] + j * w.step) * w.channels + c;
        V value = line(load_ahead<Far, V>(x + i, w.ahead));
        if constexpr (Relu) value = positive<V>(value);
        if constexpr (All) store_past_if<Far, V>(w.past, y + i, value);
        largest = p == 0 ? value : value > largest ? value : largest;
      }
      store<V>(pooled + j * w.channels + c, largest);
    });
}

template <int P, bool Relu, bool All, bool Far>
void window_gradient_sums(const Windows w, const float* gpooled, const float* gy, const float* x, const Affine a, float* sum_g,
                          float* sum_gx) {
  const int64_t positions = P ? P : w.positions;
  for_each_vector(w.channels, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const Line<V> line(a, c);
    V s[2] = {}, q[2] = {};
    for (int64_t j = 0; j < w.pixels; j++) {
      const int64_t first = j * w.step * w.channels + c;
      const Window<P, L, Far> window(w, x, first, line);
      V g = load<V>(gpooled + j * w.channels + c);
      if constexpr (Relu) g = window.largest <= 0 ? V{} : g;
      s[0] += g, q[0] += g * (window.x - line.mean);
      if constexpr (All)
#pragma GCC unroll 8
        for (int64_t p = 0; p < positions; p++) {
          const int64_t i = w.at[p] * w.channels + first;
          const V v = load<V>(x + i);
          g = load_ahead<Far, V>(gy + i, w.ahead);
          if constexpr (Relu) g = line(v) <= 0 ? V{} : g;
          s[p & 1] += g, q[p & 1] += g * (v - line.mean);
        }
    }
    add_to<V>(sum_g + c, s[0] + s[1]);
    add_to<V>(sum_gx + c, q[0] + q[1]);
  });
}

template <int P, bool Relu, bool All, bool Far>
void window_gradient(const Windows w, const float* gpooled, const float* gy, const float* x, const Affine a, const float* slope,
                     const float* offset, float* gx) {
  const int64_t positions = P ? P : w.positions;
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using V = typename VectorOf<L>::Float;
      const int64_t first = j * w.step * w.channels + c;
      const Line<V> line(a, c);
      const Window<P, L, Far> window(w, x, first, line);
      const V b = load<V>(slope + c), d = load<V>(offset + c);
      V g = load<V>(gpooled + j * w.channels + c);
      if constexpr (Relu) g = window.largest <= 0 ? V{} : g;
#pragma GCC unroll 8
      for (int64_t p = 0; p < positions; p++) {
        const int64_t i = w.at[p] * w.channels + first;
        const V v = load<V>(x + i);
        V all = window.which == static_cast<int32_t>(p) ? g : V{};
        if constexpr (All) {
          const V own = load_ahead<Far, V>(gy + i, w.ahead);
          all += Relu ? V(line(v) <= 0 ? V{} : own) : own;
        }
        store_past_if<Far, V>(w.past, gx + i, all * line.scale + ((v - line.mean) * b + d));
      }
    });
}

// Calls f<positions of a window, or 0, relu, all, far>.
template <class F>
inline void with_form(const Windows& w, bool relu, bool all, F f) {
  with_positions(w.positions, [&]<int P>() {
    with(relu, [&]<bool Relu>() { with_distance(w, all, [&]<bool All, bool Far>() { f.template operator()<P, Relu, All, Far>(); }); });
  });
}

}  // namespace

void normalize_pool_row(const Windows& w, const float* x, const Affine& a, float* y, float* pooled) {
  with_form(w, a.relu, y != nullptr,
            [&]<int P, bool Relu, bool All, bool Far>() { normalize_windows<P, Relu, All, Far>(w, x, a, y, pooled); });
}

// Without gy only the largest of each window has a gradient.
void pool_gradient_sums(const Windows& w, const float* gpooled, const float* gy, const float* x, const Affine& a, float* sum_g,
                        float* sum_gx) {
  with_form(w, a.relu, gy != nullptr,
            [&]<int P, bool Relu, bool All, bool Far>() { window_gradient_sums<P, Relu, All, Far>(w, gpooled, gy, x, a, sum_g, sum_gx); });
}

void pool_gradient(const Windows& w, const float* gpooled, const float* gy, const float* x, const Affine& a, const float* slope,
                   const float* offset, float* gx) {
  with_form(w, a.relu, gy != nullptr,
            [&]<int P, bool Relu, bool All, bool Far>() { window_gradient<P, Relu, All, Far>(w, gpooled, gy, x, a, slope, offset, gx); });
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

namespace {

// A row's line: (x - mean) * rstd, times scale and plus shift where there are some.
template <class V>
inline V line_of_row(V x, float mean, float rstd, const float* scale, const float* shift, int64_t c) {
  V v = (x - mean) * rstd;
  if (scale) v = v * load<V>(scale + c);
  if (shift) v = v + load<V>(shift + c);
  return v;
}

}  // namespace

void normalize_row(const float* x, int64_t n, float mean, float rstd, const float* scale, const float* shift, bool relu, float* y) {
  for_each_vector(n, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V v = line_of_row<V>(load<V>(x + c), mean, rstd, scale, shift, c);
    store<V>(y + c, relu ? positive<V>(v) : v);
  });
}

void normalize_row_gradient(const float* gy, const float* x, const float* y, int64_t n, float mean, float rstd, const float* scale,
                            const float* shift, bool relu, float* gscale, float* gshift, float* gx) {
  const auto upstream_of = [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V g = load<V>(gy + c);
    if (!relu) return g;
    const V v = y ? load<V>(y + c) : line_of_row<V>(load<V>(x + c), mean, rstd, scale, shift, c);
    return V(v <= 0 ? V{} : g);
  };
  float sum_d = 0, sum_dh = 0;  // of d = g * scale and d * h
  for_each_vector(n, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V g = upstream_of.template operator()<L>(c), h = (load<V>(x + c) - mean) * rstd, d = scale ? V(g * load<V>(scale + c)) : g,
            dh = d * h;
    store<V>(gscale + c, load<V>(gscale + c) + g * h);
    store<V>(gshift + c, load<V>(gshift + c) + g);
    sum_d += total<L>(d), sum_dh += total<L>(dh);
  });
  const float a = sum_d / static_cast<float>(n), b = sum_dh / static_cast<float>(n);
  for_each_vector(n, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    const V g = upstream_of.template operator()<L>(c), h = (load<V>(x + c) - mean) * rstd, d = scale ? V(g * load<V>(scale + c)) : g;
    store<V>(gx + c, (d - a - h * b) * rstd);
  });
}

}  // namespace sono::cpu::SONO_ISA
