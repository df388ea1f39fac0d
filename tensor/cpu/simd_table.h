#pragma once
// What one instruction set brings: plain functions on raw pointers, each a chunk of work for one thread (tensor/cpu/simd/*.cpp).
#include <cstdint>

namespace sono::cpu {

// Rows of a matrix product whose left operand is gathered from several places: convolutions and matrix products alike.
//   y[r * ldy + o] = start + sum over t < taps, k < depth of  x[t][r * row + k * step] * w[t][k * ldw + o],   r < rows, o < columns
// start is bias[o], or 0 without bias, or y itself where accumulate is set. Either row or step is 1.
// Rows of w and bias are readable up to padded_columns(columns) (tensor/cpu/simd.h).
struct Product {
  const float* const* x;
  const float* const* w;
  int64_t taps, depth, rows, columns, row, step, ldw;
  float* y;
  int64_t ldy;
  const float* bias = nullptr;
  bool accumulate = false;
};

struct Simd {
  const char* name;
  int lanes;  // floats of the widest vector
  float (*multiply_adds)(int64_t steps);  // steps * 12 (of 16 lanes: 16) * lanes multiply-adds on registers: the peak, for benchmarks
  void (*product)(const Product&);
  // sums[o] += the sum of x[r * ld + o] over r < rows, for o < columns.
  void (*add_column_sums)(const float* x, int64_t rows, int64_t columns, int64_t ld, float* sums);
};

namespace baseline {
extern const Simd table;
}
namespace v3 {
extern const Simd table;
}
namespace v4 {
extern const Simd table;
}

}  // namespace sono::cpu
