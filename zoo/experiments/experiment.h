#pragma once
// Comparative claims, run again: every contender on the same folds of a repeated cross-validation by patients, with 95 % intervals and
// paired tests against the first one. Whatever comes out is printed; on simulated data the score of the oracle, which knows what the
// simulator drew, stands beside it.
//
//   auto e = make_experiment("tic-dbn");   e->settings().set("cases", "400");
//   ExperimentResult r = e->run({});       std::puts(experiment_table(r).c_str());
#include <nlohmann/json_fwd.hpp>

#include "zoo/common/stage.h"
#include "zoo/metrics/comparison.h"

namespace sono::zoo {

// One line of the table: scores of each fold, and what it took.
struct ContenderResult {
  std::string name = {};
  std::vector<double> auc = {}, accuracy = {};  // per fold
  double features_ms = 0;                       // per case, to make its features from the data
  double train_seconds = 0;                     // per fold, mean
  double predict_ms = 0;                        // per case, from features to probabilities
  std::string needs = {};                       // what has to be recorded: "3 pictures"
};

struct ExperimentResult {
  std::string name = {}, question = {}, data = {};
  int64_t cases = 0, patients = 0, folds = 0, repeats = 0;
  double test_over_train = 0.25;
  std::vector<ContenderResult> contenders = {};  // the one that the claim is about first
  std::optional<ContenderResult> oracle = {};
  std::vector<std::string> notes = {};
};

struct ExperimentCall {
  bool quick = false;  // few cases, few epochs: to see that it runs
  uint64_t seed = 0;
  std::string data = {};  // a folder instead of the simulated cases
};

class Experiment {
 public:
  virtual ~Experiment() = default;
  virtual std::string name() const = 0;
  virtual std::string question() const = 0;
  virtual ExperimentResult run(const ExperimentCall& call) = 0;
  Settings& settings() { return settings_; }

 protected:
  Settings settings_;
};

const std::vector<std::pair<std::string, std::string>>& experiments();  // name and question
std::unique_ptr<Experiment> make_experiment(const std::string& name);   // Error: unknown experiment 'tick-dbn'; did you mean tic-dbn?

std::string experiment_table(const ExperimentResult& result);
nlohmann::json to_json(const ExperimentResult& result);

// ---- for those who write one ------------------------------------------------------------------------------------------------------------

using RowsOf = std::function<std::vector<Views>(const Sample&)>;

// A method in a comparison: how it sees a case, and how it learns. Methods of the same `sees` share the features.
struct Contender {
  std::string name, sees;
  RowsOf rows;
  std::function<Pipeline()> make;
  std::string needs = {};
};

struct FoldOptions {
  int64_t folds = 5, repeats = 2;
  uint64_t seed = 0;
};

// Runs all of them on the same folds; fills contenders and oracle of the result. NumericError: more folds than patients.
void cross_validate(const Dataset& data, const std::vector<Contender>& contenders, const FoldOptions& options, ExperimentResult& result);

// AUC and accuracy of probabilities (N, classes), versions of one case averaged: version_of[i] is the case of row i.
std::pair<double, double> auc_and_accuracy(const Tensor& probabilities, const std::vector<int64_t>& case_of, const std::vector<int>& truth);

std::unique_ptr<Experiment> make_s_dpn_experiment();
std::unique_ptr<Experiment> make_tic_dbn_experiment();
std::unique_ptr<Experiment> make_dcca_mkl_experiment();
std::unique_ptr<Experiment> make_pretraining_experiment();

}  // namespace sono::zoo
