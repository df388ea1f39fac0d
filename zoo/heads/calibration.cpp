#include "zoo/heads/calibration.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "zoo/heads/folds.h"
#include "zoo/heads/matrix.h"

namespace sono::zoo {
namespace {

double softplus(double t) { return t > 0 ? t + std::log1p(std::exp(-t)) : std::log1p(std::exp(t)); }
double sigmoid(double t) { return t >= 0 ? 1 / (1 + std::exp(-t)) : std::exp(t) / (1 + std::exp(t)); }

// Minimises sum of t (a s + b) + log(1 + exp(-(a s + b))) over a and b: Newton's steps, halved until the sum falls enough.
std::pair<double, double> platt(const std::vector<double>& s, const std::vector<int>& truth) {
  const auto n1 = static_cast<double>(std::count(truth.begin(), truth.end(), 1)), n0 = static_cast<double>(truth.size()) - n1;
  const double high = (n1 + 1) / (n1 + 2), low = 1 / (n0 + 2);
  const auto target = [&](size_t i) { return truth[i] ? high : low; };
  const auto loss = [&](double a, double b) {
    double sum = 0;
    for (size_t i = 0; i < s.size(); i++) sum += target(i) * (a * s[i] + b) + softplus(-(a * s[i] + b));
    return sum;
  };
  double a = 0, b = std::log((n0 + 1) / (n1 + 1)), now = loss(a, b);
  for (int step = 0; step < 100; step++) {
    double ga = 0, gb = 0, haa = 1e-12, hbb = 1e-12, hab = 0;
    for (size_t i = 0; i < s.size(); i++) {
      const double p = sigmoid(-(a * s[i] + b)), d = target(i) - p, w = p * (1 - p);
      ga += s[i] * d, gb += d, haa += s[i] * s[i] * w, hbb += w, hab += s[i] * w;
    }
    if (std::abs(ga) < 1e-9 && std::abs(gb) < 1e-9) break;
    const double det = haa * hbb - hab * hab, da = -(hbb * ga - hab * gb) / det, db = -(haa * gb - hab * ga) / det, slope = ga * da + gb * db;
    double length = 1, next = 0;
    for (; length > 1e-10; length /= 2)
      if ((next = loss(a + length * da, b + length * db)) < now + 1e-4 * length * slope) break;
    if (length <= 1e-10) break;
    a += length * da, b += length * db, now = next;
  }
  return {a, b};
}

// Blocks of cases in the order of their scores, merged while a block's mean is below that of the one before.
void isotonic(const std::vector<double>& s, const std::vector<int>& truth, std::vector<double>& x, std::vector<double>& y) {
  struct Block { double first, last, sum, count; };
  std::vector<size_t> order(s.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return s[i] < s[j]; });
  std::vector<Block> blocks;
  for (size_t k = 0; k < order.size();) {
    Block next{s[order[k]], s[order[k]], 0, 0};
    for (; k < order.size() && s[order[k]] == next.first; k++) next.sum += truth[order[k]], next.count++;  // equal scores are one block
    blocks.push_back(next);
    while (blocks.size() > 1) {
      Block& before = blocks[blocks.size() - 2];
      const Block& last = blocks.back();
      if (before.sum / before.count < last.sum / last.count) break;
      before = {before.first, last.last, before.sum + last.sum, before.count + last.count};
      blocks.pop_back();
    }
  }
  for (const Block& b : blocks)
    for (const double end : {b.first, b.last})
      if (x.empty() || end > x.back()) x.push_back(end), y.push_back(b.sum / b.count);
}

}  // namespace

