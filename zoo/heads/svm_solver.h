#pragma once
// The dual of the support vector machine [Cortes and Vapnik 1995] on a kernel matrix, solved by LIBSVM's SMO [Chang and Lin 2011]:
//   max over a of  sum a_i - 1/2 sum_ij a_i a_j s_i s_j K_ij,   0 <= a_i <= C_i,  sum a_i s_i = 0;   s_i = +1 or -1
// f(x) = sum_i a_i s_i K(x_i, x) + bias. LIBSVM prints nothing, and the parts of it that draw random numbers are not used.
//
//   BinarySvm svm = solve_svm(K, s, {.C = 10});      // svm.coefficient[i] = a_i s_i
#include <vector>

#include "zoo/heads/matrix.h"

namespace sono::zoo {

struct SvmOptions {
  double C = 1;
  bool balanced = false;     // C of each side times n / (2 n_side)
  double tolerance = 1e-3;   // of the optimality conditions
};

struct BinarySvm {
  Vector coefficient;        // (N) a_i s_i
  double bias = 0;
  double objective = 0;      // of the dual at the solution
};

// K (N, N), symmetric and positive semidefinite; sign +1 or -1, both present. NumericError: one sign only, a bad C or K not finite.
BinarySvm solve_svm(const Matrix& kernel, const std::vector<int>& sign, const SvmOptions& options);

}  // namespace sono::zoo
