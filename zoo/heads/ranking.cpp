#include "zoo/heads/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "tensor/parallel.h"
#include "zoo/heads/head.h"

namespace sono::zoo {
namespace {

struct Moments { double n = 0, mean = 0, squares = 0; };  // squares: sum of (x - mean)^2

std::vector<double> column(const Tensor& x, int64_t j) {
  std::vector<double> values;
  for (int64_t i = 0; i < x.dim(0); i++) values.push_back(static_cast<double>(x.data<float>()[i * x.dim(1) + j]));
  return values;
}

std::vector<Moments> moments_of(const std::vector<double>& values, const std::vector<int>& y, int classes) {
  std::vector<Moments> m(static_cast<size_t>(classes));
  for (size_t i = 0; i < y.size(); i++) m[static_cast<size_t>(y[i])].n++, m[static_cast<size_t>(y[i])].mean += values[i];
  for (Moments& one : m) one.mean /= one.n;
  for (size_t i = 0; i < y.size(); i++) {
    Moments& one = m[static_cast<size_t>(y[i])];
    one.squares += (values[i] - one.mean) * (values[i] - one.mean);
  }
  return m;
}

double ratio(double above, double below) { return above == 0 ? 0 : below > 0 ? above / below : std::copysign(std::numeric_limits<double>::infinity(), above); }

// f(column) for all columns, on several threads.
template <class F>
std::vector<double> for_columns(const Tensor& x, F&& f) {
  std::vector<double> scores(static_cast<size_t>(x.dim(1)));
  parallel_for(x.dim(1), 16, [&](int64_t first, int64_t last) {
    for (int64_t j = first; j < last; j++) scores[static_cast<size_t>(j)] = f(j);
  });
  return scores;
}

std::vector<int64_t> best_first(const std::vector<double>& scores) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)]; });
  return order;
}

std::vector<double> t_scores(const Tensor& x, const std::vector<int>& y, int classes) {
  std::vector<double> best(static_cast<size_t>(x.dim(1)));
  for (int c = classes == 2 ? 1 : 0; c < classes; c++) {
    std::vector<int> is_c;
    for (const int v : y) is_c.push_back(v == c);
    const std::vector<double> t = welch_t(x, is_c);
    for (size_t j = 0; j < best.size(); j++) best[j] = std::max(best[j], std::abs(t[j]));
  }
  return best;
}

Ranking mrmr(const Tensor& x, const std::vector<int>& y, const RankingOptions& options) {
  const int64_t f = x.dim(1), count = options.count > 0 ? std::min(options.count, f) : f;
  std::vector<std::vector<int>> values(static_cast<size_t>(f));
  const std::vector<double> relevance = for_columns(x, [&](int64_t j) {
    values[static_cast<size_t>(j)] = quantised(column(x, j), options.bins);
    return mutual_information(values[static_cast<size_t>(j)], y);
  });
  Ranking r{relevance, {}};
  std::vector<double> redundancy(static_cast<size_t>(f));  // summed over those chosen
  std::vector<bool> chosen(static_cast<size_t>(f));
  for (int64_t k = 0; k < count; k++) {
    size_t best = chosen.size();
    const auto value = [&](size_t j) { return relevance[j] - (k ? redundancy[j] / static_cast<double>(k) : 0); };
    for (size_t j = 0; j < chosen.size(); j++)
      if (!chosen[j] && (best == chosen.size() || value(j) > value(best))) best = j;
    chosen[best] = true;
    r.score[best] = value(best);
    r.order.push_back(static_cast<int64_t>(best));
    const std::vector<double> shared = for_columns(x, [&](int64_t j) { return chosen[static_cast<size_t>(j)] ? 0 : mutual_information(values[static_cast<size_t>(j)], values[best]); });
    for (size_t j = 0; j < shared.size(); j++) redundancy[j] += shared[j];
  }
  for (const int64_t j : best_first(relevance))
    if (!chosen[static_cast<size_t>(j)]) r.order.push_back(j);
  return r;
}

}  // namespace

std::vector<double> welch_t(const Tensor& x, const std::vector<int>& y) {
  check_cases("t-test", {x, y, 2, {}});
  return for_columns(x, [&](int64_t j) {
    const std::vector<Moments> m = moments_of(column(x, j), y, 2);
    const auto error = [](const Moments& one) { return one.n > 1 ? one.squares / (one.n - 1) / one.n : 0; };
    return ratio(m[1].mean - m[0].mean, std::sqrt(error(m[0]) + error(m[1])));
  });
}

std::vector<double> fisher_score(const Tensor& x, const std::vector<int>& y, int classes) {
  check_cases("fisher", {x, y, classes, {}});
  return for_columns(x, [&](int64_t j) {
    const std::vector<double> values = column(x, j);
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
    double between = 0, within = 0;
    for (const Moments& m : moments_of(values, y, classes)) between += m.n * (m.mean - mean) * (m.mean - mean), within += m.squares;
    return ratio(between, within);
  });
}

std::vector<int> quantised(const std::vector<double>& values, int bins) {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int> result;
  for (const double v : values) {  // the share of smaller values chooses the bin: equal values stay together
    const auto below = std::lower_bound(sorted.begin(), sorted.end(), v) - sorted.begin();
    result.push_back(static_cast<int>(below * bins / static_cast<std::ptrdiff_t>(values.size())));
  }
  return result;
}

double mutual_information(const std::vector<int>& a, const std::vector<int>& b) {
  if (a.size() != b.size()) throw ShapeError("[mutual_information] " + std::to_string(a.size()) + " and " + std::to_string(b.size()) + " values");
  std::map<int, double> pa, pb;
  std::map<std::pair<int, int>, double> both;
  const double one = 1 / static_cast<double>(a.size());
  for (size_t i = 0; i < a.size(); i++) pa[a[i]] += one, pb[b[i]] += one, both[{a[i], b[i]}] += one;
  double sum = 0;
  for (const auto& [pair, p] : both) sum += p * std::log(p / (pa[pair.first] * pb[pair.second]));
  return sum;
}

Ranking rank_features(const std::string& method, const Tensor& x, const std::vector<int>& y, int classes, const RankingOptions& options) {
  check_cases("rank_features", {x, y, classes, {}});
  if (method == "mrmr") {
    if (options.bins < 2) throw NumericError("[rank_features] mrmr wants 2 bins or more, got " + std::to_string(options.bins));
    return mrmr(x, y, options);
  }
  if (method != "t-test" && method != "fisher") throw Error("[rank_features] knows t-test, fisher and mrmr, not '" + method + "'");
  std::vector<double> scores = method == "fisher" ? fisher_score(x, y, classes) : t_scores(x, y, classes);
  std::vector<int64_t> order = best_first(scores);
  return {std::move(scores), std::move(order)};
}

Tensor columns_of(const Tensor& x, const std::vector<int64_t>& columns) {
  if (x.rank() != 2) throw ShapeError("[columns_of] wants (cases, features), got " + to_string(x.shape()));
  for (const int64_t j : columns)
    if (j < 0 || j >= x.dim(1)) throw ShapeError("[columns_of] column " + std::to_string(j) + " of " + to_string(x.shape()));
  Tensor part({x.dim(0), static_cast<int64_t>(columns.size())});
  float* out = part.data<float>();
  for (int64_t i = 0; i < x.dim(0); i++)
    for (const int64_t j : columns) *out++ = x.data<float>()[i * x.dim(1) + j];
  return part;
}

}  // namespace sono::zoo
