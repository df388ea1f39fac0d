#pragma once
// The inner loops of the elementwise maps, one table per instruction set (tensor/cpu/simd/maps.cpp).
#include <cstdint>

namespace sono::cpu {

// out[r, i] = f(in_k[r * row_stride[k] + i * stride[k]] …) for r < rows, i < n; out is contiguous.
using MapInner = void (*)(const void* op, const void* const* in, const int64_t* stride, const int64_t* row_stride, void* out, int64_t rows,
                          int64_t n);

struct MapInnerTable {  // [0] f32, [1] f64
  MapInner unary[2][64], unary_vjp[2][64], binary[2][32], binary_left[2][32], binary_right[2][32], compare[2][8], select[2];
};

}  // namespace sono::cpu
