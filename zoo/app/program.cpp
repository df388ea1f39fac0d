// The command line: one subcommand per task. Errors are one line on stderr; 0 done, 1 the work failed, 2 the call was wrong.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "tensor/parallel.h"
#include "zoo/app/commands.h"
#include "zoo/sim/simulate.h"

namespace sono::zoo::app {
namespace {

// One line, whatever the message was.
int fail(int status, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "sonograd: %s\n", message.c_str());
  return status;
}

// What all options share: whole numbers are read by us, so that a wrong one is named in our words.
struct Numbers {
  std::string epochs, seed, threads, count, cases;
  static uint64_t natural(const std::string& what, const std::string& text) {
    const int64_t value = parse_integer(what, text);
    if (value < 0) throw Error(what + " must not be negative, got " + text);
    return static_cast<uint64_t>(value);
  }
};

void add_train(CLI::App& program, TrainCall& call, Numbers& numbers, std::string& crop, std::function<void()>& chosen) {
  CLI::App* c = program.add_subcommand("train", "train a system; leaves weights, curves and a report in a folder");
  c->add_option("SYSTEM", call.system, "one of `sonograd zoo`")->required();
  c->add_option("--data", call.data, "a folder, or sim:PHANTOM; default: the system's simulated data");
  c->add_option("--out", call.out, "folder of the run; default runs/SYSTEM");
  c->add_option("--epochs", numbers.epochs, "passes over the training cases");
  c->add_option("--seed", numbers.seed, "of weights, order, augmentation and split; default 0");
  c->add_option("--device", call.device, "cpu or cuda")->capture_default_str();
  c->add_option("--precision", call.precision, "of products in training: f32, or bf16 (fast with AVX512-BF16, slow without); default f32");
  c->add_option("--threads", numbers.threads, "default: all cores; results do not depend on it");
  c->add_flag("--resume", call.resume, "go on with the run in --out");
  c->add_option("--init", call.init, "weights to start from, those that fit");
  c->add_option("--freeze", call.freeze, "pattern of parameters that stay as they are (encoder.*)");
  c->add_option("--crop", crop, "classifiers: lesion, or none");
  c->add_option("--set", call.set, "KEY=VALUE, see `sonograd zoo SYSTEM`");
  c->callback([&] {
    chosen = [&] {
      if (!crop.empty()) call.set.insert(call.set.begin(), "crop=" + crop);
      if (!numbers.epochs.empty()) call.set.insert(call.set.begin(), "epochs=" + numbers.epochs);
      if (!numbers.seed.empty()) call.seed = Numbers::natural("--seed", numbers.seed);
      train(call);
    };
  });
}

void add_evaluate(CLI::App& program, EvaluateCall& call, Numbers& numbers, std::function<void()>& chosen) {
  CLI::App* c = program.add_subcommand("evaluate", "metrics of a run with 95 % intervals, beside the trivial baseline");
  c->add_option("RUN", call.run, "folder of a run")->required();
  c->add_option("--data", call.data, "a folder (all of it), or sim:PHANTOM; default: the run's validation cases, or unseen simulated ones");
  c->add_option("--json", call.json, "write the metrics to this file");
  c->add_option("--report", call.report, "write a report on these cases to this file");
  c->add_option("--cases", numbers.cases, "simulated data: how many, default 200");
  c->add_option("--seed", numbers.seed, "simulated data: of the virtual patients");
  c->add_option("--threads", numbers.threads, "default: all cores");
  c->callback([&] {
    chosen = [&] {
      if (!numbers.cases.empty()) call.cases = static_cast<int64_t>(Numbers::natural("--cases", numbers.cases));
      if (!numbers.seed.empty()) call.seed = Numbers::natural("--seed", numbers.seed);
      evaluate(call);
    };
  });
}

void add_predict(CLI::App& program, PredictCall& call, Numbers& numbers, std::function<void()>& chosen) {
  CLI::App* c = program.add_subcommand("predict", "masks, categories and measurements of images");
  c->add_option("RUN", call.run, "folder of a run")->required();
  c->add_option("INPUT", call.inputs, "images, clips or DICOM files; a lesion's NAME_mask.png and an elastogram NAME_swe.npy are found beside NAME.png");
  c->add_option("--out", call.out, "folder for masks, overlays and predictions.json")->required();
  c->add_option("--spacing", call.spacing, "mm per pixel of images that do not say")->check(CLI::PositiveNumber);
  c->add_option("--threads", numbers.threads, "default: all cores");
  c->callback([&] { chosen = [&] { predict(call); }; });
}

void add_simulate(CLI::App& program, SimulateCall& call, Numbers& numbers, std::function<void()>& chosen) {
  CLI::App* c = program.add_subcommand("simulate", "labelled pictures from a seed: " + joined(phantoms()));
  c->add_option("PHANTOM", call.phantom, joined(phantoms()))->required();
  c->add_option("--count", numbers.count, "how many")->required();
  c->add_option("--out", call.out, "folder")->required();
  c->add_option("--seed", numbers.seed, "default 0");
  c->add_option("--difficulty", call.difficulty, "0 … 1")->check(CLI::Range(0.0, 1.0));
  c->add_option("--threads", numbers.threads, "default: all cores");
  c->callback([&] {
    chosen = [&] {
      call.count = parse_integer("--count", numbers.count);
      if (!numbers.seed.empty()) call.seed = Numbers::natural("--seed", numbers.seed);
      simulate(call);
    };
  });
}

void add_bench(CLI::App& program, BenchCall& call, Numbers& numbers, std::function<void()>& chosen) {
  CLI::App* c = program.add_subcommand("bench", "every implementation of every kernel, and whole networks, in per cent of this machine's peak");
  c->add_option("PATTERN", call.pattern, "part of a name (winograd, step:unet) or a glob (conv2d/*/16->*); default: everything");
  c->add_option("--json", call.json, "write the results to this file");
  c->add_option("--plot", call.plot, "draw the roofline into this SVG file");
  c->add_option("--seconds", call.seconds, "of measuring per entry, ten times that per network")->capture_default_str()->check(CLI::Range(0.001, 60.0));
  c->add_option("--threads", numbers.threads, "default: all cores");
  c->callback([&] { chosen = [&] { bench(call); }; });
}

void add_experiment(CLI::App& program, ExperimentCallLine& call, Numbers& numbers, std::function<void()>& chosen) {
  CLI::App* c = program.add_subcommand("experiment", "run a comparative claim again: repeated cross-validation, intervals, paired tests");
  c->add_option("NAME", call.name, "an experiment; none: lists them");
  c->add_option("--data", call.data, "a folder instead of simulated cases");
  c->add_option("--seed", numbers.seed, "of simulated patients, folds and weights; default 0");
  c->add_flag("--quick", call.quick, "few cases and epochs: shows that it runs, says nothing");
  c->add_option("--set", call.set, "KEY=VALUE: cases, folds, repeats, difficulty …");
  c->add_option("--json", call.json, "write the results to this file");
  c->add_option("--threads", numbers.threads, "default: all cores");
  c->callback([&] {
    chosen = [&] {
      if (!numbers.seed.empty()) call.seed = Numbers::natural("--seed", numbers.seed);
      experiment(call);
    };
  });
}

// A first word that is no command is named before anything else is looked at.
void check_command(const CLI::App& program, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* c : program.get_subcommands({})) names.push_back(c->get_name());
  if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return;
  const std::string near = nearest(argv[1], names);
  throw Error("unknown command '" + std::string(argv[1]) + "'; " + (near.empty() ? "known are " + joined(names) : "did you mean " + near + "?"));
}

}  // namespace

