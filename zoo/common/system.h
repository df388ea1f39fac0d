#pragma once
// A system: a model, its training recipe and its card. One file per system in classification/, segmentation/ …; the list is in
// registry.cpp.
//
//   auto system = make_system("unet");
//   system->settings().set("epochs", "40");
//   Data data = system->data({.spec = "data/busi"});                 // opened, checked, split by patient
//   system->train(data, {.folder = "runs/busi"});                    // weights, config.json, curves
//   Labels found = system->predict(data.set->get(data.split.validation[0]));
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "zoo/common/settings.h"
#include "zoo/data/sample.h"
#include "zoo/data/split.h"
#include "zoo/metrics/evaluate.h"
#include "zoo/report/figure.h"

namespace sono::zoo {

// What a user should know before use. "Not for diagnosis" is printed with every card.
struct Card {
  std::string name, title, task, input, method, reference;
  std::string claim;     // what the paper reports, with its source; empty: nothing that could be checked
  std::string measured;  // what this implementation reached, on which data, by which command
  std::string limits;
};
std::string card_text(const Card& card, const Settings& settings);

// Where data come from: a folder, or "sim:PHANTOM".
struct Source {
  std::string spec;
  int64_t cases = 0;  // simulated: how many; 0: the system's default
  uint64_t seed = 0;  // simulated: of the virtual patients; and of the split
  bool simulated() const { return spec.starts_with("sim:"); }
};

struct Data {
  Source source;
  std::shared_ptr<const Dataset> set;
  Grouping grouping;  // which cases must stay on one side, and the near-duplicates that say so
  Split split;
};

// What a training is asked for, besides the system's settings.
struct Run {
  std::string folder;
  uint64_t seed = 0;
  Device device = Device::cpu;
  bool resume = false;
  std::string init = {};                 // weights to start from; empty: fresh
  std::vector<std::string> freeze = {};  // patterns of parameter paths
};

class System {
 public:
  virtual ~System() = default;
  virtual Card card() const = 0;
  virtual Settings& settings() = 0;
  const Settings& settings() const { return const_cast<System*>(this)->settings(); }

  virtual std::shared_ptr<const Dataset> open(const Source& source) const = 0;  // all of it, checked
  virtual std::string default_source() const = 0;                               // "sim:breast"
  virtual Data data(const Source& source) const;  // opened and split: grouped, stratified, guarded against leaks
  virtual double validation_share() const { return 0.2; }
  virtual bool random_split() const { return false; }  // images one by one: passes only where nothing leaks

  virtual void prepare_training(
      const Data& data, const Run& run) = 0;  // takes label names, builds the model: all that can be refused before files are written
  virtual void train(const Data& data, const Run& run) = 0;  // leaves model.safetensors, config.json, metrics.jsonl, events in run.folder
  virtual Labels predict(const Sample& sample) = 0;
  virtual std::vector<Sample> read(const std::string& path) const;  // a file to predict on: an image; curves, for systems of curves

  // What of a trained system is not in its weights: label names, sizes. load() takes them before it reads the weights.
  virtual nlohmann::json describe() const = 0;
  virtual void load(const std::string& folder, const nlohmann::json& description) = 0;
  virtual std::string summary() = 0;  // the model's table, after load() or train()

  // What it has to be better than, learnt from the same cases: a linear classifier on its raw input, for example. Printed beside it.
  virtual std::vector<std::string> rivals() const { return {}; }
  virtual std::vector<Labels> predict_with_rivals(const Sample& sample) { return {predict(sample)}; }  // its own first, then theirs

  virtual std::vector<Figure> figures() const {
    return {};
  }                                                // of what was learnt, for the report: filters, reconstructions, samples, codes
  virtual bool segments() const { return false; }  // predictions have masks
  virtual EvaluateOptions evaluation() const = 0;  // names of labels and categories
};

// ---- the list (registry.cpp) -----------------------------------------------------------------------------------------------------------
struct SystemEntry {
  const char* name;
  const char* summary;
  std::unique_ptr<System> (*make)();
};
const std::vector<SystemEntry>& systems();
std::unique_ptr<System> make_system(const std::string& name);  // Error: unknown system 'unett'; did you mean unet?

}  // namespace sono::zoo
