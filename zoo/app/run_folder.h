#pragma once
// A run's folder: config.json (what was trained, on what, how), model.safetensors, last.safetensors, metrics.jsonl, events, report.html.
#include <nlohmann/json.hpp>

#include "tensor/precision.h"
#include "zoo/app/beside.h"
#include "zoo/common/baseline.h"
#include "zoo/common/system.h"

namespace sono::zoo::app {

struct Config {
  std::string system;
  Source source;
  uint64_t seed = 0;
  nlohmann::json description;            // System::describe()
  std::vector<std::string> train, validation;  // ids of the cases
  Baseline baseline;
  Precision precision = Precision::f32;  // of the training
};

bool is_run(const std::string& folder);
Config read_config(const std::string& folder);  // FileError: no run, or a damaged config.json
void write_config(const std::string& folder, const Config& config);

struct LoadedRun { Config config; std::unique_ptr<System> system; };
LoadedRun load_run(const std::string& folder);

// Removes the folder again unless keep() was called: a call that fails leaves nothing behind. An existing folder is left as it was.
class NewFolder {
 public:
  explicit NewFolder(std::string path);  // FileError if it cannot be made, or if a file is in the way
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  void keep() { keep_ = true; }
  bool existed() const { return existed_; }

 private:
  std::string path_, first_made_;
  bool existed_ = false, keep_ = false;
};

std::vector<std::string> ids(const Dataset& data, const std::vector<int64_t>& cases);
void write_json(const std::string& path, const nlohmann::json& j);
void start_device(const std::string& name);  // Error for a name that is none
Device device_named(const std::string& name);

// The metrics as a table for the terminal, beside the baseline's.
std::string score_table(const Scores& scores, const Scores* baseline, const std::string& baseline_name);
// Report of these cases of a data set; pictures are predicted anew.
void write_run_report(const std::string& path, const Config& config, System& system, const std::string& folder, const Dataset& data,
                      const std::vector<int64_t>& cases, const Scores& scores, const Scores& baseline, const std::vector<Beside>& beside = {});

}  // namespace sono::zoo::app
