#pragma once
// Linear discriminant analysis: normal distributions with one covariance for all categories [Fisher 1936]. Scores
// delta_c(x) = x' S^-1 m_c - m_c' S^-1 m_c / 2 + log p_c, softmax over c. S = sum_c p_c S_c, each S_c shrunk towards mean variance:
// (1 - a) S_c + a tr(S_c) / F I. With few cases and many features S_c has no inverse without it. `shrinkage`: a in [0, 1], or "auto",
// Ledoit and Wolf's estimate of the best one [J. Multivariate Analysis 88, 2004], on columns scaled to deviation 1 as scikit-learn does.
//
//   auto head = make_head("lda");   head->settings().set("shrinkage", "0.1");
#include "tensor/tensor.h"
#include "zoo/heads/head.h"

namespace sono::zoo {

// Ledoit and Wolf's a for the covariance of the rows of x (N, F), in [0, 1]; 1 for a single row.
double ledoit_wolf(const Tensor& x);

std::unique_ptr<Head> make_lda();

}  // namespace sono::zoo
