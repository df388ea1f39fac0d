#include "zoo/heads/mkl.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "zoo/heads/kernel_matrix.h"
#include "zoo/heads/pairwise_svm.h"

namespace sono::zoo {
namespace {

// J and its gradient for any d.
class Objective {
 public:
  Objective(const std::vector<Tensor>& kernels, const std::vector<int>& y, int classes, const MklOptions& options) : options_{options.C, false, options.tolerance} {
    if (kernels.empty()) throw ShapeError("[mkl] wants at least one kernel");
    const auto n = static_cast<int64_t>(y.size());
    for (const Tensor& k : kernels)
      if (k.shape() != Shape{n, n}) throw ShapeError("[mkl] kernel " + to_string(k.shape()) + " of " + std::to_string(n) + " cases");
    for (int a = 0; a < classes; a++)
      for (int b = a + 1; b < classes; b++) {
        Problem problem;
        std::vector<Eigen::Index> members;
        for (size_t i = 0; i < y.size(); i++)
          if (y[i] == a || y[i] == b) members.push_back(static_cast<Eigen::Index>(i)), problem.sign.push_back(y[i] == a ? 1 : -1);
        for (const Tensor& k : kernels) problem.kernels.push_back(to_matrix(k)(members, members));
        problems_.push_back(std::move(problem));
      }
  }

  double operator()(const Vector& d, Vector* gradient = nullptr) const {
    double total = 0;
    if (gradient) gradient->setZero(d.size());
    for (const Problem& p : problems_) {
      Matrix combined = d(0) * p.kernels[0];
      for (Eigen::Index m = 1; m < d.size(); m++)
        if (d(m) > 0) combined += d(m) * p.kernels[static_cast<size_t>(m)];
      const BinarySvm svm = solve_svm(combined, p.sign, options_);
      total += svm.objective;
      if (!gradient) continue;
      for (Eigen::Index m = 0; m < d.size(); m++) (*gradient)(m) -= 0.5 * svm.coefficient.dot(p.kernels[static_cast<size_t>(m)] * svm.coefficient);
    }
    return total;
  }

