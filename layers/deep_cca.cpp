#include "layers/deep_cca.h"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

#include "layers/linear.h"

namespace sono {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

Matrix matrix(const Tensor& t) {
  const Tensor host = t.detach().to(Device::cpu).to(Dtype::f64);
  return Eigen::Map<const Matrix>(host.data<double>(), host.dim(0), host.size() / std::max<int64_t>(host.dim(0), 1));
}
Tensor tensor(const Matrix& m) {
  const Tensor t({m.rows(), m.cols()}, Dtype::f64);
  Eigen::Map<Matrix>(t.data<double>(), m.rows(), m.cols()) = m;
  return t;
}
Tensor tensor(const Vector& v) {
  const Tensor t({v.size()}, Dtype::f64);
  Eigen::Map<Vector>(t.data<double>(), v.size()) = v;
  return t;
}

void check(const char* name, const Tensor& a, const Tensor& b, double r1, double r2, int64_t k, const char* count) {
  const std::string op = std::string("[") + name + "] ";
  const std::string shapes = to_string(a.shape()) + " and " + to_string(b.shape());
  if (a.rank() != 2 || b.rank() != 2 || a.dim(0) != b.dim(0) || a.dim(1) < 1 || b.dim(1) < 1)
    throw ShapeError(op + "expected two views (N, d1) and (N, d2) of the same samples, got " + shapes);
  if (a.dtype() != b.dtype())
    throw DtypeError(op + "the views have different dtypes, " + to_string(a.dtype()) + " and " + to_string(b.dtype()));
  if (a.dtype() != Dtype::f32 && a.dtype() != Dtype::f64) not_real(name, a.dtype());
  if (a.dim(0) < 2) throw ShapeError(op + "needs at least two samples, got " + shapes);
  if (!(r1 >= 0 && r2 >= 0)) throw Error(op + "r1 and r2 must be at least 0, got " + std::to_string(r1) + " and " + std::to_string(r2));
  if (k < 0 || k > std::min(a.dim(1), b.dim(1)))
    throw ShapeError(op + count + " must be from 0 to " + std::to_string(std::min(a.dim(1), b.dim(1))) + " for views " + shapes + ", got " +
                     std::to_string(k));
}

// One view: centred values, and the inverse square root of its covariance.
struct View {
  Matrix centred, whitening;
  Vector mean;
};
View view_of(const char* name, const char* which, const Tensor& h, double r) {
  View v{matrix(h), {}, {}};
  if (!v.centred.allFinite()) throw NumericError(std::string("[") + name + "] " + which + " has NaN or infinite values");
  v.mean = v.centred.colwise().mean().transpose();
  v.centred.rowwise() -= v.mean.transpose();
  Matrix s = v.centred.transpose() * v.centred / static_cast<double>(v.centred.rows() - 1);
  s.diagonal().array() += r;
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(s);
  const Vector& values = eigen.eigenvalues();  // rising
  if (!(values[0] > 1e-12 * values[values.size() - 1]))
    throw NumericError(std::string("[") + name + "] the covariance of " + which + " is singular: eigenvalues from " +
                       std::to_string(values[0]) + " to " + std::to_string(values[values.size() - 1]) +
                       "; raise its regulariser r, or leave out values that depend on others");
  v.whitening = eigen.eigenvectors() * values.cwiseSqrt().cwiseInverse().asDiagonal() * eigen.eigenvectors().transpose();
  return v;
}

// T = U D V^T of two views, all min(d1, d2) singular values, falling.
struct Correlation {
  View a, b;
  Matrix u, v;
  Vector d;
};
Correlation correlate(const char* name, const Tensor& h1, const Tensor& h2, double r1, double r2) {
  Correlation c{view_of(name, "the first view", h1, r1), view_of(name, "the second view", h2, r2), {}, {}, {}};
  const Matrix s12 = c.a.centred.transpose() * c.b.centred / static_cast<double>(h1.dim(0) - 1);
  const Eigen::MatrixXd t = c.a.whitening * s12 * c.b.whitening;
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(t, Eigen::ComputeThinU | Eigen::ComputeThinV);
  c.u = svd.matrixU(), c.v = svd.matrixV(), c.d = svd.singularValues();
  return c;
}

// dc/dh of the view `own`, whose singular vectors are u; the other one's are v.
Matrix gradient_of(const View& own, const View& other, const Matrix& u, const Matrix& v, const Vector& d) {
  const Matrix a = own.whitening * u;                        // (d, k): canonical directions
  const Matrix g12 = a * (other.whitening * v).transpose();  // (d1, d2)
  const Matrix g11 = -0.5 * a * d.asDiagonal() * a.transpose();
  return (2 * own.centred * g11 + other.centred * g12.transpose()) / static_cast<double>(own.centred.rows() - 1);
}

}  // namespace

