#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "tensor/files.h"
#include "zoo/app/commands.h"
#include "zoo/app/run_folder.h"
#include "zoo/data/image.h"
#include "zoo/data/open.h"
#include "zoo/report/paint.h"
#include "zoo/data/png_encode.h"

namespace sono::zoo::app {
namespace {

namespace fs = std::filesystem;

// Two labels become 0 and 255, so that the picture can be looked at; more keep their values.
Tensor visible_mask(const Tensor& mask, size_t labels) {
  if (labels > 2) return mask;
  Tensor m = mask.clone();
  for (int64_t i = 0; i < m.size(); i++) m.data<uint8_t>()[i] = m.data<uint8_t>()[i] ? 255 : 0;
  return m;
}

nlohmann::json to_json(const Labels& labels, const std::vector<std::string>& categories) {
  nlohmann::json j = nlohmann::json::object();
  if (labels.category) {
    const auto k = static_cast<size_t>(*labels.category);
    j["category"] = k < categories.size() ? nlohmann::json(categories[k]) : nlohmann::json(k);
    for (size_t i = 0; i < labels.probabilities.size(); i++) j["probabilities"][i < categories.size() ? categories[i] : std::to_string(i)] = labels.probabilities[i];
  }
  if (labels.mask) {
    int64_t area = 0;
    for (int64_t i = 0; i < labels.mask.size(); i++) area += labels.mask.data<uint8_t>()[i] != 0;
    j["mask_pixels"] = area;
  }
  if (const auto& e = labels.ellipse) j["ellipse"] = {{"cx", e->cx}, {"cy", e->cy}, {"a", e->a}, {"b", e->b}, {"angle", e->angle}};
  for (const Measurement& m : labels.measurements) j["measurements"].push_back({{"name", m.name}, {"value", m.value}, {"unit", m.unit}});
  for (const Box& b : labels.boxes) j["boxes"].push_back({{"x", b.x}, {"y", b.y}, {"width", b.width}, {"height", b.height}, {"category", b.category}, {"score", b.score}});
  return j;
}

void say(const std::string& id, const Labels& labels, const std::vector<std::string>& categories) {
  std::string line = id + ":";
  if (labels.category) line += fmt::format(" {} ({:.2f})", categories.at(static_cast<size_t>(*labels.category)), labels.probabilities.at(static_cast<size_t>(*labels.category)));
  if (labels.mask) {
    int64_t area = 0;
    for (int64_t i = 0; i < labels.mask.size(); i++) area += labels.mask.data<uint8_t>()[i] != 0;
    line += fmt::format(" {:.1f} % of the image", 100.0 * static_cast<double>(area) / static_cast<double>(labels.mask.size()));
  }
  for (const Measurement& m : labels.measurements) line += fmt::format(" {} {:.1f} {}", m.name, m.value, m.unit);
  fmt::print("{}\n", line);
}

}  // namespace

void predict(const PredictCall& call) {
  if (call.inputs.empty()) throw Error("predict wants images: sonograd predict RUN IMAGE… --out FOLDER");
  const LoadedRun run = load_run(call.run);
  const EvaluateOptions names = run.system->evaluation();
  std::vector<Sample> samples;
  for (const std::string& path : call.inputs)
    for (Sample& s : run.system->read(path)) samples.push_back(std::move(s));

  NewFolder folder(call.out);
  nlohmann::json all = nlohmann::json::array();
  std::set<std::string> taken;
  for (Sample& s : samples) {
    if (call.spacing > 0 && !s.meta.spacing) s.meta.spacing = {call.spacing, call.spacing};
    const Labels labels = run.system->predict(s);
    std::string name = s.meta.id;
    for (int k = 2; !taken.insert(name).second; k++) name = s.meta.id + "-" + std::to_string(k);
    if (labels.mask) write_png((fs::path(call.out) / (name + "_mask.png")).string(), visible_mask(labels.mask, names.mask_labels.size()));
    write_file_atomically((fs::path(call.out) / (name + "_overlay.png")).string(), encode_png(paint(s, labels)));
    nlohmann::json j = to_json(labels, names.categories);
    j["input"] = s.meta.source, j["name"] = name;
    all.push_back(j);
    say(name, labels, names.categories);
  }
  write_json((fs::path(call.out) / "predictions.json").string(), {{"system", run.config.system}, {"use", "not for diagnosis"}, {"predictions", all}});
  folder.keep();
}

}  // namespace sono::zoo::app
