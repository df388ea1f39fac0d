// Whole networks (zoo/lab/works.h): training steps and inferences.
//   bench_steps                 all of them, with Google Benchmark's options
//   bench_steps serve           for bench/peers: reads "NAME THREADS" lines, answers each with the milliseconds of one run
//   bench_steps facts NAME      parameters and FLOPs: for bench/peers to compare with what the rivals do
//   bench_steps memory NAME     runs it five times, says the most memory that this process had (bytes)
#include <fstream>
#include <iostream>
#include <map>

#include "bench/google.h"
#include "zoo/lab/works.h"

using namespace sono;

namespace {

void serve() {
  std::map<std::string, lab::Work> made;
  std::string name;
  for (int n; std::cin >> name >> n;) {
    set_threads(n);
    if (!made.count(name)) made[name] = lab::make_work(name);
    const double start = lab::seconds_now();
    made.at(name).run();
    std::cout << (lab::seconds_now() - start) * 1e3 << std::endl;
  }
}

void facts(const std::string& name) {
  const lab::Work w = lab::make_work(name);
  std::printf("%lld %.0f\n", static_cast<long long>(w.parameters), w.flops);
}

void memory(const std::string& name) {
  const lab::Work w = lab::make_work(name);
  for (int i = 0; i < 5; i++) w.run();
  std::ifstream status("/proc/self/status");
  long long kilobytes = 0;
  for (std::string word; status >> word;)
    if (word == "VmHWM:") status >> kilobytes;
  std::printf("%lld\n", kilobytes * 1024);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "serve") return serve(), 0;
  if (what == "facts" && argc > 2) return facts(argv[2]), 0;
  if (what == "memory" && argc > 2) return memory(argv[2]), 0;
  std::vector<lab::Case> cases;
  lab::add_network_cases(cases);
  return lab::run_cases(std::move(cases), argc, argv);
}
