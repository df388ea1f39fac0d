// What the simulator and the augmentation do by the million: symmetric filters and random words. Bitwise the same on every instruction set
// (this file is compiled without contraction of multiplications and additions), so that a seed gives the same pictures on any machine.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

template <int L, int Vectors>
inline void filter(const float* centre, int64_t step, const float* w, int64_t reach, float* to) {
  using F = typename VectorOf<L>::Float;
  F sum[Vectors];
  for (int v = 0; v < Vectors; v++) sum[v] = w[0] * load<F>(centre + v * L);
  for (int64_t k = 1; k <= reach; k++) {
    const float *before = centre - k * step, *after = centre + k * step;
    for (int v = 0; v < Vectors; v++) sum[v] += w[k] * (load<F>(before + v * L) + load<F>(after + v * L));
  }
  for (int v = 0; v < Vectors; v++) store(to + v * L, sum[v]);
}

}  // namespace

void symmetric_filter(const float* centre, int64_t step, const float* w, int64_t reach, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) filter<lanes, 4>(centre + i, step, w, reach, to + i);
  for (; i + lanes <= n; i += lanes) filter<lanes, 1>(centre + i, step, w, reach, to + i);
  for (; i < n; i++) filter<1, 1>(centre + i, step, w, reach, to + i);
}

// Philox4x32-10; 32 x 32 -> 64 bit products are the widest thing in it.
void philox(uint64_t first, uint64_t stream, uint64_t seed, uint32_t* out) {
  constexpr int n = 32;  // more than 16: the compiler then makes vectors of these loops instead of unrolling them
  uint32_t c0[n], c1[n], c2[n], c3[n], high0[n], high2[n], low0[n], low2[n];
  for (int k = 0; k < n; k++) {
    const uint64_t counter = first + static_cast<uint64_t>(k);
    c0[k] = static_cast<uint32_t>(counter), c1[k] = static_cast<uint32_t>(counter >> 32);
    c2[k] = static_cast<uint32_t>(stream), c3[k] = static_cast<uint32_t>(stream >> 32);
  }
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
    for (int k = 0; k < n; k++) {
      high0[k] = static_cast<uint32_t>((uint64_t{0xD2511F53u} * c0[k]) >> 32), low0[k] = 0xD2511F53u * c0[k];
      high2[k] = static_cast<uint32_t>((uint64_t{0xCD9E8D57u} * c2[k]) >> 32), low2[k] = 0xCD9E8D57u * c2[k];
    }
    for (int k = 0; k < n; k++) {
      c0[k] = high2[k] ^ c1[k] ^ key0, c1[k] = low2[k];
      c2[k] = high0[k] ^ c3[k] ^ key1, c3[k] = low0[k];
    }
  }
  for (int k = 0; k < n; k++) out[k] = c0[k], out[n + k] = c1[k], out[2 * n + k] = c2[k], out[3 * n + k] = c3[k];
}

}  // namespace sono::cpu::SONO_ISA
