#pragma once
// CUDA's execution model on the CPU: what a kernel may name, in plain C++, so that it compiles with any compiler, stops in gdb and runs
// under the sanitizers. Every thread of a block is a fiber on one OS thread; blocks are spread over the OS threads.
//
// What a GPU leaves undefined is an error here, with the kernel, block, thread and line: threads at different barriers, a thread that left
// while others wait at a barrier, a warp operation with a wrong mask, a shuffle from a lane that takes no part, a deadlock, a write
// beyond a shared array. Fresh shared and device memory holds NaN. Threads run forward, in reverse or in random order.
// Not shown: time, blocks that run at once, weak memory order.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace sono::emulator {

// In which order the threads of a block run between two barriers. Right kernels do not care. At the start:
// SONO_EMULATOR_ORDER=forward|reverse|random.
enum class Order : uint8_t { forward, reverse, random };
struct Options {
  Order order = Order::forward;
  uint64_t seed = 1;             // of the random order
  bool portable_fibers = false;  // ucontext where the quick switch would serve too
};
Options& options();  // change it between launches, not during one

constexpr unsigned warp_size = 32, largest_block = 1024;
constexpr size_t largest_static_shared = 48 << 10, largest_shared = 99 << 10;  // bytes per block that every target from sm_80 to sm_120 has

using Where = std::source_location;

struct Thread {
  uint3 index;
  unsigned linear, lane, warp;
};
struct Block {
  uint3 index;
  dim3 size, grid;
};
extern constinit thread_local const Thread* thread;  // the one that runs now on this OS thread
extern constinit thread_local const Block* block;

void barrier(Where where);
enum class WarpOperation : uint8_t { sync, shuffle, vote };
// Waits for the lanes of `mask` and gives all their values, valid until this lane's next warp operation.
const uint64_t* exchange(WarpOperation operation, unsigned mask, uint64_t value, Where where);
uint64_t shuffle(unsigned mask, uint64_t value, unsigned source_lane, Where where);
void* shared_array(const void* site, size_t bytes);  // the same memory for all threads of the block
void* dynamic_shared();

struct Launch {
  const char* name;
  dim3 grid, block;
  size_t shared_bytes;
  void (*body)(const void* arguments);
  const void* arguments;
};
void run(const Launch& launch);  // DeviceError with a one-line report if the kernel breaks a rule

}  // namespace sono::emulator

#define threadIdx (::sono::emulator::thread->index)
#define blockIdx (::sono::emulator::block->index)
#define blockDim (::sono::emulator::block->size)
#define gridDim (::sono::emulator::block->grid)

#define GPU_SHARED(type, name, dimensions) \
  using name##_type = type dimensions;     \
  static constexpr char name##_site = 0;   \
  name##_type& name = *static_cast<name##_type*>(::sono::emulator::shared_array(&name##_site, sizeof(name##_type)))
#define GPU_DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(::sono::emulator::dynamic_shared())

inline void __syncthreads(sono::emulator::Where where = sono::emulator::Where::current()) { sono::emulator::barrier(where); }
inline void __syncwarp(unsigned mask = ~0u, sono::emulator::Where where = sono::emulator::Where::current()) {
  sono::emulator::exchange(sono::emulator::WarpOperation::sync, mask, 0, where);
}

namespace sono::emulator {

template <class T>
T shuffle_value(unsigned mask, T value, unsigned source_lane, Where where) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = shuffle(mask, bits, source_lane, where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace sono::emulator

// Shuffles work within segments of `width` lanes; a source beyond the segment gives the lane its own value (CUDA C++ Programming Guide,
// Warp Shuffle Functions).
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, sono::emulator::Where where = sono::emulator::Where::current()) {
  const unsigned lane = sono::emulator::thread->lane, segment = lane & ~(width - 1u);
  return sono::emulator::shuffle_value(mask, value, segment | (source & (width - 1u)), where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, sono::emulator::Where where = sono::emulator::Where::current()) {
  const unsigned lane = sono::emulator::thread->lane, segment = lane & ~(width - 1u);
  return sono::emulator::shuffle_value(mask, value, lane >= segment + delta ? lane - delta : lane, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, sono::emulator::Where where = sono::emulator::Where::current()) {
  const unsigned lane = sono::emulator::thread->lane, last = lane | (width - 1u);
  return sono::emulator::shuffle_value(mask, value, delta <= last - lane ? lane + delta : lane, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, sono::emulator::Where where = sono::emulator::Where::current()) {
  const unsigned lane = sono::emulator::thread->lane, last = lane | (width - 1u), source = lane ^ bits;
  return sono::emulator::shuffle_value(mask, value, source <= last ? source : lane, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, sono::emulator::Where where = sono::emulator::Where::current()) {
  const uint64_t* votes = sono::emulator::exchange(sono::emulator::WarpOperation::vote, mask, predicate != 0, where);
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; lane++)
    if (mask >> lane & 1) ballot |= static_cast<unsigned>(votes[lane]) << lane;
  return ballot;
}
inline int __any_sync(unsigned mask, int predicate, sono::emulator::Where where = sono::emulator::Where::current()) {
  return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, sono::emulator::Where where = sono::emulator::Where::current()) {
  return __ballot_sync(mask, !predicate, where) == 0;
}

// Atomics return the value before. There is none for floats: the order of their additions would show in the result.
template <class T>
using Integer = std::enable_if_t<std::is_integral_v<T>, T>;
template <class T>
Integer<T> atomicAdd(T* p, std::type_identity_t<T> value) {
  return __atomic_fetch_add(p, value, __ATOMIC_RELAXED);
}
template <class T>
Integer<T> atomicExch(T* p, std::type_identity_t<T> value) {
  return __atomic_exchange_n(p, value, __ATOMIC_RELAXED);
}
template <class T>
Integer<T> atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  __atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T>
Integer<T> atomicMax(T* p, std::type_identity_t<T> value) {
  T before = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (before < value && !__atomic_compare_exchange_n(p, &before, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return before;
}
template <class T>
Integer<T> atomicMin(T* p, std::type_identity_t<T> value) {
  T before = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (value < before && !__atomic_compare_exchange_n(p, &before, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return before;
}

namespace sono::gpu {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, A... arguments) {
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
  };
  const Call call{kernel, {static_cast<P>(arguments)...}};
  const auto body = [](const void* p) { std::apply(static_cast<const Call*>(p)->kernel, static_cast<const Call*>(p)->arguments); };
  emulator::run({name, grid, block, shared_bytes, body, &call});
}

}  // namespace sono::gpu
