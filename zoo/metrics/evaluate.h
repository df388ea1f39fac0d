#pragma once
// Every metric that truth and prediction allow: masks give overlaps and surface distances, categories and probabilities give accuracy,
// AUC and their kin, measurements give errors in their unit. All with 95 % intervals from a bootstrap over patients.
//
//   Evaluation evaluation({.system = "unet", .data = "busi"});
//   for (…) evaluation.add(sample, system.predict(sample));
//   Scores scores = evaluation.scores();      to_json(scores).dump(2);
//
// names, per case and averaged:
//   masks         dice jaccard sensitivity specificity hd95_mm assd_mm missed; false_alarm where some truths are empty; surface_dice if a
//                 tolerance is given. More than one label: each is the mean over the labels present in truth or prediction, and
//                 dice_NAME is the label's own. missed: 1 if a label of the truth has no pixel in the prediction, averaged over the
//                 cases that have one.
//   categories    accuracy f1 sensitivity specificity, and with probabilities auc ap (two categories: of the positive one; more: mean
//                 over categories, each against the rest). If masks are compared too, theirs are pixel_sensitivity, pixel_specificity.
//   measurements  hc_mae_mm and hc_bias_mm for "head circumference" in mm: initials, or the name itself if it is one word. What the
//                 prediction does not give counts as 0 and as missed.
// A distance to a missed object is +inf and makes its mean infinite (JSON null): `infinite` counts them, `median` and `finite_mean` say
// what can be said. Cases on which a metric is not defined (both masks empty) are counted in `undefined` and do not enter its mean.
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "zoo/data/sample.h"
#include "zoo/metrics/bootstrap.h"
#include "zoo/metrics/classification.h"
#include "zoo/metrics/measurement.h"

namespace sono::zoo {

struct EvaluateOptions {
  std::string system = {}, data = {};
  std::vector<std::string> mask_labels = {};  // names of mask values 0, 1, … for dice_NAME; else dice_1, dice_2 …
  std::vector<std::string> categories = {};   // names, for the report
  std::optional<std::vector<std::string>> measurements = {};  // the names to compare; not set: all that the truths state
  int positive = 1;                           // the category that sensitivity, f1, auc and ap are about when there are two
  BothEmpty both_empty = BothEmpty::nan;      // what the Dice and Jaccard of two empty masks are worth
  bool penalty_for_missed = false;            // a missed object's distances: the image's diagonal instead of +inf
  double surface_tolerance = 0;               // mm; > 0 adds surface_dice
  BootstrapOptions bootstrap = {};
};

struct CaseScores {
  std::string id, group;
  std::map<std::string, double> values;   // metrics; NaN: not defined here
  std::map<std::string, double> details;  // what they were made of: "hc_truth_mm", "probability" …
};

// A mean (or a statistic of all cases, as auc) with its interval; lo <= mean <= hi unless nothing is defined.
struct Summary {
  double mean, lo, hi;
  int64_t n = 0;                        // cases that count
  int64_t undefined = 0, infinite = 0;  // cases left out because NaN; cases at +inf
  double median, finite_mean;           // of the values per case; NaN for a statistic of all cases
};

struct Agreement {
  std::string unit;
  std::vector<double> truth, predicted;
  BlandAltman summary;
};

struct Scores {
  std::string system, data, spacing;  // spacing "mm", or "pixel" if it is unknown for some case: then a pixel stands for a mm everywhere
  std::vector<CaseScores> per_case;   // in order of add()
  std::map<std::string, Summary> metrics;
  std::vector<std::string> categories;
  ConfusionMatrix confusion;                    // empty without categories
  std::vector<RocPoint> roc;                    // two categories with probabilities
  std::optional<AucInterval> delong;            // the same
  std::map<std::string, Agreement> agreements;  // by measurement: "head circumference"
};

class Evaluation {
 public:
  explicit Evaluation(EvaluateOptions options = {}) : options_(std::move(options)) {}
  // ShapeError if the masks differ in shape, Error if a measurement's units do, NumericError for a NaN probability.
  void add(const Sample& truth, const Labels& prediction);
  // Error if some predictions lack a mask or category that the others state.
  Scores scores() const;
  int64_t cases() const { return static_cast<int64_t>(cases_.size()); }

 private:
  struct Category {
    size_t at;
    int truth, predicted;
    std::vector<float> probabilities;
  };  // of case `at`
  struct Pair {
    size_t at;
    double truth, predicted;
  };
  struct Measured {
    std::string unit;
    std::vector<Pair> pairs;
  };

  void add_mask(const Sample& truth, const Labels& prediction, CaseScores& row);
  void add_category(const Sample& truth, const Labels& prediction, CaseScores& row);
  void add_measurements(const Sample& truth, const Labels& prediction, CaseScores& row);
  void average(Scores& scores, const std::vector<int64_t>& groups) const;
  void classify(Scores& scores, const std::vector<int64_t>& groups) const;

  EvaluateOptions options_;
  std::vector<CaseScores> cases_;
  std::vector<Category> categories_;
  std::map<std::string, Measured> measured_;
  int64_t true_masks_ = 0, masks_ = 0, true_categories_ = 0;
  bool spacing_known_ = true;
};

Scores evaluate(const std::vector<Sample>& truths, const std::vector<Labels>& predictions, const EvaluateOptions& options = {});
// Reads, predicts and compares the given cases of a data set one after the other; `done`, if given, is told how many are done.
Scores evaluate(const Dataset& data, const std::vector<int64_t>& cases, const std::function<Labels(const Sample&)>& predict,
                const EvaluateOptions& options = {}, const std::function<void(int64_t)>& done = {});

// {"system", "data", "cases", "spacing", "metrics": {NAME: {"mean", "lo", "hi", "n", …}}, "per_case": [{"id", NAME: value, …}]}; what is no
// finite number is null.
nlohmann::json to_json(const Scores& scores);

// How a measurement is called in metric names: "head circumference" -> "hc", "volume" -> "volume".
std::string short_name(const std::string& measurement);

// Places in per_case of the best, the median and the worst cases, `each` of them (fewer if there are fewer cases), by Dice, else by the
// absolute error of the first measurement, else by the probability of the true category. No case appears twice.
struct Examples {
  std::vector<size_t> best, median, worst;
  std::string by;
};
Examples pick_examples(const Scores& scores, size_t each = 3);

}  // namespace sono::zoo
