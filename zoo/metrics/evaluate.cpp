#include "zoo/metrics/evaluate.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "zoo/metrics/segmentation.h"
#include "zoo/metrics/statistics.h"

namespace sono::zoo {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

// Values that are in mm and in pixels are kept side by side until all cases are seen: one case of unknown spacing makes all pixels.
const std::string in_mm = "_mm", in_pixels = "_px";

bool ends_with(const std::string& s, const std::string& end) {
  return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
}

double mean_of(const std::vector<double>& values) {
  return values.empty() ? nan : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> defined(std::vector<double> values) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  return values;
}

// The labels that occur in either mask, without the background.
std::vector<int> labels_present(const Tensor& truth, const Tensor& prediction) {
  bool seen[256] = {};
  for (const Tensor* mask : {&truth, &prediction})
    for (int64_t i = 0; i < mask->size(); i++) seen[mask->data<uint8_t>()[i]] = true;
  std::vector<int> labels;
  for (int k = 1; k < 256; k++)
    if (seen[k]) labels.push_back(k);
  return labels;
}

// All per-label values of one case under their names, to be averaged over the labels.
using ByName = std::map<std::string, std::vector<double>>;

void add_distances(ByName& values, const Tensor& truth, const Tensor& prediction, Spacing spacing, const std::string& unit,
                   const EvaluateOptions& options) {
  const SurfaceDistances d = surface_distances(truth, prediction, spacing);
  const auto [depth, height, width] = mask_extent("evaluate", truth);
  const double diagonal = std::hypot(static_cast<double>(width) * spacing.x, static_cast<double>(height) * spacing.y,
                                     depth > 1 ? static_cast<double>(depth) * spacing.z : 0.0);
  const auto kept = [&](double distance) { return options.penalty_for_missed && distance == infinity ? diagonal : distance; };
  values["hd95" + unit].push_back(kept(hausdorff95(d)));
  values["assd" + unit].push_back(kept(assd(d)));
  if (options.surface_tolerance > 0) values["surface_dice" + unit].push_back(surface_dice(d, options.surface_tolerance));
}

std::string slug(const std::string& name) {
  std::string s;
  for (char c : name)
    s += std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '_';
  return s;
}

bool is_pixels(const std::string& unit) { return unit == "pixel" || unit == "pixels" || unit == "px"; }

size_t highest(const std::vector<float>& probabilities) {
  return static_cast<size_t>(std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin());
}

}  // namespace

std::string short_name(const std::string& measurement) {
  std::string initials;
  for (size_t i = 0; i < measurement.size(); i++)
    if (measurement[i] != ' ' && (i == 0 || measurement[i - 1] == ' ')) initials += measurement[i];
  return initials.size() > 1 ? slug(initials) : slug(measurement);
}

void Evaluation::add(const Sample& truth, const Labels& prediction) {
  CaseScores row{truth.meta.id, truth.meta.patient.empty() ? truth.meta.video : truth.meta.patient, {}, {}};
  if (row.id.empty()) row.id = std::to_string(cases_.size());
  spacing_known_ = spacing_known_ && truth.meta.spacing;
  if (truth.labels.mask) {
    true_masks_++;
    if (prediction.mask) add_mask(truth, prediction, row);
  }
  if (truth.labels.category) {
    true_categories_++;
    if (prediction.category || !prediction.probabilities.empty()) add_category(truth, prediction, row);
  }
  add_measurements(truth, prediction, row);
  cases_.push_back(std::move(row));
}

