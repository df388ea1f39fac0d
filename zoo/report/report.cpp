#include "zoo/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "optim/log.h"
#include "tensor/files.h"
#include "zoo/report/assets.h"
#include "zoo/report/paint.h"
#include "zoo/data/png_encode.h"

namespace sono::zoo {

namespace {

using nlohmann::json;

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// JSON within <script>: no "<" may stand there, or a name like "</script>" would end it. Bytes that are no UTF-8 are replaced.
std::string script_json(const json& j) {
  std::string out;
  for (char c : j.dump(-1, ' ', false, json::error_handler_t::replace)) c == '<' ? out += "\\u003c" : out += c;
  return out;
}

json number(double v) { return std::isfinite(v) ? json(v) : json(nullptr); }

// ---- names ----

struct MetricInfo {
  std::string name, meaning;
  bool higher_is_better, within_one;
  bool distance = false;  // of surfaces, in mm or pixels
};

const std::map<std::string, MetricInfo>& known_metrics() {
  static const std::map<std::string, MetricInfo> known{
      {"dice", {"Dice", "overlap of mask and truth, 1 is perfect", true, true}},
      {"jaccard", {"Jaccard", "intersection over union", true, true}},
      {"sensitivity", {"Sensitivity", "part of what is there that was found", true, true}},
      {"specificity", {"Specificity", "part of what is not there that was left alone", true, true}},
      {"pixel_sensitivity", {"Sensitivity of pixels", "part of the true mask that was found", true, true}},
      {"pixel_specificity", {"Specificity of pixels", "part of the background that was left alone", true, true}},
      {"hd95_mm",
       {"Hausdorff distance, 95 %", "how far the outlines are apart where they differ most, without the worst 5 %", false, false, true}},
      {"assd_mm", {"Mean surface distance", "how far the outlines are apart on average", false, false, true}},
      {"surface_dice", {"Surface Dice", "part of the outline within the tolerance", true, true}},
      {"missed", {"Missed", "part of the cases whose object was not found at all", false, true}},
      {"false_alarm", {"False alarms", "part of the empty cases in which something was marked", false, true}},
      {"accuracy", {"Accuracy", "part of the cases put into the right category", true, true}},
      {"auc", {"AUC", "chance that a positive case scores above a negative one", true, true}},
      {"ap", {"Average precision", "area under precision over recall", true, true}},
      {"f1", {"F1", "harmonic mean of precision and recall", true, true}},
      {"hc_mae_mm", {"Head circumference error", "absolute difference to the truth", false, false}},
      {"hc_bias_mm", {"Head circumference bias", "predicted minus true", false, false}},
  };
  return known;
}

MetricInfo metric_info(const std::string& key) {
  if (const auto found = known_metrics().find(key); found != known_metrics().end()) return found->second;
  if (key.rfind("dice_", 0) == 0) return {"Dice of " + key.substr(5), "overlap of this label alone", true, true};
  const bool error = key.find("_mae") != std::string::npos || key.find("_bias") != std::string::npos;
  return {key, "", !error, false};
}

std::string without_prefix(const std::string& key) {
  for (const std::string prefix : {"val_", "train_"})
    if (key.rfind(prefix, 0) == 0) return key.substr(prefix.size());
  return key;
}

// In the order in which a reader wants them; others follow by name.
std::vector<std::string> ordered(const Scores& scores) {
  const std::vector<std::string> first{"dice",     "jaccard", "hc_mae_mm",   "hc_bias_mm",  "auc",     "ap",
                                       "accuracy", "f1",      "sensitivity", "specificity", "hd95_mm", "assd_mm"};
  std::vector<std::string> keys;
  for (const std::string& key : first)
    if (scores.metrics.count(key)) keys.push_back(key);
  for (const auto& [key, summary] : scores.metrics)
    if (std::find(first.begin(), first.end(), key) == first.end()) keys.push_back(key);
  return keys;
}

std::string figure(double v, bool within_one) {
  if (std::isnan(v)) return "–";
  if (std::isinf(v)) return v > 0 ? "∞" : "-∞";
  return within_one ? fmt::format("{:.3f}", v) : fmt::format("{:.2f}", v);
}

std::string interval(const Summary& s, bool within_one) {
  if (std::isnan(s.mean)) return "";
  return "[" + figure(s.lo, within_one) + ", " + figure(s.hi, within_one) + "]";
}

// "mm", "pixels", "mL"; empty for a pure number. Distances follow the spacing, measurements have a unit of their own.
std::string unit_of(const std::string& key, const Scores& scores) {
  if (metric_info(key).distance) return scores.spacing == "mm" ? "mm" : "pixels";
  for (const auto& [measurement, agreement] : scores.agreements)
    if (const std::string name = short_name(measurement); key.rfind(name + "_mae", 0) == 0 || key.rfind(name + "_bias", 0) == 0)
      return agreement.unit;
  return "";
}

const Summary* find(const Scores& scores, const std::string& key) {
  const auto found = scores.metrics.find(key);
  return found == scores.metrics.end() ? nullptr : &found->second;
}
const Summary* find(const std::optional<Scores>& scores, const std::string& key) { return scores ? find(*scores, key) : nullptr; }

// ---- page parts; each returns HTML, empty if there is nothing to show ----

std::string section(const std::string& title, const std::string& body) {
  return body.empty() ? "" : "<section>\n<h2>" + escape(title) + "</h2>\n" + body + "</section>\n";
}

std::string folded(const std::string& title, const std::string& body, bool printed) {
  if (body.empty()) return "";
  return fmt::format("<section>\n<details class=\"fold\" data-print=\"{}\"><summary>{}</summary>\n{}</details></section>\n",
                     printed ? "yes" : "no", escape(title), body);
}

std::string rows(const ReportContent::Rows& pairs, bool code) {
  std::string out;
  for (const auto& [name, value] : pairs) {
    const std::string text = escape(value);
    out += "<tr><th scope=\"row\">" + escape(name) + "</th><td>" + (code ? "<code>" + text + "</code>" : text) + "</td></tr>\n";
  }
  return out.empty() ? "" : "<div class=\"scroll\"><table class=\"rows\"><tbody>\n" + out + "</tbody></table></div>\n";
}

std::string tile(const std::string& key, const ReportContent& content) {
  const Summary& s = content.scores.metrics.at(key);
  const MetricInfo info = metric_info(key);
  const bool by_median = std::isinf(s.mean);
  std::string note = by_median ? fmt::format("median; {} of {} missed, so the mean is infinite", s.infinite, s.n)
                               : "95 % interval <span class=\"interval\">" + interval(s, info.within_one) + "</span>";
  if (const Summary* b = find(content.baseline, key))
    note += "<br>" + escape(content.baseline_name) + " " + figure(std::isinf(b->mean) ? b->median : b->mean, info.within_one);
  return fmt::format(
      "<div class=\"tile\"><div class=\"name\">{}</div><div class=\"value\">{}<span class=\"unit\"> {}</span></div><div "
      "class=\"note\">{}</div></div>\n",
      escape(info.name), figure(by_median ? s.median : s.mean, info.within_one), escape(unit_of(key, content.scores)), note);
}

std::string tiles(const ReportContent& content) {
  std::string out;
  int n = 0;
  for (const char* key : {"hc_mae_mm", "dice", "auc", "accuracy", "hd95_mm", "missed", "sensitivity", "specificity"})
    if (const auto s = content.scores.metrics.find(key); n < 4 && s != content.scores.metrics.end() && s->second.n)
      out += tile(key, content), n++;
  return out.empty() ? "" : "<div class=\"tiles\">\n" + out + "</div>\n";
}

// Dot and whisker on an axis from 0 to `top`: the system above, the baseline below.
std::string interval_bar(const Summary& s, const Summary* baseline, double top) {
  const auto at = [&](double v) { return 100 * std::clamp(v / top, 0.0, 1.0); };
  const auto mark = [&](const Summary& m, int y, const char* role) {
    if (!std::isfinite(m.mean) || !std::isfinite(m.lo) || !std::isfinite(m.hi)) return std::string();
    return fmt::format(
        "<line x1=\"{0:.2f}%\" x2=\"{1:.2f}%\" y1=\"{2}\" y2=\"{2}\" stroke=\"var(--{3})\" stroke-width=\"2\" opacity=\".55\"/>"
        "<circle cx=\"{4:.2f}%\" cy=\"{2}\" r=\"4\" fill=\"var(--{3})\"/>",
        at(m.lo), at(m.hi), y, role, at(m.mean));
  };
  std::string out = "<svg aria-hidden=\"true\"><line x1=\"0\" x2=\"100%\" y1=\"26\" y2=\"26\" stroke=\"var(--line)\"/>";
  out +=
      "<line x1=\"0\" x2=\"0\" y1=\"22\" y2=\"26\" stroke=\"var(--line)\"/><line x1=\"100%\" x2=\"100%\" y1=\"22\" y2=\"26\" "
      "stroke=\"var(--line)\"/>";
  return out + mark(s, 8, "accent") + (baseline ? mark(*baseline, 18, "baseline") : "") + "</svg>";
}

std::string counted(const Summary& s) {
  std::string out = std::to_string(s.n);
  if (s.undefined) out += fmt::format("<div class=\"interval\">{} without a value</div>", s.undefined);
  if (s.infinite) out += fmt::format("<div class=\"interval\">{} infinite</div>", s.infinite);
  return out;
}

std::string value_cell(const Summary* s, const MetricInfo& info) {
  if (!s) return "<td class=\"number\">–</td>";
  std::string extra = "<div class=\"interval\">" + interval(*s, info.within_one) + "</div>";
  if (s->infinite)
    extra = fmt::format("<div class=\"interval\">median {}, mean of the found {}</div>", figure(s->median, info.within_one),
                        figure(s->finite_mean, info.within_one));
  return "<td class=\"number\"><span class=\"mean\">" + figure(s->mean, info.within_one) + "</span>" + extra + "</td>";
}

std::string metric_table(const ReportContent& content) {
  std::string body;
  for (const std::string& key : ordered(content.scores)) {
    const Summary& s = content.scores.metrics.at(key);
    const Summary* b = find(content.baseline, key);
    const MetricInfo info = metric_info(key);
    double top = 1;
    if (!info.within_one) top = 1.05 * std::max({std::isfinite(s.hi) ? s.hi : 0, b && std::isfinite(b->hi) ? b->hi : 0, 1e-9});
    const bool signed_value = key.find("_bias") != std::string::npos;
    const std::string direction = signed_value ? "0 is best" : info.higher_is_better ? "higher is better" : "lower is better";
    const std::string unit = unit_of(key, content.scores);
    body += "<tr><th scope=\"row\">" + escape(info.name) + (unit.empty() ? "" : " <span class=\"quiet\">" + escape(unit) + "</span>") +
            "<div class=\"meaning\">" + escape(info.meaning.empty() ? direction : info.meaning + "; " + direction) + "</div></th>";
    body += value_cell(&s, info) + (content.baseline ? value_cell(b, info) : "");
    body +=
        "<td class=\"bar\">" + (signed_value ? "" : interval_bar(s, b, top)) + "</td><td class=\"number\">" + counted(s) + "</td></tr>\n";
  }
  if (body.empty()) return "";
  const std::string second =
      content.baseline ? "<th class=\"number\" scope=\"col\"><span class=\"dot baseline\"></span>" + escape(content.baseline_name) + "</th>"
                       : "";
  std::string notes = "<p class=\"small quiet\">Means over cases with 95 % percentile intervals from a bootstrap over patients.";
  if (content.scores.spacing == "pixel") notes += " The pixel spacing is not known for every image: distances are in pixels, not in mm.";
  if (content.scores.metrics.count("hd95_mm")) notes += " A missed object is at infinite distance and is never dropped from a mean.";
  if (content.scores.delong)
    notes += fmt::format(" DeLong's interval of the AUC: [{:.3f}, {:.3f}].", content.scores.delong->lo, content.scores.delong->hi);
  return "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">Metric</th><th class=\"number\" scope=\"col\"><span "
         "class=\"dot\"></span>this system</th>" +
         second + "<th scope=\"col\"></th><th class=\"number\" scope=\"col\">Cases</th></tr></thead>\n<tbody>\n" + body +
         "</tbody></table></div>\n" + notes + "</p>\n";
}

// ---- pictures ----

// At most 640 pixels on the longer side, each the mean of a block of input pixels.
Tensor shrunk(const Tensor& image) {
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.rank() == 3 ? image.dim(2) : 1;
  const int64_t by = (std::max(height, width) + 639) / 640;
  if (by == 1) return image;
  const int64_t h = (height + by - 1) / by, w = (width + by - 1) / by;
  Tensor out(image.rank() == 3 ? Shape{h, w, channels} : Shape{h, w}, Dtype::u8);
  for (int64_t y = 0; y < h; y++)
    for (int64_t x = 0; x < w; x++)
      for (int64_t c = 0; c < channels; c++) {
        int64_t sum = 0, n = 0;
        for (int64_t j = y * by; j < std::min(height, (y + 1) * by); j++)
          for (int64_t i = x * by; i < std::min(width, (x + 1) * by); i++)
            sum += image.data<uint8_t>()[(j * width + i) * channels + c], n++;
        out.data<uint8_t>()[(y * w + x) * channels + c] = static_cast<uint8_t>((sum + n / 2) / n);
      }
  return out;
}

std::string path_data(const Labels& labels) {
  std::string d;
  for (const Polyline& line : outlines(labels))
    for (size_t i = 0; i < line.size(); i++) d += fmt::format("{}{:.2f} {:.2f}", i ? "L" : "M", line[i][0] + 0.5, line[i][1] + 0.5);
  return d;
}

std::string picture(const Picture& p) {
  const Tensor image = visible_image(p.sample);
  const int64_t height = image.dim(0), width = image.dim(1);
  const auto [sx, sy] = p.sample.meta.spacing.value_or(std::array{1.0, 1.0});  // shown with its true proportions
  std::string out = fmt::format(
      "<figure><button type=\"button\" class=\"zoom\" aria-expanded=\"false\"><svg viewBox=\"0 0 {0:.2f} {1:.2f}\" role=\"img\" "
      "aria-label=\"{2}\"><g transform=\"scale(1 {3:.6f})\">"
      "<image width=\"{4}\" height=\"{5}\" preserveAspectRatio=\"none\" href=\"{6}\"/>",
      static_cast<double>(width), static_cast<double>(height) * sy / sx, escape(p.group + " case: " + p.caption), sy / sx, width, height,
      png_uri(shrunk(image)));
  out += "<path class=\"outline truth\" d=\"" + path_data(p.sample.labels) + "\"/><path class=\"outline prediction\" d=\"" +
         path_data(p.prediction) + "\"/></g></svg></button>";
  return out + "<figcaption>" + (p.group.empty() ? "" : "<span class=\"tag\">" + escape(p.group) + "</span>") + escape(p.caption) +
         "</figcaption></figure>\n";
}

std::string pictures(const ReportContent& content) {
  std::vector<std::pair<std::string, std::string>> groups;  // name and pictures, in order of first sight
  bool lines = false;
  for (const Picture& p : content.pictures) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](auto& g) { return g.first == p.group; });
    if (group == groups.end()) group = groups.insert(group, {p.group, ""});
    group->second += picture(p);
    lines = lines || !outlines(p.sample.labels).empty() || !outlines(p.prediction).empty();
  }
  if (groups.empty()) return "";
  std::string body;
  for (const auto& [name, of_group] : groups) body += "<div class=\"pictures\">\n" + of_group + "</div>\n";
  const std::string legend =
      "<div class=\"legend\"><label><input type=\"checkbox\" checked data-hides=\"truth\"><span class=\"swatch "
      "truth\"></span>expert</label>"
      "<label><input type=\"checkbox\" checked data-hides=\"prediction\"><span class=\"swatch prediction\"></span>system</label>"
      "<span class=\"quiet\">A click on a picture enlarges it.</span></div>\n";
  return (lines ? legend : "") + "<div id=\"pictures\">\n" + body + "</div>\n";
}

