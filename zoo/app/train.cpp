#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "zoo/app/commands.h"
#include "zoo/app/run_folder.h"

namespace sono::zoo::app {
namespace {

namespace fs = std::filesystem;

// What products are rounded to, from the call or from the run that is resumed.
Precision precision_of(const TrainCall& call) {
  Precision p = call.precision.empty() ? precision() : precision_named(call.precision);
  if (call.resume) {
    const Precision before = read_config(call.out).precision;
    if (!call.precision.empty() && p != before) throw Error(call.out + ": was trained with --precision " + to_string(before) + "; resume without --precision, or with the same");
    p = before;
  }
  if (p == Precision::bf16 && device_named(call.device) != Device::cpu) throw Error("--precision bf16 is the CPU's; with --device " + call.device + " leave it out");
  return p;
}

// The source, seed and settings: from the call, or from the run that is resumed.
Source source_of(const TrainCall& call, System& system, uint64_t& seed) {
  Source source{call.data.empty() ? system.default_source() : call.data, 0, call.seed};
  if (call.resume) {
    const Config config = read_config(call.out);
    if (config.system != call.system) throw Error(call.out + ": is a run of " + config.system + ", not of " + call.system);
    system.settings().from_json(config.description.at("settings"));
    if (!call.data.empty() && call.data != config.source.spec) throw Error(call.out + ": was trained on " + config.source.spec + "; resume without --data, or with the same");
    source = config.source;
    seed = config.seed;
  } else if (fs::exists(call.out) && is_run(call.out)) {
    throw Error(call.out + ": holds a run already; go on with --resume, or choose another folder with --out");
  }
  apply_settings(system.settings(), call.set);
  return source;
}

void say(const Data& data) {
  const size_t duplicates = data.grouping.duplicates.size();
  fmt::print("{}: {} cases in {} groups; {} to train on, {} to validate on\n", data.set->name(), data.set->size(), data.grouping.groups, data.split.train.size(), data.split.validation.size());
  if (duplicates) fmt::print("{} near-duplicate {} kept on one side: {}\n", duplicates, duplicates == 1 ? "pair is" : "pairs are", named(*data.set, data.grouping.duplicates, 120));
  std::fflush(stdout);
}

}  // namespace

void apply_settings(Settings& settings, const std::vector<std::string>& assignments) {
  for (const std::string& text : assignments) {
    const size_t equals = text.find('=');
    if (equals == text.npos) throw Error("--set wants KEY=VALUE, got '" + text + "'");
    settings.set(text.substr(0, equals), text.substr(equals + 1));
  }
}

void train(const TrainCall& call) {
  const std::unique_ptr<System> system = make_system(call.system);
  Run run{.folder = call.out.empty() ? "runs/" + call.system : call.out, .seed = call.seed, .device = device_named(call.device), .resume = call.resume, .init = call.init, .freeze = call.freeze};
  TrainCall with_folder = call;
  with_folder.out = run.folder;
  const Source source = source_of(with_folder, *system, run.seed);
  const Precision products = precision_of(with_folder);
  start_device(call.device);
  const Data data = system->data(source);
  say(data);

  Config config{call.system, source, run.seed, {}, ids(*data.set, data.split.train), ids(*data.set, data.split.validation), Baseline::learn(*data.set, data.split.train, system->segments()), products};
  if (call.resume) {
    const Config before = read_config(run.folder);
    if (before.train != config.train || before.validation != config.validation) throw Error(source.spec + ": the cases are not those that " + run.folder + " was trained on");
  }
  NewFolder folder(run.folder);
  system->prepare_training(data, run);
  config.description = system->describe();
  if (!call.resume) write_config(run.folder, config);
  try {
    const PrecisionScope scope(products);
    system->train(data, run);
  } catch (...) {
    if (fs::exists(run.folder + "/last.safetensors")) folder.keep();
    else if (folder.existed()) fs::remove(run.folder + "/config.json");
    throw;
  }
  folder.keep();

  EvaluateOptions options = system->evaluation();
  options.data = data.set->name() + " (validation)";
  const std::vector<int64_t>& cases = data.split.validation;
  Scores scores;
  const std::vector<Beside> beside = evaluate_beside(*system, *data.set, cases, options, scores);
  const Scores baseline = zoo::evaluate(*data.set, cases, [&](const Sample& s) { return config.baseline.predict(s); }, options);
  fmt::print("\n{} cases that training has not seen:\n{}", cases.size(), score_table(scores, &baseline, config.baseline.name()) + beside_table(beside));
  write_run_report(run.folder + "/report.html", config, *system, run.folder, *data.set, cases, scores, baseline, beside);
  fmt::print("\n{0}: model.safetensors, config.json, metrics.jsonl, report.html\nnext: sonograd evaluate {0} --data FOLDER;  sonograd predict {0} IMAGE --out FOLDER\n", run.folder);
}

}  // namespace sono::zoo::app
