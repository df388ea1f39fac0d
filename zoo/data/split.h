#pragma once
// Training, validation and test parts that share no patient, no video and no near-duplicate images, with the categories in equal shares.
//
//   Split split = grouped_split(*data, {.validation = 0.2, .seed = 1});
//   check_split(*data, split.train, split.validation);     // passes; of a random split it says what leaks
//   for (const Split& fold : k_folds(*data, 5)) …
#include <cstdint>
#include <vector>

#include "zoo/data/leak.h"
#include "zoo/data/sample.h"

namespace sono::zoo {

struct Split {
  std::vector<int64_t> train, validation, test;
};  // indices, ascending
struct SplitOptions {
  double validation = 0.2, test = 0;
  uint64_t seed = 0;
};

// Whole groups go to the part that lacks them most, the largest groups first, in an order drawn from the seed.
// Error: one image, or fewer groups than parts ("cannot be split": near-duplicates or one patient throughout).
Split grouped_split(const Dataset& data, const SplitOptions& options = {});
Split grouped_split(const Dataset& data, const SplitOptions& options, const Grouping& grouping);

// Fold i validates on part i and trains on the others; each image is validated on once.
std::vector<Split> k_folds(const Dataset& data, int64_t k, uint64_t seed = 0);
std::vector<Split> k_folds(const Dataset& data, int64_t k, uint64_t seed, const Grouping& grouping);

// Images one by one, groups ignored: what leaks on most public sets. For comparison.
Split random_split(const Dataset& data, const SplitOptions& options = {});

// Error if an image, a patient, a video or a near-duplicate pair is on both sides; names the first of them and offers the grouped split.
void check_split(const Dataset& data, const std::vector<int64_t>& train, const std::vector<int64_t>& validation);
void check_split(const Dataset& data, const std::vector<int64_t>& train, const std::vector<int64_t>& validation, const Grouping& grouping);

}  // namespace sono::zoo
