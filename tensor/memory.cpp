#include "tensor/memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>
#include <unordered_map>

#include "tensor/heap.h"

namespace sono {
namespace {

constexpr size_t alignment = 64;
constexpr int devices = 2;

void* cpu_allocate(size_t bytes) { return ::operator new (bytes, std::align_val_t{alignment}, std::nothrow); }
void cpu_release(void* p) { ::operator delete (p, std::align_val_t{alignment}); }
void cpu_copy(void* to, Device, const void* from, Device, size_t bytes) { std::memcpy(to, from, bytes); }

// Four classes per power of two: at most a quarter of a block is unused.
size_t size_class(size_t bytes) {
  if (bytes <= 256) return 256;
  const size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

constexpr size_t small_block = 16384;  // and less: from the free list of its class

// One device's memory: free lists by size class (the first release of a size asks for a block of its class; the next one of the class finds
// it here), on the CPU a heap for what is larger, and counters.
class Pool {
 public:
  DeviceMemory memory{};
  bool present = false;
  bool joins = false;  // large blocks come from the heap

  size_t block_size(size_t wanted) const {
    if (memory.exact) return wanted;
    return in_heap(wanted) ? (wanted + Heap::page - 1) / Heap::page * Heap::page : size_class(wanted);
  }

  void* take(size_t bytes, Device device) {
    const std::lock_guard lock(mutex_);
    void* p = in_heap(bytes) ? from_heap(bytes, device) : from_list(bytes, device);
    stats_.live += static_cast<int64_t>(bytes);
    stats_.peak = std::max(stats_.peak, stats_.live);
    return p;
  }

  void give(void* p, size_t bytes) {
    const std::lock_guard lock(mutex_);
    in_heap(bytes) ? heap_.give(p, bytes) : free_[bytes].push_back(p);
    stats_.live -= static_cast<int64_t>(bytes);
    stats_.cached += static_cast<int64_t>(bytes);
  }

  void drain() {
    std::lock_guard lock(mutex_);
    drain_locked();
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.live;
  }
  void limit(int64_t bytes) { limit_ = bytes; }

 private:
  bool in_heap(size_t bytes) const { return joins && bytes > small_block; }

  void drain_locked() {
    for (auto& [bytes, list] : free_)
      for (void* p : list) memory.release(p);
    free_.clear();
    heap_.trim();
    stats_.cached = 0;
  }

  void* from_list(size_t bytes, Device device) {
    auto& list = free_[bytes];
    if (list.empty()) return fresh(bytes, device);
    void* p = list.back();
    list.pop_back();
    stats_.cached -= static_cast<int64_t>(bytes);
    return p;
  }

  void* from_heap(size_t bytes, Device device) {
    int piece = heap_.find(bytes);
    if (piece >= 0 && beyond_limit(heap_.fresh(piece, bytes))) {
      drain_locked();
      if (beyond_limit(bytes)) piece = -1;
    }
    if (piece < 0) none(bytes, device);
    const size_t untouched = heap_.fresh(piece, bytes);
    if (untouched) stats_.system_allocations++;
    stats_.cached -= static_cast<int64_t>(bytes - untouched);
    return heap_.take(piece, bytes);
  }

  bool beyond_limit(size_t more) const { return limit_ && stats_.live + stats_.cached + static_cast<int64_t>(more) > limit_; }

  void* fresh(size_t bytes, Device device) {
    if (beyond_limit(bytes)) drain_locked();
    void* p = beyond_limit(bytes) ? nullptr : memory.allocate(bytes);
    if (!p && stats_.cached) {
      drain_locked();
      p = beyond_limit(bytes) ? nullptr : memory.allocate(bytes);
    }
    if (!p) none(bytes, device);
    stats_.system_allocations++;
    return p;
  }

  [[noreturn]] void none(size_t bytes, Device device) const {
    throw OutOfMemory("out of memory on " + std::string(to_string(device)) + ": wanted " + std::to_string(bytes >> 20) + " MiB, " +
                      std::to_string(stats_.live >> 20) + " MiB are live; use a smaller batch or image");
  }

  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<void*>> free_;
  Heap heap_;
  MemoryStats stats_;
  int64_t limit_ = 0;
};

// Never destroyed: tensors with static lifetime may outlive any static of ours.
Pool& any_pool(Device device) {
  static auto* pools = [] {
    auto* all = new std::array<Pool, devices>;
    (*all)[0].memory = {cpu_allocate, cpu_release, cpu_copy};
    (*all)[0].present = (*all)[0].joins = true;
    return all;
  }();
  return (*pools)[static_cast<size_t>(device)];
}

Pool& pool(Device device) {
  Pool& p = any_pool(device);
  if (!p.present) throw DeviceError("device " + std::string(to_string(device)) + " is not available in this program; use the CPU");
  return p;
}

}  // namespace

Storage::Storage(size_t wanted, Device on) : bytes(pool(on).block_size(wanted)), device(on) { data = pool(on).take(bytes, on); }
Storage::~Storage() { pool(device).give(data, bytes); }

MemoryStats memory_stats(Device device) { return pool(device).stats(); }
void reset_peak_memory(Device device) { pool(device).reset_peak(); }
void empty_cache(Device device) { pool(device).drain(); }
void set_memory_limit(int64_t bytes, Device device) { pool(device).limit(bytes); }

void register_device(Device device, const DeviceMemory& memory) {
  Pool& p = any_pool(device);
  p.memory = memory;
  p.present = true;
}
bool has_device(Device device) { return any_pool(device).present; }
const DeviceMemory& device_memory(Device device) { return pool(device).memory; }

}  // namespace sono
