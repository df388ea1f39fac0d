#include "zoo/metrics/classification.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "zoo/metrics/statistics.h"

namespace sono::zoo {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

void check(const std::string& operation, const std::vector<int>& truth, const std::vector<double>& scores) {
  if (truth.size() != scores.size())
    throw ShapeError("[" + operation + "] " + std::to_string(truth.size()) + " true values and " + std::to_string(scores.size()) +
                     " scores");
  for (size_t i = 0; i < truth.size(); i++) {
    if (truth[i] != 0 && truth[i] != 1)
      throw NumericError("[" + operation + "] true value " + std::to_string(truth[i]) + " of case " + std::to_string(i) +
                         " is neither 0 nor 1");
    if (std::isnan(scores[i])) throw NumericError("[" + operation + "] the score of case " + std::to_string(i) + " is NaN");
  }
}

std::vector<size_t> highest_first(const std::vector<double>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return scores[i] > scores[j]; });
  return order;
}

// Walks the distinct scores from the highest and calls f(true positives, false positives, score) after each.
template <class F>
void walk_thresholds(const std::vector<int>& truth, const std::vector<double>& scores, F&& f) {
  const std::vector<size_t> order = highest_first(scores);
  double positives = 0, negatives = 0;
  for (size_t i = 0; i < order.size(); i++) {
    (truth[order[i]] ? positives : negatives) += 1;
    if (i + 1 == order.size() || scores[order[i + 1]] != scores[order[i]]) f(positives, negatives, scores[order[i]]);
  }
}

// x with P(N(0, 1) < x) = p, by bisection: 60 halvings of [-9, 9].
double normal_quantile(double p) {
  double low = -9, high = 9;
  for (int i = 0; i < 60; i++) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

double sample_variance(const std::vector<double>& v) {
  if (v.size() < 2) return 0;
  const double mean = std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
  double squares = 0;
  for (double x : v) squares += (x - mean) * (x - mean);
  return squares / static_cast<double>(v.size() - 1);
}

template <class F>
double mean_of_defined(int n, F&& f) {
  double total = 0;
  int defined = 0;
  for (int k = 0; k < n; k++)
    if (const double value = f(k); !std::isnan(value)) total += value, defined++;
  return defined ? total / defined : nan;
}

template <class F>
double macro(const std::string& operation, const std::vector<int>& truth, const std::vector<std::vector<float>>& probabilities,
             F&& metric) {
  if (truth.size() != probabilities.size())
    throw ShapeError("[" + operation + "] " + std::to_string(truth.size()) + " true categories and " +
                     std::to_string(probabilities.size()) + " predictions");
  if (truth.empty()) return nan;
  const size_t categories = probabilities[0].size();
  const auto against_rest = [&](int k) {
    std::vector<int> is_k(truth.size());
    std::vector<double> scores(truth.size());
    for (size_t i = 0; i < truth.size(); i++) {
      if (probabilities[i].size() != categories)
        throw ShapeError("[" + operation + "] case " + std::to_string(i) + " has " + std::to_string(probabilities[i].size()) +
                         " probabilities, case 0 has " + std::to_string(categories));
      is_k[i] = truth[i] == k, scores[i] = static_cast<double>(probabilities[i][static_cast<size_t>(k)]);
    }
    return metric(is_k, scores);
  };
  return categories == 2 ? against_rest(1) : mean_of_defined(static_cast<int>(categories), against_rest);
}

}  // namespace

ConfusionMatrix confusion_matrix(const std::vector<int>& truth, const std::vector<int>& predicted, int categories) {
  if (truth.size() != predicted.size())
    throw ShapeError("[confusion_matrix] " + std::to_string(truth.size()) + " true and " + std::to_string(predicted.size()) +
                     " predicted categories");
  ConfusionMatrix matrix(static_cast<size_t>(categories), std::vector<int64_t>(static_cast<size_t>(categories)));
  for (size_t i = 0; i < truth.size(); i++) {
    for (int c : {truth[i], predicted[i]})
      if (c < 0 || c >= categories)
        throw NumericError("[confusion_matrix] category " + std::to_string(c) + " of case " + std::to_string(i) + " is not within 0 … " +
                           std::to_string(categories - 1));
    matrix[static_cast<size_t>(truth[i])][static_cast<size_t>(predicted[i])]++;
  }
  return matrix;
}

