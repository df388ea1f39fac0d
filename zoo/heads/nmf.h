#pragma once
// Non-negative matrix factorisation x ~ w h by multiplicative updates [Lee and Seung, NIPS 2000]: the squared error never rises.
//   h <- h (w'x) / (w'w h),   w <- w (x h') / (w h h')
// sparsity l > 0: an L1 price l |h|_1 with columns of w of unit length, by the updates of Eggert and Koerner [IJCNN 2004].
// It takes a contrast video (frames as rows) apart into curves w and the regions h that follow them.
//
//   Nmf f = nmf(x, {.parts = 3, .seed = 1});   // x (N, F) >= 0;  f.w (N, 3), f.h (3, F)
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct NmfOptions {
  int64_t parts = 2;
  int64_t iterations = 500;   // at most
  double tolerance = 1e-6;    // ends when the error falls by a smaller share in ten iterations
  double sparsity = 0;        // l
  uint64_t seed = 0;          // of the start: uniform random numbers
};
struct Nmf {
  Tensor w, h;                // (N, parts), (parts, F), in x's dtype
  std::vector<double> error;  // |x - w h|^2 / 2 + l |h|_1 before the first update and after each
};
Nmf nmf(const Tensor& x, const NmfOptions& options = {});  // NumericError: a negative value

}  // namespace sono::zoo
