// The roofline as SVG, drawn by hand: no script, no font, no file from elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "zoo/lab/bench.h"

namespace sono::lab {
namespace {

constexpr const char* halo = "font-weight=\"600\" stroke=\"#fff\" stroke-width=\"4\" paint-order=\"stroke\"";  // to be read on any point
constexpr double width = 1120, height = 680, left = 74, right = 250, top = 70, bottom = 62;

// Kernels of one family share a colour (Okabe and Ito's eight, which differ for every kind of sight).
struct Family {
  const char *name, *colour, *prefix;
};
constexpr Family families[] = {{"convolution 2D", "#0072b2", "conv2d"},
                               {"convolution 3D", "#56b4e9", "conv3d"},
                               {"matrix product", "#d55e00", "matmul"},
                               {"recurrent", "#cc79a7", "recurrent"},
                               {"pooling", "#009e73", "max_"},
                               {"pooling", "#009e73", "avg_"},
                               {"norm", "#e69f00", "norm"},
                               {"optimiser", "#8b6f47", "adam"},
                               {"optimiser", "#8b6f47", "sgd"},
                               {"elementwise", "#7b4fa3", "map"},
                               {"other", "#777777", ""}};

const Family& family_of(const std::string& kernel) {
  return *std::find_if(std::begin(families), std::end(families), [&](const Family& f) { return kernel.rfind(f.prefix, 0) == 0; });
}

struct Axis {
  double low, high, from, to;  // values at positions from and to
  double operator()(double v) const { return from + (std::log(v) - std::log(low)) / (std::log(high) - std::log(low)) * (to - from); }
};

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2, style);
}
std::string words(double x, double y, const std::string& text, const std::string& style = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, style, text);
}
std::string escaped(const std::string& text) {
  std::string s;
  for (char c : text) s += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return s;
}
std::string plain(double v) { return v >= 1 ? fmt::format("{:.0f}", v) : fmt::format("{:g}", v); }

// Powers of ten with numbers, their multiples as faint lines.
std::string grid(const Axis& x, const Axis& y) {
  std::string s;
  for (double decade = 1e-3; decade < 1e6; decade *= 10)
    for (int k = 1; k < 10; k++) {
      const double v = decade * k;
      const char* style = k == 1 ? "stroke=\"#d8d8d8\"" : "stroke=\"#f1f1f1\"";
      if (v >= x.low && v <= x.high) {
        s += line(x(v), y.from, x(v), y.to, style);
        if (k == 1) s += words(x(v), y.from + 20, plain(v), "text-anchor=\"middle\"");
      }
      if (v >= y.low && v <= y.high) {
        s += line(x.from, y(v), x.to, y(v), style);
        if (k == 1) s += words(x.from - 9, y(v) + 4, plain(v), "text-anchor=\"end\"");
      }
    }
  s += words((x.from + x.to) / 2, y.from + 46, "FLOPs per byte of operands", "text-anchor=\"middle\"");
  return s + words(-(y.from + y.to) / 2, 20, "GFLOP/s", "text-anchor=\"middle\" transform=\"rotate(-90)\"");
}

// The two ceilings with their numbers, and the ridge where they meet.
std::string roof(const Axis& x, const Axis& y, const Ceilings& c) {
  const char* style = "stroke=\"#222\" stroke-width=\"2\"";
  const double ridge = c.peak_gflops / c.triad_gbs, start = std::max(x.low, y.low / c.triad_gbs);
  std::string s = line(x(start), y(start * c.triad_gbs), x(ridge), y(c.peak_gflops), style) +
                  line(x(ridge), y(c.peak_gflops), x.to, y(c.peak_gflops), style);
  s += words(x.to - 6, y(c.peak_gflops) - 8, fmt::format("peak of multiply-adds {:.0f} GFLOP/s", c.peak_gflops),
             std::string("text-anchor=\"end\" ") + halo);
  const double at = std::sqrt(start * ridge), slope = -std::atan2(y(1) - y(10), x(10) - x(1)) * 180 / M_PI;
  return s + fmt::format(
                 "<text {} text-anchor=\"middle\" transform=\"translate({:.1f},{:.1f}) rotate({:.1f})\">triad from memory "
                 "{:.1f} GB/s</text>\n",
                 halo, x(at) - 7, y(at * c.triad_gbs) - 9, slope, c.triad_gbs);
}

