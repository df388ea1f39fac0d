#pragma once
// Philox4x32-10 (tensor/random.h) for 16 counters side by side: a round is two widening multiplications, which every instruction set has for
// vectors. Everything here has internal linkage: see tensor/cpu/simd.h.
#include <cstdint>

namespace sono::cpu::SONO_ISA {
namespace {

constexpr int draws = 16;

void philox_round(uint32_t* __restrict c0, uint32_t* __restrict c1, uint32_t* __restrict c2, uint32_t* __restrict c3, uint32_t k0,
                  uint32_t k1) {
#pragma omp simd
  for (int l = 0; l < draws; l++) {
    const uint64_t a = uint64_t{0xD2511F53} * c0[l], b = uint64_t{0xCD9E8D57} * c2[l];
    c0[l] = static_cast<uint32_t>(b >> 32) ^ c1[l] ^ k0;
    c1[l] = static_cast<uint32_t>(b);
    c2[l] = static_cast<uint32_t>(a >> 32) ^ c3[l] ^ k1;
    c3[l] = static_cast<uint32_t>(a);
  }
}

// bits[4 * l + j] is the j-th of the four draws of counter first + l.
void philox(uint64_t first, uint64_t seed, uint64_t stream, uint32_t* bits) {
  uint32_t c[4][draws];
  for (uint32_t l = 0; l < draws; l++) {
    const uint64_t counter = first + l;
    c[0][l] = static_cast<uint32_t>(counter), c[1][l] = static_cast<uint32_t>(counter >> 32);
    c[2][l] = static_cast<uint32_t>(stream), c[3][l] = static_cast<uint32_t>(stream >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) philox_round(c[0], c[1], c[2], c[3], k0, k1);
  for (int l = 0; l < draws; l++)
    for (int j = 0; j < 4; j++) bits[4 * l + j] = c[j][l];
}

}  // namespace
}  // namespace sono::cpu::SONO_ISA
