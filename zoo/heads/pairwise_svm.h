#pragma once
// Support vector machines for any number of categories on a kernel matrix: one machine per pair of them, its scores calibrated on cases
// that were held out, the pairs' probabilities coupled (calibration.h). For the sources of this folder.
#include <vector>

#include "zoo/heads/calibration.h"
#include "zoo/heads/head.h"
#include "zoo/heads/svm_solver.h"

namespace sono::zoo {

class PairwiseSvm {
 public:
  // kernel (N, N) of the cases, in their order.
  void fit(const Matrix& kernel, const Cases& cases, const SvmOptions& options, const std::string& calibration);
  Matrix decisions(const Matrix& kernel) const;      // kernel (M, N) to the training cases -> (M, pairs): positive speaks for the first of a pair
  Matrix probabilities(const Matrix& kernel) const;  // (M, classes)

  std::vector<int64_t> support() const;             // training cases with a coefficient that is not 0
  void keep(const std::vector<int64_t>& cases);     // forget the others: kernels then have a column per kept case

  NamedTensors state() const;
  void take(const NamedTensors& state, int classes, const std::string& calibration);

 private:
  int classes_ = 0;
  Matrix coefficient_;  // (N, pairs); pairs (0, 1), (0, 2) … (1, 2) …
  RowVector bias_;      // (pairs)
  std::vector<Calibration> calibration_;
};

// What every SVM head lists: C, balanced, calibration, tolerance.
struct SvmSettings {
  SvmOptions solver;
  std::string calibration = "platt";
  void list(Settings& settings);
};

}  // namespace sono::zoo
