#pragma once
// z = (x - mean) / deviation, column by column; the deviation is that of the cases given (divided by N, as scikit-learn's StandardScaler).
// A column that does not vary says nothing of the category and cannot be divided: it becomes 0, and message() counts such columns.
//
//   Standardizer s = Standardizer::fit(x);   // x (N, F) f32; NumericError: every column is constant, or a value is not finite
//   Tensor z = s(x);                         // (N, F) f32
#include <string>
#include <vector>

#include "tensor/files.h"

namespace sono::zoo {

class Standardizer {
 public:
  static Standardizer fit(const Tensor& x);
  Tensor operator()(const Tensor& x) const;
  std::vector<int64_t> constant() const;  // columns that did not vary
  std::string message() const;            // "3 of 40 features do not vary and are left out: 1, 5, 7"; empty: all vary

  NamedTensors tensors() const;  // "mean" and "deviation", (F) f64; a deviation of 0 marks a constant column
  static Standardizer from(const NamedTensors& tensors);

 private:
  std::vector<double> mean_, deviation_;
};

}  // namespace sono::zoo