// Filters, samples, codes, as they are.
std::string figures(const ReportContent& content) {
  std::string out;
  for (const Figure& f : content.figures) {
    Sample s;
    s.image = f.image.rank() == 2 ? f.image.view({f.image.dim(0), f.image.dim(1), 1}) : f.image;
    const Tensor shown = visible_image(s);
    out += fmt::format("<figure><img style=\"max-width:100%;image-rendering:pixelated\" width=\"{}\" height=\"{}\" src=\"{}\" alt=\"{}\"><figcaption>{}</figcaption></figure>\n", shown.dim(1), shown.dim(0),
                       png_uri(shown), escape(f.title), escape(f.title));
  }
  return out.empty() ? "" : "<div class=\"figures\">\n" + out + "</div>\n";
}

// ---- charts ----

json axis(const std::string& name, std::optional<double> low = {}, std::optional<double> high = {}) {
  json a{{"name", name}};
  if (low) a["min"] = *low;
  if (high) a["max"] = *high;
  return a;
}

json series(const std::string& name, const std::string& role, const std::vector<double>& x, const std::vector<double>& y) {
  json points = json::array();
  for (size_t i = 0; i < x.size(); i++) points.push_back({number(x[i]), number(y[i])});
  return {{"name", name}, {"role", role}, {"points", points}};
}

