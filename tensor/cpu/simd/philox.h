#pragma once
// Philox4x32-10 (tensor/random.h) for 16 counters side by side, a word in the lower half of each 64-bit lane: a round is two widening
// multiplications, two shifts and two exclusive ors of three; what the upper halves hold nobody reads. Everything here has internal
// linkage: see tensor/cpu/simd.h.
#if defined(__SSE2__)
#include <immintrin.h>
#endif
#include <utility>

#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

constexpr int draws = 16, words = lanes / 2;
typedef uint64_t Words __attribute__((vector_size(words * 8)));

// The product of the lower halves.
inline Words product(Words a, Words b) {
#if defined(__AVX512F__)
  return (Words)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);  // of the plain one g++ 12 warns
#elif defined(__AVX2__)
  return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Words)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
#endif
}

struct Counters {
  Words c[4];

  // Lanes 0, 2, … hold the counters first …, lanes 1, 3, … those behind them: the order in which store_to finds them.
  Counters(uint64_t first, uint64_t stream) {
    Words counter;
    for (int l = 0; l < words; l++) counter[l] = first + static_cast<uint64_t>(l / 2 + l % 2 * (words / 2));
    c[0] = counter, c[1] = counter >> 32, c[2] = Words{} + stream, c[3] = Words{} + (stream >> 32);
  }
  void round(uint32_t k0, uint32_t k1) {
    const Words a = product(c[0], Words{} + 0xD2511F53), b = product(c[2], Words{} + 0xCD9E8D57);
    c[0] = (b >> 32) ^ c[1] ^ k0, c[1] = b, c[2] = (a >> 32) ^ c[3] ^ k1, c[3] = a;
  }
  template <int... I>
  void store_to(uint32_t* bits, std::integer_sequence<int, I...>) const {
    const Words first = (c[0] & 0xFFFFFFFF) | c[1] << 32, second = (c[2] & 0xFFFFFFFF) | c[3] << 32;
    store(bits, __builtin_shufflevector(first, second, (I % 2 ? words + I - 1 : I)...));
    store(bits + lanes, __builtin_shufflevector(first, second, (I % 2 ? words + I : I + 1)...));
  }
};

// bits[4 * l + j] is the j-th of the four draws of counter first + l. Two vectors of counters at a time: products wait for one another.
inline void philox(uint64_t first, uint64_t seed, uint64_t stream, uint32_t* bits) {
  constexpr auto all = std::make_integer_sequence<int, words>{};
  for (int l = 0; l < draws; l += 2 * words) {
    const uint64_t at = first + static_cast<uint64_t>(l);
    Counters a(at, stream), b(at + words, stream);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) a.round(k0, k1), b.round(k0, k1);
    a.store_to(bits + 4 * l, all), b.store_to(bits + 4 * (l + words), all);
  }
}

}  // namespace
}  // namespace sono::cpu::SONO_ISA