void Evaluation::add_mask(const Sample& truth, const Labels& prediction, CaseScores& row) {
  masks_++;
  const Tensor &g = truth.labels.mask, &p = prediction.mask;
  overlap(g, p);  // refuses shapes and dtypes before anything is read
  const Spacing mm = truth.meta.spacing ? Spacing{(*truth.meta.spacing)[0], (*truth.meta.spacing)[1], 1} : Spacing{};
  const bool pixels_differ = mm.x != 1 || mm.y != 1;
  std::vector<int> labels = labels_present(g, p);
  const bool nothing = labels.empty();
  if (nothing) labels = {1};
  ByName values;
  bool any_true = false, any_predicted = false, missed = false;
  for (int label : labels) {
    const Tensor gk = label_mask(g, label), pk = label_mask(p, label);
    const Overlap o = overlap(gk, pk);
    any_true = any_true || !o.truth_empty(), any_predicted = any_predicted || !o.prediction_empty();
    missed = missed || (!o.truth_empty() && o.prediction_empty());
    values["dice"].push_back(dice(o, options_.both_empty));
    values["jaccard"].push_back(jaccard(o, options_.both_empty));
    values["pixel_sensitivity"].push_back(sensitivity(o));
    values["pixel_specificity"].push_back(specificity(o));
    const auto k = static_cast<size_t>(label);
    if (!nothing) row.values["dice_" + (k < options_.mask_labels.size() ? slug(options_.mask_labels[k]) : std::to_string(label))] = dice(o);
    add_distances(values, gk, pk, mm, in_mm, options_);
    if (pixels_differ) add_distances(values, gk, pk, {}, in_pixels, options_);
  }
  if (!pixels_differ)
    for (const char* name : {"hd95", "assd", "surface_dice"})
      if (values.count(name + in_mm)) values[name + in_pixels] = values[name + in_mm];
  for (auto& [name, of_labels] : values) row.values[name] = mean_of(defined(of_labels));
  row.values["missed"] = any_true ? (missed ? 1 : 0) : nan;
  row.values["false_alarm"] = any_true ? nan : (any_predicted ? 1 : 0);
}

void Evaluation::add_category(const Sample& truth, const Labels& prediction, CaseScores& row) {
  const std::vector<float>& p = prediction.probabilities;
  for (size_t k = 0; k < p.size(); k++)
    if (std::isnan(p[k]))
      throw NumericError("[evaluate] the probability of category " + std::to_string(k) + " for case '" + row.id + "' is NaN");
  const int predicted = prediction.category ? *prediction.category : static_cast<int>(highest(p));
  const int known = *truth.labels.category;
  if (known < 0 || predicted < 0 || (!p.empty() && static_cast<size_t>(std::max(known, predicted)) >= p.size()))
    throw Error("[evaluate] case '" + row.id + "' is of category " + std::to_string(known) + ", predicted " + std::to_string(predicted) +
                " with " + std::to_string(p.size()) + " probabilities");
  if (!categories_.empty() && categories_[0].probabilities.size() != p.size())
    throw ShapeError("[evaluate] case '" + row.id + "' has " + std::to_string(p.size()) + " probabilities, the first case " +
                     std::to_string(categories_[0].probabilities.size()));
  row.values["accuracy"] = known == predicted;
  row.details["category"] = known, row.details["predicted_category"] = predicted;
  if (!p.empty()) row.details["probability"] = static_cast<double>(p[static_cast<size_t>(known)]);
  categories_.push_back({cases_.size(), known, predicted, p});
}

void Evaluation::add_measurements(const Sample& truth, const Labels& prediction, CaseScores& row) {
  for (const Measurement& known : truth.labels.measurements) {
    if (options_.measurements && !std::count(options_.measurements->begin(), options_.measurements->end(), known.name)) continue;
    const auto found =
        std::find_if(prediction.measurements.begin(), prediction.measurements.end(), [&](auto& m) { return m.name == known.name; });
    const bool stated = found != prediction.measurements.end() && std::isfinite(found->value);
    if (stated && found->unit != known.unit && !(is_pixels(found->unit) && is_pixels(known.unit)))
      throw Error("[evaluate] case '" + row.id + "': the true " + known.name + " is in " + known.unit + ", the predicted one in " +
                  found->unit);
    Measured& measured = measured_[known.name];
    if (measured.pairs.empty()) measured.unit = known.unit;
    if (measured.unit != known.unit)
      throw Error("[evaluate] case '" + row.id + "': " + known.name + " is in " + known.unit + ", in " + measured.unit + " before");
    const double value = stated ? found->value : 0;
    measured.pairs.push_back({cases_.size(), known.value, value});
    const std::string name = short_name(known.name), unit = "_" + (is_pixels(known.unit) ? "mm" : slug(known.unit));
    row.values[name + "_mae" + unit] = std::abs(value - known.value);
    row.values[name + "_bias" + unit] = value - known.value;
    row.details[name + "_truth" + unit] = known.value;
    if (stated) row.details[name + "_predicted" + unit] = value;
    double& missed = row.values.try_emplace("missed", 0).first->second;
    missed = !stated || missed == 1;
  }
}

