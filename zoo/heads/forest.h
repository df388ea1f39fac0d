#pragma once
// Random forest [Breiman, Machine Learning 45, 2001], grown by OpenCV: trees on bootstrap samples of the cases, the best of a few random
// features at each split (Gini impurity); the share of the trees that vote for each category.
//
//   auto head = make_head("forest");   head->settings().set("trees", "500");
#include "zoo/heads/head.h"

namespace sono::zoo {

std::unique_ptr<Head> make_forest();

}  // namespace sono::zoo
