#pragma once
// Cases measured, ranked and compared with the ceilings of this run: what `sonograd bench` prints, writes as JSON and draws.
//
//   const Report r = run_bench(select_cases("conv2d/"), {}, [](const std::string& text) { std::fputs(text.c_str(), stdout); });
//   std::ofstream("roofline.svg") << roofline_svg(r);
#include <nlohmann/json_fwd.hpp>

#include "zoo/lab/cases.h"
#include "zoo/lab/measure.h"

namespace sono::lab {

// Rates are those of the fastest call, as the ceilings are those of the fastest try; the median says how quiet the machine was.
struct Result {
  std::string name, kernel, entry, shape;
  int threads = 1;
  double median_ms = 0, min_ms = 0, flops = 0, bytes = 0;
  double gflops = 0, gbs = 0, percent_of_peak = 0, percent_of_roof = 0;  // roof: 0 where bytes are not stated
  long long peak_bytes = 0;  // a kernel: what one call takes beyond its operands; a network: what this process grew by, all in all
  bool rival = false, chosen = false,
       fastest = false;  // fastest: of our entries on this shape, by more than 3 % if it is not the chosen one
};

struct Report {
  Ceilings ceilings;
  std::string isa, processor;
  int threads = 1;
  double load_before = 0, load_after = 0;
  std::vector<Result> results;
};

// Entries of one shape are measured in turns. `say` gets the table as it grows.
Report run_bench(const std::vector<Case>& cases, double seconds_each, const std::function<void(const std::string&)>& say);

nlohmann::json to_json(const Report& report);

// The roofline: FLOPs per byte across, GFLOP/s up, both logarithmic; a point per entry, its numbers on hover. Self-contained SVG.
std::string roofline_svg(const Report& report);

}  // namespace sono::lab
