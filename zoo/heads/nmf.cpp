#include "zoo/heads/nmf.h"

#include <algorithm>
#include <cmath>

#include "tensor/random.h"
#include "zoo/heads/matrix.h"

namespace sono::zoo {
namespace {

void check(const Tensor& x, const NmfOptions& options) {
  if (x.rank() != 2 || x.size() == 0) throw ShapeError("[nmf] wants (cases, features), got " + to_string(x.shape()));
  if (options.parts < 1 || options.parts > std::min(x.dim(0), x.dim(1)))
    throw NumericError("[nmf] " + std::to_string(options.parts) + " parts of " + to_string(x.shape()) + "; ask for 1 … " + std::to_string(std::min(x.dim(0), x.dim(1))));
  if (!(options.sparsity >= 0)) throw NumericError("[nmf] sparsity must not be negative, got " + std::to_string(options.sparsity));
  const std::vector<double> v = x.to_vector<double>();
  for (size_t i = 0; i < v.size(); i++)
    if (!(v[i] >= 0) || !std::isfinite(v[i]))
      throw NumericError("[nmf] values must be finite and not negative, got " + std::to_string(v[i]) + " at row " + std::to_string(static_cast<int64_t>(i) / x.dim(1)) +
                         "; subtract the smallest value or use linear echo power");
}

// The columns of w get unit length, and h what they lose: w h stays as it is.
void unit_columns(Matrix& w, Matrix& h) {
  for (Eigen::Index k = 0; k < w.cols(); k++) {
    const double norm = w.col(k).norm();
    if (norm > 0) w.col(k) /= norm, h.row(k) *= norm;
  }
}

}  // namespace

Nmf nmf(const Tensor& x, const NmfOptions& options) {
  check(x, options);
  constexpr double tiny = 1e-12;
  const Matrix v = to_matrix(x);
  const double scale = std::sqrt(v.mean() / static_cast<double>(options.parts));
  Matrix w = scale * to_matrix(random_uniform({x.dim(0), options.parts}, options.seed, hash64("nmf w"), 0.1, 1, Dtype::f64));
  Matrix h = scale * to_matrix(random_uniform({options.parts, x.dim(1)}, options.seed, hash64("nmf h"), 0.1, 1, Dtype::f64));
  const bool sparse = options.sparsity > 0;
  if (sparse) unit_columns(w, h);
  const auto error = [&] { return (v - w * h).squaredNorm() / 2 + options.sparsity * h.sum(); };
  Nmf result{{}, {}, {error()}};
  for (int64_t i = 0; i < options.iterations; i++) {
    const Matrix wx = w.transpose() * v, wwh = w.transpose() * w * h;
    h = h.array() * wx.array() / (wwh.array() + options.sparsity + tiny);
    const Matrix xh = v * h.transpose(), whh = w * (h * h.transpose());
    if (sparse) {  // the gradient along the sphere of unit columns
      const RowVector pull = (whh.array() * w.array()).colwise().sum(), push = (xh.array() * w.array()).colwise().sum();
      w = w.array() * (xh + w * pull.asDiagonal()).array() / ((whh + w * push.asDiagonal()).array() + tiny);
      for (Eigen::Index k = 0; k < w.cols(); k++)
        if (const double norm = w.col(k).norm(); norm > 0) w.col(k) /= norm;
    } else {
      w = w.array() * xh.array() / (whh.array() + tiny);
    }
    result.error.push_back(error());
    const size_t n = result.error.size();
    if (n > 10 && result.error[n - 11] - result.error[n - 1] <= options.tolerance * result.error[n - 11]) break;
  }
  result.w = to_tensor(w, x.dtype()), result.h = to_tensor(h, x.dtype());
  return result;
}

}  // namespace sono::zoo
