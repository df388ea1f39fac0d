#include "zoo/app/run_folder.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "cuda/cuda.h"
#include "tensor/files.h"
#include "zoo/report/report.h"

namespace sono::zoo::app {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_run(const std::string& folder) { return fs::is_regular_file(fs::path(folder) / "config.json"); }

Config read_config(const std::string& folder) {
  if (!fs::exists(folder)) throw FileError(folder + ": does not exist; give the folder of a training run (train … --out FOLDER)");
  if (!is_run(folder)) throw FileError(folder + ": is no training run: it has no config.json");
  const std::string path = folder + "/config.json";
  const json j = json::parse(read_file(path), nullptr, false);
  try {
    Config c;
    c.system = j.at("system");
    c.source = {j.at("data").at("source"), j.at("data").at("cases"), j.at("data").at("seed")};
    c.seed = j.at("seed");
    c.description = j.at("description");
    c.train = j.at("split").at("train").get<std::vector<std::string>>();
    c.validation = j.at("split").at("validation").get<std::vector<std::string>>();
    c.baseline = Baseline::from_json(j.at("baseline"));
    c.precision = precision_named(j.value("precision", "f32"));
    return c;
  } catch (const json::exception&) {
    throw FileError(path + ": is damaged or was written by another version");
  }
}

void write_config(const std::string& folder, const Config& c) {
  write_json(folder + "/config.json", {{"program", "sonograd"},
                                       {"version", SONO_VERSION},
                                       {"system", c.system},
                                       {"data", {{"source", c.source.spec}, {"cases", c.source.cases}, {"seed", c.source.seed}}},
                                       {"seed", c.seed},
                                       {"precision", to_string(c.precision)},
                                       {"description", c.description},
                                       {"baseline", c.baseline.to_json()},
                                       {"split", {{"train", c.train}, {"validation", c.validation}}}});
}

LoadedRun load_run(const std::string& folder) {
  LoadedRun run{read_config(folder), nullptr};
  run.system = make_system(run.config.system);
  if (!fs::exists(folder + "/model.safetensors")) throw FileError(folder + ": its training has not come to the first weights yet; go on with train --resume");
  run.system->load(folder, run.config.description);
  return run;
}

NewFolder::NewFolder(std::string path) : path_(std::move(path)) {
  if (path_.empty()) throw Error("--out wants a folder");
  fs::path missing = fs::absolute(path_).lexically_normal();
  if (missing.filename().empty()) missing = missing.parent_path();
  existed_ = fs::exists(missing);
  if (existed_ && !fs::is_directory(missing)) throw FileError(path_ + ": is a file; give a folder for the output");
  while (!fs::exists(missing)) first_made_ = missing.string(), missing = missing.parent_path();
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) throw FileError(path_ + ": cannot be made: " + error.message());
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!keep_ && !first_made_.empty()) fs::remove_all(first_made_, ignored);
}

std::vector<std::string> ids(const Dataset& data, const std::vector<int64_t>& cases) {
  std::vector<std::string> all;
  for (const int64_t i : cases) all.push_back(data.meta(i).id);
  return all;
}

void write_json(const std::string& path, const json& j) { write_file_atomically(path, j.dump(1) + "\n"); }

Device device_named(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  if (name == "cuda") return Device::cuda;
  throw Error("unknown device '" + name + "'; known are cpu and cuda");
}

void start_device(const std::string& name) {
  if (device_named(name) == Device::cuda) cuda::start();
}

namespace {

std::string number(double v) { return std::isnan(v) ? "-" : std::isinf(v) ? "inf" : fmt::format("{:.4g}", v); }

}  // namespace

std::string score_table(const Scores& scores, const Scores* baseline, const std::string& baseline_name) {
  std::string text = fmt::format("{:<18} {:>8}   {:<19} {:>5}{}\n", "metric", "mean", "95 % interval", "n", baseline ? "   baseline" : "");
  for (const auto& [name, s] : scores.metrics) {
    text += fmt::format("{:<18} {:>8}   {:<19} {:>5}", name, number(s.mean), number(s.lo) + " … " + number(s.hi), s.n);
    if (s.hi != s.hi || s.infinite) text += s.infinite ? fmt::format("   ({} at infinity; median {})", s.infinite, number(s.median)) : "";
    if (baseline && baseline->metrics.count(name)) text += fmt::format("   {}", number(baseline->metrics.at(name).mean));
    text += "\n";
  }
  if (baseline) text += "baseline: " + baseline_name + "\n";
  if (scores.spacing == "pixel") text += "the pixel size is unknown: a pixel stands for a millimetre\n";
  return text;
}

void write_run_report(const std::string& path, const Config& config, System& system, const std::string& folder, const Dataset& data, const std::vector<int64_t>& cases,
                      const Scores& scores, const Scores& baseline, const std::vector<Beside>& beside) {
  const Card card = system.card();
  ReportContent report;
  report.title = config.system + " on " + scores.data;
  report.subtitle = card.title + (config.source.simulated() ? "; simulated pictures, no patient is in them and nothing here says how it would do on one" : "");
  for (const auto& [key, value] : ReportContent::Rows{{"Task", card.task}, {"Input", card.input}, {"Method", card.method}, {"Reference", card.reference}, {"Limits", card.limits}}) report.card.emplace_back(key, value);
  report.configuration = {{"data", config.source.spec}, {"training cases", std::to_string(config.train.size())}, {"validation cases", std::to_string(config.validation.size())}, {"seed", std::to_string(config.seed)}, {"precision", to_string(config.precision)}};
  for (const auto& line : system.settings().lines()) report.configuration.emplace_back(line.name, line.value);
  report.scores = scores;
  report.baseline = baseline;
  report.baseline_name = config.baseline.name();
  if (fs::exists(folder + "/metrics.jsonl")) read_curves(folder + "/metrics.jsonl", report);
  for (const Beside& b : beside) {
    std::string line;
    for (const char* key : {"auc", "accuracy"})
      if (const auto m = b.scores.metrics.find(key); m != b.scores.metrics.end()) {
        line += fmt::format("{}{} {:.3f} [{:.3f}, {:.3f}]", line.empty() ? "" : "; ", key, m->second.mean, m->second.lo, m->second.hi);
        if (const auto d = b.differences.find(key); d != b.differences.end()) line += fmt::format(", difference {:+.3f} [{:+.3f}, {:+.3f}]", d->second.mean, d->second.lo, d->second.hi);
      }
    report.beside.emplace_back(b.name, line);
  }
  report.figures = system.figures();
  report.pictures = example_pictures(scores, [&](size_t i) { return data.get(cases.at(i)); }, [&](const Sample& s) { return system.predict(s); });
  write_report(path, report);
}

}  // namespace sono::zoo::app
