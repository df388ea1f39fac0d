#include "zoo/heads/lda.h"

#include <algorithm>
#include <cmath>

#include "zoo/heads/matrix.h"

namespace sono::zoo {
namespace {

// x centred, (N, F). Frobenius norms of the N products of rows give the variance of the covariance's entries.
double shrinkage_of(const Matrix& x) {
  const auto n = static_cast<double>(x.rows()), p = static_cast<double>(x.cols());
  if (x.rows() < 2) return 1;
  const Matrix gram = x.rows() < x.cols() ? Matrix(x * x.transpose()) : Matrix(x.transpose() * x);  // the same norm either way
  const Vector row_squares = x.rowwise().squaredNorm();
  const double mu = row_squares.sum() / n / p, norm = gram.squaredNorm() / (n * n);
  const double delta = norm / p - mu * mu, beta = std::min((row_squares.squaredNorm() / n - norm) / (n * p), delta);
  return beta <= 0 ? 0 : beta / delta;
}

Matrix centred(const Matrix& x) { return x.rowwise() - x.colwise().mean(); }

// The shrunk covariance of one category's cases.
Matrix covariance(const Matrix& cases, double shrinkage) {
  Matrix x = centred(cases);
  const auto n = static_cast<double>(x.rows());
  RowVector scale = RowVector::Ones(x.cols());
  if (shrinkage < 0) {
    scale = (x.colwise().squaredNorm() / n).cwiseSqrt();
    scale = (scale.array() > 0).select(scale, 1.0);
    x = x.array().rowwise() / scale.array();
  }
  const double a = shrinkage < 0 ? shrinkage_of(x) : shrinkage;
  Matrix s = (x.transpose() * x) * ((1 - a) / n);
  s.diagonal().array() += a * x.squaredNorm() / n / static_cast<double>(x.cols());
  return scale.asDiagonal() * s * scale.asDiagonal();
}

class Lda : public Head {
 public:
  Lda() : Head(true) { settings_.add("shrinkage", shrinkage_, {}, "auto (Ledoit and Wolf), or a number within [0, 1]"); }
  std::string name() const override { return "lda"; }

 protected:
  void learn(const Cases& cases) override {
    const double shrinkage = amount();
    const Matrix x = to_matrix(cases.x);
    const auto f = x.cols();
    Matrix means(classes(), f), pooled = Matrix::Zero(f, f);
    Vector prior(classes());
    for (int c = 0; c < classes(); c++) {
      std::vector<Eigen::Index> members;
      for (size_t i = 0; i < cases.y.size(); i++)
        if (cases.y[i] == c) members.push_back(static_cast<Eigen::Index>(i));
      const Matrix own = x(members, Eigen::all);
      means.row(c) = own.colwise().mean();
      prior(c) = static_cast<double>(members.size()) / static_cast<double>(x.rows());
      pooled += prior(c) * covariance(own, shrinkage);
    }
    const Eigen::LLT<Matrix> cholesky(pooled);
    if (cholesky.info() == Eigen::Success && cholesky.rcond() > 1e-13)
      weight_ = cholesky.solve(means.transpose());
    else  // no inverse, as without shrinkage and with fewer cases than features: the solution of least norm
      weight_ = pooled.completeOrthogonalDecomposition().solve(means.transpose());
    bias_ = (-0.5 * (means.array() * weight_.transpose().array()).rowwise().sum() + prior.array().log()).matrix().transpose();
  }
  Tensor classify(const Tensor& x) const override {
    Matrix scores = to_matrix(x) * weight_;
    scores.rowwise() += bias_;
    softmax_rows(scores);
    return to_tensor(scores);
  }
  NamedTensors state() const override { return {{"weight", to_tensor(weight_, Dtype::f64)}, {"bias", to_tensor(bias_, Dtype::f64)}}; }
  void take(const NamedTensors& state) override {
    weight_ = to_matrix(named_tensor(state, "weight"));
    bias_ = to_row(named_tensor(state, "bias"));
    if (weight_.rows() != features() || weight_.cols() != classes() || bias_.cols() != classes())
      throw FileError("[lda] weight does not fit " + std::to_string(features()) + " features and " + std::to_string(classes()) + " categories");
  }

 private:
  double amount() const {  // < 0: automatic
    if (shrinkage_ == "auto") return -1;
    const double a = parse_number("shrinkage", shrinkage_);
    if (!(a >= 0 && a <= 1)) throw Error("[lda] shrinkage wants 'auto' or a number within [0, 1], got " + shrinkage_);
    return a;
  }

  std::string shrinkage_ = "auto";
  Matrix weight_;   // (F, classes)
  RowVector bias_;  // (classes)
};

}  // namespace

double ledoit_wolf(const Tensor& x) {
  if (x.rank() != 2 || x.size() == 0) throw ShapeError("[ledoit_wolf] wants (cases, features), got " + to_string(x.shape()));
  return shrinkage_of(centred(to_matrix(x)));
}

std::unique_ptr<Head> make_lda() { return std::make_unique<Lda>(); }

}  // namespace sono::zoo
