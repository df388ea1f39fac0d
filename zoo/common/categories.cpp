#include "zoo/common/categories.h"

#include <algorithm>

#include "zoo/metrics/classification.h"

namespace sono::zoo {
namespace {

int likeliest(const std::vector<float>& p) { return static_cast<int>(std::max_element(p.begin(), p.end()) - p.begin()); }

}  // namespace

std::shared_ptr<Dataset> open_categories(const std::string& folder, const std::vector<std::string>& classes, bool with_normal) {
  OpenOptions options;
  options.classes = classes;
  std::shared_ptr<Dataset> data = open_dataset(folder, options);
  if (!classes.empty()) return data;
  std::vector<std::string> names = data->categories();
  if (names.size() < 2)
    throw FileError(folder + ": a classifier wants cases of two categories or more, found " + std::to_string(names.size()));
  if (with_normal || names.size() < 3 || std::erase(names, "normal") == 0) return data;
  options.classes = names;
  return open_dataset(folder, options);
}

Labels category_labels(const Tensor& probabilities) {
  Labels labels;
  labels.probabilities = probabilities.to_vector<float>();
  labels.category = likeliest(labels.probabilities);
  return labels;
}

CategoryScores category_scores(const std::vector<int>& truth, const std::vector<std::vector<float>>& probabilities) {
  double right = 0;
  for (size_t i = 0; i < truth.size(); i++) right += likeliest(probabilities[i]) == truth[i];
  return {macro_auc(truth, probabilities), right / static_cast<double>(truth.size())};
}

}  // namespace sono::zoo
