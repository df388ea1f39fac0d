#include "zoo/sim/simulate.h"

#include <fmt/format.h>

#include <filesystem>

#include "tensor/files.h"
#include "tensor/parallel.h"
#include "zoo/app/commands.h"
#include "zoo/app/run_folder.h"
#include "zoo/data/image.h"

namespace sono::zoo::app {
namespace {

Tensor times_255(const Tensor& mask) {
  Tensor m = mask.clone();
  for (int64_t i = 0; i < m.size(); i++) m.data<uint8_t>()[i] = m.data<uint8_t>()[i] ? 255 : 0;
  return m;
}

nlohmann::json entry(const Sample& s, const std::string& file, const std::vector<std::string>& categories) {
  nlohmann::json j = {{"id", s.meta.id}, {"patient", s.meta.patient}, {"scanner", s.meta.domain}, {"image", "images/" + file + ".png"}};
  if (s.labels.mask) j["mask"] = "masks/" + file + ".png";
  if (s.elasticity) j["elasticity"] = "elasticity/" + file + ".npy";
  if (s.sequence) j["sequence"] = {{"file", "sequences/" + file + ".npy"}, {"rate_hz", s.sequence.rate}, {"channels", s.sequence.channels}};
  if (s.meta.spacing) j["spacing_mm"] = *s.meta.spacing;
  if (s.labels.category) j["category"] = categories.at(static_cast<size_t>(*s.labels.category));
  if (const auto& e = s.labels.ellipse) j["ellipse"] = {{"cx", e->cx}, {"cy", e->cy}, {"a", e->a}, {"b", e->b}, {"angle", e->angle}};
  for (const Box& b : s.labels.boxes) j["boxes"].push_back({{"x", b.x}, {"y", b.y}, {"width", b.width}, {"height", b.height}});
  for (const Measurement& m : s.labels.measurements) j["measurements"][m.name] = {{"value", m.value}, {"unit", m.unit}};
  return j;
}

}  // namespace

void simulate(const SimulateCall& call) {
  if (call.count < 1) throw Error("--count wants one image or more, got " + std::to_string(call.count));
  SimulateOptions options;
  if (call.difficulty >= 0) options.difficulty = call.difficulty;
  const auto data = zoo::simulate(call.phantom, call.count, call.seed, options);
  NewFolder folder(call.out);
  const std::filesystem::path out(call.out);
  const Sample first = data->get(0);
  for (const auto& [name, there] : {std::pair{"images", true}, {"masks", static_cast<bool>(first.labels.mask)}, {"elasticity", static_cast<bool>(first.elasticity)}, {"sequences", static_cast<bool>(first.sequence)}})
    if (there) std::filesystem::create_directories(out / name);

  std::vector<nlohmann::json> entries(static_cast<size_t>(call.count));
  parallel_for(call.count, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const Sample s = data->get(i);
      const std::string file = fmt::format("{}-{:05}", call.phantom, i);
      write_png((out / "images" / (file + ".png")).string(), s.image);
      if (s.labels.mask) write_png((out / "masks" / (file + ".png")).string(), times_255(s.labels.mask));
      if (s.elasticity) write_npy((out / "elasticity" / (file + ".npy")).string(), s.elasticity);
      if (s.sequence) write_npy((out / "sequences" / (file + ".npy")).string(), s.sequence.values);
      entries[static_cast<size_t>(i)] = entry(s, file, data->categories());
    }
  });
  write_json((out / "manifest.json").string(), {{"generator", "sonograd " SONO_VERSION}, {"phantom", call.phantom}, {"seed", call.seed}, {"difficulty", options.difficulty},
                                                {"categories", data->categories()}, {"mask_labels", data->mask_labels()},
                                                {"note", "simulated; no patient is in these pictures"}, {"cases", entries}});
  folder.keep();
  fmt::print("{}: {} simulated images with labels and manifest.json; --data {} trains on them\n", call.out, call.count, call.out);
}

}  // namespace sono::zoo::app
