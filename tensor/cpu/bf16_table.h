#pragma once
// What an instruction set brings to products of bf16 (tensor/cpu/simd/bf16.cpp). A bf16 is the upper half of an f32's bits.
#include <cstdint>

namespace sono::cpu {

// Rows of a matrix product whose left operand is gathered from several places, as cpu::Product, of one panel of columns:
//   y[r * ldy + o] = start + sum over t < taps, k < depth of  x[t][r * row + k] * w[t][k, o],   r < rows, o < columns <= 2 * lanes
// start is bias[o], or 0 without bias, or y itself where accumulate is set. w[t] holds pairs along k: [ceil(depth / 2)][ldw][2], where the
// second of the last pair is 0 if depth is odd; x[t] is not read beyond depth. w and bias are readable up to padded_columns(columns).
struct Bf16Product {
  const uint16_t* const* x;
  const uint16_t* const* w;
  int64_t taps, depth, rows, columns, row, ldw;
  float* y;
  int64_t ldy;
  const float* bias = nullptr;
  bool accumulate = false;
};

struct Bf16 {
  const char* name;
  bool native;  // by AVX512-BF16's dot product, not emulated
  void (*product)(const Bf16Product&);
  void (*round)(const float* x, int64_t n, uint16_t* to);  // to[i] = bf16(x[i])
  void (*pairs)(const float* even, const float* odd, int64_t n,
                uint16_t* to);  // to[2 i] = bf16(even[i]), to[2 i + 1] = bf16(odd[i]); odd null: 0
};

namespace baseline {
extern const Bf16 bf16;
}
namespace v3 {
extern const Bf16 bf16;
}
namespace v4 {
extern const Bf16 bf16;
}
namespace v4_bf16 {
extern const Bf16 bf16;
}

}  // namespace sono::cpu
