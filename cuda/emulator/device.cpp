// The device of the emulator: its memory is the host's, in blocks of exactly the size asked for, so that address sanitizer sees a kernel's
// first byte too far, and fresh blocks hold NaN.
#include "cuda/device.h"

#include <cstdlib>
#include <cstring>

namespace sono::cuda {

const bool device_is_emulated = true;

std::string why_unavailable() { return ""; }
std::string device_description() { return "emulator on the CPU"; }

void* allocate(size_t bytes) {
  void* p = nullptr;
  if (posix_memalign(&p, 256, bytes ? bytes : 1)) return nullptr;  // cudaMalloc aligns to 256 bytes
  return std::memset(p, 0xFF, bytes);
}

void release(void* p) { std::free(p); }

void copy(void* to, Device, const void* from, Device, size_t bytes) { std::memmove(to, from, bytes); }

}  // namespace sono::cuda
