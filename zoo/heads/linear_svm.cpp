#include "zoo/heads/linear_svm.h"

#include <linear.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "zoo/heads/learners.h"
#include "zoo/heads/pairwise_svm.h"

namespace sono::zoo {
namespace {

// Rows of a matrix in LIBLINEAR's form: (index from 1, value) of each column, then (F + 1, 1) for the bias and (-1, 0) as the end.
struct Rows {
  explicit Rows(const Matrix& x) : nodes(static_cast<size_t>(x.rows() * (x.cols() + 2))) {
    auto* node = nodes.data();
    for (Eigen::Index i = 0; i < x.rows(); i++) {
      first.push_back(node);
      for (Eigen::Index j = 0; j < x.cols(); j++) *node++ = {static_cast<int>(j + 1), x(i, j)};
      *node++ = {static_cast<int>(x.cols() + 1), 1};
      *node++ = {-1, 0};
    }
  }
  std::vector<feature_node> nodes;
  std::vector<feature_node*> first;
};

// w and the bias, (F + 1), of the machine whose score is positive where truth is 1.
Vector solve(const Rows& rows, Eigen::Index features, const std::vector<int>& truth, const std::vector<int64_t>& some,
             const SvmOptions& options) {
  std::vector<feature_node*> x;
  std::vector<double> y;
  for (const int64_t i : some) x.push_back(rows.first[static_cast<size_t>(i)]), y.push_back(truth[static_cast<size_t>(i)] ? 1 : -1);
  const auto positives = static_cast<double>(std::count(y.begin(), y.end(), 1.0)), all = static_cast<double>(y.size());
  int side[2] = {1, -1};
  double weight[2] = {all / (2 * positives), all / (2 * (all - positives))};
  parameter settings{};
  settings.solver_type = L2R_L2LOSS_SVC, settings.C = options.C, settings.eps = options.tolerance;
  if (options.balanced) settings.nr_weight = 2, settings.weight_label = side, settings.weight = weight;
  const problem cases{static_cast<int>(x.size()), static_cast<int>(features + 1), y.data(), x.data(), 1};
  const std::unique_ptr<model, void (*)(model*)> fitted(learners().train_linear(&cases, &settings),
                                                        [](model* m) { learners().free_linear(&m); });
  return Eigen::Map<const Vector>(fitted->w, features + 1) * (fitted->label[0] == 1 ? 1.0 : -1.0);
}

class LinearSvm : public SvmHead {
 public:
  LinearSvm() : SvmHead(true) {
    svm_.solver.tolerance = 1e-4;
    svm_.list(settings_);
  }
  std::string name() const override { return "linear-svm"; }
  Tensor decisions(const Tensor& x) const override { return to_tensor(scores(ready(x)), Dtype::f64); }

 protected:
  void learn(const Cases& cases) override {
    const Matrix x = to_matrix(cases.x);
    const Rows rows(x);
    std::vector<int64_t> all(cases.y.size());
    std::iota(all.begin(), all.end(), int64_t{0});
    weight_.resize(x.cols() + 1, machines());
    calibration_.clear();
    for (Eigen::Index k = 0; k < machines(); k++) {
      std::vector<int> truth;
      for (const int c : cases.y) truth.push_back(c == category_of(k));
      weight_.col(k) = solve(rows, x.cols(), truth, all, svm_.solver);
      if (svm_.calibration == "none") {
        calibration_.push_back(Calibration::fit("none", std::vector<double>(truth.size()), truth));
        continue;
      }
      const std::vector<double> held_out =
          held_out_scores(truth, cases.groups, [&](const std::vector<int64_t>& some, const std::vector<int64_t>& others) {
            const Vector w = solve(rows, x.cols(), truth, some, svm_.solver);
            const Vector s = (x(others, Eigen::all) * w.head(x.cols())).array() + w(x.cols());
            return std::vector<double>(s.data(), s.data() + s.size());
          });
      calibration_.push_back(Calibration::fit(svm_.calibration, held_out, truth));
    }
  }
  Tensor classify(const Tensor& x) const override {
    const Matrix s = scores(x);
    Matrix p(s.rows(), classes());
    for (Eigen::Index i = 0; i < s.rows(); i++) {
      for (Eigen::Index k = 0; k < machines(); k++) p(i, category_of(k)) = calibration_[static_cast<size_t>(k)](s(i, k));
      if (classes() == 2) p(i, 0) = 1 - p(i, 1);
      const double sum = p.row(i).sum();
      if (sum > 0)
        p.row(i) /= sum;
      else
        p.row(i).setConstant(1.0 / classes());  // no machine wants it
    }
    return to_tensor(p);
  }
  NamedTensors state() const override {
    NamedTensors all = {{"weight", to_tensor(weight_, Dtype::f64)}};
    for (size_t k = 0; k < calibration_.size(); k++) all.emplace_back("calibration." + std::to_string(k), calibration_[k].tensor());
    return all;
  }
  void take(const NamedTensors& state) override {
    weight_ = to_matrix(named_tensor(state, "weight"));
    if (weight_.rows() != features() + 1 || weight_.cols() != machines())
      throw FileError("[linear-svm] weight does not fit " + std::to_string(features()) + " features and " + std::to_string(classes()) +
                      " categories");
    calibration_.clear();
    for (Eigen::Index k = 0; k < machines(); k++)
      calibration_.push_back(Calibration::from(svm_.calibration, named_tensor(state, "calibration." + std::to_string(k))));
  }

 private:
  Eigen::Index machines() const { return classes() == 2 ? 1 : classes(); }
  int category_of(Eigen::Index machine) const { return classes() == 2 ? 1 : static_cast<int>(machine); }
  Matrix scores(const Tensor& x) const {
    const Matrix values = to_matrix(x);
    Matrix s = values * weight_.topRows(values.cols());
    s.rowwise() += weight_.row(values.cols());
    return s;
  }

  SvmSettings svm_;
  Matrix weight_;  // (F + 1, machines), the bias last
  std::vector<Calibration> calibration_;
};

}  // namespace

std::unique_ptr<Head> make_linear_svm() { return std::make_unique<LinearSvm>(); }

}  // namespace sono::zoo
