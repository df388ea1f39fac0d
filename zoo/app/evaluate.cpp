#include <fmt/format.h>

#include <map>

#include "tensor/random.h"
#include "zoo/app/commands.h"
#include "zoo/app/run_folder.h"

namespace sono::zoo::app {
namespace {

// Which cases to evaluate on: all of the folder given; the validation cases of the run's own folder; fresh simulated ones.
struct Chosen { std::shared_ptr<const Dataset> set; std::vector<int64_t> cases; std::string name; };

Chosen choose(const EvaluateCall& call, const Config& config, const System& system) {
  Source source{call.data.empty() ? config.source.spec : call.data, 0, 0};
  if (source.simulated()) {
    source.cases = call.cases;
    source.seed = call.seed.value_or(hash64("unseen " + std::to_string(config.seed)));
    if (source.seed == config.source.seed) throw Error("--seed " + std::to_string(source.seed) + " is that of the training data; choose another");
  }
  Chosen c{system.open(source), {}, {}};
  c.name = c.set->name();
  if (!call.data.empty() || source.simulated()) {
    for (int64_t i = 0; i < c.set->size(); i++) c.cases.push_back(i);
    return c;
  }
  std::map<std::string, int64_t> place;
  for (int64_t i = 0; i < c.set->size(); i++) place[c.set->meta(i).id] = i;
  for (const std::string& id : config.validation) {
    if (!place.count(id)) throw FileError(source.spec + ": case '" + id + "' of the run's validation part is no longer there");
    c.cases.push_back(place[id]);
  }
  c.name += " (validation)";
  return c;
}

}  // namespace

void evaluate(const EvaluateCall& call) {
  const LoadedRun run = load_run(call.run);
  const Chosen chosen = choose(call, run.config, *run.system);
  EvaluateOptions options = run.system->evaluation();
  options.data = chosen.name;
  Scores scores;
  const std::vector<Beside> beside = evaluate_beside(*run.system, *chosen.set, chosen.cases, options, scores);
  const Scores baseline = zoo::evaluate(*chosen.set, chosen.cases, [&](const Sample& s) { return run.config.baseline.predict(s); }, options);
  fmt::print("{} on {}: {} cases\n{}", run.config.system, chosen.name, chosen.cases.size(), score_table(scores, &baseline, run.config.baseline.name()) + beside_table(beside));
  if (!call.json.empty()) {
    nlohmann::json j = zoo::to_json(scores);
    j["baseline"] = {{"name", run.config.baseline.name()}, {"metrics", zoo::to_json(baseline)["metrics"]}};
    if (!beside.empty()) j["beside"] = to_json(beside);
    write_json(call.json, j);
  }
  if (!call.report.empty()) write_run_report(call.report, run.config, *run.system, call.run, *chosen.set, chosen.cases, scores, baseline, beside);
}

}  // namespace sono::zoo::app
