#pragma once
// Percentile confidence intervals by resampling whole patients [Efron and Tibshirani, "An introduction to the bootstrap", 1993]: images
// of one patient are alike, and resampling them one by one gives intervals that are too narrow.
//
//   auto groups = group_numbers({"p1", "p1", "p2", "p3"});
//   Interval ci = bootstrap(groups, [&](const std::vector<int64_t>& cases) { return mean_of(values, cases); });
//
// Replicate r draws from its own random stream (seed, "bootstrap", r): the same bits with any number of threads.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sono::zoo {

struct Interval {
  double lo, hi;
};
struct BootstrapOptions {
  int replicates = 2000;
  double level = 0.95;
  uint64_t seed = 0;
};

// Cases with the same name get the same number, 0 … in order of first sight; an empty name is a group of its own.
std::vector<int64_t> group_numbers(const std::vector<std::string>& names);

// A statistic of the cases drawn (with repeats). It is called from several threads. Replicates on which it is NaN are left out, as when
// one category alone was drawn; NaN, NaN if all are.
using Statistic = std::function<double(const std::vector<int64_t>& cases)>;
Interval bootstrap(const std::vector<int64_t>& groups, const Statistic& statistic, const BootstrapOptions& options = {});

}  // namespace sono::zoo
