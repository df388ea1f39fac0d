#include "zoo/heads/pca.h"

#include <algorithm>
#include <cmath>

#include "zoo/heads/head.h"
#include "zoo/heads/matrix.h"

namespace sono::zoo {
namespace {

// Eigenvectors of x'x as columns, with their values, largest first; through x x' where that is smaller.
std::pair<Matrix, Vector> principal(const Matrix& x) {
  const bool few_cases = x.rows() < x.cols();
  const Matrix gram = few_cases ? Matrix(x * x.transpose()) : Matrix(x.transpose() * x);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(gram);
  const Vector values = solver.eigenvalues().reverse().cwiseMax(0.0);
  Matrix vectors = solver.eigenvectors().rowwise().reverse();
  if (!few_cases) return {vectors, values};
  Matrix v = x.transpose() * vectors;
  for (Eigen::Index k = 0; k < v.cols(); k++) {
    const double norm = v.col(k).norm();
    if (norm > 0) v.col(k) /= norm;
  }
  return {v, values};
}

Tensor vector_tensor(const Vector& v) { return Tensor::from<double>({v.size()}, {v.data(), v.data() + v.size()}); }

}  // namespace

Pca Pca::fit(const Tensor& x, const PcaOptions& options) {
  if (x.rank() != 2 || x.dim(0) < 2 || x.dim(1) < 1)
    throw ShapeError("[pca] wants (cases, features) with two cases or more, got " + to_string(x.shape()));
  if (options.whitening != "none" && options.whitening != "pca" && options.whitening != "zca")
    throw Error("[pca] knows the whitening none, pca and zca, not '" + options.whitening + "'");
  const int64_t most = std::min(x.dim(0) - 1, x.dim(1));
  if (options.components < 0 || options.components > most)
    throw NumericError("[pca] " + std::to_string(options.components) + " components of " + to_string(x.shape()) + ": there are " +
                       std::to_string(most));
  const Eigen::Index k = options.components > 0 ? options.components : most;
  Matrix values = to_matrix(x);
  if (!values.allFinite()) throw NumericError("[pca] the cases have values that are not finite");
  const RowVector mean = values.colwise().mean();
  values.rowwise() -= mean;
  auto [vectors, squares] = principal(values);
  squares /= static_cast<double>(x.dim(0) - 1);
  if (!(squares.sum() > 0))
    throw NumericError("[pca] the features have zero variance over the " + std::to_string(x.dim(0)) +
                       " cases: there is nothing to learn from");
  Matrix v = vectors.leftCols(k);
  for (Eigen::Index j = 0; j < k; j++) {
    Eigen::Index largest = 0;
    v.col(j).cwiseAbs().maxCoeff(&largest);
    if (v(largest, j) < 0) v.col(j) *= -1;
  }
  Pca pca;
  pca.mean_ = vector_tensor(mean.transpose());
  pca.components_ = to_tensor(v.transpose(), Dtype::f64);
  pca.variance_.assign(squares.data(), squares.data() + k);
  pca.explained_ = squares.head(k).sum() / squares.sum();
  const double epsilon = options.epsilon + options.ridge * squares.sum() / static_cast<double>(x.dim(1));
  const Vector scale = options.whitening == "none" ? Vector(Vector::Ones(k)) : Vector((squares.head(k).array() + epsilon).sqrt());
  Matrix forward = v * scale.cwiseInverse().asDiagonal(), back = scale.asDiagonal() * v.transpose();
  if (options.whitening == "zca") forward = forward * v.transpose(), back = v * back;
  pca.forward_ = to_tensor(forward, Dtype::f64), pca.back_ = to_tensor(back, Dtype::f64);
  return pca;
}

Tensor Pca::operator()(const Tensor& x) const {
  if (x.rank() != 2 || x.dim(1) != mean_.size())
    throw ShapeError("[pca] learnt " + std::to_string(mean_.size()) + " features, got " + to_string(x.shape()));
  Matrix values = to_matrix(x);
  values.rowwise() -= to_row(mean_);
  return to_tensor(values * to_matrix(forward_), x.dtype());
}

Tensor Pca::restore(const Tensor& z) const {
  if (z.rank() != 2 || z.dim(1) != back_.dim(0))
    throw ShapeError("[pca] gives " + std::to_string(back_.dim(0)) + " values, got " + to_string(z.shape()));
  Matrix values = to_matrix(z) * to_matrix(back_);
  values.rowwise() += to_row(mean_);
  return to_tensor(values, z.dtype());
}

NamedTensors Pca::tensors() const {
  return {{"mean", mean_},
          {"components", components_},
          {"forward", forward_},
          {"back", back_},
          {"variance", Tensor::from<double>({static_cast<int64_t>(variance_.size())}, variance_)},
          {"explained", Tensor::full({1}, explained_, Dtype::f64)}};
}

Pca Pca::from(const NamedTensors& tensors) {
  Pca pca;
  pca.mean_ = named_tensor(tensors, "mean"), pca.components_ = named_tensor(tensors, "components");
  pca.forward_ = named_tensor(tensors, "forward"), pca.back_ = named_tensor(tensors, "back");
  pca.variance_ = named_tensor(tensors, "variance").to_vector<double>();
  pca.explained_ = named_tensor(tensors, "explained").to_vector<double>().at(0);
  const int64_t f = pca.mean_.size();
  if (pca.forward_.rank() != 2 || pca.forward_.dim(0) != f || pca.back_.shape() != Shape{pca.forward_.dim(1), f})
    throw FileError("[pca] the matrices do not fit " + std::to_string(f) + " features; the file is damaged");
  return pca;
}

}  // namespace sono::zoo
