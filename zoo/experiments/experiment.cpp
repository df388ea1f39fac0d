#include "zoo/experiments/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "tensor/parallel.h"
#include "zoo/common/categories.h"
#include "zoo/heads/folds.h"
#include "zoo/metrics/classification.h"
#include "zoo/sim/simulate.h"

namespace sono::zoo {

const std::vector<std::pair<std::string, std::string>>& experiments() {
  static const std::vector<std::pair<std::string, std::string>> all = [] {
    std::vector<std::pair<std::string, std::string>> list;
    for (auto make : {make_s_dpn_experiment, make_tic_dbn_experiment, make_dcca_mkl_experiment, make_pretraining_experiment}) {
      const auto e = make();
      list.emplace_back(e->name(), e->question());
    }
    return list;
  }();
  return all;
}

std::unique_ptr<Experiment> make_experiment(const std::string& name) {
  std::vector<std::string> names;
  for (auto make : {make_s_dpn_experiment, make_tic_dbn_experiment, make_dcca_mkl_experiment, make_pretraining_experiment}) {
    auto e = make();
    if (e->name() == name) return e;
    names.push_back(e->name());
  }
  const std::string near = nearest(name, names);
  throw Error("unknown experiment '" + name + "'; " + (near.empty() ? "known are " + joined(names) : "did you mean " + near + "?"));
}

// ---- running ---------------------------------------------------------------------------------------------------------------------------

std::pair<double, double> auc_and_accuracy(const Tensor& p, const std::vector<int64_t>& case_of, const std::vector<int>& truth) {
  const auto classes = static_cast<size_t>(p.dim(1));
  std::vector<std::vector<float>> mean(truth.size(), std::vector<float>(classes, 0));
  for (int64_t i = 0; i < p.dim(0); i++)
    for (size_t k = 0; k < classes; k++)
      mean[static_cast<size_t>(case_of.at(static_cast<size_t>(i)))][k] += p.data<float>()[static_cast<size_t>(i) * classes + k];
  for (std::vector<float>& p : mean) {
    const float sum = std::accumulate(p.begin(), p.end(), 0.0f);
    for (float& v : p) v /= sum;
  }
  const auto [area, accuracy] = category_scores(truth, mean);
  return {area, accuracy};
}

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// All cases as one contender sees them: rows of case i are first[i] … first[i + 1] - 1.
struct FeatureTable {
  Views views;
  std::vector<int64_t> first;
  double ms_per_case = 0;
};

FeatureTable make_table(const Dataset& data, const RowsOf& rows) {
  const int64_t n = data.size();
  std::vector<std::vector<Views>> each(static_cast<size_t>(n));
  std::vector<double> taken(static_cast<size_t>(n));
  parallel_for(n, 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
      const Sample s = data.get(i);
      const auto start = Clock::now();
      each[static_cast<size_t>(i)] = rows(s);
      taken[static_cast<size_t>(i)] = seconds_since(start) * 1e3;
    }
  });
  FeatureTable table;
  std::vector<Views> all;
  for (const auto& versions : each) {
    table.first.push_back(static_cast<int64_t>(all.size()));
    all.insert(all.end(), versions.begin(), versions.end());
  }
  table.first.push_back(static_cast<int64_t>(all.size()));
  table.views = stacked_views(all);
  std::sort(taken.begin(), taken.end());
  table.ms_per_case = taken[taken.size() / 2];
  return table;
}

std::vector<int64_t> rows_of_cases(const FeatureTable& t, const std::vector<int64_t>& cases) {
  std::vector<int64_t> rows;
  for (const int64_t c : cases)
    for (int64_t r = t.first[static_cast<size_t>(c)]; r < t.first[static_cast<size_t>(c) + 1]; r++) rows.push_back(r);
  return rows;
}

struct Truth {
  std::vector<int> category;
  std::vector<int64_t> patient;
};

Truth truth_of(const Dataset& data) {
  Truth t;
  const Grouping grouping = leak_groups(data);
  for (int64_t i = 0; i < data.size(); i++) {
    const auto category = data.category(i);
    if (!category) throw Error(data.meta(i).id + ": has no category");
    t.category.push_back(*category);
  }
  t.patient = grouping.group;
  return t;
}

