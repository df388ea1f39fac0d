#pragma once
// The laboratory's cases (zoo/lab/cases.h) as Google benchmarks, with GFLOP/s or GB/s and how much of this run's ceilings that is.
#include <benchmark/benchmark.h>

#include <cstdio>

#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"
#include "zoo/lab/cases.h"
#include "zoo/lab/measure.h"

namespace sono::lab {

inline const Ceilings& ceilings() {
  static const Ceilings c = measure_ceilings();
  return c;
}

inline void run_case(benchmark::State& state, const Case& c) {
  const Prepared p = c.prepare();
  if (!p.run) return state.SkipWithError("does not fit");
  for (auto _ : state) p.run();
  const auto rate = [&](double per_call) {
    return benchmark::Counter(per_call * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  };
  const double flops = p.flops > 0 ? p.flops : c.flops;
  state.counters["GFLOP/s"] = rate(1e-9 * flops);
  state.counters["%peak"] = rate(1e-7 * flops / ceilings().peak_gflops);
  if (c.bytes <= 0) return;
  state.counters["GB/s"] = rate(1e-9 * c.bytes);
  state.counters["%roof"] = rate(flops > 0 ? 1e-7 * flops / ceilings().roof(flops / c.bytes) : 1e-7 * c.bytes / ceilings().triad_gbs);
}

// Registers those that are not slow and runs what the command line selects.
inline int run_cases(std::vector<Case> cases, int argc, char** argv) {
  for (const Case& c : cases)
    if (!c.slow)
      benchmark::RegisterBenchmark(c.name.c_str(), [c](benchmark::State& state) { run_case(state, c); })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond)
          ->MinTime(0.1);
  benchmark::Initialize(&argc, argv);
  std::fprintf(stderr, "%s, %d threads: peak %.1f GFLOP/s, triad %.1f GB/s, load average %.2f\n", cpu::simd().name, threads(),
               ceilings().peak_gflops, ceilings().triad_gbs, load_average());
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace sono::lab
