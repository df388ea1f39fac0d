#pragma once
// Work that goes step by step, each step in a few chunks that may run at the same time: recurrent layers.
//
// A parallel_for per step would wake and join the threads each time; here one parallel_for starts runners that go through all
// steps. A runner takes the chunks of its own place first, so that what belongs to them (a slice of the weights) stays in its cache, then
// those that nobody has taken, so that the work ends even if it is alone; before a step it waits until the last one is done, spinning for a
// while, then giving its core away.
#include <atomic>
#include <memory>
#include <thread>

#include "tensor/parallel.h"

namespace sono::cpu {

// f(step, chunk) for all chunks of step 0, then of step 1 …; team: how many threads may take part. to_and_fro: every other step goes
// through the chunks backwards; of weights that are larger than the cache, what the last step read most recently is then still there.
template <class F>
void for_each_step(int64_t steps, int64_t chunks, int64_t team, bool to_and_fro, F&& f) {
  if (team <= 1 || chunks <= 1) {
    for (int64_t s = 0; s < steps; s++)
      for (int64_t i = 0; i < chunks; i++) f(s, to_and_fro && s % 2 ? chunks - 1 - i : i);
    return;
  }
  struct alignas(64) Place {
    std::atomic<int64_t> step{0};  // the next step that this chunk is free for
  };
  const auto places = std::make_unique<Place[]>(static_cast<size_t>(chunks));
  alignas(64) std::atomic<int64_t> finished{0};  // chunks of all steps
  std::atomic<bool> failed{false};
  const auto done = [&](int64_t step) {
    return failed.load(std::memory_order_relaxed) || finished.load(std::memory_order_acquire) >= step * chunks;
  };
  const auto wait = [&](int64_t step) {
    for (int spins = 0; !done(step); spins++) {
      if (spins > 2000)
        std::this_thread::yield();
#if defined(__x86_64__)
      else
        __builtin_ia32_pause();
#endif
    }
  };
  parallel_for(team, 1, [&](int64_t runner, int64_t) {
    const int64_t own = runner * chunks / team, end = (runner + 1) * chunks / team;
    for (int64_t s = finished.load(std::memory_order_acquire) / chunks; s < steps; s++) {
      wait(s);
      if (failed) return;
      int64_t mine = 0;
      for (int64_t i = 0; i < chunks; i++) {
        const int64_t c = (to_and_fro && s % 2 ? end - 1 - i + chunks : own + i) % chunks;
        int64_t expected = s;
        if (!places[static_cast<size_t>(c)].step.compare_exchange_strong(expected, s + 1, std::memory_order_acq_rel)) continue;
        try {
          f(s, c);
        } catch (...) {
          failed = true;
          throw;
        }
        mine++;
      }
      finished.fetch_add(mine, std::memory_order_release);
    }
  });
}

}  // namespace sono::cpu
