// The most that this instruction set can do: multiply-adds on registers alone.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {

// steps * 12 (of 16 lanes: 16) * lanes multiply-adds; returns something that depends on all of them.
float multiply_adds(int64_t steps) {
  constexpr int chains = lanes == 16 ? 16 : 12;  // enough to hide the latency, few enough for the registers
  Vec sum[chains];
  for (int c = 0; c < chains; c++) sum[c] = broadcast<Vec>(static_cast<float>(c));
  const Vec a = broadcast<Vec>(1.0000001f), b = broadcast<Vec>(1e-7f);
  for (int64_t i = 0; i < steps; i++)
#pragma GCC unroll 16
    for (int c = 0; c < chains; c++) sum[c] = sum[c] * a + b;
  float total = 0;
  for (int c = 0; c < chains; c++)
    for (int l = 0; l < lanes; l++) total += sum[c][l];
  return total;
}

}  // namespace sono::cpu::SONO_ISA