struct Charts {
  json specs = json::array();

  // Registers the chart and gives its place in the page, with a description for those who cannot see it.
  std::string add(json spec, const std::string& description, const char* shape = "chart") {
    const std::string id = "chart" + std::to_string(specs.size());
    spec["id"] = id;
    specs.push_back(std::move(spec));
    return fmt::format(
        "<div class=\"{0}\"><canvas id=\"{1}\" role=\"img\" aria-label=\"{2}\"></canvas></div>\n"
        "<details class=\"chart-data\" data-chart=\"{1}\"><summary>The numbers</summary><div class=\"tall\"></div></details>\n",
        shape, id, escape(description));
  }
};

// "Dice, validation" for "val_dice"
std::string spoken(const std::string& key) {
  const std::string plain = without_prefix(key), part = key.rfind("val_", 0) == 0     ? ", validation"
                                                        : key.rfind("train_", 0) == 0 ? ", training"
                                                                                      : "";
  return metric_info(plain).name + part;
}

std::string curve_chart(Charts& charts, const std::string& title, const std::vector<Curve>& curves, const ReportContent& content) {
  if (curves.empty()) return "";
  const char* roles[] = {"accent", "prediction", "truth", "warn", "baseline"};
  json spec{{"kind", "line"}, {"x", axis("epoch")}, {"y", axis(title)}, {"series", json::array()}};
  std::string description = title + " per epoch.";
  for (size_t i = 0; i < curves.size(); i++) {
    spec["series"].push_back(series(spoken(curves[i].name), roles[i % 5], curves[i].x, curves[i].y));
    if (i >= 5) spec["series"].back()["dash"] = true;
    if (curves[i].x.size() == 1) spec["series"].back()["dots"] = true;
    if (!curves[i].y.empty()) description += fmt::format(" {} ends at {:.4g}.", spoken(curves[i].name), curves[i].y.back());
  }
  spec["x"]["whole"] = true;
  if (content.best_epoch) spec["mark"] = {{"x", *content.best_epoch}, {"name", fmt::format("kept: epoch {:g}", *content.best_epoch)}};
  return "<div><h3>" + escape(title) + "</h3>\n" + charts.add(spec, description) + "</div>\n";
}

