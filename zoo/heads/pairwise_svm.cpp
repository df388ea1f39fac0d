#include "zoo/heads/pairwise_svm.h"

namespace sono::zoo {
namespace {

struct Pair {
  int first, second;
};
std::vector<Pair> pairs_of(int classes) {
  std::vector<Pair> pairs;
  for (int i = 0; i < classes; i++)
    for (int j = i + 1; j < classes; j++) pairs.push_back({i, j});
  return pairs;
}

// The cases of one pair: their numbers, 1 for the first category and 0 for the second, and their patients.
struct Members {
  std::vector<Eigen::Index> cases;
  std::vector<int> truth;
  std::vector<int64_t> groups;
};
Members members_of(const Cases& cases, const Pair& pair) {
  Members m;
  for (size_t i = 0; i < cases.y.size(); i++) {
    if (cases.y[i] != pair.first && cases.y[i] != pair.second) continue;
    m.cases.push_back(static_cast<Eigen::Index>(i));
    m.truth.push_back(cases.y[i] == pair.first);
    if (!cases.groups.empty()) m.groups.push_back(cases.groups[i]);
  }
  return m;
}

BinarySvm solve_some(const Matrix& kernel, const std::vector<int>& truth, const std::vector<int64_t>& some, const SvmOptions& options) {
  std::vector<int> sign;
  for (const int64_t i : some) sign.push_back(truth[static_cast<size_t>(i)] ? 1 : -1);
  return solve_svm(kernel(some, some), sign, options);
}

}  // namespace

void PairwiseSvm::fit(const Matrix& kernel, const Cases& cases, const SvmOptions& options, const std::string& calibration) {
  classes_ = cases.classes;
  const std::vector<Pair> pairs = pairs_of(classes_);
  coefficient_ = Matrix::Zero(kernel.rows(), static_cast<Eigen::Index>(pairs.size()));
  bias_.resize(static_cast<Eigen::Index>(pairs.size()));
  calibration_.clear();
  for (size_t p = 0; p < pairs.size(); p++) {
    const Members m = members_of(cases, pairs[p]);
    const Matrix own = kernel(m.cases, m.cases);
    std::vector<int> sign;
    for (const int t : m.truth) sign.push_back(t ? 1 : -1);
    const BinarySvm svm = solve_svm(own, sign, options);
    for (size_t i = 0; i < m.cases.size(); i++) coefficient_(m.cases[i], static_cast<Eigen::Index>(p)) = svm.coefficient(static_cast<Eigen::Index>(i));
    bias_(static_cast<Eigen::Index>(p)) = svm.bias;
    if (calibration == "none") {
      calibration_.push_back(Calibration::fit(calibration, std::vector<double>(m.truth.size()), m.truth));
      continue;
    }
    const std::vector<double> scores = held_out_scores(m.truth, m.groups, [&](const std::vector<int64_t>& train, const std::vector<int64_t>& held_out) {
      const BinarySvm part = solve_some(own, m.truth, train, options);
      const Vector s = (own(held_out, train) * part.coefficient).array() + part.bias;
      return std::vector<double>(s.data(), s.data() + s.size());
    });
    calibration_.push_back(Calibration::fit(calibration, scores, m.truth));
  }
}

Matrix PairwiseSvm::decisions(const Matrix& kernel) const {
  Matrix d = kernel * coefficient_;
  d.rowwise() += bias_;
  return d;
}

Matrix PairwiseSvm::probabilities(const Matrix& kernel) const {
  const std::vector<Pair> pairs = pairs_of(classes_);
  const Matrix scores = decisions(kernel);
  const auto n = static_cast<size_t>(classes_);
  Matrix result(kernel.rows(), classes_);
  std::vector<std::vector<double>> r(n, std::vector<double>(n));
  for (Eigen::Index i = 0; i < kernel.rows(); i++) {
    for (size_t p = 0; p < pairs.size(); p++) {
      const auto a = static_cast<size_t>(pairs[p].first), b = static_cast<size_t>(pairs[p].second);
      r[a][b] = calibration_[p](scores(i, static_cast<Eigen::Index>(p)));
      r[b][a] = 1 - r[a][b];
    }
    const std::vector<double> coupled = n == 2 ? std::vector<double>{r[0][1], r[1][0]} : couple(r);
    for (size_t c = 0; c < n; c++) result(i, static_cast<Eigen::Index>(c)) = coupled[c];
  }
  return result;
}

std::vector<int64_t> PairwiseSvm::support() const {
  std::vector<int64_t> cases;
  for (Eigen::Index i = 0; i < coefficient_.rows(); i++)
    if (!coefficient_.row(i).isZero(0)) cases.push_back(i);
  return cases;
}

void PairwiseSvm::keep(const std::vector<int64_t>& cases) { coefficient_ = Matrix(coefficient_(cases, Eigen::all)); }

NamedTensors PairwiseSvm::state() const {
  NamedTensors all = {{"coefficient", to_tensor(coefficient_, Dtype::f64)}, {"bias", to_tensor(bias_, Dtype::f64)}};
  for (size_t p = 0; p < calibration_.size(); p++) all.emplace_back("calibration." + std::to_string(p), calibration_[p].tensor());
  return all;
}

void PairwiseSvm::take(const NamedTensors& state, int classes, const std::string& calibration) {
  classes_ = classes;
  const size_t pairs = pairs_of(classes).size();
  const Tensor& coefficient = named_tensor(state, "coefficient");
  bias_ = to_row(named_tensor(state, "bias"));
  if (coefficient.rank() != 2 || coefficient.dim(1) != static_cast<int64_t>(pairs) || bias_.size() != static_cast<Eigen::Index>(pairs))
    throw FileError("[svm] coefficients " + to_string(coefficient.shape()) + " do not fit " + std::to_string(classes) + " categories");
  coefficient_ = to_matrix(coefficient);
  calibration_.clear();
  for (size_t p = 0; p < pairs; p++) calibration_.push_back(Calibration::from(calibration, named_tensor(state, "calibration." + std::to_string(p))));
}

void SvmSettings::list(Settings& s) {
  s.add("C", solver.C, 1e-9, 1e9, "price of a case on the wrong side of its margin");
  s.add("balanced", solver.balanced, "C of each side of a machine times cases / (2 * cases of that side)");
  s.add("calibration", calibration, {"platt", "isotonic", "none"}, "from scores to probabilities, on held-out cases");
  s.add("tolerance", solver.tolerance, 1e-12, 1, "of the solver's optimality conditions");
}

}  // namespace sono::zoo
