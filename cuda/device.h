#pragma once
// What a device is made of. cuda/device.cu asks the CUDA runtime, cuda/emulator/device.cpp stands in for it: a build has one of them.
#include <cstddef>
#include <string>

#include "tensor/tensor.h"

namespace sono::cuda {

extern const bool device_is_emulated;
std::string why_unavailable();  // empty if there is a device to use
std::string device_description();
void* allocate(size_t bytes);  // null if there is none left
void release(void* p);
void copy(void* to, Device to_device, const void* from, Device from_device,
          size_t bytes);  // after all kernels before it; done when it returns

}  // namespace sono::cuda