// Losses, what lies within [0, 1], and each other metric have a chart each: their scales have nothing in common.
std::string training(Charts& charts, const ReportContent& content) {
  std::vector<Curve> shares, others;
  for (const Curve& curve : content.curves) (metric_info(without_prefix(curve.name)).within_one ? shares : others).push_back(curve);
  std::string body = curve_chart(charts, "Loss", content.losses, content);
  body += curve_chart(charts, shares.size() == 1 ? spoken(shares[0].name) : "Metrics", shares, content);
  for (const Curve& curve : others) body += curve_chart(charts, spoken(curve.name), {curve}, content);
  return body.empty() ? "" : "<div class=\"pair\">\n" + body + "</div>\n";
}

json histogram_series(const Scores& scores, const std::string& name, const std::string& role, int bins) {
  std::vector<double> centres(static_cast<size_t>(bins)), counts(centres.size());
  for (int i = 0; i < bins; i++) centres[static_cast<size_t>(i)] = (i + 0.5) / bins;
  for (const CaseScores& row : scores.per_case)
    if (const auto d = row.values.find("dice"); d != row.values.end() && !std::isnan(d->second))
      counts[static_cast<size_t>(std::clamp(static_cast<int>(d->second * bins), 0, bins - 1))]++;
  return series(name, role, centres, counts);
}

