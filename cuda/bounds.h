#pragma once
// Indices that a kernel finds out of bounds. The kernel notes the first place; the host asks afterwards, which waits for the kernel.
#include "cuda/gpu.h"
#include "tensor/tensor.h"

namespace sono::cuda {

class BoundsCheck {
 public:
  int32_t* flag() const { return first_.data<int32_t>(); }

  // ShapeError that names the operation, the index and its bounds.
  void raise(const char* name, const char* what, const Tensor& index, int64_t bound) const {
    const int64_t at = static_cast<int64_t>(first_.item());
    if (at == none) return;
    const auto value = static_cast<int64_t>(index.view({-1}).rows(at, at + 1).item());
    throw ShapeError("[" + std::string(name) + "] " + what + " " + std::to_string(value) + " at position " + std::to_string(at) +
                     " is outside of 0 … " + std::to_string(bound - 1));
  }

 private:
  static constexpr int64_t none = INT32_MAX;
  Tensor first_ = Tensor::scalar(none, Dtype::i32, Device::cuda);
};

__device__ inline bool in_bounds(int64_t index, int64_t bound, int64_t place, int32_t* flag) {
  if (index >= 0 && index < bound) return true;
  atomicMin(flag, static_cast<int32_t>(place));
  return false;
}

}  // namespace sono::cuda
