#include "zoo/app/beside.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "zoo/common/categories.h"
#include "zoo/metrics/bootstrap.h"
#include "zoo/metrics/classification.h"
#include "zoo/sim/simulate.h"

namespace sono::zoo::app {
namespace {

// What the simulator says of a case. None on other data.
std::optional<Labels> oracle(const Sample& sample) {
  const std::optional<double> p = oracle_probability(sample);
  if (!p) return std::nullopt;
  return category_labels(Tensor::from<double>({2}, {1 - *p, *p}).to(Dtype::f32));
}

struct Judged {
  std::vector<int> truth;
  std::vector<int64_t> groups;
};

double accuracy_of(const Judged& j, const std::vector<Labels>& said, const std::vector<int64_t>& cases) {
  double right = 0;
  for (const int64_t i : cases) right += said[static_cast<size_t>(i)].category == j.truth[static_cast<size_t>(i)];
  return right / static_cast<double>(cases.size());
}

double auc_of(const Judged& j, const std::vector<Labels>& said, const std::vector<int64_t>& cases) {
  std::vector<int> truth;
  std::vector<double> p;
  for (const int64_t i : cases)
    truth.push_back(j.truth[static_cast<size_t>(i)]), p.push_back(static_cast<double>(said[static_cast<size_t>(i)].probabilities.at(1)));
  return auc(truth, p);
}

template <class Metric>
Difference difference(const Judged& j, const std::vector<Labels>& mine, const std::vector<Labels>& other, Metric metric) {
  const Statistic statistic = [&](const std::vector<int64_t>& cases) { return metric(j, mine, cases) - metric(j, other, cases); };
  std::vector<int64_t> all(j.truth.size());
  for (size_t i = 0; i < all.size(); i++) all[i] = static_cast<int64_t>(i);
  const Interval interval = bootstrap(j.groups, statistic);
  return {statistic(all), interval.lo, interval.hi};
}

}  // namespace

std::vector<Beside> evaluate_beside(System& system, const Dataset& data, const std::vector<int64_t>& cases, const EvaluateOptions& options,
                                    Scores& scores) {
  const std::vector<std::string> names = system.rivals();
  std::vector<std::vector<Labels>> said(names.size() + 2);  // the system, its rivals, the oracle
  std::vector<Evaluation> evaluations(said.size(), Evaluation(options));
  Judged judged;
  std::vector<std::string> patients;
  for (const int64_t i : cases) {
    const Sample s = data.get(i);
    const auto note = [&](size_t k, Labels labels) {
      evaluations[k].add(s, labels);
      said[k].push_back(std::move(labels));
    };
    std::vector<Labels> found = system.predict_with_rivals(s);
    for (size_t k = 0; k < found.size(); k++) note(k, std::move(found[k]));
    if (auto known = names.empty() ? std::nullopt : oracle(s)) note(names.size() + 1, std::move(*known));
    judged.truth.push_back(s.labels.category.value_or(0));
    patients.push_back(s.meta.patient);
  }
  judged.groups = group_numbers(patients);
  scores = evaluations[0].scores();
  std::vector<Beside> all;
  for (size_t k = 1; k < said.size(); k++) {
    if (said[k].empty()) continue;
    Beside b{k <= names.size() ? names[k - 1] : "oracle: the simulator's own parameters", evaluations[k].scores(), {}};
    b.differences["accuracy"] = difference(judged, said[0], said[k], accuracy_of);
    if (said[k][0].probabilities.size() == 2) b.differences["auc"] = difference(judged, said[0], said[k], auc_of);
    all.push_back(std::move(b));
  }
  return all;
}

std::string beside_table(const std::vector<Beside>& all) {
  if (all.empty()) return "";
  std::string text = "beside it, on the same cases (difference: this system minus the other, 95 % by a paired bootstrap over patients):\n";
  for (const Beside& b : all) {
    text += "  " + b.name + "\n";
    for (const char* key : {"auc", "accuracy"})
      if (const auto m = b.scores.metrics.find(key); m != b.scores.metrics.end()) {
        text += fmt::format("    {:<16} {:>8.4g}   {:.4g} … {:.4g}", key, m->second.mean, m->second.lo, m->second.hi);
        if (const auto d = b.differences.find(key); d != b.differences.end())
          text += fmt::format("   difference {:+.3f} ({:+.3f} … {:+.3f})", d->second.mean, d->second.lo, d->second.hi);
        text += "\n";
      }
  }
  return text;
}

nlohmann::json to_json(const std::vector<Beside>& all) {
  nlohmann::json list = nlohmann::json::array();
  for (const Beside& b : all) {
    nlohmann::json j = {{"name", b.name}, {"metrics", zoo::to_json(b.scores)["metrics"]}, {"difference", nlohmann::json::object()}};
    for (const auto& [key, d] : b.differences) j["difference"][key] = {{"mean", d.mean}, {"lo", d.lo}, {"hi", d.hi}};
    list.push_back(j);
  }
  return list;
}

}  // namespace sono::zoo::app
