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
  int64_t c = 0;
  for (; c + lanes <= columns; c += lanes) extremes_of<Smallest, lanes>(x + c, rows, columns, y + c);
  if constexpr (lanes > 4)
    for (; c + 4 <= columns; c += 4) extremes_of<Smallest, 4>(x + c, rows, columns, y + c);
  for (; c < columns; c++) extremes_of<Smallest, 1>(x + c, rows, columns, y + c);
}

template <bool Smallest>
float extreme(const float* x, int64_t n) {
  int64_t i = 0;
  float best = x[0];
  if (n >= 2 * lanes) {
    Vec b[2] = {load<Vec>(x), load<Vec>(x + lanes)};
    for (i = 2 * lanes; i + 2 * lanes <= n; i += 2 * lanes)
#pragma GCC unroll 2
      for (int k = 0; k < 2; k++) {
        const Vec value = load<Vec>(x + i + k * lanes);
        b[k] = b[k] != b[k] ? b[k] : better<Smallest>(b[k], value);
      }
    for (int k = 0; k < 2; k++)
      for (int l = 0; l < lanes; l++) best = better<Smallest>(best, b[k][l]);
  }
  for (; i < n; i++) best = better<Smallest>(best, x[i]);
  return best;
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
  int64_t o = 0;
  for (; o + lanes <= columns; o += lanes) sums_of<Vec>(x + o, rows, ld, sums + o);
  if (lanes > 4)
    for (; o + 4 <= columns; o += 4) sums_of<Four>(x + o, rows, ld, sums + o);
  for (; o < columns; o++) sums_of<VectorOf<1>::Float>(x + o, rows, ld, sums + o);
}

float sum(const float* x, int64_t n) {
  float total = 0;
  int64_t i = 0;
  if (n >= lanes) {
    Vec all{};
    for (; i + 4 * lanes <= n;) {  // blocks of 64 vectors: the error of long sums grows with their length
      Vec s[4] = {};
      for (const int64_t end = smaller(n, i + 64 * lanes); i + 4 * lanes <= end; i += 4 * lanes)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) s[k] += load<Vec>(x + i + k * lanes);
      all += (s[0] + s[1]) + (s[2] + s[3]);
    }
    for (; i + lanes <= n; i += lanes) all += load<Vec>(x + i);
    for (int step = lanes / 2; step > 0; step /= 2)
      for (int l = 0; l < step; l++) all[l] += all[l + step];
    total = all[0];
  }
  for (; i < n; i++) total += x[i];
  return total;
}

void column_extremes(const float* x, int64_t rows, int64_t columns, bool smallest, float* y) {
  if (smallest)
    column_extremes<true>(x, rows, columns, y);
  else
    column_extremes<false>(x, rows, columns, y);
}

float extreme(const float* x, int64_t n, bool smallest) { return smallest ? extreme<true>(x, n) : extreme<false>(x, n); }

void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to, int64_t ld_to) {
  int64_t c = 0;
  for (; c + 4 <= columns; c += 4) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) transpose4(from + r * ld_from + c, ld_from, to + c * ld_to + r, ld_to);
    for (; r < rows; r++)
      for (int64_t i = c; i < c + 4; i++) to[i * ld_to + r] = from[r * ld_from + i];
  }
  for (; c < columns; c++)
    for (int64_t r = 0; r < rows; r++) to[c * ld_to + r] = from[r * ld_from + c];
}

}  // namespace sono::cpu::SONO_ISA