// Trains on one fold and scores the other.
void run_fold(const Contender& c, const FeatureTable& t, const Truth& truth, const Split& fold, int64_t classes, uint64_t seed,
              ContenderResult& r) {
  Lesson lesson;
  lesson.classes = classes, lesson.seed = seed;
  const std::vector<int64_t> train = rows_of_cases(t, fold.train), test = rows_of_cases(t, fold.validation);
  lesson.views = taken_rows(t.views, train);
  for (const int64_t i : fold.train)
    for (int64_t k = t.first[static_cast<size_t>(i)]; k < t.first[static_cast<size_t>(i) + 1]; k++)
      lesson.categories.push_back(truth.category[static_cast<size_t>(i)]), lesson.groups.push_back(truth.patient[static_cast<size_t>(i)]);
  Pipeline pipeline = c.make();
  auto start = Clock::now();
  pipeline.fit(lesson);
  r.train_seconds += seconds_since(start);
  start = Clock::now();
  const Tensor p = pipeline.apply(taken_rows(t.views, test));
  r.predict_ms += seconds_since(start) * 1e3 / static_cast<double>(fold.validation.size());
  std::vector<int64_t> case_of;
  std::vector<int> category;
  for (size_t k = 0; k < fold.validation.size(); k++) {
    const auto i = static_cast<size_t>(fold.validation[k]);
    category.push_back(truth.category[i]);
    for (int64_t v = t.first[i]; v < t.first[i + 1]; v++) case_of.push_back(static_cast<int64_t>(k));
  }
  const auto [area, right] = auc_and_accuracy(p, case_of, category);
  r.auc.push_back(area), r.accuracy.push_back(right);
}

// What the simulator says of each case, as probabilities; empty on other data.
std::vector<double> oracle_scores(const Dataset& data) {
  std::vector<double> scores;
  for (int64_t i = 0; i < data.size(); i++)
    if (const auto p = oracle_probability(data.get(i))) scores.push_back(*p);
  return static_cast<int64_t>(scores.size()) == data.size() ? scores : std::vector<double>{};
}

}  // namespace

void cross_validate(const Dataset& data, const std::vector<Contender>& contenders, const FoldOptions& options, ExperimentResult& result) {
  const Truth truth = truth_of(data);
  const auto classes = static_cast<int64_t>(data.categories().size());
  const std::vector<Split> folds = repeated_folds(truth.category, truth.patient, options.folds, options.repeats, options.seed);
  result.data = data.name(), result.cases = data.size(), result.folds = options.folds, result.repeats = options.repeats;
  result.patients = static_cast<int64_t>(std::set<int64_t>(truth.patient.begin(), truth.patient.end()).size());
  result.test_over_train = 1.0 / static_cast<double>(options.folds - 1);
  std::map<std::string, FeatureTable> tables;
  for (const Contender& c : contenders) {
    if (!tables.count(c.sees)) tables.emplace(c.sees, make_table(data, c.rows));
    const FeatureTable& t = tables.at(c.sees);
    ContenderResult r;
    r.name = c.name, r.needs = c.needs, r.features_ms = t.ms_per_case;
    for (size_t f = 0; f < folds.size(); f++) run_fold(c, t, truth, folds[f], classes, options.seed + f, r);
    r.train_seconds /= static_cast<double>(folds.size()), r.predict_ms /= static_cast<double>(folds.size());
    std::fprintf(stderr, "%s: done, %.1f s per fold\n", c.name.c_str(), r.train_seconds);
    result.contenders.push_back(std::move(r));
  }
  const std::vector<double> known = oracle_scores(data);
  if (known.empty()) return;
  ContenderResult oracle;
  oracle.name = "oracle: the simulator's own parameters";
  for (const Split& fold : folds) {
    std::vector<int> category;
    std::vector<double> score;
    double right = 0;
    for (const int64_t i : fold.validation)
      category.push_back(truth.category[static_cast<size_t>(i)]), score.push_back(known[static_cast<size_t>(i)]),
          right += (score.back() > 0.5) == (category.back() == 1);
    oracle.auc.push_back(auc(category, score)), oracle.accuracy.push_back(right / static_cast<double>(category.size()));
  }
  result.oracle = std::move(oracle);
}

// ---- showing ---------------------------------------------------------------------------------------------------------------------------

