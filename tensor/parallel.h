#pragma once
// Threads. Work is cut into chunks that depend on the problem alone, never on the number of threads, so that a reduction over chunks
// in order gives the same bits with 1 or 64 threads.
//
//   parallel_for(rows, 64, [&](int64_t first, int64_t last) { for (int64_t i = first; i < last; i++) … });
#include <cstdint>

namespace sono {

int threads();             // as set, else SONO_THREADS, else the number of cores
void set_threads(int n);   // 1 …; 0: back to the default

// While it lives, this thread's parallel_for runs on this thread alone: for a background thread that must leave the pool to the others.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
 private:
  bool before_;
};

namespace detail {
using Chunk = void (*)(void* work, int64_t first, int64_t last);
void parallel_for(int64_t n, int64_t grain, Chunk chunk, void* work);
}  // namespace detail

// Calls f(first, last) for consecutive chunks of `grain` that cover [0, n), on several threads. Exceptions reach the caller.
// One chunk, one thread, a call from inside another parallel_for or while another thread has the pool: runs where it is.
template <class F> void parallel_for(int64_t n, int64_t grain, F&& f) {
  detail::parallel_for(n, grain, [](void* work, int64_t first, int64_t last) { (*static_cast<F*>(work))(first, last); }, const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace sono
