#pragma once
// What the entries of the matrix product share.
#include "tensor/kernels.h"

namespace sono::kernels {

struct MatmulSizes {
  int64_t M, N, K, batch, step_a, step_b;  // steps from one matrix of a batch to the next; 0: one for all
  explicit MatmulSizes(const MatmulArgs& a) {
    M = a.y.dim(-2), N = a.y.dim(-1), K = a.a.dim(a.transpose_a ? -2 : -1), batch = a.y.size() > 0 ? a.y.size() / (M * N) : 0;
    step_a = a.a.size() == M * K ? 0 : M * K, step_b = a.b.size() == K * N ? 0 : K * N;
  }
};

namespace eigen {
bool fits(const MatmulArgs& a);
void run(const MatmulArgs& a);
}  // namespace eigen

}  // namespace sono::kernels
