// Sums and extremes of rows and columns, and the transposition; bound by reading once.
#include <utility>

#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {

void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to, int64_t ld_to);

namespace {

// One vector of columns, four sums: a chain of additions would wait for its own latency.
template <class V>
void sums_of(const float* x, int64_t rows, int64_t ld, float* sums) {
  V s[4] = {};
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) s[i] += load<V>(x + (r + i) * ld);
  for (; r < rows; r++) s[0] += load<V>(x + r * ld);
  store(sums, load<V>(sums) + ((s[0] + s[1]) + (s[2] + s[3])));
}

// The larger (or smaller) of two; NaN wins. What is asked of b alone does not wait for a.
template <bool Smallest, class V>
inline V better(V a, V b) {
  const V best = (Smallest ? b < a : b > a) ? b : a;
  return b != b ? b : best;
}

template <bool Smallest, int L>
void extremes_of(const float* x, int64_t rows, int64_t ld, float* y) {
  using V = typename VectorOf<L>::Float;
  V best = load<V>(x);
  for (int64_t r = 1; r < rows; r++) best = better<Smallest>(best, load<V>(x + r * ld));
  store(y, best);
}

template <bool Smallest>
void column_extremes(const float* x, int64_t rows, int64_t columns, float* y) {
  for_each_vector(columns, [&]<int L>(int64_t c) { extremes_of<Smallest, L>(x + c, rows, columns, y + c); });
}

// Four vectors at a time; the last one may see values once more. Halves at the end.
template <bool Smallest>
float extreme(const float* x, int64_t n) {
  if (n < lanes) {
    float best = x[0];
    for (int64_t i = 1; i < n; i++) best = better<Smallest>(best, x[i]);
    return best;
  }
  Vec best[4] = {};
  for (Vec& b : best) b = load<Vec>(x + n - lanes);
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) best[k] = better<Smallest>(best[k], load<Vec>(x + i + k * lanes));
  for (; i + lanes <= n; i += lanes) best[0] = better<Smallest>(best[0], load<Vec>(x + i));
  const auto of_two = [](auto a, auto b) { return better<Smallest>(a, b); };
  return fold<lanes>(of_two(of_two(best[0], best[1]), of_two(best[2], best[3])), of_two);
}

// Lane i is lane i / P * 2 P + i % P + first of a and b side by side: the first or the second halves of all pieces of 2 P lanes.
template <int P, int First, class V, int... I>
inline V halves(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I / P * 2 * P + I % P + First)...);
}

// The first (First = 0) or second (lanes / 2) halves of a and b, their lanes in turn.
template <int First, int... I>
inline Vec in_turn(Vec a, Vec b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I % 2 * lanes + I / 2 + First)...);
}

constexpr auto every_lane = std::make_integer_sequence<int, lanes>{};

// Pairs to two rows and back, whole vectors; how many.
inline int64_t split_pairs(const float* from, int64_t pairs, float* to, int64_t ld_to) {
  int64_t r = 0;
  for (; r + lanes <= pairs; r += lanes) {
    const Vec a = load<Vec>(from + 2 * r), b = load<Vec>(from + 2 * r + lanes);
    store(to + r, halves<1, 0>(a, b, every_lane)), store(to + ld_to + r, halves<1, 1>(a, b, every_lane));
  }
  return r;
}
inline int64_t join_pairs(const float* from, int64_t ld_from, int64_t pairs, float* to) {
  int64_t r = 0;
  for (; r + lanes <= pairs; r += lanes) {
    const Vec a = load<Vec>(from + r), b = load<Vec>(from + ld_from + r);
    store(to + 2 * r, in_turn<0>(a, b, every_lane)), store(to + 2 * r + lanes, in_turn<lanes / 2>(a, b, every_lane));
  }
  return r;
}

using Four = VectorOf<4>::Float;

// Four rows of four values become four columns.
inline void transpose4(const float* from, int64_t ld_from, float* to, int64_t ld_to) {
  const Four a = load<Four>(from), b = load<Four>(from + ld_from), c = load<Four>(from + 2 * ld_from), d = load<Four>(from + 3 * ld_from);
  const Four ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(to, __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5));
  store(to + ld_to, __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7));
  store(to + 2 * ld_to, __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5));
  store(to + 3 * ld_to, __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7));
}

// Folds each of Rows vectors to lanes / Rows values, side by side: halves on halves, two vectors in one.
template <int Rows, class V, class F>
inline V fold_rows(const V* v, F f) {
  if constexpr (Rows == 1) return v[0];
  if constexpr (Rows > 1) {
    constexpr int P = lanes / Rows;
    const V a = fold_rows<Rows / 2>(v, f), b = fold_rows<Rows / 2>(v + Rows / 2, f);
    return f(halves<P, 0>(a, b, every_lane), halves<P, P>(a, b, every_lane));
  }
}

// The extreme of each lane of a row of n >= lanes values; the last vector may see values once more.
template <bool Smallest>
inline Vec folded(const float* x, int64_t n) {
  if (n == lanes) return load<Vec>(x);
  Vec a = load<Vec>(x + n - lanes), b = load<Vec>(x);
  int64_t i = lanes;
  for (; i + 2 * lanes < n; i += 2 * lanes) a = better<Smallest>(a, load<Vec>(x + i)), b = better<Smallest>(b, load<Vec>(x + i + lanes));
  if (i + lanes < n) a = better<Smallest>(a, load<Vec>(x + i));
  return better<Smallest>(b, a);
}

// Where v is `value`, or NaN: `here`, else `where`.
template <class V, class I>
inline I place(V v, V value, I here, I where) {
  return ((v == value) | (v != v)) ? here : where;
}

