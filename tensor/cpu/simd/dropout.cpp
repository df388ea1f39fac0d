// Philox4x32-10 for 16 counters side by side: a round is two widening multiplications, which every instruction set has for vectors.
#include <cstdint>

namespace sono::cpu::SONO_ISA {
namespace {

constexpr int lanes = 16;

void philox_round(uint32_t* __restrict c0, uint32_t* __restrict c1, uint32_t* __restrict c2, uint32_t* __restrict c3, uint32_t k0,
                  uint32_t k1) {
#pragma omp simd
  for (int l = 0; l < lanes; l++) {
    const uint64_t a = uint64_t{0xD2511F53} * c0[l], b = uint64_t{0xCD9E8D57} * c2[l];
    c0[l] = static_cast<uint32_t>(b >> 32) ^ c1[l] ^ k0;
    c1[l] = static_cast<uint32_t>(b);
    c2[l] = static_cast<uint32_t>(a >> 32) ^ c3[l] ^ k1;
    c3[l] = static_cast<uint32_t>(a);
  }
}

}  // namespace

// y[i] = bits(i) < threshold ? 0 : x[i] * scale for i < n; bits(4k + j) is the j-th of four draws of counter first + k.
void dropout(const float* x, float* y, int64_t n, uint64_t first, uint64_t seed, uint64_t stream, uint32_t threshold, float scale) {
  for (int64_t done = 0; done < n; done += 4 * lanes, first += lanes) {
    uint32_t c[4][lanes], bits[4 * lanes];
    for (uint32_t l = 0; l < lanes; l++) {
      const uint64_t counter = first + l;
      c[0][l] = static_cast<uint32_t>(counter), c[1][l] = static_cast<uint32_t>(counter >> 32);
      c[2][l] = static_cast<uint32_t>(stream), c[3][l] = static_cast<uint32_t>(stream >> 32);
    }
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) philox_round(c[0], c[1], c[2], c[3], k0, k1);
    for (int l = 0; l < lanes; l++)
      for (int j = 0; j < 4; j++) bits[4 * l + j] = c[j][l];
    const int64_t rest = n - done < 4 * lanes ? n - done : 4 * lanes;
    for (int64_t i = 0; i < rest; i++) y[done + i] = bits[i] < threshold ? 0.0f : x[done + i] * scale;
  }
}

}  // namespace sono::cpu::SONO_ISA
