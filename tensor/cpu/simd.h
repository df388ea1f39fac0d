#pragma once
// The instruction sets that fast CPU kernels are compiled for, and the choice among them at start.
//
// Files in tensor/cpu/simd/ are compiled once per instruction set, each in `namespace sono::cpu::SONO_ISA`. They take raw pointers and
// include no header that has inline functions of external linkage: the linker would merge those across instruction sets, and an old
// processor would meet an instruction that it lacks. SONO_ISA=baseline|v3|v4 in the environment chooses less than what the processor has.
#include "tensor/cpu/simd_table.h"

namespace sono::cpu {

enum class Isa { baseline, v3, v4 };  // what every processor of the target has; AVX2 and FMA; AVX-512

Isa isa();                       // the one in use
bool has_isa(Isa isa);           // compiled in, and the processor can
void set_isa(Isa isa);           // for tests: DeviceError if !has_isa(isa)
const char* to_string(Isa isa);  // "baseline", "v3", "v4"

const Simd& simd();              // the kernels of isa()

// How many floats of a row of `columns` the kernels of isa() read: whole vectors, the narrowest that hold a short row.
inline int64_t padded_columns(int64_t columns) {
  const int64_t lanes = simd().lanes;
  if (columns <= lanes / 4 && lanes > 8) return lanes / 4;
  if (columns <= lanes / 2 && lanes > 4) return lanes / 2;
  return (columns + lanes - 1) / lanes * lanes;
}

}  // namespace sono::cpu