Tensor canonical_correlation(const Tensor& h1, const Tensor& h2, const CanonicalCorrelationOptions& o) {
  const char* name = "canonical_correlation";
  check(name, h1, h2, o.r1, o.r2, o.top_k, "top_k");
  const Correlation c = correlate(name, h1, h2, o.r1, o.r2);
  const int64_t k = o.top_k ? o.top_k : c.d.size();
  const Vector d = c.d.head(k);
  const Matrix u = c.u.leftCols(k), v = c.v.leftCols(k);
  const Tensor y = Tensor::scalar(d.sum(), h1.dtype(), h1.device());
  if (!will_record(h1, h2)) return y;
  const auto flow = [&](const Matrix& gradient) -> Vjp {
    return [kept = tensor(gradient).to(h1.dtype()).to(h1.device())](const Tensor& g) {
      if (recording()) throw Error("[canonical_correlation] has no second derivative; call grad() without create_graph");
      return kept * g;
    };
  };
  std::vector<Edge> edges{{h1, {}}, {h2, {}}};
  if (wants_gradient(h1)) edges[0].vjp = flow(gradient_of(c.a, c.b, u, v, d));
  if (wants_gradient(h2)) edges[1].vjp = flow(gradient_of(c.b, c.a, v, u, d));
  return differentiable(name, y, std::move(edges), [&] { return Attributes{{"r1", o.r1}, {"r2", o.r2}, {"top_k", o.top_k}}; });
}

Tensor canonical_correlations(const Tensor& h1, const Tensor& h2, const CanonicalCorrelationOptions& o) {
  const char* name = "canonical_correlations";
  check(name, h1, h2, o.r1, o.r2, o.top_k, "top_k");
  const Vector d = correlate(name, h1, h2, o.r1, o.r2).d;
  return tensor(Vector(d.head(o.top_k ? o.top_k : d.size())));
}

void LinearCca::fit(const Tensor& x1, const Tensor& x2, const LinearCcaOptions& o) {
  check("linear_cca", x1, x2, o.r1, o.r2, o.components, "components");
  const Correlation c = correlate("linear_cca", x1, x2, o.r1, o.r2);
  const int64_t k = o.components ? o.components : c.d.size();
  mean1_ = tensor(c.a.mean), mean2_ = tensor(c.b.mean);
  direction1_ = tensor(Matrix(c.a.whitening * c.u.leftCols(k)));
  direction2_ = tensor(Matrix(c.b.whitening * c.v.leftCols(k)));
  correlations_ = tensor(Vector(c.d.head(k)));
}

namespace {

Tensor project(const Tensor& x, const Tensor& mean, const Tensor& direction) {
  if (!mean) throw Error("[linear_cca] fit it, or load what was saved, before transform");
  if (x.rank() != 2 || x.dim(1) != mean.dim(0))
    throw ShapeError("[linear_cca] was fitted to " + std::to_string(mean.dim(0)) + " values per sample, got " + to_string(x.shape()));
  const NoGrad plain;
  const Tensor y = matmul(x.detach().to(Device::cpu).to(Dtype::f64) - mean, direction);
  return y.to(x.dtype()).to(x.device());
}

}  // namespace

Tensor LinearCca::transform1(const Tensor& x1) const { return project(x1, mean1_, direction1_); }
Tensor LinearCca::transform2(const Tensor& x2) const { return project(x2, mean2_, direction2_); }
std::pair<Tensor, Tensor> LinearCca::transform(const Tensor& x1, const Tensor& x2) const { return {transform1(x1), transform2(x2)}; }

State LinearCca::state() const {
  if (!mean1_) throw Error("[linear_cca] fit it before it is saved");
  return {{"mean1", mean1_}, {"mean2", mean2_}, {"direction1", direction1_}, {"direction2", direction2_}, {"correlations", correlations_}};
}

void LinearCca::load(const State& state) {
  const auto find = [&](const char* name) {
    for (const auto& [key, value] : state)
      if (key == name) return value.to(Dtype::f64).clone();
    throw ShapeError(std::string("[linear_cca] the saved state lacks '") + name + "'");
  };
  LinearCca read;
  read.mean1_ = find("mean1"), read.mean2_ = find("mean2"), read.correlations_ = find("correlations");
  read.direction1_ = find("direction1"), read.direction2_ = find("direction2");
  const Shape one{read.mean1_.size(), read.correlations_.size()}, two{read.mean2_.size(), read.correlations_.size()};
  if (read.direction1_.shape() != one || read.direction2_.shape() != two)
    throw ShapeError("[linear_cca] the saved directions " + to_string(read.direction1_.shape()) + " and " +
                     to_string(read.direction2_.shape()) + " do not fit their means and correlations");
  *this = read;
}

DeepCca::DeepCca(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)), view1(this, "view1"), view2(this, "view2") {
  for (auto [net, in] : {std::pair{&view1, o.in1}, std::pair{&view2, o.in2}}) {
    for (const int64_t width : o.hidden) {
      net->append<Linear>({.in = in, .out = width});
      append_units(*net, o.units);
      in = width;
    }
    net->append<Linear>({.in = in, .out = o.out});
  }
}

}  // namespace sono
