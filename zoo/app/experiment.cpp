#include "zoo/experiments/experiment.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "zoo/app/commands.h"
#include "zoo/app/run_folder.h"

namespace sono::zoo::app {

void experiment(const ExperimentCallLine& call) {
  if (call.name.empty()) {
    for (const auto& [name, question] : experiments()) fmt::print("{:<14} {}\n", name, question);
    fmt::print("\nsonograd experiment NAME runs one; --quick shows that it runs, --set cases=1000 and the like size it.\n");
    return;
  }
  const std::unique_ptr<Experiment> e = make_experiment(call.name);
  apply_settings(e->settings(), call.set);
  const std::filesystem::path folder = std::filesystem::path(call.json).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw FileError("there is no folder " + folder.string() + " for " + call.json);
  const ExperimentResult result = e->run({.quick = call.quick, .seed = call.seed, .data = call.data});
  fmt::print("{}", experiment_table(result));
  if (!call.json.empty()) write_json(call.json, to_json(result));
}

}  // namespace sono::zoo::app
