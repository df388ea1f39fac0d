#pragma once
// What one instruction set brings: plain functions on raw pointers, each a chunk of work for one thread (tensor/cpu/simd/*.cpp).
#include <cstdint>

namespace sono::cpu {

struct Simd {
  const char* name;
  int lanes;  // floats of a vector
};

namespace baseline {
extern const Simd table;
}
namespace v3 {
extern const Simd table;
}
namespace v4 {
extern const Simd table;
}

}  // namespace sono::cpu
