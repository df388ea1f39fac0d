// Sums and extremes of rows and columns, and the transposition; bound by reading once.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
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

// The larger (or smaller) of two; NaN wins.
template <bool Smallest, class V>
inline V better(V a, V b) {
  if constexpr (Smallest)
    return ((b < a) | (b != b)) ? b : a;
  else
    return ((b > a) | (b != b)) ? b : a;
}

template <bool Smallest>
inline float better(float a, float b) {
  if (a != a) return a;
  return b != b || (Smallest ? b < a : b > a) ? b : a;
}

template <bool Smallest, int L>
void extremes_of(const float* x, int64_t rows, int64_t ld, float* y) {
  using V = typename VectorOf<L>::Float;
  V best = load<V>(x);
  for (int64_t r = 1; r < rows; r++) {
    const V value = load<V>(x + r * ld);
    best = best != best ? best : better<Smallest>(best, value);
  }
  store(y, best);
}

template <bool Smallest>
void column_extremes(const float* x, int64_t rows, int64_t columns, float* y) {
  for_each_vector(columns, [&]<int L>(int64_t c) { extremes_of<Smallest, L>(x + c, rows, columns, y + c); });
}

// Two vectors at a time; the last one may see values once more. Halves at the end.
template <bool Smallest>
float extreme(const float* x, int64_t n) {
  if (n < lanes) {
    float best = x[0];
    for (int64_t i = 1; i < n; i++) best = better<Smallest>(best, x[i]);
    return best;
  }
  const auto take = [](Vec& best, Vec value) { best = best != best ? best : better<Smallest>(best, value); };
  Vec a = load<Vec>(x + n - lanes), b = a;
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) take(a, load<Vec>(x + i)), take(b, load<Vec>(x + i + lanes));
  if (i + lanes <= n) take(a, load<Vec>(x + i));
  take(a, b);
  return fold<lanes>(a, [](auto low, auto high) { return low != low ? low : better<Smallest>(low, high); });
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

}  // namespace

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
  int64_t r = 0;
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