 private:
  struct Problem {
    std::vector<int> sign;
    std::vector<Matrix> kernels;
  };
  SvmOptions options_;
  std::vector<Problem> problems_;
};

// Steepest descent that keeps the sum of d and every d >= 0; the largest weight takes what the others give up.
Vector reduced_direction(const Vector& d, const Vector& gradient, Eigen::Index largest) {
  Vector direction = Vector::Zero(d.size());
  for (Eigen::Index m = 0; m < d.size(); m++) {
    const double slope = gradient(m) - gradient(largest);
    if (m == largest || (d(m) <= 0 && slope > 0)) continue;
    direction(m) = -slope;
    direction(largest) += slope;
  }
  return direction;
}

// The longest step before a weight becomes negative, and whose weight that is; -1: none falls.
std::pair<double, Eigen::Index> longest_step(const Vector& d, const Vector& direction) {
  double length = INFINITY;
  Eigen::Index first = -1;
  for (Eigen::Index m = 0; m < d.size(); m++)
    if (direction(m) < 0 && -d(m) / direction(m) < length) length = -d(m) / direction(m), first = m;
  return {length, first};
}

// The minimum over [0, high] of a convex function: golden sections until the bracket is 1e-4 of `high`.
double golden_section(const std::function<double(double)>& f, double high) {
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double a = 0, b = high, x1 = b - golden * (b - a), x2 = a + golden * (b - a), f1 = f(x1), f2 = f(x2);
  while (b - a > 1e-4 * high) {
    if (f1 <= f2)
      b = x2, x2 = x1, f2 = f1, x1 = b - golden * (b - a), f1 = f(x1);
    else
      a = x1, x1 = x2, f1 = f2, x2 = a + golden * (b - a), f2 = f(x2);
  }
  return (a + b) / 2;
}

Vector moved(const Vector& d, const Vector& direction, double length) {
  Vector next = (d + length * direction).cwiseMax(0.0);
  return next / next.sum();
}

// One step of the outer problem from d, where J is `now`.
Vector descended(const Objective& objective, Vector d, const Vector& gradient, double now) {
  Eigen::Index largest = 0;
  d.maxCoeff(&largest);
  Vector direction = reduced_direction(d, gradient, largest);
  for (;;) {
    const auto [length, vanishing] = longest_step(d, direction);
    if (vanishing < 0 || length <= 0) return d;
    Vector end = moved(d, direction, length);
    end(vanishing) = 0;
    if (const double there = objective(end); there < now) {  // all the way; the weight that is 0 now leaves the direction
      d = end, now = there;
      const double share = direction(vanishing);
      direction(vanishing) = 0;
      if (vanishing == largest) d.maxCoeff(&largest);
      direction(largest) += share;
      continue;
    }
    const Vector from = d;
    const Vector next = moved(from, direction, golden_section([&](double step) { return objective(moved(from, direction, step)); }, length));
    return objective(next) < now ? next : d;
  }
}

}  // namespace

double mkl_objective(const std::vector<Tensor>& kernels, const std::vector<double>& d, const std::vector<int>& y, int classes, const MklOptions& options) {
  if (d.size() != kernels.size()) throw ShapeError("[mkl] " + std::to_string(d.size()) + " weights of " + std::to_string(kernels.size()) + " kernels");
  return Objective(kernels, y, classes, options)(Eigen::Map<const Vector>(d.data(), static_cast<Eigen::Index>(d.size())));
}


MklWeights simple_mkl(const std::vector<Tensor>& kernels, const std::vector<int>& y, int classes, const MklOptions& options) {
  const Objective objective(kernels, y, classes, options);
  const auto count = static_cast<Eigen::Index>(kernels.size());
  Vector d = Vector::Constant(count, 1.0 / static_cast<double>(count)), gradient;
  MklWeights result;
  result.objective = objective(d, &gradient);
  for (bool moving = true;; result.iterations++) {
    // Primal minus dual: what the best single kernel would gain on the mixture.
    result.gap = (d.dot(gradient) - gradient.minCoeff()) / std::max(result.objective, 1e-300);
    if (!moving || result.gap <= options.gap || result.iterations >= options.iterations) break;
    const double before = result.objective;
    d = descended(objective, d, gradient, before);
    result.objective = objective(d, &gradient);
    moving = before - result.objective > 1e-9 * before;  // else the inner solver's tolerance allows no further step
  }
  result.d.assign(d.data(), d.data() + d.size());
  return result;
}

namespace {

class Mkl : public MklHead {
 public:
  Mkl() : MklHead(true) {
    svm_.solver.tolerance = 1e-4;
    settings_.add("views", views_, 1, 1000000, "columns of each view, in order; none: one view");
    settings_.add("kernels", kernels_, {"rbf", "linear", "both"}, "of each view; rbf: gamma = 1 / (features * variance)");
    settings_.add("gap", gap_, 1e-8, 1, "duality gap at the end, as a share of the objective");
    svm_.list(settings_);
  }
  std::string name() const override { return "mkl"; }
  std::vector<double> weights() const override { return d_; }

