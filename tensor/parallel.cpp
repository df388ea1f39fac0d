// A pool of threads with bounded spinning. libgomp's waiting is set by the environment before main and by default spins without bound:
// beside a busy neighbour each barrier then costs a scheduler quantum, and with OMP_WAIT_POLICY=passive an empty region costs some 45 us.
// Here a worker spins for about 50 us, long enough for the next kernel of a training step, and then sleeps on a futex.
#include "tensor/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "tensor/error.h"

namespace sono {
namespace {

std::atomic<int> chosen{0};
thread_local bool serial = false;

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

constexpr int spins = 2000;
inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

struct Job {
  detail::Chunk chunk = nullptr;
  void* work = nullptr;
  int64_t n = 0, grain = 1, chunks = 0, next = 0;  // next: the first chunk that nobody has
  int helpers = 0;                                 // workers that may still join
  std::exception_ptr failure;
};

// One job at a time. Whoever calls run() works too, so that a job ends even if no worker ever wakes (after fork there are none).
class Pool {
 public:
  void run(Job job, int team) {
    grow(team - 1);
    {
      std::lock_guard lock(mutex_);
      job_ = job;
      left_.store(job.chunks, std::memory_order_relaxed);
      job_.helpers = team - 1;
    }
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    work();
    for (int i = 0; i < spins && left_.load(std::memory_order_acquire) != 0; i++) pause();
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [&] { return left_.load(std::memory_order_acquire) == 0; });
    if (job_.failure) std::rethrow_exception(std::exchange(job_.failure, nullptr));
  }

  std::mutex& turn() { return turn_; }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (job_.next < job_.chunks) {
      const int64_t c = job_.next++;
      const Job job = job_;
      lock.unlock();
      std::exception_ptr failure;
      try {
        job.chunk(job.work, c * job.grain, std::min(job.n, (c + 1) * job.grain));
      } catch (...) { failure = std::current_exception(); }
      lock.lock();
      if (failure && !job_.failure) job_.failure = failure;
      if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) finished_.notify_all();
    }
  }

  bool join() {
    std::lock_guard lock(mutex_);
    return job_.next < job_.chunks && job_.helpers-- > 0;
  }

  void live() {
    serial = true;  // a parallel_for inside a chunk runs where it is
    uint32_t seen = generation_.load(std::memory_order_acquire);
    while (true) {
      if (join()) work();
      for (int i = 0; i < spins && generation_.load(std::memory_order_acquire) == seen; i++) pause();
      generation_.wait(seen, std::memory_order_acquire);
      seen = generation_.load(std::memory_order_acquire);
    }
  }

  void grow(int workers) {
    while (count_ < workers) {
      std::thread(&Pool::live, this).detach();
      count_++;
    }
  }

  std::mutex mutex_, turn_;
  std::condition_variable finished_;
  std::atomic<uint32_t> generation_{0};
  std::atomic<int64_t> left_{0};  // chunks not finished
  Job job_;
  int count_ = 0;
};

// Never destroyed: detached workers sleep in it until the process ends.
Pool& pool() {
  static auto* p = new Pool;
  return *p;
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

SerialScope::SerialScope() : before_(serial) { serial = true; }
SerialScope::~SerialScope() { serial = before_; }

namespace detail {

void parallel_for(int64_t n, int64_t grain, Chunk chunk, void* work) {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int64_t chunks = (n + grain - 1) / grain;
  const int team = static_cast<int>(std::min<int64_t>(threads(), chunks));
  if (team > 1 && !serial) {
    if (const std::unique_lock turn(pool().turn(), std::try_to_lock); turn) {
      const SerialScope nested;
      Job job;
      job.chunk = chunk, job.work = work, job.n = n, job.grain = grain, job.chunks = chunks;
      return pool().run(job, team);
    }
  }
  for (int64_t c = 0; c < chunks; c++) chunk(work, c * grain, std::min(n, (c + 1) * grain));
}

}  // namespace detail
}  // namespace sono
