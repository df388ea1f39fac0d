#include "tensor/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>

#include "tensor/error.h"

namespace sono {
namespace {

std::atomic<int> chosen{0};

// libgomp spins without bound by default: beside another busy process every barrier then costs a scheduler quantum. It reads its variables
// before main, so the program starts itself again with a bound (zoo/app/main.cpp) or the user sets GOMP_SPINCOUNT; a library must not.
int default_threads() {
  static const int n = [] {
    if (const char* text = std::getenv("SONO_THREADS")) {
      const int asked = std::atoi(text);
      if (asked > 0) return asked;
    }
    return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  }();
  return n;
}

}  // namespace

int threads() {
  const int n = chosen;
  return n > 0 ? n : default_threads();
}

void set_threads(int n) {
  if (n < 0) throw Error("the number of threads must not be negative, got " + std::to_string(n));
  chosen = n;
}

namespace detail {

void parallel_for(int64_t n, int64_t grain, Chunk chunk, void* work) {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int64_t chunks = (n + grain - 1) / grain;
  const int team = static_cast<int>(std::min<int64_t>(threads(), chunks));
  if (team <= 1 || omp_in_parallel()) {
    for (int64_t c = 0; c < chunks; c++) chunk(work, c * grain, std::min(n, (c + 1) * grain));
    return;
  }
  std::exception_ptr failure;
  std::atomic_flag failed = ATOMIC_FLAG_INIT;
  // Dynamic: a thread whose core is taken by a neighbour leaves its chunks to the others. Which thread runs a chunk never changes a result.
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
  for (int64_t c = 0; c < chunks; c++) {
    try {
      chunk(work, c * grain, std::min(n, (c + 1) * grain));
    } catch (...) {
      if (!failed.test_and_set()) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace detail
}  // namespace sono
