#pragma once
// Multiple-kernel learning by SimpleMKL [Rakotomamonjy, Bach, Canu and Grandvalet, JMLR 9, 2008]: K = sum_m d_m K_m, d_m >= 0,
// sum d_m = 1. J(d), the optimum of an SVM with kernel K, is convex in d; dJ/dd_m = -1/2 sum_ij a_i a_j s_i s_j K_m,ij. Steps along the
// reduced gradient, weights that reach 0 leave the direction, golden-section search; until the duality gap is below `gap` of J.
// More than two categories: J is the sum over their pairs, d is shared.
//
//   auto head = make_head("mkl");
//   head->settings().set("views", "14,26");   // columns 0 … 13 are one view, 14 … 39 another; each has a kernel of its own
#include "zoo/heads/head.h"

namespace sono::zoo {

struct MklOptions {
  double C = 1;
  double gap = 1e-3;            // relative duality gap at the end
  int64_t iterations = 200;
  double tolerance = 1e-5;      // of the inner SVM
};
struct MklWeights {
  std::vector<double> d;        // one per kernel, they add up to 1
  double objective = 0;         // J(d)
  double gap = 0;               // what the duality gap was at last, as a share of J
  int64_t iterations = 0;
};
// kernels: (N, N) f64 each.
MklWeights simple_mkl(const std::vector<Tensor>& kernels, const std::vector<int>& y, int classes, const MklOptions& options = {});
double mkl_objective(const std::vector<Tensor>& kernels, const std::vector<double>& d, const std::vector<int>& y, int classes, const MklOptions& options = {});  // J(d)

class MklHead : public Head {
 public:
  using Head::Head;
  virtual std::vector<double> weights() const = 0;  // d: views, and for kernels=both their RBF, then their linear kernels
};
std::unique_ptr<Head> make_mkl();

}  // namespace sono::zoo
