// Sums over rows, bound by reading them once.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// B vectors of columns, four sums each: a chain of additions would wait for its own latency.
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

}  // namespace

void add_column_sums(const float* x, int64_t rows, int64_t columns, int64_t ld, float* sums) {
  int64_t o = 0;
  for (; o + lanes <= columns; o += lanes) sums_of<Vec>(x + o, rows, ld, sums + o);
  if (lanes > 4)
    for (; o + 4 <= columns; o += 4) sums_of<VectorOf<4>::Float>(x + o, rows, ld, sums + o);
  for (; o < columns; o++) {
    float s = 0;
    for (int64_t r = 0; r < rows; r++) s += x[r * ld + o];
    sums[o] += s;
  }
}

}  // namespace sono::cpu::SONO_ISA
