#include "zoo/heads/grid_search.h"

#include <algorithm>
#include <cmath>

#include "tensor/parallel.h"
#include "zoo/heads/folds.h"
#include "zoo/metrics/classification.h"

namespace sono::zoo {
namespace {

std::unique_ptr<Head> head_with(const std::string& name, const Choice& fixed, const Choice& settings) {
  auto head = make_head(name);
  for (const Choice* some : {&fixed, &settings})
    for (const auto& [key, value] : *some) head->settings().set(key, value);
  return head;
}

// Of two categories the scores' order is enough: the trials need no calibration, five sixths of an SVM's time.
void leave_uncalibrated(Head& head) {
  for (const auto& line : head.settings().lines())
    if (line.name == "calibration") head.settings().set("calibration", "none");
}

std::vector<GridPoint> points_of(const Grid& grid) {
  std::vector<GridPoint> points(1);
  for (const auto& [name, values] : grid) {
    if (values.empty()) throw Error("[grid_search] no value of '" + name + "' to try");
    std::vector<GridPoint> more;
    for (const GridPoint& point : points)
      for (const std::string& value : values) {
        more.push_back(point);
        more.back().settings.emplace_back(name, value);
      }
    points = std::move(more);
  }
  return points;
}

// The head's probabilities of the cases that were held out, having learnt the others.
Tensor held_out(Head& head, const Cases& cases, const Split& fold) {
  Cases train = subset(cases, fold.train);
  train.x = head.part(cases.x, fold.train, fold.train);
  head.fit(train);
  return head.probabilities(head.part(cases.x, fold.validation, fold.train));
}

double score_of(const std::string& score, const Tensor& p, const Cases& cases, const Split& fold) {
  std::vector<int> truth, predicted;
  std::vector<std::vector<float>> rows;
  for (size_t i = 0; i < fold.validation.size(); i++) {
    const float* row = p.data<float>() + static_cast<int64_t>(i) * cases.classes;
    rows.emplace_back(row, row + cases.classes);
    truth.push_back(cases.y[static_cast<size_t>(fold.validation[i])]);
    predicted.push_back(static_cast<int>(std::max_element(row, row + cases.classes) - row));
  }
  return score == "auc" ? macro_auc(truth, rows) : accuracy(confusion_matrix(truth, predicted, cases.classes));
}

double mean_of_defined(const std::vector<double>& values) {
  double sum = 0, n = 0;
  for (const double v : values)
    if (!std::isnan(v)) sum += v, n++;
  return n > 0 ? sum / n : -INFINITY;
}

}  // namespace

GridResult grid_search(const std::string& name, const Grid& grid, const Cases& cases, const GridOptions& options) {
  if (options.score != "auc" && options.score != "accuracy") throw Error("[grid_search] knows the scores auc and accuracy, not '" + options.score + "'");
  check_cases("grid_search", cases);
  const std::vector<Split> folds = grouped_folds(cases.y, cases.groups, options.folds, options.seed);
  GridResult result;
  result.points = points_of(grid);
  for (GridPoint& point : result.points) {
    point.folds.resize(folds.size());
    head_with(name, options.fixed, point.settings);  // unknown settings are refused before the work begins
  }
  const auto k = static_cast<int64_t>(folds.size());
  parallel_for(static_cast<int64_t>(result.points.size()) * k, 1, [&](int64_t first, int64_t last) {
    for (int64_t job = first; job < last; job++) {
      GridPoint& point = result.points[static_cast<size_t>(job / k)];
      const Split& fold = folds[static_cast<size_t>(job % k)];
      const auto head = head_with(name, options.fixed, point.settings);
      if (cases.classes == 2) leave_uncalibrated(*head);
      point.folds[static_cast<size_t>(job % k)] = score_of(options.score, held_out(*head, cases, fold), cases, fold);
    }
  });
  size_t best = 0;
  for (size_t i = 0; i < result.points.size(); i++) {
    result.points[i].score = mean_of_defined(result.points[i].folds);
    if (result.points[i].score > result.points[best].score) best = i;
  }
  result.best = result.points[best];
  result.head = head_with(name, options.fixed, result.best.settings);
  result.head->fit(cases);
  return result;
}

Tensor cross_validated(const std::function<std::unique_ptr<Head>()>& make, const Cases& cases, int64_t folds, uint64_t seed) {
  check_cases("cross_validated", cases);
  const std::vector<Split> splits = grouped_folds(cases.y, cases.groups, folds, seed);
  Tensor all({cases.size(), cases.classes});
  parallel_for(static_cast<int64_t>(splits.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t f = first; f < last; f++) {
      const Split& fold = splits[static_cast<size_t>(f)];
      const auto head = make();
      const Tensor p = held_out(*head, cases, fold);
      for (size_t i = 0; i < fold.validation.size(); i++)
        std::copy_n(p.data<float>() + static_cast<int64_t>(i) * cases.classes, cases.classes, all.data<float>() + fold.validation[i] * cases.classes);
    }
  });
  return all;
}

}  // namespace sono::zoo
