#pragma once
// The matrix product whose left operand holds nothing but 0 and 1, such as units drawn by a Boltzmann machine: rows of B are added, not
// multiplied. Sixteen sums of each four rows of B serve all rows of A, a quarter of the additions that a product would take.
#include "tensor/kernels.h"

namespace sono::kernels {

// y = activation(A B + bias) as MatmulArgs says, one matrix each; A of 0 and 1 (anything but 0 counts as 1). accumulate: y += A B, with no
// bias and no activation. sample: as in MatmulArgs.
struct BinaryMatmulArgs {
  Tensor a, b, y;
  bool transpose_a = false, transpose_b = false;
  Tensor bias = {};
  Activation activation = Activation::none;
  bool accumulate = false;
  Tensor sample = {};
  uint64_t seed = 0, stream = 0;
};
template <>
inline Device device_of(const BinaryMatmulArgs& a) {
  return a.y.device();
}
extern Kernel<BinaryMatmulArgs> binary_matmul;

}  // namespace sono::kernels