namespace {

Summary summarise(const std::vector<double>& values, const std::vector<int64_t>& groups, const BootstrapOptions& options) {
  Summary s{};
  const std::vector<double> counted = defined(values);
  std::vector<double> finite = counted;
  std::erase_if(finite, [](double v) { return std::isinf(v); });
  s.n = static_cast<int64_t>(counted.size());
  s.undefined = static_cast<int64_t>(values.size() - counted.size());
  s.infinite = static_cast<int64_t>(counted.size() - finite.size());
  s.mean = mean_of(counted), s.finite_mean = mean_of(finite), s.median = median(counted);
  const auto mean_of_cases = [&](const std::vector<int64_t>& cases) {
    double sum = 0, n = 0;
    for (int64_t i : cases)
      if (const double v = values[static_cast<size_t>(i)]; !std::isnan(v)) sum += v, n++;
    return n > 0 ? sum / n : nan;
  };
  const Interval interval = bootstrap(groups, mean_of_cases, options);
  s.lo = std::min(interval.lo, s.mean), s.hi = std::max(interval.hi, s.mean);
  return s;
}

}  // namespace

void Evaluation::average(Scores& scores, const std::vector<int64_t>& groups) const {
  std::set<std::string> names;
  for (const CaseScores& row : scores.per_case)
    for (const auto& [name, value] : row.values) names.insert(name);
  for (const std::string& name : names) {
    std::vector<double> values;
    for (const CaseScores& row : scores.per_case) values.push_back(row.values.count(name) ? row.values.at(name) : nan);
    scores.metrics[name] = summarise(values, groups, options_.bootstrap);
  }
}

void Evaluation::classify(Scores& scores, const std::vector<int64_t>& groups) const {
  int n = static_cast<int>(std::max(options_.categories.size(), categories_[0].probabilities.size()));
  for (const Category& c : categories_) n = std::max({n, c.truth + 1, c.predicted + 1, 2});
  const bool two = n == 2, with_scores = !categories_[0].probabilities.empty();
  if (two && options_.positive != 0 && options_.positive != 1)
    throw Error("[evaluate] the positive category is " + std::to_string(options_.positive) + ", of two it is 0 or 1");
  std::vector<const Category*> of_case(cases_.size());
  for (const Category& c : categories_) of_case[c.at] = &c;

  struct Drawn {
    std::vector<int> truth, predicted, is_positive;
    std::vector<double> score;
    std::vector<std::vector<float>> probabilities;
  };
  const auto draw = [&](const std::vector<int64_t>& cases) {
    Drawn d;
    for (int64_t i : cases) {
      const Category* c = of_case[static_cast<size_t>(i)];
      if (!c) continue;
      d.truth.push_back(c->truth), d.predicted.push_back(c->predicted), d.is_positive.push_back(c->truth == options_.positive);
      if (with_scores && two) d.score.push_back(static_cast<double>(c->probabilities[static_cast<size_t>(options_.positive)]));
      if (with_scores && !two) d.probabilities.push_back(c->probabilities);
    }
    return d;
  };
  const auto by_matrix = [&](double (*of_two)(const Overlap&), double (*of_many)(const ConfusionMatrix&)) {
    return [=, this](const Drawn& d) {
      const ConfusionMatrix m = confusion_matrix(d.truth, d.predicted, n);
      return two ? of_two(one_versus_rest(m, options_.positive)) : of_many(m);
    };
  };
  std::map<std::string, std::function<double(const Drawn&)>> metrics{{"f1", by_matrix(f1, macro_f1)},
                                                                     {"sensitivity", by_matrix(sensitivity, macro_sensitivity)},
                                                                     {"specificity", by_matrix(specificity, macro_specificity)}};
  if (with_scores) {
    metrics["auc"] = [=](const Drawn& d) { return two ? auc(d.is_positive, d.score) : macro_auc(d.truth, d.probabilities); };
    metrics["ap"] = [=](const Drawn& d) {
      return two ? average_precision(d.is_positive, d.score) : macro_average_precision(d.truth, d.probabilities);
    };
  }
  std::vector<int64_t> everyone(cases_.size());
  std::iota(everyone.begin(), everyone.end(), int64_t{0});
  const Drawn all = draw(everyone);
  for (const auto& [name, metric] : metrics) {
    const double value = metric(all);
    const Interval interval = bootstrap(
        groups, [&, &f = metric](const std::vector<int64_t>& cases) { return f(draw(cases)); }, options_.bootstrap);
    Summary s{value, std::min(interval.lo, value), std::max(interval.hi, value), static_cast<int64_t>(categories_.size()), 0, 0, nan, nan};
    if (std::isnan(value)) s.lo = s.hi = nan, s.n = 0, s.undefined = static_cast<int64_t>(categories_.size());
    scores.metrics[name] = s;
  }
  scores.confusion = confusion_matrix(all.truth, all.predicted, n);
  if (two && with_scores) scores.roc = roc_curve(all.is_positive, all.score), scores.delong = delong(all.is_positive, all.score);
}

