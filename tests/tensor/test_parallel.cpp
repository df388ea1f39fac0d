#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tensor/error.h"
#include "tensor/parallel.h"

using namespace sono;

TEST_CASE("every index is visited once, in chunks that do not depend on the threads") {
  for (const int t : {1, 2, 3, 8})
    for (const int64_t n : {0, 1, 7, 1000, 4097}) {
      set_threads(t);
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      std::atomic<bool> regular{true};
      parallel_for(n, 64, [&](int64_t first, int64_t last) {
        if (first % 64 != 0 || (last != n && last - first != 64)) regular = false;
        for (int64_t i = first; i < last; i++) seen[static_cast<size_t>(i)]++;
      });
      CHECK(regular);
      for (const auto& s : seen) REQUIRE(s == 1);
    }
  set_threads(0);
  CHECK_THROWS_AS(set_threads(-1), Error);
}

TEST_CASE("an exception reaches the caller and the pool lives on") {
  set_threads(3);
  for (int round = 0; round < 50; round++) {
    CHECK_THROWS_AS(parallel_for(100, 1,
                                 [](int64_t i, int64_t) {
                                   if (i == 57) throw std::range_error("57");
                                 }),
                    std::range_error);
    std::atomic<int> sum{0};
    parallel_for(100, 1, [&](int64_t i, int64_t) { sum += static_cast<int>(i); });
    CHECK(sum == 4950);
  }
  set_threads(0);
}

TEST_CASE("calls may be nested and may come from several threads at once") {
  set_threads(4);
  std::atomic<int> total{0};
  const auto nested = [&] {
    for (int round = 0; round < 200; round++)
      parallel_for(8, 1, [&](int64_t, int64_t) { parallel_for(10, 1, [&](int64_t, int64_t) { total++; }); });
  };
  std::thread other(nested);
  nested();
  other.join();
  CHECK(total == 2 * 200 * 80);
  const std::thread::id here = std::this_thread::get_id();
  std::atomic<bool> alone{true};
  const SerialScope scope;
  parallel_for(100, 1, [&](int64_t, int64_t) {
    if (std::this_thread::get_id() != here) alone = false;
  });
  CHECK(alone);
  set_threads(0);
}
