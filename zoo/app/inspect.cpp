#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>

#include "optim/checkpoint.h"
#include "tensor/files.h"
#include "zoo/app/commands.h"
#include "zoo/app/run_folder.h"
#include "zoo/data/image.h"

namespace sono::zoo::app {
namespace {

void inspect_run(const std::string& path) {
  const LoadedRun run = load_run(path);
  fmt::print("run of {} on {}: {} training and {} validation cases, seed {}\n\n{}", run.config.system, run.config.source.spec, run.config.train.size(), run.config.validation.size(), run.config.seed, run.system->summary());
}

void inspect_tensors(const std::string& path) {
  const TensorFile file = read_safetensors(path);
  int64_t values = 0;
  for (const auto& [name, t] : file.tensors) {
    fmt::print("{:<48} {:<4} {}\n", name, to_string(t.dtype()), to_string(t.shape()));
    values += t.size();
  }
  for (const auto& [key, text] : file.metadata) fmt::print("{:<20} {}\n", key, text.size() > 200 ? text.substr(0, 200) + " …" : text);
  fmt::print("{} tensors, {} values\n", file.tensors.size(), values);
}

void inspect_image(const std::string& path) {
  const ImageInfo info = image_info(path);
  fmt::print("{}: {} {}{}\n", path, info.format, to_string(info.shape), info.palette ? ", with a palette" : "");
  if (info.spacing.empty()) fmt::print("pixel size unknown\n");
  else fmt::print("pixel size {} mm\n", fmt::join(info.spacing, " x "));
  const Tensor values = read_image(path).values.to(Dtype::f64);
  double low = INFINITY, high = -INFINITY, sum = 0;
  for (int64_t i = 0; i < values.size(); i++) {
    const double v = values.data<double>()[i];
    low = std::min(low, v), high = std::max(high, v), sum += v;
  }
  fmt::print("values {:g} … {:g}, mean {:.4g}\n", low, high, sum / static_cast<double>(std::max<int64_t>(1, values.size())));
}

}  // namespace

void inspect(const std::string& path) {
  if (std::filesystem::is_directory(path)) return inspect_run(path);
  if (!std::filesystem::exists(path)) throw FileError(path + ": does not exist");
  if (path.ends_with(".safetensors")) return inspect_tensors(path);
  if (path.ends_with(".npz")) {
    for (const auto& [name, t] : read_npz(path)) fmt::print("{:<24} {:<4} {}\n", name, to_string(t.dtype()), to_string(t.shape()));
    return;
  }
  inspect_image(path);
}

void list_systems() {
  for (const SystemEntry& entry : systems()) fmt::print("{:<14} {}\n", entry.name, entry.summary);
  fmt::print("\nsonograd zoo NAME shows a card. All of it is for research and teaching, not for diagnosis.\n");
}

void show_card(const std::string& system) {
  const std::unique_ptr<System> s = make_system(system);
  fmt::print("{}", card_text(s->card(), s->settings()));
}

}  // namespace sono::zoo::app