std::string dice_histogram(Charts& charts, const ReportContent& content) {
  const auto dice = content.scores.metrics.find("dice");
  if (dice == content.scores.metrics.end() || !dice->second.n) return "";
  json spec{{"kind", "bars"}, {"width", 0.05}, {"x", axis("Dice", 0, 1)}, {"y", axis("cases")}, {"series", json::array()}};
  spec["y"]["whole"] = true;
  spec["series"].push_back(histogram_series(content.scores, "this system", "accent", 20));
  if (find(content.baseline, "dice")) spec["series"].push_back(histogram_series(*content.baseline, content.baseline_name, "baseline", 20));
  const Summary& s = dice->second;
  return charts.add(spec, fmt::format("Histogram of the Dice over {} cases: mean {:.3f}, median {:.3f}.", s.n, s.mean, s.median));
}

std::string confusion_table(const Scores& scores) {
  if (scores.confusion.empty()) return "";
  const auto name = [&](size_t k) { return escape(k < scores.categories.size() ? scores.categories[k] : "category " + std::to_string(k)); };
  std::string out = fmt::format(
      "<div class=\"scroll\"><table class=\"matrix\"><thead><tr><td></td><th colspan=\"{}\">predicted</th></tr><tr><th>true</th>",
      scores.confusion.size());
  for (size_t k = 0; k < scores.confusion.size(); k++) out += "<th scope=\"col\">" + name(k) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (size_t t = 0; t < scores.confusion.size(); t++) {
    int64_t all = 0;
    for (int64_t n : scores.confusion[t]) all += n;
    out += "<tr><th scope=\"row\">" + name(t) + "</th>";
    for (size_t p = 0; p < scores.confusion.size(); p++) {
      const double share = all ? static_cast<double>(scores.confusion[t][p]) / static_cast<double>(all) : 0;
      out += fmt::format(
          "<td style=\"background:color-mix(in srgb, var(--{}) {:.0f}%, var(--panel))\">{}<span class=\"share\">{:.0f} %</span></td>",
          t == p ? "accent" : "prediction", 55 * share, scores.confusion[t][p], 100 * share);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n<p class=\"small quiet\">Cases; the share is of the row's true category.</p>\n";
}

std::string roc_chart(Charts& charts, const ReportContent& content) {
  if (content.scores.roc.empty()) return "";
  json spec{{"kind", "line"},
            {"x", axis("false positive rate (1 - specificity)", 0, 1)},
            {"y", axis("true positive rate (sensitivity)", 0, 1)},
            {"series", json::array()}};
  const auto add = [&](const Scores& scores, const std::string& name, const char* role) {
    std::vector<double> x, y;
    for (const RocPoint& p : scores.roc) x.push_back(p.false_positive_rate), y.push_back(p.true_positive_rate);
    spec["series"].push_back(series(name, role, x, y));
  };
  const Summary* s = find(content.scores, "auc");
  const std::string area = s ? fmt::format("AUC {:.3f} [{:.3f}, {:.3f}]", s->mean, s->lo, s->hi) : "AUC";
  add(content.scores, area, "accent");
  if (content.baseline && !content.baseline->roc.empty()) {
    const Summary* b = find(content.baseline, "auc");
    add(*content.baseline, content.baseline_name + (b ? fmt::format(" {:.3f}", b->mean) : ""), "baseline");
  }
  spec["series"].push_back(series("chance", "quiet", {0, 1}, {0, 1}));
  spec["series"].back()["dash"] = true;
  return charts.add(spec, "Receiver operating characteristic. " + area + ".", "chart square");
}

std::string classification(Charts& charts, const ReportContent& content) {
  const std::string matrix = confusion_table(content.scores), roc = roc_chart(charts, content);
  std::string body;
  if (!matrix.empty()) body += "<div><h3>Confusion matrix</h3>\n" + matrix + "</div>\n";
  if (!roc.empty()) body += "<div><h3>ROC curve</h3>\n" + roc + "</div>\n";
  return body.empty() ? "" : "<div class=\"pair\">\n" + body + "</div>\n";
}

// A step of 1, 2 or 5 times a power of ten that cuts the range into 4 to 10 parts.
double round_step(double range) {
  if (!(range > 0)) return 1;
  const double power = std::pow(10, std::floor(std::log10(range)));
  return power * (range / power >= 5 ? 1 : range / power >= 2 ? 0.5 : 0.2);
}

std::string agreement_chart(Charts& charts, const std::string& name, const Agreement& a) {
  if (a.truth.empty()) return "";
  std::vector<double> mean, difference;
  for (size_t i = 0; i < a.truth.size(); i++)
    mean.push_back((a.truth[i] + a.predicted[i]) / 2), difference.push_back(a.predicted[i] - a.truth[i]);
  const auto [low, high] = std::minmax_element(mean.begin(), mean.end());
  const double step = round_step(*high - *low);
  const std::vector<double> ends{std::floor(*low / step) * step, std::ceil(*high / step) * step};
  const BlandAltman& b = a.summary;
  json spec{{"kind", "line"},
            {"x", axis(fmt::format("mean of true and predicted {} ({})", name, a.unit), ends[0], ends[1])},
            {"y", axis(fmt::format("predicted - true ({})", a.unit))}};
  json cases = series("cases", "accent", mean, difference);
  cases["dots"] = true, cases["line"] = false;
  json bias = series(fmt::format("bias {:+.2f} {}", b.bias, a.unit), "text", ends, {b.bias, b.bias});
  json upper = series(fmt::format("limits {:+.2f} to {:+.2f} {}", b.lower, b.upper, a.unit), "prediction", ends, {b.upper, b.upper}),
       lower = series("", "prediction", ends, {b.lower, b.lower});
  upper["dash"] = lower["dash"] = true;
  spec["series"] = {cases, bias, upper, lower};
  const std::string summary =
      fmt::format("{} cases: bias {:+.2f} {}, 95 % limits of agreement {:+.2f} to {:+.2f}, mean absolute error {:.2f}, r {:.4f}.", b.n,
                  b.bias, a.unit, b.lower, b.upper, b.mean_absolute, b.correlation);
  return charts.add(spec, "Bland-Altman plot. " + summary) + "<p class=\"small quiet\">" + escape(summary) + "</p>\n";
}

// ---- all cases ----

std::string case_table(const Scores& scores) {
  constexpr size_t most = 1000;
  std::vector<std::string> keys;
  for (const std::string& key : ordered(scores))
    if (std::any_of(scores.per_case.begin(), scores.per_case.end(), [&](auto& row) { return row.values.count(key) > 0; }))
      keys.push_back(key);
  if (keys.empty()) return "";
  std::string out = "<div class=\"scroll tall\"><table><thead><tr><th scope=\"col\">Case</th>";
  for (const std::string& key : keys) out += "<th class=\"number\" scope=\"col\">" + escape(metric_info(key).name) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (size_t i = 0; i < std::min(most, scores.per_case.size()); i++) {
    out += "<tr><th scope=\"row\">" + escape(scores.per_case[i].id) + "</th>";
    for (const std::string& key : keys) {
      const auto v = scores.per_case[i].values.find(key);
      out +=
          "<td class=\"number\">" + (v == scores.per_case[i].values.end() ? "–" : figure(v->second, metric_info(key).within_one)) + "</td>";
    }
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (scores.per_case.size() > most)
    out += fmt::format("<p class=\"small quiet\">The first {} of {} cases; the evaluation's JSON has them all.</p>\n", most,
                       scores.per_case.size());
  return out;
}

}  // namespace

std::string render_report(const ReportContent& content) {
  Charts charts;
  std::string body = section("Results on unseen cases", metric_table(content));
  body += section("Beside it, on the same cases", rows(content.beside, false));
  body += section("Best, median and worst cases", pictures(content));
  body += section("What was learnt", figures(content));
  body += section("Dice of the single cases", dice_histogram(charts, content));
  body += section("Categories", classification(charts, content));
  for (const auto& [name, a] : content.scores.agreements) body += section("Agreement: " + name, agreement_chart(charts, name, a));
  body += section("Training", training(charts, content));
  body += section("Card", rows(content.card, false));
  body += folded("Configuration", rows(content.configuration, true), true);
  body += folded(fmt::format("All {} cases", content.scores.per_case.size()), case_table(content.scores), false);

  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n";
  page += "<title>" + escape(content.title) + "</title>\n<style>\n" + std::string(assets::report_css()) +
          "</style>\n</head>\n<body>\n<header>\n<h1>" + escape(content.title) + "</h1>\n";
  if (!content.subtitle.empty()) page += "<p class=\"subtitle\">" + escape(content.subtitle) + "</p>\n";
  page += "<p class=\"notice\">For research and teaching. Not for diagnosis.</p>\n" + tiles(content) + "</header>\n<main>\n" + body +
          "</main>\n";
  page += "<footer><p>Made by Sonograd. This file is complete in itself and loads nothing from elsewhere.</p></footer>\n";
  page +=
      "<noscript><p style=\"text-align:center\">The charts need JavaScript; all tables and pictures are shown without it.</p></noscript>\n";
  page += "<script type=\"application/json\" id=\"charts\">" + script_json(charts.specs) + "</script>\n<script>\n" +
          std::string(assets::chart_js()) + "\n</script>\n<script>\n" + std::string(assets::report_js()) + "</script>\n</body>\n</html>\n";
  return page;
}

void write_report(const std::string& path, const ReportContent& content) { write_file_atomically(path, render_report(content)); }

void read_curves(const std::string& path, ReportContent& content) {
  std::map<std::string, Curve> losses, metrics;
  for (const EpochLine& line : read_metrics(path))
    for (const auto& [key, value] : line.scores) {
      const bool loss = key.find("loss") != std::string::npos;
      const std::string plain = without_prefix(key);
      if (!loss && !known_metrics().count(plain) && plain.find("_mae") == std::string::npos && plain.rfind("dice", 0) != 0) continue;
      Curve& curve = (loss ? losses : metrics)[key];
      curve.name = key, curve.x.push_back(static_cast<double>(line.epoch)), curve.y.push_back(value);
    }
  for (auto& [name, curve] : losses) content.losses.push_back(std::move(curve));
  for (auto& [name, curve] : metrics) content.curves.push_back(std::move(curve));
}

std::vector<Picture> example_pictures(const Scores& scores, const std::function<Sample(size_t)>& sample,
                                      const std::function<Labels(const Sample&)>& predict, size_t each) {
  const Examples examples = pick_examples(scores, each);
  const bool by_probability = examples.by == "probability";
  std::vector<Picture> found;
  for (const auto& [group, places] :
       {std::pair{"best", &examples.best}, std::pair{"median", &examples.median}, std::pair{"worst", &examples.worst}})
    for (size_t i : *places) {
      const CaseScores& row = scores.per_case.at(i);
      Picture p{group, row.id, sample(i), {}};
      p.prediction = predict(p.sample);
      const auto value = by_probability ? row.details.find(examples.by) : row.values.find(examples.by);
      const MetricInfo info = metric_info(examples.by);
      const std::string unit = unit_of(examples.by, scores);
      p.caption += by_probability ? fmt::format(", probability of the true category {:.2f}", value->second)
                                  : ", " + info.name + " " + figure(value->second, info.within_one) + (unit.empty() ? "" : " " + unit);
      if (p.sample.labels.category) {
        const auto name = [&](int k) {
          return static_cast<size_t>(k) < scores.categories.size() ? scores.categories[static_cast<size_t>(k)] : std::to_string(k);
        };
        p.caption += ", true: " + name(*p.sample.labels.category);
        if (const auto called = row.details.find("predicted_category"); called != row.details.end())
          p.caption += ", predicted: " + name(static_cast<int>(called->second));
      }
      found.push_back(std::move(p));
    }
  return found;
}

}  // namespace sono::zoo
