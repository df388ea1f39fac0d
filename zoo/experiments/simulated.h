#pragma once
// What the experiments share: sizes as settings, cases from the simulator or a folder, systems as contenders.
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"
#include "zoo/experiments/experiment.h"
#include "zoo/sim/options.h"

namespace sono::zoo {

struct ExperimentSize {
  int64_t cases = 600, folds = 5, repeats = 2;
  double difficulty = 0.3;
  void list(Settings& s);
  void shrink();  // for a quick look
};

// The folder of the call, or so many simulated cases.
std::shared_ptr<const Dataset> experiment_data(const ExperimentCall& call, const std::string& phantom, const ExperimentSize& size,
                                               int64_t frames_per_patient);

// A system of the zoo with its default recipe, some settings changed.
Contender system_contender(const std::string& name, const std::string& system,
                           const std::vector<std::pair<std::string, std::string>>& settings = {}, const std::string& needs = {});
// A classifier on the features that another contender sees.
Contender head_contender(const std::string& name, const Contender& like, const std::string& head, const Grid& grid);

}  // namespace sono::zoo
