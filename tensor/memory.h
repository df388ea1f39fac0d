#pragma once
// Where tensors live. CPU blocks are 64-byte aligned. What is given back is kept: small blocks (16 KiB and less) by size class (powers of
// two with three steps between), larger ones in a heap that joins neighbours (tensor/heap.h). A training step of fixed shapes asks the
// system for nothing after its first round, and the program holds little more than the step's peak.
#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace sono {

struct Storage {
  void* data = nullptr;
  size_t bytes = 0;  // as allocated
  Device device = Device::cpu;
  uint32_t version = 0;  // rises with every in-place write
  Storage(size_t wanted, Device device);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
};

struct MemoryStats {
  int64_t live = 0, peak = 0, cached = 0;  // bytes
  int64_t system_allocations = 0;          // how often memory was taken that the system had not given before
};

MemoryStats memory_stats(Device device = Device::cpu);
void reset_peak_memory(Device device = Device::cpu);  // peak := live
void empty_cache(Device device = Device::cpu);        // gives cached blocks back to the system
void set_memory_limit(int64_t bytes, Device device = Device::cpu);  // OutOfMemory beyond it; 0: no limit

// What a device must bring. The CPU's is built in; the cuda library registers its own when the program calls cuda::start().
struct DeviceMemory {
  void* (*allocate)(size_t bytes);  // null if there is none left
  void (*release)(void* p);
  void (*copy)(void* to, Device to_device, const void* from, Device from_device, size_t bytes);
  bool exact = false;  // blocks of the very size asked for, so that address sanitizer sees a kernel's first byte too far; else size classes
};
void register_device(Device device, const DeviceMemory& memory);
bool has_device(Device device);
const DeviceMemory& device_memory(Device device);  // DeviceError if it was not registered

}  // namespace sono
