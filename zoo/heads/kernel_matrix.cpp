#include "zoo/heads/kernel_matrix.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "tensor/parallel.h"
#include "zoo/heads/matrix.h"

namespace sono::zoo {
namespace {

constexpr int64_t block = 64;  // rows per job

// f(rows of the result, first row of them), with both sides as f64 matrices, on several threads.
template <class F>
Tensor by_rows(const char* name, const Tensor& a, const Tensor& b, F&& f) {
  if (a.rank() != 2 || b.rank() != 2 || a.dim(1) != b.dim(1))
    throw ShapeError("[" + std::string(name) + "] wants (M, F) and (N, F), got " + to_string(a.shape()) + " and " + to_string(b.shape()));
  const Matrix x = to_matrix(a), y = to_matrix(b);
  Tensor k({a.dim(0), b.dim(0)}, Dtype::f64);
  Eigen::Map<Matrix> all(k.data<double>(), a.dim(0), b.dim(0));
  parallel_for(a.dim(0), block, [&](int64_t first, int64_t last) {
    auto rows = all.middleRows(first, last - first);
    f(rows, x.middleRows(first, last - first), y);
  });
  return k;
}

}  // namespace

Tensor linear_kernel(const Tensor& a, const Tensor& b) {
  return by_rows("linear_kernel", a, b, [](auto& k, const auto& x, const Matrix& y) { k.noalias() = x * y.transpose(); });
}

Tensor rbf_kernel(const Tensor& a, const Tensor& b, double gamma) {
  if (!(gamma > 0)) throw NumericError("[rbf_kernel] gamma must be positive, got " + std::to_string(gamma));
  return by_rows("rbf_kernel", a, b, [gamma](auto& k, const auto& x, const Matrix& y) {
    k.noalias() = -2 * (x * y.transpose());
    k.colwise() += x.rowwise().squaredNorm();
    k.rowwise() += y.rowwise().squaredNorm().transpose();
    k = (-gamma * k.array().max(0.0)).exp();
  });
}

Tensor histogram_intersection(const Tensor& a, const Tensor& b) {
  return by_rows("histogram_intersection", a, b, [](auto& k, const auto& x, const Matrix& y) {
    for (Eigen::Index i = 0; i < x.rows(); i++)
      for (Eigen::Index j = 0; j < y.rows(); j++) k(i, j) = x.row(i).cwiseMin(y.row(j)).sum();
  });
}

double scale_gamma(const Tensor& x) {
  if (x.rank() != 2 || x.size() == 0) throw ShapeError("[scale_gamma] wants (cases, features), got " + to_string(x.shape()));
  const Matrix values = to_matrix(x);
  const double variance = (values.array() - values.mean()).square().mean(), f = static_cast<double>(x.dim(1));
  return variance > 0 ? 1 / (f * variance) : 1 / f;
}

}  // namespace sono::zoo
