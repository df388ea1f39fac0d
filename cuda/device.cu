// The device of the CUDA runtime. The runtime is linked statically and finds the driver by itself, so that a program starts where there is
// none.
#include "cuda/device.h"

#include "cuda/gpu.h"

namespace sono::cuda {

const bool device_is_emulated = false;

std::string why_unavailable() {
  int count = 0;  // the call leaves it untouched when it fails
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return std::string("no CUDA device: ") + cudaGetErrorString(error);
  return count > 0 ? "" : "no CUDA device in this machine";
}

std::string device_description() {
  cudaDeviceProp properties;
  gpu::check(cudaGetDeviceProperties(&properties, 0), "cuda");
  return std::string(properties.name) + ", " + std::to_string(properties.totalGlobalMem >> 30) + " GiB";
}

void* allocate(size_t bytes) {
  void* p = nullptr;
  if (cudaMalloc(&p, bytes) == cudaSuccess) return p;
  cudaGetLastError();  // forget it: the caller reports what was wanted and what is live
  return nullptr;
}

void release(void* p) { cudaFree(p); }

void copy(void* to, Device, const void* from, Device, size_t bytes) { gpu::check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copy"); }

}  // namespace sono::cuda
