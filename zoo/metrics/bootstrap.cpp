#include "zoo/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/metrics/statistics.h"

namespace sono::zoo {

std::vector<int64_t> group_numbers(const std::vector<std::string>& names) {
  std::map<std::string, int64_t> known;
  std::vector<int64_t> numbers;
  int64_t next = 0;
  for (const std::string& name : names) {
    if (name.empty()) {
      numbers.push_back(next++);
      continue;
    }
    const auto [at, is_new] = known.try_emplace(name, next);
    numbers.push_back(at->second);
    next += is_new;
  }
  return numbers;
}

Interval bootstrap(const std::vector<int64_t>& groups, const Statistic& statistic, const BootstrapOptions& options) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (options.replicates < 1 || !(options.level > 0 && options.level < 1))
    throw NumericError("[bootstrap] " + std::to_string(options.replicates) + " replicates at level " + std::to_string(options.level) +
                       "; wants at least 1 and a level within (0, 1)");
  if (groups.empty()) return {nan, nan};
  const int64_t n = *std::max_element(groups.begin(), groups.end()) + 1;
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(n));
  for (size_t i = 0; i < groups.size(); i++) members.at(static_cast<size_t>(groups[i])).push_back(static_cast<int64_t>(i));
  std::vector<double> values(static_cast<size_t>(options.replicates));
  parallel_for(options.replicates, 50, [&](int64_t first, int64_t last) {
    std::vector<int64_t> cases;
    for (int64_t r = first; r < last; r++) {
      Random random(options.seed, "bootstrap", static_cast<uint64_t>(r));
      cases.clear();
      for (int64_t draw = 0; draw < n; draw++) {
        const auto& group = members[static_cast<size_t>(random.below(n))];
        cases.insert(cases.end(), group.begin(), group.end());
      }
      values[static_cast<size_t>(r)] = cases.empty() ? nan : statistic(cases);
    }
  });
  std::erase_if(values, [](double v) { return std::isnan(v); });
  const double tail = 50 * (1 - options.level);
  return {percentile(values, tail), percentile(values, 100 - tail)};
}

}  // namespace sono::zoo