Overlap one_versus_rest(const ConfusionMatrix& matrix, int category) {
  const auto c = static_cast<size_t>(category);
  Overlap o;
  for (size_t t = 0; t < matrix.size(); t++)
    for (size_t p = 0; p < matrix.size(); p++) (t == c ? (p == c ? o.tp : o.fn) : (p == c ? o.fp : o.tn)) += matrix[t][p];
  return o;
}

double accuracy(const ConfusionMatrix& matrix) {
  int64_t right = 0, all = 0;
  for (size_t t = 0; t < matrix.size(); t++)
    for (size_t p = 0; p < matrix.size(); p++) right += t == p ? matrix[t][p] : 0, all += matrix[t][p];
  return all ? static_cast<double>(right) / static_cast<double>(all) : nan;
}

double f1(const Overlap& o) { return dice(o); }

double macro_f1(const ConfusionMatrix& m) {
  return mean_of_defined(static_cast<int>(m.size()), [&](int k) { return f1(one_versus_rest(m, k)); });
}
double macro_sensitivity(const ConfusionMatrix& m) {
  return mean_of_defined(static_cast<int>(m.size()), [&](int k) { return sensitivity(one_versus_rest(m, k)); });
}
double macro_specificity(const ConfusionMatrix& m) {
  return mean_of_defined(static_cast<int>(m.size()), [&](int k) { return specificity(one_versus_rest(m, k)); });
}

double auc(const std::vector<int>& truth, const std::vector<double>& scores) {
  check("auc", truth, scores);
  const std::vector<double> ranks = midranks(scores);
  double rank_sum = 0, n1 = 0;
  for (size_t i = 0; i < truth.size(); i++)
    if (truth[i]) rank_sum += ranks[i], n1++;
  const double n0 = static_cast<double>(truth.size()) - n1;
  return n1 > 0 && n0 > 0 ? (rank_sum - n1 * (n1 + 1) / 2) / (n1 * n0) : nan;
}

AucInterval delong(const std::vector<int>& truth, const std::vector<double>& scores, double level) {
  check("delong", truth, scores);
  const std::vector<double> all = midranks(scores);
  std::vector<double> score[2], rank[2];
  for (size_t i = 0; i < truth.size(); i++) score[truth[i]].push_back(scores[i]), rank[truth[i]].push_back(all[i]);
  const auto n0 = static_cast<double>(score[0].size()), n1 = static_cast<double>(score[1].size());
  if (n0 == 0 || n1 == 0) return {nan, nan, nan, nan};
  // Structural components: for each positive the part of negatives below it, for each negative the part of positives above it.
  std::vector<double> component[2] = {midranks(score[0]), midranks(score[1])};
  for (size_t i = 0; i < component[1].size(); i++) component[1][i] = (rank[1][i] - component[1][i]) / n0;
  for (size_t i = 0; i < component[0].size(); i++) component[0][i] = 1 - (rank[0][i] - component[0][i]) / n1;
  const double area = std::accumulate(component[1].begin(), component[1].end(), 0.0) / n1;
  const double variance = sample_variance(component[1]) / n1 + sample_variance(component[0]) / n0;
  const double half = normal_quantile((1 + level) / 2) * std::sqrt(variance);
  return {area, variance, std::max(0.0, area - half), std::min(1.0, area + half)};
}

double average_precision(const std::vector<int>& truth, const std::vector<double>& scores) {
  check("average_precision", truth, scores);
  const auto all = static_cast<double>(std::count(truth.begin(), truth.end(), 1));
  if (all == 0) return nan;
  double sum = 0, before = 0;
  walk_thresholds(truth, scores, [&](double tp, double fp, double) { sum += (tp - before) / all * tp / (tp + fp), before = tp; });
  return sum;
}

std::vector<RocPoint> roc_curve(const std::vector<int>& truth, const std::vector<double>& scores) {
  check("roc_curve", truth, scores);
  const auto positives = static_cast<double>(std::count(truth.begin(), truth.end(), 1)),
             negatives = static_cast<double>(truth.size()) - positives;
  if (positives == 0 || negatives == 0) return {};
  std::vector<RocPoint> curve{{0, 0, infinity}};
  walk_thresholds(truth, scores, [&](double tp, double fp, double score) { curve.push_back({fp / negatives, tp / positives, score}); });
  return curve;
}

double macro_auc(const std::vector<int>& truth, const std::vector<std::vector<float>>& probabilities) {
  return macro("macro_auc", truth, probabilities, auc);
}

double macro_average_precision(const std::vector<int>& truth, const std::vector<std::vector<float>>& probabilities) {
  return macro("macro_average_precision", truth, probabilities, average_precision);
}

}  // namespace sono::zoo
