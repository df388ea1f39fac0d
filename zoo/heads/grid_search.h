#pragma once
// The settings of a head that do best in a grouped cross-validation: no patient on both sides, categories in equal shares. The first of
// equals wins: name the simplest values first. Points and folds run on several threads; the result does not depend on their number.
//
//   GridResult found = grid_search("svm", {{"C", {"1", "10", "100"}}, {"gamma", {"scale", "0.01"}}}, {x, y, 2, patients});
//   found.head->probabilities(x_new);   // the best settings, learnt on all cases
#include <functional>

#include "zoo/heads/head.h"

namespace sono::zoo {

using Grid = std::vector<std::pair<std::string, std::vector<std::string>>>;  // a setting and the values to try
using Choice = std::vector<std::pair<std::string, std::string>>;             // a value of each

struct GridOptions {
  int64_t folds = 5;
  uint64_t seed = 0;
  std::string score = "auc";  // auc (macro), or accuracy: of each fold, averaged
  Choice fixed = {};          // settings that are the same everywhere
};
struct GridPoint {
  Choice settings;
  double score = 0;           // mean over the folds
  std::vector<double> folds;
};
struct GridResult {
  GridPoint best;
  std::vector<GridPoint> points;  // the last setting runs fastest
  std::unique_ptr<Head> head;     // with the best settings, learnt on all cases
};
GridResult grid_search(const std::string& head, const Grid& grid, const Cases& cases, const GridOptions& options = {});

// Probabilities (N, classes) of every case by a head that did not see its patient: `make` gives a fresh head for each fold.
Tensor cross_validated(const std::function<std::unique_ptr<Head>()>& make, const Cases& cases, int64_t folds, uint64_t seed = 0);

}  // namespace sono::zoo
