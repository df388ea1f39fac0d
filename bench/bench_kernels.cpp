// Every entry of every heavy kernel on the zoo's shapes (zoo/lab/cases.h), for Google Benchmark's options and tools:
//
//   bench_kernels --benchmark_filter=conv2d/ --benchmark_format=json      # SONO_THREADS=2 SONO_ISA=v3 choose threads and instruction set
//
// A Winograd convolution can be above the peak, because the FLOPs counted are those of the definition.
#include "bench/google.h"

int main(int argc, char** argv) {
  std::vector<sono::lab::Case> cases;
  sono::lab::add_conv_cases(cases);
  sono::lab::add_matmul_cases(cases);
  sono::lab::add_recurrent_cases(cases);
  sono::lab::add_memory_cases(cases);
  return sono::lab::run_cases(std::move(cases), argc, argv);
}
