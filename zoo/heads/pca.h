#pragma once
// Principal components [Pearson 1901] and whitening. With x - m = U S V' (rows are cases):
//   components  z = (x - m) V_k                                   variances S^2 / (N - 1), largest first
//   PCA white   z = (x - m) V_k / sqrt(S^2 / (N - 1) + e)                e = epsilon + ridge * mean variance
//   ZCA white   z = (x - m) V_k diag(1 / sqrt(S^2 / (N - 1) + e)) V_k'   [Bell and Sejnowski 1997]: white and as near to x as can be
// Signs: the largest entry of each component, by magnitude, is positive.
//
//   Pca pca = Pca::fit(x, {.components = 50});   Tensor z = pca(x);   // (N, 50)
//   Pca zca = Pca::fit(x, {.whitening = "zca", .epsilon = 1e-3});
#include <string>
#include <vector>

#include "tensor/files.h"

namespace sono::zoo {

struct PcaOptions {
  int64_t components = 0;          // 0: all, min(N - 1, F) of them
  std::string whitening = "none";  // none, pca, zca
  double epsilon = 1e-8;           // added to each variance before the root
  double ridge = 0;                // so is this part of the features' mean variance
};

class Pca {
 public:
  static Pca fit(
      const Tensor& x,
      const PcaOptions& options = {});       // x (N, F) f32, two rows or more; NumericError: zero variance, or a value that is not finite
  Tensor operator()(const Tensor& x) const;  // (N, components), or (N, F) for zca
  Tensor restore(const Tensor& z) const;     // back to (N, F), without what the components leave out

  const std::vector<double>& variance() const { return variance_; }  // of each component kept
  double explained() const { return explained_; }                    // their share of the whole variance
  Tensor components() const { return components_; }                  // (components, F) f64

  NamedTensors tensors() const;  // for a system's model.safetensors
  static Pca from(const NamedTensors& tensors);

 private:
  Tensor mean_, components_;  // (F), (K, F) f64
  Tensor forward_, back_;     // (F, K or F), its inverse (K or F, F) f64
  std::vector<double> variance_;
  double explained_ = 1;
};

}  // namespace sono::zoo
