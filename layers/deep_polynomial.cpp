#include "layers/deep_polynomial.h"

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

namespace sono {
namespace {

using Matrix = Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

[[noreturn]] void fail(const std::string& why) { throw Error("[deep_polynomial] " + why); }

Matrix matrix(const Tensor& t) {
  const Tensor host = t.detach().to(Device::cpu).to(Dtype::f64);
  return Eigen::Map<const RowMajor>(host.data<double>(), host.dim(0), host.dim(1));
}
Tensor tensor(const Matrix& m) {
  const Tensor t({m.rows(), m.cols()}, Dtype::f64);
  Eigen::Map<RowMajor>(t.data<double>(), m.rows(), m.cols()) = m;
  return t;
}
Vector vector(const Tensor& t) {
  const Tensor host = t.to(Device::cpu).to(Dtype::f64);
  return Eigen::Map<const Vector>(host.data<double>(), host.size());
}
Tensor tensor(const Vector& v) {
  const Tensor t({v.size()}, Dtype::f64);
  Eigen::Map<Vector>(t.data<double>(), v.size()) = v;
  return t;
}

// Values of x (N, d), checked.
Matrix samples(const Tensor& x) {
  if (x.rank() != 2 || x.dim(1) < 1) throw ShapeError("[deep_polynomial] expected samples (N, d), got " + to_string(x.shape()));
  if (x.dtype() != Dtype::f32 && x.dtype() != Dtype::f64) not_real("deep_polynomial", x.dtype());
  Matrix values = matrix(x);
  if (!values.allFinite())
    for (int64_t i = 0; i < x.dim(0); i++)
      if (!values.row(i).allFinite())
        throw NumericError("[deep_polynomial] sample " + std::to_string(i) + " has NaN or infinite values; leave it out or fill them in");
  return values;
}

// Targets as columns of numbers: (N, K); no columns without targets.
Matrix columns_of(const Tensor& targets, int64_t n) {
  if (!targets) return Matrix(n, 0);
  if (targets.rank() < 1 || targets.rank() > 2 || targets.dim(0) != n || (targets.dtype() == Dtype::i32) != (targets.rank() == 1))
    throw ShapeError("[deep_polynomial] targets must be (" + std::to_string(n) + ") i32 classes or (" + std::to_string(n) +
                     ", K) values, got " + to_string(targets.shape()) + " " + to_string(targets.dtype()));
  if (targets.dtype() != Dtype::i32) {
    Matrix values = matrix(targets);
    if (!values.allFinite()) throw NumericError("[deep_polynomial] the targets have NaN or infinite values");
    return values;
  }
  const std::vector<int32_t> classes = targets.to_vector<int32_t>();
  const auto [least, most] = std::minmax_element(classes.begin(), classes.end());
  if (*least < 0) fail("classes count from 0, got " + std::to_string(*least));
  if (*least == *most) fail("all samples are of class " + std::to_string(*least) + "; nothing can be learnt from one class only");
  Matrix values = Matrix::Zero(n, *most + 1);
  for (int64_t i = 0; i < n; i++) values(i, classes[static_cast<size_t>(i)]) = 1;
  return values;
}

// A layer above the first: unit k = scale_k * F(t-1)_i * F1_j - (all units before) * coefficients_k.
struct Products {
  std::vector<std::pair<int64_t, int64_t>> pairs;  // (i, j)
  Vector scale;
  Matrix coefficients;  // (units before this layer + its own, its own), the constant first; zero from unit k itself on
};

// What grows while a network is fitted: orthonormal columns, the constant first, and what is left of the targets.
struct Basis {
  Matrix q;  // (N, room)
  int64_t used = 0;
  Matrix left;        // (N, K)
  double negligible;  // of the squared norm of `left`: the targets are explained

