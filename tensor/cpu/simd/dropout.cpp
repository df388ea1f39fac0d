// Random masks, drawn where they are used: dropout, and the binary units of Boltzmann machines.
#include "tensor/cpu/simd/philox.h"

namespace sono::cpu::SONO_ISA {

// y[i] = bits(i) < threshold ? 0 : x[i] * scale for i < n; bits(4k + j) is the j-th of four draws of counter first + k.
void dropout(const float* x, float* y, int64_t n, uint64_t first, uint64_t seed, uint64_t stream, uint32_t threshold, float scale) {
  for (int64_t done = 0; done < n; done += 4 * draws, first += draws) {
    uint32_t bits[4 * draws];
    philox(first, seed, stream, bits);
    const auto keep = [&](int64_t i) { y[done + i] = bits[i] < threshold ? 0.0f : x[done + i] * scale; };
    if (n - done < 4 * draws) {
      for (int64_t i = 0; i < n - done; i++) keep(i);
      return;
    }
#pragma omp simd
    for (int64_t i = 0; i < 4 * draws; i++) keep(i);
  }
}

void bernoulli(const float* y, int64_t n, uint64_t first, uint64_t seed, uint64_t stream, float* sample) {
  for (int64_t done = 0; done < n;) {
    uint32_t bits[4 * draws];
    const uint64_t at = first + static_cast<uint64_t>(done);
    philox(at / 4, seed, stream, bits);
    const auto skip = static_cast<int64_t>(at % 4);
    const int64_t now = n - done < 4 * draws - skip ? n - done : 4 * draws - skip;
    for (int64_t i = 0; i < now; i++) sample[done + i] = static_cast<float>(bits[skip + i]) * 0x1p-32f < y[done + i] ? 1.0f : 0.0f;
    done += now;
  }
}

}  // namespace sono::cpu::SONO_ISA