namespace {

// Keeps the values of one unit under the name …_mm, and drops the others.
void choose_unit(CaseScores& row, bool mm, bool also_classified) {
  std::map<std::string, double> chosen;
  for (const auto& [name, value] : row.values) {
    const bool has_pixel_twin = ends_with(name, in_mm) && row.values.count(name.substr(0, name.size() - 3) + in_pixels);
    if (has_pixel_twin && !mm) continue;
    if (ends_with(name, in_pixels)) {
      if (!mm) chosen[name.substr(0, name.size() - 3) + in_mm] = value;
      continue;
    }
    const bool plain = !also_classified && (name == "pixel_sensitivity" || name == "pixel_specificity");
    chosen[plain ? name.substr(6) : name] = value;
  }
  if (chosen.count("surface_dice_mm")) chosen["surface_dice"] = chosen["surface_dice_mm"], chosen.erase("surface_dice_mm");
  row.values = std::move(chosen);
}

// A single label's dice_NAME repeats dice; false_alarm says nothing where every truth has something.
void drop_what_says_nothing(Scores& scores) {
  std::set<std::string> labels;
  bool false_alarms = false;
  for (const CaseScores& row : scores.per_case)
    for (const auto& [name, value] : row.values) {
      if (name.rfind("dice_", 0) == 0) labels.insert(name);
      false_alarms = false_alarms || (name == "false_alarm" && !std::isnan(value));
    }
  for (CaseScores& row : scores.per_case) {
    if (labels.size() < 2)
      for (const std::string& name : labels) row.values.erase(name);
    if (!false_alarms) row.values.erase("false_alarm");
  }
}

}  // namespace

Scores Evaluation::scores() const {
  if (masks_ && masks_ != true_masks_)
    throw Error("[evaluate] " + std::to_string(true_masks_ - masks_) + " of " + std::to_string(true_masks_) +
                " cases with a true mask have no predicted one");
  const auto categories = static_cast<int64_t>(categories_.size());
  if (categories && categories != true_categories_)
    throw Error("[evaluate] " + std::to_string(true_categories_ - categories) + " of " + std::to_string(true_categories_) +
                " cases with a true category have no predicted one");
  const bool pixels_measured = std::any_of(measured_.begin(), measured_.end(), [](auto& m) { return is_pixels(m.second.unit); });
  const bool mm = spacing_known_ && !pixels_measured && !cases_.empty();
  Scores scores{options_.system, options_.data, mm ? "mm" : "pixel", cases_, {}, options_.categories, {}, {}, {}, {}};
  for (CaseScores& row : scores.per_case) choose_unit(row, mm, categories > 0);
  drop_what_says_nothing(scores);
  std::vector<std::string> names;
  for (const CaseScores& row : cases_) names.push_back(row.group);
  const std::vector<int64_t> groups = group_numbers(names);
  average(scores, groups);
  if (categories) classify(scores, groups);
  for (const auto& [name, measured] : measured_) {
    Agreement a{measured.unit, {}, {}, {}};
    for (const Pair& p : measured.pairs) a.truth.push_back(p.truth), a.predicted.push_back(p.predicted);
    a.summary = bland_altman(a.truth, a.predicted);
    scores.agreements[name] = std::move(a);
  }
  return scores;
}