int run_program(int argc, char** argv) {
  CLI::App program("Sonograd: neural networks for medical ultrasound. Research and teaching, not for diagnosis.", "sonograd");
  program.set_version_flag("--version", "sonograd " SONO_VERSION);
  program.require_subcommand(1);
  TrainCall train_call;
  EvaluateCall evaluate_call;
  PredictCall predict_call;
  SimulateCall simulate_call;
  BenchCall bench_call;
  ExperimentCallLine experiment_call;
  Numbers numbers;
  std::string crop, name, path;
  std::function<void()> chosen;

  CLI::App* zoo = program.add_subcommand("zoo", "list the systems, or show one card");
  zoo->add_option("NAME", name, "a system");
  zoo->callback([&] { chosen = [&] { name.empty() ? list_systems() : show_card(name); }; });
  add_train(program, train_call, numbers, crop, chosen);
  add_evaluate(program, evaluate_call, numbers, chosen);
  add_predict(program, predict_call, numbers, chosen);
  add_simulate(program, simulate_call, numbers, chosen);
  add_bench(program, bench_call, numbers, chosen);
  add_experiment(program, experiment_call, numbers, chosen);
  CLI::App* look = program.add_subcommand("inspect", "what is in a run, a weights file or an image");
  look->add_option("PATH", path, "folder of a run, .safetensors, .npz or an image")->required();
  look->callback([&] { chosen = [&] { inspect(path); }; });

  try {
    check_command(program, argc, argv);
    program.parse(argc, argv);
    if (!numbers.threads.empty()) set_threads(static_cast<int>(Numbers::natural("--threads", numbers.threads)));
    chosen();
    return 0;
  } catch (const CLI::Success& e) {
    return program.exit(e);
  } catch (const CLI::ParseError& e) {
    return fail(2, std::string(e.what()) + "; see sonograd --help");
  } catch (const NumericError& e) {
    return fail(1, e.what());
  } catch (const OutOfMemory& e) {
    return fail(1, e.what());
  } catch (const Error& e) {
    return fail(2, e.what());
  } catch (const std::exception& e) {
    return fail(1, std::string("unexpected: ") + e.what());
  }
}

}  // namespace sono::zoo::app
