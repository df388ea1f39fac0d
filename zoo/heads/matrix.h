#pragma once
// Tensors as Eigen matrices of f64, for the sources of this folder; not for public headers.
#include <Eigen/Dense>

#include "tensor/tensor.h"

namespace sono::zoo {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;
using RowVector = Eigen::RowVectorXd;

inline Matrix to_matrix(const Tensor& t) {  // (N, F), or (F) as one row
  const Tensor f64 = t.to(Dtype::f64);
  const Eigen::Index rows = t.rank() == 2 ? t.dim(0) : 1;
  return Eigen::Map<const Matrix>(f64.data<double>(), rows, rows ? t.size() / rows : 0);
}

inline RowVector to_row(const Tensor& t) {
  const Tensor f64 = t.to(Dtype::f64);
  return Eigen::Map<const RowVector>(f64.data<double>(), t.size());
}

inline Tensor to_tensor(const Matrix& m, Dtype dtype = Dtype::f32) {
  Tensor t({m.rows(), m.cols()}, Dtype::f64);
  Eigen::Map<Matrix>(t.data<double>(), m.rows(), m.cols()) = m;
  return t.to(dtype);
}

// Rows of scores into rows of probabilities, in place.
inline void softmax_rows(Matrix& scores) {
  for (Eigen::Index i = 0; i < scores.rows(); i++) {
    const double largest = scores.row(i).maxCoeff();
    scores.row(i) = (scores.row(i).array() - largest).exp();
    scores.row(i) /= scores.row(i).sum();
  }
}

}  // namespace sono::zoo
