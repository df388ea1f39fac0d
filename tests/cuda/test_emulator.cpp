// The emulator itself: what CUDA promises holds, in every order, and what CUDA leaves undefined is reported.
#ifdef SONO_CUDA_EMULATED
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cuda/gpu.h"
#include "tensor/error.h"
#include "tensor/parallel.h"
#include "tensor/sanitizers.h"

using namespace sono;
using namespace sono::gpu;
using emulator::Order;

namespace {

// Runs f in every order, with both kinds of fiber, and leaves the options as they were.
template <class F>
void in_every_order(F f) {
  const emulator::Options before = emulator::options();
  for (bool portable : {false, true})
    for (Order order : {Order::forward, Order::reverse, Order::random}) {
      CAPTURE(static_cast<int>(order));
      CAPTURE(portable);
      emulator::options() = {order, 7, portable};
      f();
    }
  emulator::options() = before;
}

template <class F>
std::string report_of(F f) {
  try {
    f();
  } catch (const DeviceError& e) { return e.what(); }
  return "";
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

__global__ void number_all(int* out, int* visits) {
  const int i = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[i * blockDim.x * blockDim.y * blockDim.z + t] = i * 1000 + t;
  atomicAdd(visits, 1);
}

// Sums a block by halving: wrong at once if a barrier lets anyone through early.
__global__ void sum_block(const int* x, int* y, int rounds) {
  GPU_DYNAMIC_SHARED(int, partial);
  int total = 0;
  for (int r = 0; r < rounds; r++) {
    partial[threadIdx.x] = x[threadIdx.x] + r;
    __syncthreads();
    for (unsigned step = blockDim.x / 2; step > 0; step /= 2) {
      if (threadIdx.x < step) partial[threadIdx.x] += partial[threadIdx.x + step];
      __syncthreads();
    }
    total += partial[0];
    __syncthreads();
  }
  y[threadIdx.x] = total;
}

// The neighbour's value through shared memory, without the barrier that it needs.
__global__ void rotate_without_barrier(const float* x, float* y) {
  GPU_SHARED(float, tile, [64]);
  tile[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = tile[(threadIdx.x + 1) % 64];
}

__global__ void shuffles(int* out) {
  const int lane = threadIdx.x % 32;
  int* mine = out + threadIdx.x * 8;
  mine[0] = __shfl_sync(~0u, lane, 5);
  mine[1] = __shfl_sync(~0u, lane, 3, 8);
  mine[2] = __shfl_up_sync(~0u, lane, 2);
  mine[3] = __shfl_down_sync(~0u, lane, 2, 16);
  mine[4] = __shfl_xor_sync(~0u, lane, 1);
  mine[5] = static_cast<int>(__ballot_sync(~0u, lane % 3 == 0));
  mine[6] = __any_sync(~0u, lane == 31) * 2 + __all_sync(~0u, lane >= 0);
  if (lane < 16) {  // half a warp is a group of its own
    double d = lane;
    for (int step = 8; step > 0; step /= 2) d += __shfl_xor_sync(0xffffu, d, step);
    mine[7] = static_cast<int>(d);
  } else {
    mine[7] = __shfl_sync(0xffff0000u, lane, 31);
  }
}

__global__ void different_barriers(int* y) {
  if (threadIdx.x < 16) {
    y[threadIdx.x] = 1;
    __syncthreads();
  } else {
    y[threadIdx.x] = 2;
    __syncthreads();
  }
}
__global__ void early_return(int* y) {
  if (threadIdx.x == 3) return;
  __syncthreads();
  y[threadIdx.x] = 1;
}
__global__ void barrier_and_shuffle(int* y) {
  if (threadIdx.x == 0)
    __syncthreads();
  else
    y[threadIdx.x] = __shfl_sync(~0u, 1, 1);
}
__global__ void not_in_mask(int* y) { y[threadIdx.x] = __shfl_sync(0xfffffffeu, 1, 1); }
__global__ void two_masks(int* y) { y[threadIdx.x] = __shfl_sync(threadIdx.x % 2 ? ~0u : 0x7fffffffu, 1, 1); }
__global__ void two_operations(int* y) {
  y[threadIdx.x] = threadIdx.x % 2 ? __shfl_sync(~0u, 1, 1) : static_cast<int>(__ballot_sync(~0u, 1));
}
__global__ void beyond_mask(int* y) {
  if (threadIdx.x < 8) y[threadIdx.x] = __shfl_sync(0xffu, 1, 9);
}
__global__ void too_much_static(float* y) {
  GPU_SHARED(float, tile, [13000]);
  tile[0] = 1;
  *y = tile[0];
}
#ifndef SONO_ASAN
__global__ void beyond_shared(int* y, int index) {
  GPU_SHARED(int, tile, [8]);
  tile[index] = 1;
  *y = tile[0];
}
#endif

}  // namespace

TEST_CASE("every thread of every block runs once, with its own indices") {
  in_every_order([] {
    const dim3 grid(3, 2, 2), block(5, 3, 2);
    std::vector<int> out(12 * 30, -1);
    int visits = 0;
    launch("number_all", number_all, grid, block, 0, out.data(), &visits);
    CHECK(visits == 360);
    for (int i = 0; i < 360; i++) REQUIRE(out[i] == i / 30 * 1000 + i % 30);
  });
}

TEST_CASE("barriers hold in every order, for blocks of up to 1024 threads") {
  in_every_order([] {
    for (unsigned n : {1u, 2u, 32u, 64u, 256u, 1024u}) {
      CAPTURE(n);
      std::vector<int> x(n), y(n, -1);
      int sum = 0;
      for (unsigned i = 0; i < n; i++) sum += x[i] = static_cast<int>(i * i % 17);
      launch("sum_block", sum_block, 1, n, n * sizeof(int), x.data(), y.data(), 3);
      for (unsigned i = 0; i < n; i++) REQUIRE(y[i] == 3 * sum + 3 * static_cast<int>(n));
    }
  });
}

TEST_CASE("a missing barrier shows in every order") {
  in_every_order([] {
    std::vector<float> x(64), y(64);
    for (int i = 0; i < 64; i++) x[i] = static_cast<float>(i + 1);
    launch("rotate_without_barrier", rotate_without_barrier, 1, 64, 0, x.data(), y.data());
    bool wrong = false;
    for (int i = 0; i < 64; i++) wrong |= y[i] != x[(i + 1) % 64];
    CHECK(wrong);
  });
}

TEST_CASE("warp operations follow the CUDA programming guide") {
  in_every_order([] {
    std::vector<int> out(96 * 8, -1);
    launch("shuffles", shuffles, 1, 96, 0, out.data());
    for (int t = 0; t < 96; t++) {
      const int lane = t % 32, *mine = &out[t * 8];
      CAPTURE(t);
      REQUIRE(mine[0] == 5);
      REQUIRE(mine[1] == lane / 8 * 8 + 3);
      REQUIRE(mine[2] == (lane < 2 ? lane : lane - 2));
      REQUIRE(mine[3] == (lane % 16 > 13 ? lane : lane + 2));
      REQUIRE(mine[4] == (lane ^ 1));
      REQUIRE(static_cast<unsigned>(mine[5]) == 0x49249249u);
      REQUIRE(mine[6] == 3);
      REQUIRE(mine[7] == (lane < 16 ? 120 : 31));
    }
  });
}

TEST_CASE("broken kernels are reported with kernel, block, thread and line, and the next launch works") {
  std::vector<int> y(64);
  struct Broken {
    void (*kernel)(int*);
    const char* says;
  };
  const Broken broken[] = {
      {different_barriers, "wait at different __syncthreads: test_emulator.cpp:"},
      {early_return, "left the kernel"},
      {barrier_and_shuffle,
       "deadlock: 31 threads in a warp operation, 1 at __syncthreads, 0 have left; the first waits at test_emulator.cpp:"},
      {not_in_mask, "whose mask does not name it"},
      {two_masks, "different masks"},
      {two_operations, "different warp operations"},
      {beyond_mask, "reads lane 9, which takes no part"},
  };
  in_every_order([&] {
    for (const Broken& b : broken) {
      const std::string report = report_of([&] { launch("broken", b.kernel, 1, 32, 0, y.data()); });
      CAPTURE(report);
      CHECK(contains(report, "[broken]"));
      CHECK(contains(report, b.says));
      CHECK(contains(report, "; block (0, 0, 0), thread ("));
      CHECK(!contains(report, "\n"));
      std::vector<int> x(64, 1);
      launch("sum_block", sum_block, 1, 64, 64 * sizeof(int), x.data(), y.data(), 1);
      CHECK(y[0] == 64);
    }
  });
}

TEST_CASE("launches that no GPU takes are refused") {
  int y = 0;
  float f = 0;
  CHECK(
      contains(report_of([&] { launch("early_return", early_return, 1, 1025, 0, &y); }), "[early_return] a block of (1025, 1, 1) threads"));
  CHECK(contains(report_of([&] { launch("early_return", early_return, 1, 0, 0, &y); }), "a block of (0, 1, 1) threads"));
  CHECK(contains(report_of([&] { launch("early_return", early_return, 0, 32, 0, &y); }), "a grid of (0, 1, 1) blocks"));
  CHECK(contains(report_of([&] { launch("early_return", early_return, dim3(1, 70000), 32, 0, &y); }), "a grid of (1, 70000, 1) blocks"));
  CHECK(contains(report_of([&] { launch("early_return", early_return, 1, 32, 100 << 10, &y); }),
                 "the limit of the smallest target is 99 KB"));
  CHECK(contains(report_of([&] { launch("too_much_static", too_much_static, 1, 1, 0, &f); }), "the limit is 48 KB"));
}

TEST_CASE("shared memory starts as NaN in every block, and a write beyond an array is noticed") {
  struct Kernel {
    static __global__ void run(float* y) {
      GPU_SHARED(float, tile, [4]);
      y[blockIdx.x] = tile[1];
      tile[1] = 1;
    }
  };
  std::vector<float> y(5);
  launch("fresh", Kernel::run, 5, 1, 0, y.data());
  for (float v : y) CHECK(v != v);
#ifndef SONO_ASAN  // which stops at the write itself
  int out = 0;
  for (int index : {8, 20, -1})
    CHECK(contains(report_of([&] { launch("beyond_shared", beyond_shared, 1, 1, 0, &out, index); }),
                   "[beyond_shared] a thread of block (0, 0, 0) wrote beyond a shared array of 32 bytes"));
#endif
}

TEST_CASE("random orders repeat with their seed, on any number of threads") {
  struct Kernel {
    static __global__ void run(int* next, int* order) {
      __syncthreads();
      order[blockIdx.x * 64 + atomicAdd(next + blockIdx.x, 1)] = static_cast<int>(threadIdx.x);
    }
  };
  const emulator::Options before = emulator::options();
  const auto order = [](uint64_t seed, int threads) {
    emulator::options() = {Order::random, seed, false};
    set_threads(threads);
    std::vector<int> next(3), order(3 * 64);
    launch("order", Kernel::run, 3, 64, 0, next.data(), order.data());
    set_threads(0);
    return order;
  };
  CHECK(order(1, 1) == order(1, 2));
  CHECK(order(1, 1) != order(2, 1));
  emulator::options() = before;
}

TEST_CASE("integer atomics return the value before") {
  int i = 5;
  unsigned u = 7;
  CHECK(atomicAdd(&i, 3) == 5);
  CHECK(atomicMax(&i, 20) == 8);
  CHECK(atomicMin(&i, 2) == 20);
  CHECK(atomicExch(&i, 9) == 2);
  CHECK(atomicCAS(&i, 9, 11) == 9);
  CHECK(atomicCAS(&i, 9, 12) == 11);
  CHECK(i == 11);
  CHECK(atomicAdd(&u, 1) == 7);
  CHECK(u == 8);
}
#endif
