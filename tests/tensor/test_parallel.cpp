#include <doctest/doctest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
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

TEST_CASE("of several failures the first chunk's reaches the caller, as on one thread") {
  set_threads(4);
  for (int round = 0; round < 50; round++) {
    std::string message;
    try {
      parallel_for(64, 1, [](int64_t i, int64_t) {
        if (i >= 3) throw std::runtime_error(std::to_string(i));
      });
    } catch (const std::runtime_error& e) { message = e.what(); }
    CHECK(message == "3");
  }
  set_threads(0);
}

TEST_CASE("a chunk that takes long holds no other chunk") {
  set_threads(2);
  for (int round = 0; round < 20; round++) {
    std::atomic<int> others{0};
    parallel_for(50, 1, [&](int64_t i, int64_t) {
      if (i == 0)
        while (others < 49) std::this_thread::yield();  // would never end if it had to be done with another chunk first
      else
        others++;
    });
    CHECK(others == 49);
  }
  set_threads(0);
}

// What a recurrent network does: very many small jobs of changing size, with pauses that let the workers fall asleep.
TEST_CASE("thousands of small jobs one after another") {
  std::vector<int64_t> sums(37, 0);
  for (int round = 0; round < 20000; round++) {
    set_threads(2 + round / 7 % 3);
    const int64_t n = 2 + round % 36;
    parallel_for(n, 1, [&](int64_t i, int64_t) { sums[static_cast<size_t>(i)] += round; });
    if (round % 997 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::vector<int64_t> wanted(37, 0);
  for (int round = 0; round < 20000; round++)
    for (int64_t i = 0; i < 2 + round % 36; i++) wanted[static_cast<size_t>(i)] += round;
  CHECK(sums == wanted);
  set_threads(0);
}

// They are kept off their caller's core until they run.
TEST_CASE("workers that have slept may use every core again") {
  set_threads(2);
  cpu_set_t all;
  REQUIRE(pthread_getaffinity_np(pthread_self(), sizeof all, &all) == 0);
  int regions = 0, restricted = 0;
  const auto both_threads = [&] {
    std::atomic<int> met{0}, fewer{0};
    parallel_for(2, 1, [&](int64_t, int64_t) {
      met++;
      while (met < 2) std::this_thread::yield();
      cpu_set_t own;
      if (pthread_getaffinity_np(pthread_self(), sizeof own, &own) != 0 || !CPU_EQUAL(&own, &all)) fewer++;
    });
    regions++, restricted += fewer > 0;
  };
  for (int i = 0; i < 30; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (int j = 0; j < 5; j++) both_threads();
  }
  CHECK(regions == 150);
  CHECK(restricted < 15);  // a worker that was awake already gets its core back one region later
  set_threads(0);
}

TEST_CASE("a forked child has threads of its own") {
  set_threads(2);
  const auto both_threads = [] {  // each chunk waits for the other: one thread alone would never end
    std::atomic<int> met{0};
    parallel_for(2, 1, [&](int64_t, int64_t) {
      met++;
      while (met < 2) std::this_thread::yield();
    });
  };
  both_threads();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(60);
    both_threads();
    ::_exit(0);
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  both_threads();
  set_threads(0);
}
