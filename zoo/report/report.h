#pragma once
// report.html: one self-contained page on a trained system. It loads nothing from anywhere: Chart.js, style and pictures are inside.
//
//   ReportContent report{.title = "unet on busi", .scores = scores, .baseline = constant_mask_scores};
//   read_curves("run/metrics.jsonl", report);
//   report.pictures = example_pictures(scores, [&](size_t i) { return data.get(test[i]); }, [&](const Sample& s) { return unet.predict(s);
//   }); write_report("run/report.html", report);
//
// Sections appear where there is something to show: headline figures, the card, metrics with 95 % intervals beside the trivial baseline,
// rivals on the same cases, overlays of best, median and worst cases, pictures of what was learnt, the histogram of the Dice, confusion matrix and ROC curve, Bland-Altman plots, training
// curves, configuration, all cases. Pictures show nothing outside the scan mask, and no patient's name.
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "zoo/metrics/evaluate.h"
#include "zoo/report/figure.h"

namespace sono::zoo {

struct Curve {
  std::string name;
  std::vector<double> x, y;
};  // y may hold NaN: a gap
struct Picture {
  std::string group, caption;  // "best", "dice 0.97"
  Sample sample;
  Labels prediction;
};

struct ReportContent {
  using Rows = std::vector<std::pair<std::string, std::string>>;
  std::string title, subtitle = {};
  Rows card = {};           // "Task", "segment the lesion" …; 'not for diagnosis' is always written
  Rows configuration = {};  // "epochs", "60" …
  Scores scores = {};
  std::optional<Scores> baseline = {};
  std::string baseline_name = "trivial baseline";  // what it is: "best constant mask"
  std::vector<Curve> losses = {}, curves = {};     // over epochs
  std::optional<double> best_epoch = {};           // whose weights were kept
  std::vector<Picture> pictures = {};
  Rows beside = {};                                // "logistic regression on the curve", "AUC 0.81 [0.77, 0.85], …": on the same cases
  std::vector<Figure> figures = {};                // of what was learnt: filters, reconstructions, samples, codes
};

std::string render_report(const ReportContent& content);
void write_report(const std::string& path, const ReportContent& content);  // atomically; FileError

// Curves from a run's metrics.jsonl (optim/log.h): numbers whose name holds "loss" become losses, names of metrics (val_dice, val_auc …)
// curves; rates and times are left out. FileError as read_metrics.
void read_curves(const std::string& metrics_jsonl, ReportContent& content);

// Best, median and worst cases, `each` of them, read and predicted anew; `sample` is asked by the place in scores.per_case.
std::vector<Picture> example_pictures(const Scores& scores, const std::function<Sample(size_t)>& sample,
                                      const std::function<Labels(const Sample&)>& predict, size_t each = 3);

}  // namespace sono::zoo
