#pragma once
// Times, and the ceilings that they are compared with: multiply-adds on registers and a triad from memory, measured in the same run on as
// many threads.
//
//   const Ceilings c = measure_ceilings();
//   const Times t = measure({[&] { kernel(a); }}, {.seconds = 0.2})[0];
//   2e-9 * multiply_adds / t.least / c.roof(flops / bytes);   // share of the roofline
#include <functional>
#include <string>
#include <vector>

namespace sono::lab {

// [Williams, Waterman and Patterson, CACM 2009]: a kernel that does I FLOPs per byte of memory runs at min(peak, I * triad) at most.
struct Ceilings {
  double peak_gflops = 0;                    // fused multiply-adds on registers, the instruction set in use, the threads in use
  double triad_gbs = 0;                      // a[i] = b[i] + s * c[i] over 192 MB, three values of traffic each [McCalpin, STREAM]
  double roof(double flops_per_byte) const;  // GFLOP/s
};
Ceilings measure_ceilings();

struct Times {
  double median = 0, least = 0;  // seconds of one call
  int calls = 0;
};
struct Effort {
  double seconds = 0.2;  // of each function
  int rounds = 5;        // the functions take turns; in each turn the first call is not counted
};
// Functions that do the same work are measured in turns, so that whatever disturbs the machine disturbs all of them.
std::vector<Times> measure(const std::vector<std::function<void()>>& functions, const Effort& effort = {});

double load_average();    // of the last minute; < 0 where the system does not say
std::string processor();  // "AMD EPYC 9R14 96-Core Processor"
double seconds_now();     // a steady clock

// What a piece of work adds to the resident memory of this process at its highest, caches emptied before (VmHWM, reset through
// /proc/self/clear_refs); where the system has no such counter, the highest of what tensors hold (memory_stats).
class PeakMemory {
 public:
  PeakMemory();
  long long bytes() const;

 private:
  long long before_ = -1;
};

}  // namespace sono::lab
