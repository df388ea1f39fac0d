#include "zoo/heads/svm_solver.h"

#include <libsvm/svm.h>

#include <algorithm>
#include <memory>
#include <mutex>

namespace sono::zoo {
namespace {

constexpr int64_t most_cases = 20000;  // 16 bytes per value of the kernel: 6.4 GB

void check(const Matrix& kernel, const std::vector<int>& sign, const SvmOptions& options) {
  const auto n = static_cast<Eigen::Index>(sign.size());
  if (kernel.rows() != n || kernel.cols() != n)
    throw ShapeError("[svm] kernel (" + std::to_string(kernel.rows()) + ", " + std::to_string(kernel.cols()) + ") of " + std::to_string(n) + " cases");
  if (n > most_cases) throw NumericError("[svm] " + std::to_string(n) + " cases: a kernel matrix holds up to " + std::to_string(most_cases) + "; use linear-svm");
  const auto positives = std::count(sign.begin(), sign.end(), 1);
  if (positives == 0 || positives == n) throw NumericError("[svm] all " + std::to_string(n) + " cases are of one category; give cases of both");
  if (!(options.C > 0)) throw NumericError("[svm] C must be positive, got " + std::to_string(options.C));
  if (!kernel.allFinite()) throw NumericError("[svm] the kernel matrix has values that are not finite");
}

}  // namespace

BinarySvm solve_svm(const Matrix& kernel, const std::vector<int>& sign, const SvmOptions& options) {
  check(kernel, sign, options);
  static std::once_flag quiet;
  std::call_once(quiet, [] { svm_set_print_string_function([](const char*) {}); });

  // LIBSVM's form of a kernel matrix: row i is node (0, i + 1), then nodes (1 …, K_ij).
  const size_t n = sign.size();
  std::vector<svm_node> nodes(n * (n + 2));
  std::vector<svm_node*> rows(n);
  std::vector<double> labels(sign.begin(), sign.end());
  for (size_t i = 0; i < n; i++) {
    rows[i] = &nodes[i * (n + 2)];
    rows[i][0] = {0, static_cast<double>(i + 1)};
    for (size_t j = 0; j < n; j++) rows[i][j + 1] = {static_cast<int>(j + 1), kernel(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j))};
    rows[i][n + 1] = {-1, 0};
  }
  const auto positives = static_cast<double>(std::count(sign.begin(), sign.end(), 1)), all = static_cast<double>(n);
  int side[2] = {1, -1};
  double weight[2] = {all / (2 * positives), all / (2 * (all - positives))};
  svm_parameter parameter{};
  parameter.svm_type = C_SVC, parameter.kernel_type = PRECOMPUTED;
  parameter.C = options.C, parameter.eps = options.tolerance, parameter.cache_size = 64, parameter.shrinking = 1;
  if (options.balanced) parameter.nr_weight = 2, parameter.weight_label = side, parameter.weight = weight;
  const svm_problem problem{static_cast<int>(n), labels.data(), rows.data()};
  const std::unique_ptr<svm_model, void (*)(svm_model*)> model(svm_train(&problem, &parameter), [](svm_model* m) { svm_free_and_destroy_model(&m); });

  BinarySvm svm;
  svm.coefficient = Vector::Zero(kernel.rows());
  const double turn = model->label[0] == 1 ? 1 : -1;  // LIBSVM's f is positive for its first label
  for (int k = 0; k < model->l; k++) svm.coefficient(model->sv_indices[k] - 1) = turn * model->sv_coef[0][k];
  svm.bias = -turn * model->rho[0];
  svm.objective = svm.coefficient.cwiseAbs().sum() - 0.5 * svm.coefficient.dot(kernel * svm.coefficient);
  return svm;
}

}  // namespace sono::zoo
