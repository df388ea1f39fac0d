#include "zoo/heads/svm.h"

#include "zoo/heads/kernel_matrix.h"
#include "zoo/heads/pairwise_svm.h"
#include "zoo/heads/ranking.h"

namespace sono::zoo {
namespace {

class KernelSvm : public SvmHead {
 public:
  KernelSvm() : SvmHead(true) {
    settings_.add("kernel", kernel_, {"rbf", "linear", "intersection", "precomputed"}, "how alike two cases are");
    settings_.add("gamma", gamma_, {}, "kernel=rbf: of exp(-gamma |a - b|^2); scale: 1 / (features * variance)");
    svm_.list(settings_);
  }
  std::string name() const override { return "svm"; }
  Tensor decisions(const Tensor& x) const override { return to_tensor(machine_.decisions(kernel_to(ready(x))), Dtype::f64); }

  // A kernel matrix is cut on both sides.
  Tensor part(const Tensor& x, const std::vector<int64_t>& rows, const std::vector<int64_t>& train) const override {
    return kernel_ == "precomputed" ? columns_of(rows_of(x, rows), train) : rows_of(x, rows);
  }

 protected:
  bool standardises() const override { return Head::standardises() && (kernel_ == "rbf" || kernel_ == "linear"); }
  void learn(const Cases& cases) override {
    if (kernel_ == "precomputed" && cases.x.dim(1) != cases.size())
      throw ShapeError("[svm] kernel=precomputed wants the (cases, cases) kernel, got " + to_string(cases.x.shape()));
    used_gamma_ = kernel_ != "rbf" ? 0 : gamma_ == "scale" ? scale_gamma(cases.x) : parse_number("gamma", gamma_);
    support_ = cases.x;
    machine_.fit(kernel_to(cases.x), cases, svm_.solver, svm_.calibration);
    if (kernel_ == "precomputed") return;
    const std::vector<int64_t> support = machine_.support();
    machine_.keep(support);
    support_ = rows_of(cases.x, support);
  }
  Tensor classify(const Tensor& x) const override { return to_tensor(machine_.probabilities(kernel_to(x))); }
  NamedTensors state() const override {
    NamedTensors all = machine_.state();
    all.emplace_back("gamma", Tensor::full({1}, used_gamma_, Dtype::f64));
    if (kernel_ != "precomputed") all.emplace_back("support", support_);
    return all;
  }
  void take(const NamedTensors& state) override {
    machine_.take(state, classes(), svm_.calibration);
    used_gamma_ = named_tensor(state, "gamma").to_vector<double>().at(0);
    const int64_t rows = named_tensor(state, "coefficient").dim(0);
    if (kernel_ != "precomputed") support_ = named_tensor(state, "support");
    if (kernel_ == "precomputed" ? rows != features() : support_.shape() != Shape{rows, features()})
      throw FileError("[svm] the support vectors do not fit their coefficients; the file is damaged");
  }

 private:
  Matrix kernel_to(const Tensor& x) const {  // (M, support vectors)
    if (kernel_ == "precomputed") return to_matrix(x);
    if (kernel_ == "rbf") return to_matrix(rbf_kernel(x, support_, used_gamma_));
    return to_matrix(kernel_ == "linear" ? linear_kernel(x, support_) : histogram_intersection(x, support_));
  }

  std::string kernel_ = "rbf", gamma_ = "scale";
  SvmSettings svm_;
  double used_gamma_ = 0;
  PairwiseSvm machine_;
  Tensor support_;  // (S, F) f32
};

}  // namespace

std::unique_ptr<Head> make_svm() { return std::make_unique<KernelSvm>(); }

}  // namespace sono::zoo