namespace {

// Mean with the interval of the corrected resampled t-test: folds share training cases.
PairedTest mean_of(const std::vector<double>& scores, double ratio) { return corrected_resampled_t(scores, ratio); }

PairedTest compared(const std::vector<double>& a, const std::vector<double>& b, double ratio) {
  std::vector<double> difference;
  for (size_t i = 0; i < a.size(); i++) difference.push_back(a[i] - b[i]);
  return corrected_resampled_t(difference, ratio);
}

std::string with_interval(const PairedTest& t) {
  return fmt::format("{:.3f} [{:.3f}, {:.3f}]", t.difference, std::max(0.0, t.lo), std::min(1.0, t.hi));
}

}  // namespace

std::string experiment_table(const ExperimentResult& r) {
  std::string text = fmt::format(
      "{}: {}\n{}, {} cases of {} patients, {} x {}-fold cross-validation by patients; 95 % intervals and p by the corrected resampled "
      "t-test\n\n",
      r.name, r.question, r.data, r.cases, r.patients, r.repeats, r.folds);
  text += fmt::format("{:<46} {:<22} {:<22} {:<26} {:>9} {:>8} {:>9}\n", "", "AUC", "accuracy", "first minus this, AUC", "features",
                      "train", "predict");
  const auto line = [&](const ContenderResult& c, const ContenderResult* first, bool costs) {
    std::string difference;
    if (first) {
      const PairedTest d = compared(first->auc, c.auc, r.test_over_train);
      difference = fmt::format("{:+.3f} [{:+.3f}, {:+.3f}] p {:.2g}", d.difference, d.lo, d.hi, d.p);
    }
    text += fmt::format("{:<46} {:<22} {:<22} {:<32}", c.name, with_interval(mean_of(c.auc, r.test_over_train)),
                        with_interval(mean_of(c.accuracy, r.test_over_train)), difference);
    if (costs)
      text += fmt::format(" {:>6.2f} ms {:>6.2f} s {:>6.3f} ms{}", c.features_ms, c.train_seconds, c.predict_ms,
                          c.needs.empty() ? "" : "   " + c.needs);
    text += "\n";
  };
  for (size_t i = 0; i < r.contenders.size(); i++) line(r.contenders[i], i ? &r.contenders[0] : nullptr, true);
  if (r.oracle) line(*r.oracle, nullptr, false);
  for (const std::string& note : r.notes) text += note + "\n";
  text += "Simulated cases say nothing of patients. For research and teaching, not for diagnosis.\n";
  return text;
}

nlohmann::json to_json(const ExperimentResult& r) {
  const auto number = [](double v) { return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(nullptr); };
  const auto summary = [&](const PairedTest& t) {
    return nlohmann::json{{"mean", number(t.difference)}, {"lo", number(t.lo)}, {"hi", number(t.hi)}};
  };
  const auto contender = [&](const ContenderResult& c) {
    return nlohmann::json{{"name", c.name},
                          {"auc", summary(mean_of(c.auc, r.test_over_train))},
                          {"accuracy", summary(mean_of(c.accuracy, r.test_over_train))},
                          {"auc_per_fold", c.auc},
                          {"accuracy_per_fold", c.accuracy},
                          {"features_ms", c.features_ms},
                          {"train_seconds", c.train_seconds},
                          {"predict_ms", c.predict_ms}};
  };
  nlohmann::json j = {{"experiment", r.name},   {"question", r.question}, {"data", r.data},       {"cases", r.cases},
                      {"patients", r.patients}, {"folds", r.folds},       {"repeats", r.repeats}, {"contenders", nlohmann::json::array()},
                      {"notes", r.notes}};
  for (size_t i = 0; i < r.contenders.size(); i++) {
    nlohmann::json c = contender(r.contenders[i]);
    if (i)
      for (const auto& [key, first, other] : {std::tuple{"auc", &r.contenders[0].auc, &r.contenders[i].auc},
                                              std::tuple{"accuracy", &r.contenders[0].accuracy, &r.contenders[i].accuracy}}) {
        const PairedTest d = compared(*first, *other, r.test_over_train);
        c["first_minus_this"][key] = summary(d);
        c["first_minus_this"][key]["p"] = number(d.p);
      }
    j["contenders"].push_back(c);
  }
  if (r.oracle) j["oracle"] = contender(*r.oracle);
  return j;
}

}  // namespace sono::zoo
