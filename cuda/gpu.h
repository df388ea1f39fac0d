#pragma once
// The one header that kernels include: the same .cu file becomes a GPU program under nvcc and runs on the emulator under the host compiler.
//
//   __global__ void scale(float* x, float factor, int n) {
//     const int i = blockIdx.x * blockDim.x + threadIdx.x;
//     if (i < n) x[i] *= factor;
//   }
//   launch("scale", scale, blocks(n, 256), 256, 0, x, 2.0f, n);
//
// Rules that keep both true:
//   launch() instead of <<< >>>, GPU_SHARED(type, name, [rows][columns]) instead of __shared__, GPU_DYNAMIC_SHARED for the size given to
//   launch(). Warp operations with explicit masks only; no assumption that a warp runs in step. No return before a barrier. Arguments are
//   plain values and device pointers; no __constant__ symbols, no __CUDA_ARCH__ in a kernel's body. Reductions in a fixed order: no float
//   atomics, so that results repeat to the bit. No block waits for another.
#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include <string>

#include "tensor/error.h"

#define GPU_SHARED(type, name, dimensions) __shared__ type name dimensions
#define GPU_DYNAMIC_SHARED(type, name)                                   \
  extern __shared__ __align__(16) unsigned char dynamic_shared_memory[]; \
  type* name = reinterpret_cast<type*>(dynamic_shared_memory)

namespace sono::gpu {

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw DeviceError(std::string("[") + what + "] CUDA: " + cudaGetErrorString(error));
}

// Starts kernel(arguments...) on grid × block threads; DeviceError with the name if the device refuses it.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, A... arguments) {
  if (shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          name);
  kernel<<<grid, block, shared_bytes>>>(static_cast<P>(arguments)...);
  check(cudaGetLastError(), name);
}

}  // namespace sono::gpu
#else
#include "cuda/emulator/emulator.h"
#endif

namespace sono::gpu {

// The smallest number of blocks of `per_block` that covers n things.
inline unsigned blocks(int64_t n, int64_t per_block) { return static_cast<unsigned>((n + per_block - 1) / per_block); }

// One-dimensional kernels over n values: for (int64_t i = first_index(); i < n; i += index_step()) …
__device__ inline int64_t first_index() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t index_step() { return int64_t{gridDim.x} * blockDim.x; }
template <class... P, class... A>
void launch_over(int64_t n, const char* name, void (*kernel)(P...), A... arguments) {
  constexpr int64_t threads = 256, most_blocks = 1 << 16;  // beyond that each thread takes several values
  if (n > 0) launch(name, kernel, blocks(n < threads * most_blocks ? n : threads * most_blocks, threads), threads, 0, arguments...);
}

}  // namespace sono::gpu
