#pragma once
// Logistic regression with an L2 penalty, softmax over the categories: min over W, b  sum_i -log p(y_i | x_i) + |W|^2 / (2 C), as
// scikit-learn's LogisticRegression; the bias is free. Solved by our L-BFGS in f64.
//
//   auto head = make_head("logistic");   head->settings().set("C", "0.1");
#include "zoo/heads/head.h"

namespace sono::zoo {

std::unique_ptr<Head> make_logistic();

}  // namespace sono::zoo
