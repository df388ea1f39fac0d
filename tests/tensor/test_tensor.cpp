#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/heap.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

using namespace sono;

TEST_CASE("shapes count, print and refuse nonsense") {
  CHECK(count({}) == 1);
  CHECK(count({2, 0, 3}) == 0);
  CHECK(to_string(Shape{8, 128, 128, 3}) == "(8, 128, 128, 3)");
  CHECK_THROWS_WITH_AS(count({2, -1}), "[tensor] shape (2, -1) has a negative dimension", ShapeError);
  CHECK_THROWS_AS(count({int64_t{1} << 40, int64_t{1} << 40}), ShapeError);
}

TEST_CASE("views share memory, clones do not") {
  const Tensor t = Tensor::from<float>({2, 3}, {0, 1, 2, 3, 4, 5});
  const Tensor row = t.rows(1, 2), flat = t.view({-1}), copy = t.clone();
  CHECK(row.shape() == Shape{1, 3});
  CHECK(flat.shape() == Shape{6});
  row.data<float>()[0] = 42;
  CHECK(t.at({1, 0}) == 42);
  CHECK(flat.at({3}) == 42);
  CHECK(copy.at({1, 0}) == 3);
  CHECK(row.shares_memory_with(t));
  CHECK_FALSE(copy.shares_memory_with(t));
  CHECK_THROWS_WITH_AS(t.view({4, 2}), "[reshape] (2, 3) has 6 values, (4, 2) wants 8", ShapeError);
  CHECK_THROWS_AS(t.rows(1, 3), ShapeError);
  CHECK_THROWS_AS(t.at({2, 0}), ShapeError);
  CHECK_THROWS_AS(t.data<double>(), DtypeError);
  CHECK_THROWS_AS(t.item(), ShapeError);
  CHECK(Tensor::zeros({0, 4}).view({-1, 2}).shape() == Shape{0, 2});
}

TEST_CASE("conversion rounds, saturates and keeps what fits") {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor t = Tensor::from<double>({7}, {0.5, 1.5, -1.2, 300, -inf, std::nan(""), 254.6});
  CHECK(t.to(Dtype::u8).to_vector<int32_t>() == std::vector<int32_t>{0, 2, 0, 255, 0, 0, 255});
  CHECK(t.to(Dtype::i32).to_vector<int32_t>()[2] == -1);
  CHECK(t.to(Dtype::i32).to_vector<int32_t>()[4] == std::numeric_limits<int32_t>::min());
  CHECK(std::isnan(t.to(Dtype::f32).at({5})));
  CHECK(t.to(Dtype::f64).shares_memory_with(t));
}

TEST_CASE("in-place writers raise the version that all views see") {
  const Tensor t = Tensor::zeros({4, 2});
  const Tensor part = t.rows(0, 2);
  const uint32_t before = part.version();
  t.fill(3);
  CHECK(part.version() > before);
  CHECK(part.at({1, 1}) == 3);
  CHECK_THROWS_AS(t.copy_from(Tensor::zeros({2, 4})), ShapeError);
}

TEST_CASE("memory is aligned, counted, reused and bounded") {
  const MemoryStats start = memory_stats();
  {
    const Tensor t(Shape{1000, 1000});
    CHECK(reinterpret_cast<uintptr_t>(t.raw()) % 64 == 0);
    CHECK(memory_stats().live >= start.live + 4'000'000);
    CHECK(memory_stats().live <= start.live + 4'004'096);  // a large block is what was asked for, to a page
  }
  CHECK(memory_stats().live == start.live);
  const int64_t allocations = memory_stats().system_allocations;
  for (int i = 0; i < 10; i++) Tensor t(Shape{1000, 1000});
  CHECK(memory_stats().system_allocations == allocations);
  reset_peak_memory();
  CHECK(memory_stats().peak == memory_stats().live);

  empty_cache();
  set_memory_limit(memory_stats().live + 1'000'000);
  CHECK_THROWS_AS(Tensor(Shape{1000, 1000}), OutOfMemory);
  set_memory_limit(0);
  CHECK_NOTHROW(Tensor(Shape{1000, 1000}));
  empty_cache();
  CHECK(memory_stats().cached == 0);
}

TEST_CASE("the heap: the smallest piece that is large enough, neighbours joined, fresh memory last") {
  Heap heap;
  const auto take = [&](size_t pages) {
    const int piece = heap.find(pages * Heap::page);
    REQUIRE(piece >= 0);
    return static_cast<char*>(heap.take(piece, pages * Heap::page));
  };
  const auto fresh = [&](size_t pages) { return heap.fresh(heap.find(pages * Heap::page), pages * Heap::page) / Heap::page; };
  char *a = take(7), *b = take(3), *c = take(5), *d = take(2), *e = take(1);
  CHECK(b == a + 7 * Heap::page);
  std::memset(a, 1, 18 * Heap::page);
  heap.give(a, 7 * Heap::page);
  heap.give(c, 5 * Heap::page);
  CHECK(fresh(5) == 0);
  CHECK(fresh(8) == 8);
  char* in_c = take(4);
  CHECK(in_c == c);  // the smaller one of the two
  heap.give(b, 3 * Heap::page);
  CHECK(fresh(10) == 0);  // a and b
  heap.give(in_c, 4 * Heap::page);
  heap.give(d, 2 * Heap::page);
  CHECK(take(17) == a);  // all that lies before e
  heap.give(a, 17 * Heap::page);
  heap.give(e, Heap::page);
  CHECK(fresh(20) == 2);  // joined with what was never used
  heap.trim();
  CHECK(fresh(1) == 1);
  CHECK(take(1) == a);
  CHECK(a[0] == 0);  // the system has taken the memory back
  CHECK(heap.find(SIZE_MAX / 2) == -1);
}

TEST_CASE("a device that is not there is refused by name") {
  if (has_device(Device::cuda)) return;
  CHECK_THROWS_WITH_AS(Tensor::zeros({2}, Dtype::f32, Device::cuda), "device cuda is not available in this program; use the CPU",
                       DeviceError);
}