// Chosen entries are filled, the others hollow, rivals crosses; all have their numbers as a tooltip.
std::string point(const Axis& x, const Axis& y, const Result& r) {
  const double px = x(r.flops / r.bytes), py = y(r.gflops);
  const char* colour = r.rival ? "#444" : family_of(r.kernel).colour;
  const std::string title = fmt::format("<title>{}\n{:.3f} ms, {:.1f} GFLOP/s, {:.0f} % of peak, {:.0f} % of the roof, {:.1f} GB/s</title>",
                                        escaped(r.name), r.min_ms, r.gflops, r.percent_of_peak, r.percent_of_roof, r.gbs);
  if (r.rival)
    return fmt::format(
        "<path d=\"M{0:.1f} {1:.1f}l7 7m0 -7l-7 7\" stroke=\"{2}\" stroke-width=\"1.4\" stroke-opacity=\".7\" fill=\"none\">{3}</path>\n",
        px - 3.5, py - 3.5, colour, title);
  return fmt::format(
      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\" fill-opacity=\"{}\" stroke=\"{}\" stroke-width=\"1.3\">{}</circle>\n", px,
      py, r.chosen ? 4.6 : 3.4, r.chosen ? colour : "#fff", r.chosen ? 0.8 : 0.9, colour, title);
}

std::string legend(const std::vector<Result>& results, double x) {
  std::string s;
  double y = top + 6;
  std::map<std::string, bool> seen;
  for (const Family& f : families) {
    const bool used = std::any_of(results.begin(), results.end(),
                                  [&](const Result& r) { return !r.rival && std::string(family_of(r.kernel).name) == f.name; });
    if (!used || seen[f.name]) continue;
    seen[f.name] = true;
    s += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" fill=\"{}\"/>\n", x, y - 4, f.colour) + words(x + 14, y, f.name);
    y += 22;
  }
  y += 12;
  s += fmt::format("<circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"4.6\" fill=\"#999\" stroke=\"#555\"/>\n", x, y - 4) +
       words(x + 14, y, "the entry that is chosen");
  s += fmt::format("<circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"3.4\" fill=\"#fff\" stroke=\"#555\"/>\n", x, y + 18) +
       words(x + 14, y + 22, "another entry");
  if (std::any_of(results.begin(), results.end(), [](const Result& r) { return r.rival; }))
    s += fmt::format("<path d=\"M{:.1f} {:.1f}l7 7m0 -7l-7 7\" stroke=\"#444\" fill=\"none\"/>\n", x - 3.5, y + 36.5) +
         words(x + 14, y + 44, "another library");
  return s;
}

}  // namespace

std::string roofline_svg(const Report& report) {
  std::vector<Result> results;
  for (const Result& r : report.results)
    if (r.bytes > 0 && r.flops > 0) results.push_back(r);
  const Ceilings& c = report.ceilings;
  double least_x = 0.1, most_x = 100, least_y = c.peak_gflops / 100, most_y = c.peak_gflops * 1.6;
  for (const Result& r : results) {
    least_x = std::min(least_x, r.flops / r.bytes * 0.8), most_x = std::max(most_x, r.flops / r.bytes * 1.25);
    least_y = std::min(least_y, r.gflops * 0.8), most_y = std::max(most_y, r.gflops * 1.3);
  }
  const Axis x{least_x, most_x, left, width - right}, y{least_y, most_y, height - bottom, top};
  std::string s = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" font-family=\"system-ui, 'DejaVu "
      "Sans', sans-serif\" font-size=\"13\" fill=\"#222\">\n",
      width, height);
  s += fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"#fff\"/>\n", width, height);
  s += words(left, 30, "Roofline of the kernels", "font-size=\"19\" font-weight=\"600\"");
  s += words(left, 51,
             escaped(fmt::format("{}, {}, {} thread{}; Winograd can be above the peak: the FLOPs counted are those of the definition",
                                 report.processor, report.isa, report.threads, report.threads > 1 ? "s" : "")),
             "fill=\"#666\"");
  s += grid(x, y);
  for (const bool chosen : {false, true})
    for (const Result& r : results)
      if (r.chosen == chosen) s += point(x, y, r);
  return s + roof(x, y, c) + legend(results, width - right + 26) + "</svg>\n";
}

}  // namespace sono::lab
