#include "zoo/metrics/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/metrics/classification.h"
#include "zoo/metrics/statistics.h"

namespace sono::zoo {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double mean_of(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()); }

double covariance(const std::vector<double>& a, const std::vector<double>& b) {  // divided by n - 1; 0 of a single value
  if (a.size() < 2) return 0;
  const double ma = mean_of(a), mb = mean_of(b);
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += (a[i] - ma) * (b[i] - mb);
  return sum / static_cast<double>(a.size() - 1);
}

// I_x(a, b), the regularised incomplete beta function, by its continued fraction [Numerical Recipes 6.4, after Lentz].
double incomplete_beta(double x, double a, double b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(1 - x, b, a);
  constexpr double tiny = 1e-300;
  double c = 1, d = 1 / std::max(tiny, 1 - (a + b) * x / (a + 1)), f = d;
  for (int m = 1; m < 500; m++) {
    for (const double term : {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))}) {
      d = 1 + term * d, c = 1 + term / c;
      d = 1 / (std::abs(d) < tiny ? tiny : d), c = std::abs(c) < tiny ? tiny : c;
      f *= c * d;
    }
    if (std::abs(c * d - 1) < 1e-15) break;
  }
  return std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x)) * f / a;
}

// The t with tail(t) = 1 - level, of a falling two-sided tail.
template <class F>
double quantile(double level, F&& tail) {
  double low = 0, high = 1;
  while (tail(high) > 1 - level && high < 1e12) high *= 2;
  for (int i = 0; i < 200; i++) {
    const double middle = (low + high) / 2;
    (tail(middle) > 1 - level ? low : high) = middle;
  }
  return (low + high) / 2;
}

// Structural components: for each positive the share of negatives below it, for each negative the share of positives above it.
std::vector<double> components(const std::vector<int>& truth, const std::vector<double>& scores, int side) {
  const std::vector<double> ranks = midranks(scores);
  std::vector<double> own, rank;
  double others = 0;
  for (size_t i = 0; i < truth.size(); i++)
    if (truth[i] == side)
      own.push_back(scores[i]), rank.push_back(ranks[i]);
    else
      others++;
  const std::vector<double> within = midranks(own);
  for (size_t i = 0; i < own.size(); i++) own[i] = side ? (rank[i] - within[i]) / others : 1 - (rank[i] - within[i]) / others;
  return own;
}

}  // namespace

double student_two_sided(double t, double degrees) {
  if (std::isinf(t)) return 0;
  return incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5);
}

double student_quantile(double level, double degrees) {
  return quantile(level, [degrees](double t) { return student_two_sided(t, degrees); });
}

PairedTest corrected_resampled_t(const std::vector<double>& d, double test_over_train, double level) {
  if (d.size() < 2) throw NumericError("[corrected_resampled_t] wants two differences or more, got " + std::to_string(d.size()));
  if (!(test_over_train >= 0)) throw NumericError("[corrected_resampled_t] test / train must not be negative, got " + std::to_string(test_over_train));
  const auto n = static_cast<double>(d.size());
  const double mean = mean_of(d), error = std::sqrt((1 / n + test_over_train) * covariance(d, d));
  const double t = error > 0 ? mean / error : mean == 0 ? 0 : std::copysign(std::numeric_limits<double>::infinity(), mean);
  const double half = student_quantile(level, n - 1) * error;
  return {mean, mean - half, mean + half, t, student_two_sided(t, n - 1)};
}

PairedTest delong_test(const std::vector<int>& truth, const std::vector<double>& a, const std::vector<double>& b, double level) {
  const double area_a = auc(truth, a), area_b = auc(truth, b), difference = area_a - area_b;  // auc() checks sizes and values
  if (std::isnan(difference)) return {nan, nan, nan, nan, nan};
  double variance = 0;
  for (const int side : {0, 1}) {
    const std::vector<double> va = components(truth, a, side), vb = components(truth, b, side);
    variance += (covariance(va, va) + covariance(vb, vb) - 2 * covariance(va, vb)) / static_cast<double>(va.size());
  }
  const double error = std::sqrt(std::max(0.0, variance));
  const double z = error > 0 ? difference / error : difference == 0 ? 0 : std::copysign(std::numeric_limits<double>::infinity(), difference);
  const auto tail = [](double x) { return std::erfc(std::abs(x) / std::sqrt(2.0)); };
  const double half = quantile(level, tail) * error;
  return {difference, difference - half, difference + half, z, tail(z)};
}

