#pragma once
// What systems share that sort cases into categories.
#include <memory>

#include "zoo/data/open.h"

namespace sono::zoo {

// The data set in a folder for a classifier: without the category 'normal', if two others are there and nothing else is asked for (classes
// empty, with_normal false). FileError: fewer than two categories.
std::shared_ptr<Dataset> open_categories(const std::string& folder, const std::vector<std::string>& classes, bool with_normal = false);

// probabilities (K) -> them, and the likeliest category.
Labels category_labels(const Tensor& probabilities);

// Area under the ROC curve (macro_auc) and share of right categories.
struct CategoryScores {
  double auc, accuracy;
};
CategoryScores category_scores(const std::vector<int>& truth, const std::vector<std::vector<float>>& probabilities);

}  // namespace sono::zoo
