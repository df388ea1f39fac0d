#include "zoo/experiments/simulated.h"

#include <algorithm>

#include "zoo/common/categories.h"
#include "zoo/sim/simulate.h"

namespace sono::zoo {

void ExperimentSize::list(Settings& s) {
  s.add("cases", cases, 20, 100000, "simulated cases");
  s.add("folds", folds, 2, 50, "of the cross-validation, by patients");
  s.add("repeats", repeats, 1, 100, "of the cross-validation, in other orders");
  s.add("difficulty", difficulty, 0, 1, "of the simulated cases");
}

void ExperimentSize::shrink() { cases = std::min<int64_t>(cases, 160), folds = std::min<int64_t>(folds, 3), repeats = 1; }

std::shared_ptr<const Dataset> experiment_data(const ExperimentCall& call, const std::string& phantom, const ExperimentSize& size,
                                               int64_t frames_per_patient) {
  if (call.data.empty())
    return simulate(phantom, size.cases, call.seed, {.frames_per_patient = frames_per_patient, .difficulty = size.difficulty});
  return open_categories(call.data, {});
}

Contender system_contender(const std::string& name, const std::string& system,
                           const std::vector<std::pair<std::string, std::string>>& settings, const std::string& needs) {
  const std::shared_ptr<System> made = make_system(system);
  const auto staged = std::dynamic_pointer_cast<StagedSystem>(made);
  if (!staged) throw Error(system + " is not learnt in stages");
  for (const auto& [key, value] : settings) staged->settings().set(key, value);
  return {name, system, [staged](const Sample& s) { return staged->rows(s); }, [staged] { return staged->build(); }, needs};
}

Contender head_contender(const std::string& name, const Contender& like, const std::string& head, const Grid& grid) {
  Contender c = like;
  c.name = name;
  c.make = [=] { return plain_pipeline(head, {}, grid); };
  return c;
}

}  // namespace sono::zoo
