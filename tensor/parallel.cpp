// A pool of threads with bounded spinning. libgomp's waiting is set by the environment before main and by default spins without bound:
// beside a busy neighbour each barrier then costs a scheduler quantum, and with OMP_WAIT_POLICY=passive an empty region costs some 45 us.
//
// One job at a time. Each thread takes the chunks of its own share in order, then what is left of the others': chunk after chunk of what a
// kernel writes is read by the same core in the next one, out of its own cache, and a thread that loses its core holds one chunk and no
// lock. Who has nothing to do looks for work for some 50 us, long enough for the next kernel of a training step, and then sleeps on a
// futex: its core is free, and the system moves a thread of ours that waits for a core there. Linux often wakes a sleeper on its caller's
// core, most of all in virtual machines, whose idle cores look as if they were taken away. There it waits behind the caller for 1 to 5 ms.
// So it is kept off that core until it runs (Place).
#include "tensor/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Looks until ready() or for about 50 us.
template <class F>
bool spin_until(F ready) {
  constexpr auto bound = std::chrono::microseconds(50);
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 16; i++) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() - start < bound);
  return false;
}

// Wakes those who sleep until something is so. Whoever makes it so (by a sequentially consistent write) rings afterwards; while nobody
// sleeps that is one load.
class Bell {
 public:
  template <class F>
  void sleep_until(F ready) {
    sleepers_.fetch_add(1);
    while (true) {
      const uint32_t seen = rings_.load();
      if (ready()) break;
      rings_.wait(seen);
    }
    sleepers_.fetch_sub(1);
  }
  void ring() {
    if (sleepers_.load() == 0) return;
    rings_.fetch_add(1);
    rings_.notify_all();
  }

 private:
  std::atomic<uint32_t> rings_{0};
  std::atomic<int> sleepers_{0};
};

// Sees to it that a worker that sleeps is woken on another core than its caller's.
class Place {
 public:
  Place() { known_ = pthread_getaffinity_np(pthread_self(), sizeof allowed_, &allowed_) == 0; }  // what the worker will inherit
  void created(pthread_t worker) { worker_ = worker; }
  // By the worker. Whoever was kept off a core is given it back here: awake() is called again and again, so that none is lost for long.
  void asleep() { asleep_.store(true); }
  void awake() {
    asleep_.store(false);
    if (kept_off_.exchange(false)) pthread_setaffinity_np(pthread_self(), sizeof allowed_, &allowed_);
  }
  // By the caller, before it rings. A wish: where the system refuses, the worker is woken all the same.
  void keep_off(int core, int team) {
    if (!known_ || core < 0 || !asleep_.load() || kept_off_.load() || CPU_COUNT(&allowed_) < team) return;
    cpu_set_t others = allowed_;
    CPU_CLR(core, &others);
    pthread_setaffinity_np(worker_, sizeof others, &others);
    kept_off_.store(true);
  }

 private:
  std::atomic<bool> asleep_{true}, kept_off_{false};
  bool known_;
  pthread_t worker_{};
  cpu_set_t allowed_;
};

struct Job {
  detail::Chunk chunk = nullptr;
  void* work = nullptr;
  int64_t n = 0, grain = 1, chunks = 0;
  int shares = 1;
  int64_t end(int share) const { return chunks * (share + 1) / shares; }  // of the share's chunks
};

// Whoever calls run() works too, so that a job ends even if no worker ever wakes.
class Pool {
 public:
  // Runs it with `team` threads, this one included. False if another thread has the pool.
  bool run(Job job, int team) {
    const std::unique_lock turn(turn_, std::try_to_lock);
    if (!turn) return false;
    grow(team - 1);
    job.shares = std::min(team, most_shares);
    job_ = job;  // nobody reads it: that takes a chunk, and there is none
    helpers_.store(team - 1, std::memory_order_relaxed);
    unfinished_.store(job.chunks, std::memory_order_relaxed);
    for (int i = 0; i < job.shares; i++) shares_[i].untaken.store(job.end(i) - job.end(i - 1));
    const int core = sched_getcpu();
    for (int w = 0; w < team - 1; w++) places_[static_cast<size_t>(w)]->keep_off(core, team);
    work_.ring();
    work(0);
    const auto done = [&] { return unfinished_.load() == 0; };
    if (!spin_until(done)) done_.sleep_until(done);
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return true;
  }

 private:
  struct alignas(64) Share {
    std::atomic<int64_t> untaken{0};  // chunks; below 0 when several looked for the last one
  };
  static constexpr int most_shares = 64;
  int used() const { return std::min(helpers_.load(std::memory_order_relaxed) + 1, most_shares); }

  // Takes chunks while there are any, from the share of `member` on. A chunk that was taken holds the job: what job_ says stays until that
  // chunk is finished.
  void work(int member) {
    const int shares = used();
    for (int i = 0; i < shares; i++) {
      const int share = (member + i) % shares;
      std::atomic<int64_t>& left = shares_[share].untaken;
      while (left.load(std::memory_order_relaxed) > 0) {
        const int64_t untaken = left.fetch_sub(1);
        if (untaken <= 0) break;
        const int64_t c = job_.end(share) - untaken;
        try {
          job_.chunk(job_.work, c * job_.grain, std::min(job_.n, (c + 1) * job_.grain));
        } catch (...) { fail(c, std::current_exception()); }
        if (unfinished_.fetch_sub(1) == 1) done_.ring();
      }
    }
  }

  // Of several failures the first chunk's is kept, as on one thread.
  void fail(int64_t chunk, std::exception_ptr failure) {
    const std::lock_guard lock(failing_);
    if (failure_ && failed_chunk_ < chunk) return;
    failure_ = std::move(failure), failed_chunk_ = chunk;
  }

  void live(int worker, Place* place) {
    serial = true;  // a parallel_for inside a chunk runs where it is
    const auto wanted = [&] {
      if (worker >= helpers_.load(std::memory_order_relaxed)) return false;
      return std::any_of(shares_, shares_ + used(), [](const Share& s) { return s.untaken.load() > 0; });
    };
    while (true) {
      place->awake();
      if (!spin_until(wanted)) {
        place->asleep();
        work_.sleep_until(wanted);
        place->awake();
      }
      work(worker + 1);
    }
  }

  void grow(int workers) {
    for (; count_ < workers; count_++) {
      Place& place = *places_.emplace_back(std::make_unique<Place>());
      std::thread worker(&Pool::live, this, count_, &place);
      place.created(worker.native_handle());
      worker.detach();
    }
  }

  std::mutex turn_, failing_;
  int count_ = 0;                               // workers
  std::vector<std::unique_ptr<Place>> places_;  // of the workers
  Bell work_, done_;
  std::exception_ptr failure_;
  int64_t failed_chunk_ = 0;
  Job job_;
  std::atomic<int> helpers_{0};  // how many workers may help
  Share shares_[most_shares];
  alignas(64) std::atomic<int64_t> unfinished_{0};
};

// Never destroyed: detached workers sleep in it until the process ends. A forked child has none of them and begins with a new one.
Pool& pool() {
  static Pool* const p = [] {
    static Pool* const made = new Pool;
    pthread_atfork(nullptr, nullptr, [] { new (made) Pool; });
    return made;
  }();
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
    const SerialScope nested;
    if (pool().run({chunk, work, n, grain, chunks}, team)) return;
  }
  for (int64_t c = 0; c < chunks; c++) chunk(work, c * grain, std::min(n, (c + 1) * grain));
}

}  // namespace detail
}  // namespace sono