Scores evaluate(const std::vector<Sample>& truths, const std::vector<Labels>& predictions, const EvaluateOptions& options) {
  if (truths.size() != predictions.size())
    throw ShapeError("[evaluate] " + std::to_string(truths.size()) + " cases and " + std::to_string(predictions.size()) + " predictions");
  Evaluation evaluation(options);
  for (size_t i = 0; i < truths.size(); i++) evaluation.add(truths[i], predictions[i]);
  return evaluation.scores();
}

Scores evaluate(const Dataset& data, const std::vector<int64_t>& cases, const std::function<Labels(const Sample&)>& predict,
                const EvaluateOptions& options, const std::function<void(int64_t)>& done) {
  EvaluateOptions named = options;
  if (named.data.empty()) named.data = data.name();
  if (named.mask_labels.empty()) named.mask_labels = data.mask_labels();
  if (named.categories.empty()) named.categories = data.categories();
  Evaluation evaluation(named);
  for (int64_t i : cases) {
    const Sample sample = data.get(i);
    evaluation.add(sample, predict(sample));
    if (done) done(evaluation.cases());
  }
  return evaluation.scores();
}

nlohmann::json to_json(const Scores& scores) {
  using nlohmann::json;
  const auto number = [](double v) { return std::isfinite(v) ? json(v) : json(nullptr); };
  json metrics = json::object(), per_case = json::array();
  for (const auto& [name, s] : scores.metrics) {
    json entry{{"mean", number(s.mean)}, {"lo", number(s.lo)}, {"hi", number(s.hi)}, {"n", s.n}};
    if (s.undefined) entry["undefined"] = s.undefined;
    if (!std::isnan(s.median)) entry["median"] = number(s.median);
    if (s.infinite) entry["infinite"] = s.infinite, entry["finite_mean"] = number(s.finite_mean);
    if (name == "missed" || name == "false_alarm") entry["count"] = std::llround(s.mean * static_cast<double>(s.n));
    if (name == "auc" && scores.delong) entry["delong"] = {number(scores.delong->lo), number(scores.delong->hi)};
    metrics[name] = entry;
  }
  for (const CaseScores& row : scores.per_case) {
    json entry{{"id", row.id}};
    for (const auto* values : {&row.values, &row.details})
      for (const auto& [name, value] : *values) entry[name] = number(value);
    per_case.push_back(entry);
  }
  return {{"system", scores.system},   {"data", scores.data}, {"cases", scores.per_case.size()},
          {"spacing", scores.spacing}, {"metrics", metrics},  {"per_case", per_case}};
}

Examples pick_examples(const Scores& scores, size_t each) {
  Examples found;
  const auto has = [&](const std::string& name) { return scores.metrics.count(name) && scores.metrics.at(name).n; };
  double sign = 1;
  if (has("dice")) found.by = "dice";
  for (const auto& [name, summary] : scores.metrics)
    if (found.by.empty() && name.find("_mae_") != std::string::npos && has(name)) found.by = name, sign = -1;
  if (found.by.empty()) found.by = "probability";
  std::vector<std::pair<double, size_t>> order;  // worst first; cases without a value stay out
  for (size_t i = 0; i < scores.per_case.size(); i++)
    for (const auto* values : {&scores.per_case[i].values, &scores.per_case[i].details})
      if (const auto v = values->find(found.by); v != values->end() && !std::isnan(v->second)) order.push_back({sign * v->second, i});
  std::sort(order.begin(), order.end());  // equals in order of add()
  const size_t n = order.size(), part = std::min(each, n / 3 + (n % 3 != 0));
  std::vector<bool> used(n);
  const auto take = [&](size_t place, std::vector<size_t>& into) {
    if (place < n && !used[place]) used[place] = true, into.push_back(order[place].second);
  };
  for (size_t i = 0; i < part; i++) take(i, found.worst);
  for (size_t i = 0; i < part; i++) take(n - 1 - i, found.best);
  for (size_t i = 0; i < part; i++) take((n - part) / 2 + i, found.median);
  return found;
}

}  // namespace sono::zoo
