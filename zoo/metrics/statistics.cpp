#include "zoo/metrics/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/error.h"

namespace sono::zoo {

namespace {

void refuse_nan(const char* operation, const std::vector<double>& values) {
  for (size_t i = 0; i < values.size(); i++)
    if (std::isnan(values[i]))
      throw NumericError(std::string("[") + operation + "] value " + std::to_string(i) + " is NaN; leave it out first");
}

}  // namespace

double percentile(std::vector<double> values, double q) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  if (!(q >= 0 && q <= 100)) throw NumericError("[percentile] q = " + std::to_string(q) + " is not within 0 … 100");
  refuse_nan("percentile", values);
  const double place = q / 100 * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  const double low = *at, part = place - static_cast<double>(below);
  if (part == 0 || below + 1 == values.size()) return low;
  const double high = *std::min_element(at + 1, values.end());
  return high == low ? low : low + part * (high - low);  // equal: also two infinities, whose difference is no number
}

double median(std::vector<double> values) { return percentile(std::move(values), 50); }

std::vector<double> midranks(const std::vector<double>& values) {
  refuse_nan("midranks", values);
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0, last; first < order.size(); first = last) {
    for (last = first + 1; last < order.size() && values[order[last]] == values[order[first]];) last++;
    for (size_t i = first; i < last; i++) ranks[order[i]] = static_cast<double>(first + 1 + last) / 2;
  }
  return ranks;
}

}  // namespace sono::zoo