  Basis(int64_t n, int64_t room, const Matrix& targets) : q(n, room), left(targets), negligible(1e-24 * targets.squaredNorm()) {
    add(Vector::Constant(n, 1 / std::sqrt(static_cast<double>(n))));
  }
  auto columns() const { return q.leftCols(used); }
  void add(const Vector& column) {
    q.col(used++) = column;
    left -= column * (column.transpose() * left);
  }
  // Takes the part of c along the columns away, twice for accuracy; returns its coefficients.
  Vector orthogonalise(Vector& c) const {
    const Vector along = columns().transpose() * c;
    c -= columns() * along;
    const Vector more = columns().transpose() * c;
    c -= columns() * more;
    return along + more;
  }
};

// Which product comes next, or -1: its new part must be more than the tolerance.
int64_t next_product(const Matrix& rest, const Vector& norms, const Basis& basis, bool by_targets, double tolerance) {
  const Vector squares = rest.colwise().squaredNorm();
  const Matrix along = by_targets ? Matrix(rest.transpose() * basis.left) : Matrix();
  int64_t best = -1;
  double most = 0;
  for (int64_t k = 0; k < rest.cols(); k++) {
    if (!(squares[k] > tolerance * tolerance * norms[k] * norms[k])) continue;
    const double score = by_targets ? along.row(k).squaredNorm() / squares[k] : squares[k] / (norms[k] * norms[k]);
    if (score > most) best = k, most = score;
  }
  return best;
}

Products build_layer(const Matrix& below, const Matrix& first, int64_t degree, Basis& basis, const DeepPolynomialOptions& o) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (int64_t i = 0; i < below.cols(); i++)
    for (int64_t j = degree == 2 ? i : 0; j < first.cols(); j++) pairs.emplace_back(i, j);
  const auto n = below.rows();
  Matrix all(n, static_cast<int64_t>(pairs.size()));
  for (size_t k = 0; k < pairs.size(); k++)
    all.col(static_cast<int64_t>(k)) = below.col(pairs[k].first).cwiseProduct(first.col(pairs[k].second));
  const Vector norms = all.colwise().norm();
  Matrix rest = all;
  for (int pass = 0; pass < 2; pass++) rest -= basis.columns() * (basis.columns().transpose() * rest);

  const bool by_targets = o.width > 0 && basis.left.cols() > 0;
  const int64_t most = std::min<int64_t>(o.width ? o.width : n, n - basis.used);
  Products layer;
  std::vector<double> scales;
  std::vector<Vector> coefficients;
  while (static_cast<int64_t>(scales.size()) < most && !(by_targets && basis.left.squaredNorm() <= basis.negligible)) {
    const int64_t k = next_product(rest, norms, basis, by_targets, o.tolerance);
    if (k < 0) break;
    Vector unit = all.col(k);
    const Vector along = basis.orthogonalise(unit);
    const double norm = unit.norm();
    unit /= norm;
    basis.add(unit);
    rest -= unit * (unit.transpose() * rest);
    rest.col(k).setZero();
    layer.pairs.push_back(pairs[static_cast<size_t>(k)]);
    scales.push_back(std::sqrt(static_cast<double>(n)) / norm);
    coefficients.push_back(along / norm);
  }
  const auto width = static_cast<int64_t>(scales.size());
  layer.scale = Eigen::Map<const Vector>(scales.data(), width);
  layer.coefficients = Matrix::Zero(basis.used, width);
  for (int64_t k = 0; k < width; k++)
    layer.coefficients.col(k).head(coefficients[static_cast<size_t>(k)].size()) = coefficients[static_cast<size_t>(k)];
  return layer;
}

}  // namespace

struct DeepPolynomial::Model {
  Vector mean, deviation;        // (d)
  Matrix first;                  // (d, units): of standardised inputs
  std::vector<Products> layers;  // from degree 2
  Matrix output;                 // (1 + columns, K), the constant first; no columns without targets

  int64_t columns() const {
    int64_t n = first.cols();
    for (const Products& layer : layers) n += layer.scale.size();
    return n;
  }
  // All units of new samples, the constant first: (M, 1 + columns).
  Matrix units(const Matrix& x) const;
};

Matrix DeepPolynomial::Model::units(const Matrix& x) const {
  if (x.cols() != mean.size())
    throw ShapeError("[deep_polynomial] was fitted to " + std::to_string(mean.size()) + " inputs, got samples of " +
                     std::to_string(x.cols()));
  Matrix f(x.rows(), 1 + columns());
  f.col(0).setOnes();
  f.middleCols(1, first.cols()) = ((x.rowwise() - mean.transpose()) * deviation.cwiseInverse().asDiagonal()) * first;
  int64_t below = 1, here = 1 + first.cols();  // where the layer below and this one begin
  for (const Products& layer : layers) {
    for (int64_t k = 0; k < layer.scale.size(); k++) {
      const auto [i, j] = layer.pairs[static_cast<size_t>(k)];
      f.col(here + k) =
          layer.scale[k] * f.col(below + i).cwiseProduct(f.col(1 + j)) - f.leftCols(here + k) * layer.coefficients.col(k).head(here + k);
    }
    below = here;
    here += layer.scale.size();
  }
  return f;
}

