#pragma once
// Convolutions and matrix products of bf16 with sums in f32: the first entries of their lists, which fit where precision() is bf16.
//
// Both operands are rounded once into memory of half their size. The left one stays rows, values along k side by side; the right one
// becomes panels of two vectors of columns that hold pairs along k, [ceil(depth / 2)][width][2], which the register tiles read from front
// to back (tensor/cpu/simd/bf16.cpp). Jobs and chunks depend on the sizes alone: the same bits with any number of threads.
#include <functional>

#include "tensor/cpu/bf16_table.h"
#include "tensor/kernels.h"

namespace sono::cpu {

const Bf16& bf16();           // of isa(): with the dot product where the processor has it
const Bf16& bf16_emulated();  // of isa()

// Right operands as the tiles read them.
struct Bf16Panels {
  int64_t depth, columns, width;
  Tensor memory;  // pairs, one in the space of an f32
  int64_t panels() const { return (columns + width - 1) / width; }
  const uint16_t* at(int64_t matrix, int64_t panel) const {
    return static_cast<const uint16_t*>(memory.raw()) + (matrix * panels() + panel) * ((depth + 1) / 2) * 2 * width;
  }

  int64_t words() const { return panels() * ((depth + 1) / 2) * width; }  // of a matrix

  Bf16Panels(int64_t depth, int64_t columns, Tensor packed = {});

  // Matrix i (depth, columns) starts at from(i), its rows `ld` apart; transposed: it is stored as (columns, depth).
  void pack(int64_t matrices, int64_t ld, bool transposed, const std::function<const float*(int64_t)>& from);
};

Tensor bf16_memory(int64_t values);                                              // for that many bf16, not initialised
Tensor bf16_bias(const Tensor& bias, int64_t groups, const Bf16Panels& panels);  // each group's padded to whole panels; empty if it is

}  // namespace sono::cpu

namespace sono::kernels::bf16 {

bool fits(const MatmulArgs& a);
void matmul(const MatmulArgs& a);
Tensor pack(const MatmulArgs& a);

bool fits(const ConvArgs& a);  // any geometry
void forward(const ConvArgs& a);
void input(const ConvArgs& a);
void weight(const ConvArgs& a);
Tensor pack_forward(const ConvArgs& a);
Tensor pack_input(const ConvArgs& a);

}  // namespace sono::kernels::bf16