McNemar mcnemar(const std::vector<bool>& a, const std::vector<bool>& b) {
  if (a.size() != b.size()) throw ShapeError("[mcnemar] " + std::to_string(a.size()) + " and " + std::to_string(b.size()) + " cases");
  McNemar m;
  for (size_t i = 0; i < a.size(); i++) m.only_a += a[i] && !b[i], m.only_b += b[i] && !a[i];
  const auto n = static_cast<double>(m.only_a + m.only_b);
  double tail = 0;
  for (int64_t k = 0; k <= std::min(m.only_a, m.only_b); k++) {
    const auto x = static_cast<double>(k);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) - n * std::log(2.0));
  }
  m.p = std::min(1.0, 2 * tail);
  return m;
}

Bootstrap632 bootstrap_632_plus(const std::vector<int>& truth, const std::vector<int64_t>& groups, const TrainAndScore& run, const BootstrapOptions& options) {
  if (truth.empty() || truth.size() != groups.size())
    throw ShapeError("[bootstrap_632_plus] " + std::to_string(truth.size()) + " cases of " + std::to_string(groups.size()) + " patients' numbers");
  if (options.replicates < 1 || !(options.level > 0 && options.level < 1)) throw NumericError("[bootstrap_632_plus] wants at least 1 replicate and a level within (0, 1)");
  const auto area_of = [&](const std::vector<int64_t>& train, const std::vector<int64_t>& test) {
    std::vector<int> some;
    for (const int64_t i : test) some.push_back(truth[static_cast<size_t>(i)]);
    return auc(some, run(train, test));
  };
  const auto has_both = [&](const std::vector<int64_t>& cases) {
    bool seen[2] = {};
    for (const int64_t i : cases) seen[truth[static_cast<size_t>(i)] == 1] = true;
    return seen[0] && seen[1];
  };
  std::vector<int64_t> all(truth.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  if (!has_both(all)) throw NumericError("[bootstrap_632_plus] all " + std::to_string(all.size()) + " cases are of one category; give cases of both");
  const int64_t patients = *std::max_element(groups.begin(), groups.end()) + 1;
  const double apparent = area_of(all, all);
  std::vector<double> left_out(static_cast<size_t>(options.replicates), nan);
  parallel_for(options.replicates, 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; r++) {
      Random random(options.seed, "632", static_cast<uint64_t>(r));
      std::vector<int64_t> drawn(static_cast<size_t>(patients)), train, test;
      for (int64_t k = 0; k < patients; k++) drawn[static_cast<size_t>(random.below(patients))]++;
      for (const int64_t i : all) {
        const int64_t times = drawn[static_cast<size_t>(groups[static_cast<size_t>(i)])];
        if (times == 0) test.push_back(i);
        train.insert(train.end(), static_cast<size_t>(times), i);
      }
      if (has_both(train) && has_both(test)) left_out[static_cast<size_t>(r)] = area_of(train, test);
    }
  });
  std::erase_if(left_out, [](double v) { return std::isnan(v); });
  if (left_out.empty()) return {nan, nan, nan, apparent, nan, 0};
  std::vector<double> values;
  for (const double a : left_out) {
    const double b = std::max(0.5, a), R = apparent > 0.5 ? std::clamp((apparent - b) / (apparent - 0.5), 0.0, 1.0) : 0, w = 0.632 / (1 - 0.368 * R);
    values.push_back((1 - w) * apparent + w * b);
  }
  const double tail = 50 * (1 - options.level);
  return {mean_of(values), percentile(values, tail), percentile(values, 100 - tail), apparent, mean_of(left_out), static_cast<int64_t>(left_out.size())};
}

}  // namespace sono::zoo