DeepPolynomial::DeepPolynomial(const Options& o) : options_(o) {
  if (o.degree < 1 || o.first < 0 || o.width < 0)
    fail("degree must be at least 1, first and width at least 0, got " + std::to_string(o.degree) + ", " + std::to_string(o.first) +
         " and " + std::to_string(o.width));
  if (!(o.tolerance > 0 && o.tolerance < 1) || !(o.ridge >= 0))
    fail("tolerance must lie in (0, 1) and ridge be at least 0, got " + std::to_string(o.tolerance) + " and " + std::to_string(o.ridge));
}
DeepPolynomial::~DeepPolynomial() = default;
DeepPolynomial::DeepPolynomial(DeepPolynomial&&) noexcept = default;
DeepPolynomial& DeepPolynomial::operator=(DeepPolynomial&&) noexcept = default;

namespace {

void check_counts(int64_t n, int64_t d, int64_t first) {
  if (n < 2) fail("needs at least two samples, got " + std::to_string(n));
  if (first > d) fail("first is " + std::to_string(first) + ", but there are " + std::to_string(d) + " inputs");
  if (n < (first ? first : d) + 1)
    fail(std::to_string(first ? first : d) + " units of layer 1 and the constant need at least " + std::to_string((first ? first : d) + 1) +
         " samples, got " + std::to_string(n) + "; give more samples, or set first to at most " + std::to_string(n - 1));
}

// Takes the mean away and divides by the deviation.
std::pair<Vector, Vector> standardise(Matrix& x) {
  const Vector mean = x.colwise().mean().transpose();
  const Vector scale = x.colwise().lpNorm<Eigen::Infinity>().transpose();
  x.rowwise() -= mean.transpose();
  const Vector deviation = (x.colwise().norm() / std::sqrt(static_cast<double>(x.rows()))).transpose();
  for (int64_t j = 0; j < x.cols(); j++)
    if (!(deviation[j] > 1e-12 * scale[j])) fail("input " + std::to_string(j) + " has the same value in all samples; leave it out");
  x *= deviation.cwiseInverse().asDiagonal();
  return {mean, deviation};
}

}  // namespace

