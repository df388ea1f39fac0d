#pragma once
// Cross-validation of feature tables: all cases of a patient are on one side, the categories are in equal shares, each case is tested once.
// The parts are those of zoo/data/split.h.
//
//   for (const Split& fold : grouped_folds(y, patients, 5)) { head->fit(subset(cases, fold.train)); … fold.validation … }
//
// NumericError: more folds than patients; one category only; a fold that would train without one of the categories.
#include <cstdint>
#include <vector>

#include "zoo/data/split.h"

namespace sono::zoo {

// groups: the patient's number of each case, any numbers; empty: every case is a patient of its own.
std::vector<Split> grouped_folds(const std::vector<int>& y, const std::vector<int64_t>& groups, int64_t k, uint64_t seed = 0);

// The same again in another order, `repeats` times: fold f of repeat r is at r * k + f.
std::vector<Split> repeated_folds(const std::vector<int>& y, const std::vector<int64_t>& groups, int64_t k, int64_t repeats, uint64_t seed = 0);

// How many folds can hold every category: the patients of the category that has fewest.
int64_t most_folds(const std::vector<int>& y, const std::vector<int64_t>& groups);

}  // namespace sono::zoo
