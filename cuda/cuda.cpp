#include "cuda/cuda.h"

#include "cuda/device.h"
#include "tensor/memory.h"

namespace sono::cuda {

// One per .cu file: each puts its kernels into the lists of tensor/kernels.h.
void register_conv();
void register_copy();
void register_cross_entropy();
void register_dropout();
void register_index();
void register_maps();
void register_matmul();
void register_norm();
void register_optimizer();
void register_pool();
void register_reduce();
void register_softmax();

void start() {
  if (has_device(Device::cuda)) return;
  if (const std::string why = why_unavailable(); !why.empty())
    throw DeviceError("[cuda] " + why + "; use the CPU (--device cpu), or build with SONO_CUDA=OFF to run the kernels on the emulator");
  register_conv();
  register_copy();
  register_cross_entropy();
  register_dropout();
  register_index();
  register_maps();
  register_matmul();
  register_norm();
  register_optimizer();
  register_pool();
  register_reduce();
  register_softmax();
  register_device(Device::cuda, {allocate, release, copy, device_is_emulated});
}

bool emulated() { return device_is_emulated; }
std::string description() { return device_description(); }

}  // namespace sono::cuda
