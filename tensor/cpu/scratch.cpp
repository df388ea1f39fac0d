#include "tensor/cpu/scratch.h"

#include <algorithm>

#include "tensor/tensor.h"

namespace sono::cpu {

float* scratch(int slot, int64_t floats) {
  thread_local Tensor slots[scratch_slots];
  Tensor& t = slots[slot];
  if (t.size() < floats) {
    const int64_t size = std::max<int64_t>(4096, std::max(floats, t.size() * 3 / 2));
    t = Tensor();  // first give back, then ask
    t = Tensor({size});
  }
  return t.data<float>();
}

}  // namespace sono::cpu
