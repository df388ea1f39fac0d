#pragma once
// The CUDA device: memory, copies and kernels. Built without SONO_CUDA the same kernels run on the CPU, on the emulator
// (cuda/emulator/emulator.h).
//
//   cuda::start();
//   Tensor x = Tensor::ones({8, 128, 128, 1}).to(Device::cuda);
//   Tensor y = relu(x);  // on the device; DeviceError names an operation that has no CUDA kernel
#include <string>

namespace sono::cuda {

// Makes Device::cuda known to this program; a second call does nothing. DeviceError, in one line, if there is neither a GPU nor the
// emulator.
void start();
bool emulated();            // this program's kernels run on the emulator
std::string description();  // "NVIDIA H200, 139 GiB" or "emulator on the CPU"; after start()

}  // namespace sono::cuda
