#include "zoo/lab/measure.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "tensor/cpu/simd.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"

namespace sono::lab {
namespace {

template <class F>
double least_of(int tries, F f) {
  double least = 1e9;
  for (int i = 0; i < tries; i++) {
    const double start = seconds_now();
    f();
    least = std::min(least, seconds_now() - start);
  }
  return least;
}

double peak_gflops() {
  constexpr int64_t steps = 400000;
  const int chains = cpu::simd().lanes == 16 ? 16 : 12, team = threads();
  volatile float sink = 0;
  const double time = least_of(12, [&] { parallel_for(team, 1, [&](int64_t, int64_t) { sink = cpu::simd().multiply_adds(steps); }); });
  return 2e-9 * team * static_cast<double>(steps) * chains * cpu::simd().lanes / time;
}

double triad_gbs() {
  const Tensor a = Tensor::zeros({16 << 20}), b = Tensor::ones({16 << 20}), c = Tensor::ones({16 << 20});
  const double time = least_of(20, [&] {
    parallel_for(a.size(), 1 << 16, [to = a.data<float>(), x = b.data<float>(), y = c.data<float>()](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) to[i] = x[i] + 3 * y[i];
    });
  });
  return 3e-9 * static_cast<double>(a.bytes()) / time;
}

// A line "NAME:  123 kB" of /proc/self/status, in bytes; -1 if it is not there.
long long status(const char* name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (word == name) {
      long long kilobytes = -1;
      file >> kilobytes;
      return kilobytes * 1024;
    }
  return -1;
}

}  // namespace

double Ceilings::roof(double flops_per_byte) const { return std::min(peak_gflops, flops_per_byte * triad_gbs); }

Ceilings measure_ceilings() { return {lab::peak_gflops(), lab::triad_gbs()}; }

std::vector<Times> measure(const std::vector<std::function<void()>>& functions, const Effort& effort) {
  constexpr double shortest = 50e-6;  // a sample is as many calls as fill this: the clock costs some 30 ns
  struct Samples {
    std::vector<double> seconds;
    int calls = 1;
  };
  std::vector<Samples> samples(functions.size());
  const double turn = effort.seconds / effort.rounds;
  for (int round = 0; round < effort.rounds; round++)
    for (size_t i = 0; i < functions.size(); i++) {
      Samples& s = samples[i];
      const double begin = seconds_now();
      functions[i]();
      const double first = seconds_now() - begin;
      if (round == 0) s.calls = static_cast<int>(std::clamp(shortest / std::max(first, 1e-9), 1.0, 10000.0));
      if (first > turn) {  // one call fills the turn: it counts
        s.seconds.push_back(first);
        if (first > effort.seconds) round = std::max(round, effort.rounds - 2);  // and two rounds are enough
        continue;
      }
      do {
        const double start = seconds_now();
        for (int k = 0; k < s.calls; k++) functions[i]();
        s.seconds.push_back((seconds_now() - start) / s.calls);
      } while (seconds_now() - begin < turn);
    }
  std::vector<Times> times;
  for (Samples& s : samples) {
    std::sort(s.seconds.begin(), s.seconds.end());
    times.push_back({s.seconds[s.seconds.size() / 2], s.seconds[0], static_cast<int>(s.seconds.size()) * s.calls});
  }
  return times;
}

double load_average() {
  double load[1];
  return getloadavg(load, 1) == 1 ? load[0] : -1;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

PeakMemory::PeakMemory() {
  empty_cache();
#ifdef __GLIBC__
  malloc_trim(0);  // what malloc keeps would be used again unseen
#endif
  reset_peak_memory();
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;
  const long long now = status("VmRSS:"), highest = status("VmHWM:");
  if (now > 0 && highest > 0 && highest - now < (4 << 20)) before_ = now;  // the reset was heard
}

long long PeakMemory::bytes() const {
  return before_ > 0 ? std::max(0LL, status("VmHWM:") - before_) : static_cast<long long>(memory_stats().peak);
}

}  // namespace sono::lab