Calibration Calibration::fit(const std::string& method, const std::vector<double>& scores, const std::vector<int>& truth) {
  if (scores.size() != truth.size())
    throw ShapeError("[calibration] " + std::to_string(scores.size()) + " scores of " + std::to_string(truth.size()) + " cases");
  const auto positives = std::count(truth.begin(), truth.end(), 1);
  if (positives == 0 || positives == static_cast<std::ptrdiff_t>(truth.size()))
    throw NumericError("[calibration] all " + std::to_string(truth.size()) + " cases are of one category; give cases of both");
  Calibration c;
  if (method == "isotonic") {
    c.isotonic_ = true;
    isotonic(scores, truth, c.first_, c.second_);
  } else if (method == "platt") {
    const auto [a, b] = platt(scores, truth);
    c.first_ = {a}, c.second_ = {b};
  } else if (method == "none") {
    c.first_ = {-1}, c.second_ = {0};
  } else {
    throw Error("[calibration] knows platt, isotonic and none, not '" + method + "'");
  }
  return c;
}

double Calibration::operator()(double score) const {
  if (!isotonic_) return sigmoid(-(first_[0] * score + second_[0]));
  const auto above = std::lower_bound(first_.begin(), first_.end(), score);
  if (above == first_.begin()) return second_.front();
  if (above == first_.end()) return second_.back();
  const auto k = static_cast<size_t>(above - first_.begin());
  const double part = (score - first_[k - 1]) / (first_[k] - first_[k - 1]);
  return second_[k - 1] + part * (second_[k] - second_[k - 1]);
}

Tensor Calibration::tensor() const {
  std::vector<double> pairs;
  for (size_t i = 0; i < first_.size(); i++) pairs.insert(pairs.end(), {first_[i], second_[i]});
  return Tensor::from<double>({static_cast<int64_t>(first_.size()), 2}, pairs);
}

Calibration Calibration::from(const std::string& method, const Tensor& tensor) {
  Calibration c;
  c.isotonic_ = method == "isotonic";
  if (tensor.rank() != 2 || tensor.dim(1) != 2 || tensor.dim(0) < 1)
    throw FileError("[calibration] wants (knots, 2) values, got " + to_string(tensor.shape()) + "; the file is damaged");
  const std::vector<double> pairs = tensor.to_vector<double>();
  for (size_t i = 0; i < pairs.size(); i += 2) c.first_.push_back(pairs[i]), c.second_.push_back(pairs[i + 1]);
  return c;
}

std::vector<double> held_out_scores(const std::vector<int>& truth, const std::vector<int64_t>& groups, const Scorer& score) {
  std::vector<int64_t> all(truth.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  const int64_t k = std::min<int64_t>(5, most_folds(truth, groups));
  if (k < 2) return score(all, all);
  std::vector<double> scores(truth.size());
  for (const Split& fold : grouped_folds(truth, groups, k)) {
    const std::vector<double> some = score(fold.train, fold.validation);
    for (size_t i = 0; i < some.size(); i++) scores[static_cast<size_t>(fold.validation[i])] = some[i];
  }
  return scores;
}

std::vector<double> couple(const std::vector<std::vector<double>>& r) {
  const auto n = static_cast<Eigen::Index>(r.size());
  const auto clipped = [&](Eigen::Index i, Eigen::Index j) {
    return std::clamp(r[static_cast<size_t>(i)][static_cast<size_t>(j)], 1e-7, 1 - 1e-7);
  };
  // Stationary where Q p + lambda e = 0 and e'p = 1.
  Matrix system = Matrix::Zero(n + 1, n + 1);
  for (Eigen::Index i = 0; i < n; i++) {
    for (Eigen::Index j = 0; j < n; j++)
      if (j != i) system(i, i) += clipped(j, i) * clipped(j, i), system(i, j) = -clipped(j, i) * clipped(i, j);
    system(i, n) = system(n, i) = 1;
  }
  Vector right = Vector::Zero(n + 1);
  right(n) = 1;
  Vector p = system.fullPivLu().solve(right).head(n).cwiseMax(0.0);
  p /= p.sum();
  return {p.data(), p.data() + n};
}

}  // namespace sono::zoo
