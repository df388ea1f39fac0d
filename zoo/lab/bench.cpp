#include "zoo/lab/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tensor/cpu/simd.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "zoo/lab/rivals.h"

namespace sono::lab {
namespace {

// What one call takes from the tensors' memory at its highest.
long long memory_of(const std::function<void()>& run) {
  reset_peak_memory();
  const int64_t before = memory_stats().live;
  run();
  return memory_stats().peak - before;
}

Result result_of(const Case& c, const Prepared& p, const Times& t, const Ceilings& ceilings, long long peak_bytes) {
  Result r{c.name, c.kernel, c.entry, c.shape, threads(), t.median * 1e3, t.least * 1e3, p.flops > 0 ? p.flops : c.flops, c.bytes};
  r.gflops = 1e-9 * r.flops / t.least, r.gbs = 1e-9 * c.bytes / t.least;
  r.percent_of_peak = 100 * r.gflops / ceilings.peak_gflops;
  if (c.bytes > 0)  // what has no FLOPs moves at the triad's speed at most
    r.percent_of_roof = 100 * (c.flops > 0 ? r.gflops / ceilings.roof(c.flops / c.bytes) : r.gbs / ceilings.triad_gbs);
  r.peak_bytes = peak_bytes, r.rival = c.rival, r.chosen = p.chosen;
  return r;
}

// Which of our entries is the fastest; the chosen one unless another is by more than 3 %.
void mark_fastest(std::vector<Result>& group) {
  Result *best = nullptr, *chosen = nullptr;
  for (Result& r : group) {
    if (r.rival) continue;
    if (!best || r.min_ms < best->min_ms) best = &r;
    if (r.chosen) chosen = &r;
  }
  if (chosen && best->min_ms > 0.97 * chosen->min_ms) best = chosen;
  if (best) best->fastest = true;
}

std::string lines(const std::vector<Result>& group, const Ceilings& ceilings) {
  const Result& first = group.front();
  const bool network = first.shape.empty();
  std::string text;
  if (!network) {
    const double intensity = first.flops / first.bytes;
    text = fmt::format("{} {}   {:.3g} MFLOP, {:.3g} MB, roof {:.0f} GFLOP/s\n", first.kernel, first.shape, first.flops * 1e-6,
                       first.bytes * 1e-6, ceilings.roof(intensity));
  }
  for (const Result& r : group) {
    const char* mark = r.rival || network ? " " : r.chosen ? "*" : r.fastest ? "!" : " ";
    text += fmt::format("  {} {:<18} {:>9.3f} ms (median {:.3f})  {:>7.1f} GFLOP/s {:>5.0f} % of peak", mark, network ? r.name : r.entry,
                        r.min_ms, r.median_ms, r.gflops, r.percent_of_peak);
    text += network ? fmt::format("  {:.1f} MB\n", static_cast<double>(r.peak_bytes) * 1e-6)
                    : fmt::format(" {:>5.0f} % of the roof  {:>6.1f} GB/s\n", r.percent_of_roof, r.gbs);
  }
  return text;
}

std::vector<Result> run_group(const Case* first, const Case* last, const Ceilings& ceilings, double seconds) {
  const bool network = first->shape.empty();
  const PeakMemory memory;
  std::vector<const Case*> cases;
  std::vector<Prepared> prepared;
  std::vector<std::function<void()>> functions;
  std::vector<long long> bytes;
  for (const Case* c = first; c < last; c++) {
    Prepared p = c->prepare();
    if (!p.run) continue;
    bytes.push_back(memory_of(p.run));
    if (network) p.run(), p.run(), bytes.back() = memory.bytes();
    cases.push_back(c), functions.push_back(p.run), prepared.push_back(std::move(p));
  }
  const std::vector<Times> times = measure(functions, {.seconds = network ? 10 * seconds : seconds});
  std::vector<Result> group;
  for (size_t i = 0; i < cases.size(); i++) group.push_back(result_of(*cases[i], prepared[i], times[i], ceilings, bytes[i]));
  mark_fastest(group);
  return group;
}

}  // namespace

Report run_bench(const std::vector<Case>& cases, double seconds_each, const std::function<void(const std::string&)>& say) {
  Report report{{}, cpu::simd().name, processor(), threads(), load_average(), 0, {}};
  set_rival_threads(threads());
  report.ceilings = measure_ceilings();
  say(fmt::format("{}, {}, {} thread{}: peak {:.1f} GFLOP/s, triad {:.1f} GB/s; load average {:.2f}\n", report.processor, report.isa,
                  report.threads, report.threads > 1 ? "s" : "", report.ceilings.peak_gflops, report.ceilings.triad_gbs,
                  report.load_before));
  say("* the entry that the list chooses   ! another entry that is faster\n");
  for (size_t i = 0; i < cases.size();) {
    size_t end = i + 1;
    while (end < cases.size() && cases[end].kernel == cases[i].kernel && cases[end].shape == cases[i].shape) end++;
    const std::vector<Result> group = run_group(&cases[i], &cases[0] + end, report.ceilings, seconds_each);
    if (!group.empty()) say(lines(group, report.ceilings));
    report.results.insert(report.results.end(), group.begin(), group.end());
    i = end;
  }
  report.load_after = load_average();
  for (const Result& r : report.results)
    if (r.fastest && !r.chosen && !r.shape.empty())
      for (const Result& other : report.results)
        if (other.chosen && other.kernel == r.kernel && other.shape == r.shape)
          say(fmt::format("not the fastest: {} {} chooses {}, {} takes {:.2f} of its time\n", r.kernel, r.shape, other.entry, r.entry,
                          r.min_ms / other.min_ms));
  return report;
}

nlohmann::json to_json(const Report& report) {
  nlohmann::json results = nlohmann::json::array();
  for (const Result& r : report.results)
    results.push_back({{"name", r.name},
                       {"kernel", r.kernel},
                       {"entry", r.entry},
                       {"shape", r.shape},
                       {"threads", r.threads},
                       {"median_ms", r.median_ms},
                       {"min_ms", r.min_ms},
                       {"flops", r.flops},
                       {"bytes", r.bytes},
                       {"gflops", r.gflops},
                       {"gbs", r.gbs},
                       {"percent_of_peak", r.percent_of_peak},
                       {"percent_of_roof", r.percent_of_roof},
                       {"peak_bytes", r.peak_bytes},
                       {"rival", r.rival},
                       {"chosen", r.chosen},
                       {"fastest", r.fastest}});
  return {{"peak_gflops", report.ceilings.peak_gflops},
          {"triad_gbs", report.ceilings.triad_gbs},
          {"isa", report.isa},
          {"processor", report.processor},
          {"threads", report.threads},
          {"load_average", {report.load_before, report.load_after}},
          {"results", results}};
}

}  // namespace sono::lab
