#pragma once
// Linear support vector machine with squared hinge loss (LIBLINEAR [Fan et al., JMLR 9, 2008]):
//   min over w  |w|^2 / 2 + C sum_i max(0, 1 - s_i w . (x_i, 1))^2
// by the trust-region Newton method in the primal, which draws no random numbers. Two categories: one machine; more: each against the
// others. For many cases or features; probabilities by calibration on held-out patients.
//
//   auto head = make_head("linear-svm");   head->settings().set("C", "0.1");
#include "zoo/heads/svm.h"

namespace sono::zoo {

std::unique_ptr<Head> make_linear_svm();  // an SvmHead: decisions (M, 1) for category 1, or (M, classes)

}  // namespace sono::zoo
