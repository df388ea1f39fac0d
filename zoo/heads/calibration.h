#pragma once
// From scores of any scale to probabilities, learnt on cases that the scorer was not trained on.
//   platt     p = 1 / (1 + exp(a s + b)) [Platt 1999], by Newton's method with the targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2)
//             [Lin, Lin and Weng, Machine Learning 68, 2007]
//   isotonic  the non-decreasing step fit of least squares (pool adjacent violators), linear between its knots, constant beyond them
//   none      p = 1 / (1 + exp(-s)): keeps the order and needs no held-out cases
//
//   Calibration c = Calibration::fit("platt", {-1.2, 0.3, 2.0, -0.1}, {0, 1, 1, 0});   c(0.5);
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

class Calibration {
 public:
  static Calibration fit(const std::string& method, const std::vector<double>& scores, const std::vector<int>& truth);  // truth 0 or 1
  double operator()(double score) const;

  Tensor tensor() const;  // f64: (1, 2) a and b, or (knots, 2) score and probability
  static Calibration from(const std::string& method, const Tensor& tensor);

 private:
  bool isotonic_ = false;
  std::vector<double> first_, second_;  // a, b; or the knots
};

// Scores of every case by a scorer that did not see its patient: score(train, held_out) gives those of held_out, for each of up to five
// grouped folds. With fewer than two patients of a category nothing can be held out: the scores are those of the training cases.
using Scorer = std::function<std::vector<double>(const std::vector<int64_t>& train, const std::vector<int64_t>& held_out)>;
std::vector<double> held_out_scores(const std::vector<int>& truth, const std::vector<int64_t>& groups, const Scorer& score);

// Probabilities of n categories from r[i][j] = P(i | i or j): those that minimise sum_(i, j != i) (r_ji p_i - r_ij p_j)^2
// [Wu, Lin and Weng, JMLR 5, 2004, their second approach].
std::vector<double> couple(const std::vector<std::vector<double>>& r);

}  // namespace sono::zoo
