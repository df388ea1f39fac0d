#pragma once
// Kernel support vector machines (LIBSVM). One machine per pair of categories, probabilities by calibration on held-out patients and
// pairwise coupling. Settings: kernel rbf (gamma "scale" or a number), linear, intersection (of histograms) or precomputed; C; balanced.
// precomputed: x is the kernel itself, (N, N) among the training cases for fit, (M, N) of new ones against those for probabilities.
//
//   auto head = make_head("svm");
//   head->settings().set("gamma", "0.01");
#include "zoo/heads/head.h"

namespace sono::zoo {

class SvmHead : public Head {
 public:
  using Head::Head;
  // Scores (M, pairs) before calibration, f64; pairs (0, 1), (0, 2) … (1, 2) …; positive speaks for the first.
  virtual Tensor decisions(const Tensor& x) const = 0;
};
std::unique_ptr<Head> make_svm();

}  // namespace sono::zoo