void DeepPolynomial::fit(const Tensor& x, const Tensor& targets) {
  Matrix z = samples(x);
  const auto n = z.rows();
  const Matrix wanted = columns_of(targets, n);
  check_counts(n, z.cols(), options_.first);
  auto model = std::make_unique<Model>();
  std::tie(model->mean, model->deviation) = standardise(z);

  const double root = std::sqrt(static_cast<double>(n));
  const Eigen::BDCSVD<Matrix> svd(z, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Vector& sigma = svd.singularValues();
  int64_t r = 0;
  while (r < sigma.size() && r < n - 1 && (!options_.first || r < options_.first) && sigma[r] > options_.tolerance * sigma[0]) r++;
  model->first = svd.matrixV().leftCols(r) * (root / sigma.head(r).array()).matrix().asDiagonal();

  const int64_t room = options_.width ? std::min<int64_t>(n, 1 + r + options_.width * (options_.degree - 1)) : n;
  Basis basis(n, room, wanted);
  for (int64_t k = 0; k < r; k++) basis.add(svd.matrixU().col(k));
  Matrix below = svd.matrixU().leftCols(r) * root;
  const Matrix first = below;
  for (int64_t degree = 2; degree <= options_.degree && basis.used < n; degree++) {
    const int64_t before = basis.used;
    Products layer = build_layer(below, first, degree, basis, options_);
    if (layer.scale.size() == 0) break;  // products of fewer factors span everything already
    below = basis.q.middleCols(before, basis.used - before) * root;
    model->layers.push_back(std::move(layer));
  }
  model->output = basis.columns().transpose() * wanted / root;
  model->output.bottomRows(basis.used - 1) /= 1 + options_.ridge;
  model_ = std::move(model);
}

bool DeepPolynomial::fitted() const { return model_ != nullptr; }

const DeepPolynomial::Model& DeepPolynomial::model() const {
  if (!model_) fail("fit it, or load what was saved, before it is used");
  return *model_;
}

namespace {
Tensor like(const Tensor& x, const Matrix& values) { return tensor(values).to(x.dtype()).to(x.device()); }
}  // namespace

Tensor DeepPolynomial::features(const Tensor& x) const {
  const Model& m = model();
  return like(x, m.units(samples(x)).rightCols(m.columns()));
}

std::vector<Tensor> DeepPolynomial::layers(const Tensor& x) const {
  const Matrix f = model().units(samples(x));
  std::vector<Tensor> all;
  int64_t at = 1;
  for (const int64_t width : widths()) {
    all.push_back(like(x, f.middleCols(at, width)));
    at += width;
  }
  return all;
}

Tensor DeepPolynomial::predict(const Tensor& x) const {
  const Model& m = model();
  if (m.output.cols() == 0) fail("was fitted without targets and has no output; use its features");
  return like(x, m.units(samples(x)) * m.output);
}

int64_t DeepPolynomial::inputs() const { return model().mean.size(); }
int64_t DeepPolynomial::columns() const { return model().columns(); }
std::vector<int64_t> DeepPolynomial::widths() const {
  std::vector<int64_t> all{model().first.cols()};
  for (const Products& layer : model().layers) all.push_back(layer.scale.size());
  return all;
}

// ---- files
// -------------------------------------------------------------------------------------------------------------------------------
State DeepPolynomial::state() const {
  const Model& m = model();
  State all{{"mean", tensor(m.mean)}, {"deviation", tensor(m.deviation)}, {"first", tensor(m.first)}};
  for (size_t t = 0; t < m.layers.size(); t++) {
    const Products& layer = m.layers[t];
    const std::string prefix = "layer" + std::to_string(t + 2) + ".";
    const Tensor pairs({static_cast<int64_t>(layer.pairs.size()), 2}, Dtype::i32);
    for (size_t k = 0; k < layer.pairs.size(); k++) {
      pairs.data<int32_t>()[2 * k] = static_cast<int32_t>(layer.pairs[k].first);
      pairs.data<int32_t>()[2 * k + 1] = static_cast<int32_t>(layer.pairs[k].second);
    }
    all.emplace_back(prefix + "pairs", pairs);
    all.emplace_back(prefix + "scale", tensor(layer.scale));
    all.emplace_back(prefix + "coefficients", tensor(layer.coefficients));
  }
  all.emplace_back("output", tensor(m.output));
  return all;
}

namespace {

[[noreturn]] void unfit(const std::string& name) {
  throw ShapeError("[deep_polynomial] the saved state is not whole: '" + name + "' is missing or does not fit the rest");
}
const Tensor* find(const State& state, const std::string& name) {
  for (const auto& [key, value] : state)
    if (key == name) return &value;
  return nullptr;
}
// The values of this name, of the shape wanted; a negative dimension may be anything.
Tensor take_from(const State& state, const std::string& name, const Shape& shape, Dtype dtype) {
  const Tensor* t = find(state, name);
  if (!t || t->rank() != static_cast<int64_t>(shape.size()) || t->dtype() != dtype) unfit(name);
  for (size_t d = 0; d < shape.size(); d++)
    if (shape[d] >= 0 && t->shape()[d] != shape[d]) unfit(name);
  return *t;
}

Products layer_from(const State& state, const std::string& prefix, int64_t below, int64_t first, int64_t before) {
  const Tensor pairs = take_from(state, prefix + "pairs", {-1, 2}, Dtype::i32);
  const int64_t width = pairs.dim(0);
  Products layer;
  const std::vector<int32_t> p = pairs.to_vector<int32_t>();
  for (size_t k = 0; k < p.size(); k += 2) {
    if (p[k] < 0 || p[k] >= below || p[k + 1] < 0 || p[k + 1] >= first) unfit(prefix + "pairs");
    layer.pairs.emplace_back(p[k], p[k + 1]);
  }
  layer.scale = vector(take_from(state, prefix + "scale", {width}, Dtype::f64));
  layer.coefficients = matrix(take_from(state, prefix + "coefficients", {before + width, width}, Dtype::f64));
  return layer;
}

}  // namespace

void DeepPolynomial::load(const State& state) {
  auto m = std::make_unique<Model>();
  m->mean = vector(take_from(state, "mean", {-1}, Dtype::f64));
  m->deviation = vector(take_from(state, "deviation", {m->mean.size()}, Dtype::f64));
  m->first = matrix(take_from(state, "first", {m->mean.size(), -1}, Dtype::f64));
  int64_t below = m->first.cols(), before = 1 + below;
  for (int64_t t = 2;; t++) {
    const std::string prefix = "layer" + std::to_string(t) + ".";
    if (!find(state, prefix + "pairs")) break;
    m->layers.push_back(layer_from(state, prefix, below, m->first.cols(), before));
    below = m->layers.back().scale.size();
    before += below;
  }
  m->output = matrix(take_from(state, "output", {before, -1}, Dtype::f64));
  model_ = std::move(m);
}

// ---- stack
// -------------------------------------------------------------------------------------------------------------------------------
StackedDeepPolynomial::StackedDeepPolynomial(std::vector<DeepPolynomialOptions> networks) : options_(std::move(networks)) {
  if (options_.empty()) fail("a stack needs at least one network");
  for (const DeepPolynomialOptions& o : options_) networks_.emplace_back(o);
}

namespace {

// The columns of f (N, columns) that explain most of the targets, in their order in f; all are orthogonal and of one variance.
Tensor best_columns(const Tensor& f, const Tensor& targets, int64_t count) {
  const Matrix values = matrix(f);
  Matrix wanted = columns_of(targets, f.dim(0));
  wanted.rowwise() -= wanted.colwise().mean().eval();
  const Vector scores = (values.transpose() * wanted).rowwise().squaredNorm();
  std::vector<int32_t> order(static_cast<size_t>(f.dim(1)));
  std::iota(order.begin(), order.end(), 0);
  if (count > 0 && count < f.dim(1)) {
    if (targets) std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
    order.resize(static_cast<size_t>(count));
    std::sort(order.begin(), order.end());
  }
  return Tensor::from<int32_t>({static_cast<int64_t>(order.size())}, order);
}

}  // namespace

void StackedDeepPolynomial::fit(const Tensor& x, const Tensor& targets) {
  inputs_.clear();
  Tensor in = x.to(Dtype::f64);
  for (size_t i = 0; i < networks_.size(); i++) {
    networks_[i].fit(in, targets);
    if (i + 1 == networks_.size()) break;
    const Tensor f = networks_[i].features(in);
    inputs_.push_back(best_columns(f, targets, options_[i + 1].first));
    in = take(f, inputs_.back(), 1);
  }
}

Tensor StackedDeepPolynomial::below(const Tensor& x) const {
  if (inputs_.size() + 1 != networks_.size()) fail("fit the stack, or load what was saved, before it is used");
  Tensor in = x.detach().to(Dtype::f64);
  for (size_t i = 0; i < inputs_.size(); i++) in = take(networks_[i].features(in), inputs_[i], 1);
  return in;
}

Tensor StackedDeepPolynomial::features(const Tensor& x) const { return networks_.back().features(below(x)).to(x.dtype()); }
std::vector<Tensor> StackedDeepPolynomial::layers(const Tensor& x) const {
  std::vector<Tensor> all;
  for (const Tensor& layer : networks_.back().layers(below(x))) all.push_back(layer.to(x.dtype()));
  return all;
}
Tensor StackedDeepPolynomial::predict(const Tensor& x) const { return networks_.back().predict(below(x)).to(x.dtype()); }
int64_t StackedDeepPolynomial::columns() const { return networks_.back().columns(); }

State StackedDeepPolynomial::state() const {
  if (inputs_.size() + 1 != networks_.size()) fail("fit the stack before it is saved");
  State all;
  for (size_t i = 0; i < networks_.size(); i++) {
    for (const auto& [name, value] : networks_[i].state()) all.emplace_back(std::to_string(i) + "/" + name, value);
    if (i > 0) all.emplace_back(std::to_string(i) + "/inputs", inputs_[i - 1]);
  }
  return all;
}

void StackedDeepPolynomial::load(const State& state) {
  std::vector<DeepPolynomial> networks;
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < networks_.size(); i++) {
    State part;
    const std::string prefix = std::to_string(i) + "/";
    for (const auto& [name, value] : state)
      if (name.rfind(prefix, 0) == 0) part.emplace_back(name.substr(prefix.size()), value);
    networks.emplace_back(options_[i]).load(part);
    if (i == 0) continue;
    inputs.push_back(take_from(part, "inputs", {networks.back().inputs()}, Dtype::i32).clone());
    for (const int32_t k : inputs.back().to_vector<int32_t>())
      if (k < 0 || k >= networks[i - 1].columns()) unfit(prefix + "inputs");
  }
  networks_ = std::move(networks), inputs_ = std::move(inputs);
}

}  // namespace sono
