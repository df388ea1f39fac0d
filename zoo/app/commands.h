#pragma once
// The commands of the program, each a call with its options. They throw Error for a wrong call and return when the work is done.
#include <optional>
#include <string>
#include <vector>

#include "zoo/common/system.h"

namespace sono::zoo::app {

struct TrainCall {
  std::string system, data, out, device = "cpu", init, precision;  // precision empty: as SONO_PRECISION says
  uint64_t seed = 0;
  bool resume = false;
  std::vector<std::string> freeze, set;  // set: "KEY=VALUE"
};
void train(const TrainCall& call);

struct EvaluateCall {
  std::string run, data, json, report;
  std::optional<uint64_t> seed;
  int64_t cases = 200;  // of simulated data
};
void evaluate(const EvaluateCall& call);

struct PredictCall {
  std::string run, out;
  std::vector<std::string> inputs;
  double spacing = 0;  // mm per pixel where the file does not say; 0: unknown
};
void predict(const PredictCall& call);

struct SimulateCall {
  std::string phantom, out;
  int64_t count = 0;
  uint64_t seed = 0;
  double difficulty = -1;  // < 0: the phantom's default
};
void simulate(const SimulateCall& call);

struct BenchCall {
  std::string pattern, json, plot;  // pattern: part of a name, or a glob; empty: everything
  double seconds = 0.2;             // for the entries of one shape each
};
void bench(const BenchCall& call);

struct ExperimentCallLine {
  std::string name, data, json;  // name empty: lists them
  std::vector<std::string> set;  // "KEY=VALUE"
  uint64_t seed = 0;
  bool quick = false;
};
void experiment(const ExperimentCallLine& call);

void apply_settings(Settings& settings, const std::vector<std::string>& assignments);  // "KEY=VALUE" each

void list_systems();
void show_card(const std::string& system);
void inspect(const std::string& path);

int run_program(int argc, char** argv);  // the exit status: 0 done, 1 the work failed, 2 the call was wrong

}  // namespace sono::zoo::app