 protected:
  void learn(const Cases& cases) override {
    plan(cases.x);
    support_ = cases.x;
    const std::vector<Tensor> all = kernels_to(cases.x);
    d_ = simple_mkl(all, cases.y, cases.classes, {.C = svm_.solver.C, .gap = gap_, .tolerance = std::min(1e-5, svm_.solver.tolerance)}).d;
    machine_.fit(mixed(all), cases, svm_.solver, svm_.calibration);
    const std::vector<int64_t> support = machine_.support();
    machine_.keep(support);
    support_ = rows_of(cases.x, support);
  }
  Tensor classify(const Tensor& x) const override { return to_tensor(machine_.probabilities(mixed(kernels_to(x)))); }
  NamedTensors state() const override {
    NamedTensors all = machine_.state();
    const auto n = static_cast<int64_t>(parts_.size());
    Tensor table({n, 5}, Dtype::f64);
    for (int64_t m = 0; m < n; m++) {
      const Part& p = parts_[static_cast<size_t>(m)];
      const double row[5] = {static_cast<double>(p.first), static_cast<double>(p.last), p.gamma, p.factor, d_[static_cast<size_t>(m)]};
      std::copy(row, row + 5, table.data<double>() + m * 5);
    }
    all.emplace_back("kernels", table);
    all.emplace_back("support", support_);
    return all;
  }
  void take(const NamedTensors& state) override {
    machine_.take(state, classes(), svm_.calibration);
    support_ = named_tensor(state, "support");
    const Tensor& table = named_tensor(state, "kernels");
    if (support_.shape() != Shape{named_tensor(state, "coefficient").dim(0), features()} || table.rank() != 2 || table.dim(1) != 5)
      throw FileError("[mkl] the support vectors do not fit their coefficients; the file is damaged");
    parts_.clear(), d_.clear();
    const std::vector<double> v = table.to_vector<double>();
    for (size_t m = 0; m < v.size(); m += 5) {
      if (!(v[m] >= 0 && v[m] < v[m + 1] && v[m + 1] <= static_cast<double>(features())))
        throw FileError("[mkl] a view lies outside the " + std::to_string(features()) + " features; the file is damaged");
      parts_.push_back({static_cast<int64_t>(v[m]), static_cast<int64_t>(v[m + 1]), v[m + 2], v[m + 3]});
      d_.push_back(v[m + 4]);
    }
  }

 private:
  struct Part {
    int64_t first, last;  // columns of its view
    double gamma;         // 0: linear
    double factor;        // makes the kernel's mean diagonal 1
  };

  void plan(const Tensor& x) {
    const std::vector<int64_t> widths = views_.empty() ? std::vector<int64_t>{x.dim(1)} : views_;
    if (const int64_t sum = std::accumulate(widths.begin(), widths.end(), int64_t{0}); sum != x.dim(1))
      throw ShapeError("[mkl] the views have " + std::to_string(sum) + " columns together, x has " + std::to_string(x.dim(1)));
    parts_.clear();
    for (const bool rbf : {true, false}) {
      if (kernels_ == (rbf ? "linear" : "rbf")) continue;
      int64_t first = 0;
      for (const int64_t width : widths) {
        const Tensor view = columns(x, first, first + width);
        const double power = to_matrix(view).rowwise().squaredNorm().mean();
        parts_.push_back({first, first + width, rbf ? scale_gamma(view) : 0, rbf || power <= 0 ? 1 : 1 / power});
        first += width;
      }
    }
  }
  static Tensor columns(const Tensor& x, int64_t first, int64_t last) {
    Tensor part({x.dim(0), last - first});
    for (int64_t i = 0; i < x.dim(0); i++) {
      const float* row = x.data<float>() + i * x.dim(1);
      std::copy(row + first, row + last, part.data<float>() + i * (last - first));
    }
    return part;
  }
  std::vector<Tensor> kernels_to(const Tensor& x) const {  // (M, support vectors) each
    std::vector<Tensor> all;
    for (const Part& p : parts_) {
      const Tensor a = columns(x, p.first, p.last), b = columns(support_, p.first, p.last);
      Tensor k = p.gamma > 0 ? rbf_kernel(a, b, p.gamma) : linear_kernel(a, b);
      double* v = k.data<double>();
      std::for_each(v, v + k.size(), [&](double& value) { value *= p.factor; });
      all.push_back(std::move(k));
    }
    return all;
  }
  Matrix mixed(const std::vector<Tensor>& kernels) const {
    Matrix sum = d_[0] * to_matrix(kernels[0]);
    for (size_t m = 1; m < kernels.size(); m++) sum += d_[m] * to_matrix(kernels[m]);
    return sum;
  }

  std::vector<int64_t> views_;
  std::string kernels_ = "rbf";
  double gap_ = 1e-3;
  SvmSettings svm_;
  std::vector<Part> parts_;
  std::vector<double> d_;
  PairwiseSvm machine_;
  Tensor support_;  // (S, F) f32
};

}  // namespace

std::unique_ptr<Head> make_mkl() { return std::make_unique<Mkl>(); }

}  // namespace sono::zoo
