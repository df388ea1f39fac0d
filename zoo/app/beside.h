#pragma once
// What a trained system is shown beside, on the same cases: its rivals, and on simulated data the oracle, which knows what the simulator
// drew.
#include <nlohmann/json_fwd.hpp>

#include "zoo/common/system.h"
#include "zoo/metrics/evaluate.h"

namespace sono::zoo::app {

struct Difference {
  double mean, lo, hi;
};  // this system minus the other; 95 % by a bootstrap over patients, the same draws for both

struct Beside {
  std::string name;
  Scores scores;
  std::map<std::string, Difference> differences;  // accuracy, and auc with two categories
};

// Evaluates system, rivals and oracle on the cases; `scores` becomes the system's.
std::vector<Beside> evaluate_beside(System& system, const Dataset& data, const std::vector<int64_t>& cases, const EvaluateOptions& options,
                                    Scores& scores);

std::string beside_table(const std::vector<Beside>& all);  // empty without rivals
nlohmann::json to_json(const std::vector<Beside>& all);

}  // namespace sono::zoo::app