// Lane l: the first place in a row of n >= lanes values, of those of lane l, where it has its extreme.
inline IntVec places(const float* x, int64_t n, float value) {
  IntVec iota, where = 0x7fffffff - IntVec{};
  for (int l = 0; l < lanes; l++) iota[l] = l;
  const auto take = [&](int64_t i) {
    const IntVec at = place(load<Vec>(x + i), broadcast<Vec>(value), iota + static_cast<int32_t>(i), where);
    where = at < where ? at : where;
  };
  for (int64_t i = 0; i + lanes < n; i += lanes) take(i);
  take(n - lanes);
  return where;
}

// The extremes of `lanes` rows, one a lane; of `rows` of them where there are fewer. tile: rows shorter than a vector, transposed.
template <bool Smallest>
inline Vec extremes(const float* x, int64_t rows, int64_t n, float* tile) {
  float best[lanes];
  if (n < lanes) {
    transpose(x, n, rows, n, tile, lanes);
    extremes_of<Smallest, lanes>(tile, n, lanes, best);
    return load<Vec>(best);
  }
  Vec v[lanes];
  if (n == lanes && rows == lanes)
#pragma GCC unroll 16
    for (int r = 0; r < lanes; r++) v[r] = load_ahead<true, Vec>(x + r * lanes, 2048);  // more than the reorder buffer has in view
  else
    for (int r = 0; r < lanes; r++) v[r] = folded<Smallest>(x + smaller(r, rows - 1) * n, n);
  return fold_rows<lanes>(v, [](Vec a, Vec b) { return better<Smallest>(a, b); });
}

inline IntVec arguments(const float* x, int64_t rows, int64_t n, Vec best, const float* tile) {
  if (n < lanes) {
    IntVec where{};
    for (int64_t i = n - 1; i >= 0; i--) where = place(load<Vec>(tile + i * lanes), best, static_cast<int32_t>(i) - IntVec{}, where);
    return where;
  }
  IntVec v[lanes];
  if (n == lanes && rows == lanes)
#pragma GCC unroll 16
    for (int r = 0; r < lanes; r++) v[r] = places(x + r * lanes, lanes, best[r]);
  else
    for (int r = 0; r < lanes; r++) v[r] = r < rows ? places(x + r * n, n, best[r]) : IntVec{};
  return fold_rows<lanes>(v, [](IntVec a, IntVec b) { return a < b ? a : b; });
}

template <bool Smallest, bool Arguments, class T>
void row_extremes(const float* x, int64_t rows, int64_t n, T* y) {
  float tile[lanes * lanes] = {};
  for (int64_t r = 0; r < rows; r += lanes) {
    const int64_t height = smaller(lanes, rows - r);
    const Vec best = extremes<Smallest>(x + r * n, height, n, tile);
    T result[lanes];
    if constexpr (Arguments)
      store(result, arguments(x + r * n, height, n, best, tile));
    else
      store(result, best);
    if (height == lanes)
      __builtin_memcpy(y + r, result, sizeof result);
    else
      for (int64_t i = 0; i < height; i++) y[r + i] = result[i];
  }
}

}  // namespace

void row_extremes(const float* x, int64_t rows, int64_t n, bool smallest, float* y) {
  smallest ? row_extremes<true, false>(x, rows, n, y) : row_extremes<false, false>(x, rows, n, y);
}

void row_arguments(const float* x, int64_t rows, int64_t n, bool smallest, int32_t* y) {
  smallest ? row_extremes<true, true>(x, rows, n, y) : row_extremes<false, true>(x, rows, n, y);
}

void add_column_sums(const float* x, int64_t rows, int64_t columns, int64_t ld, float* sums) {
  for_each_vector(columns, [&]<int L>(int64_t c) { sums_of<typename VectorOf<L>::Float>(x + c, rows, ld, sums + c); });
}

float sum(const float* x, int64_t n) {
  double result = 0;  // of blocks of 64 vectors: the error of long sums in f32 grows with their length
  int64_t i = 0;
  while (i + 4 * lanes <= n) {
    Vec s[4] = {};
    for (const int64_t end = smaller(n, i + 64 * lanes); i + 4 * lanes <= end; i += 4 * lanes)
#pragma GCC unroll 4
      for (int k = 0; k < 4; k++) s[k] += load<Vec>(x + i + k * lanes);
    result += static_cast<double>(total<lanes>((s[0] + s[1]) + (s[2] + s[3])));
  }
  for (; i < n; i++) result += static_cast<double>(x[i]);
  return static_cast<float>(result);
}

void column_extremes(const float* x, int64_t rows, int64_t columns, bool smallest, float* y) {
  if (smallest)
    column_extremes<true>(x, rows, columns, y);
  else
    column_extremes<false>(x, rows, columns, y);
}

float extreme(const float* x, int64_t n, bool smallest) { return smallest ? extreme<true>(x, n) : extreme<false>(x, n); }

void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to, int64_t ld_to) {
  if (rows == 2 && ld_to == 2) {
    for (int64_t c = join_pairs(from, ld_from, columns, to); c < columns; c++) to[2 * c] = from[c], to[2 * c + 1] = from[ld_from + c];
    return;
  }
  int64_t r = columns == 2 && ld_from == 2 ? split_pairs(from, rows, to, ld_to) : 0;
  for (; r + 4 <= rows; r += 4) {
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) transpose4(from + r * ld_from + c, ld_from, to + c * ld_to + r, ld_to);
    for (; c < columns; c++)
      for (int64_t i = r; i < r + 4; i++) to[c * ld_to + i] = from[i * ld_from + c];
  }
  for (; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) to[c * ld_to + r] = from[r * ld_from + c];
}

}  // namespace sono::cpu::SONO_ISA
