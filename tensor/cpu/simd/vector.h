#pragma once
// Vectors of one instruction set, by GCC's vector extensions. Everything here has internal linkage: see tensor/cpu/simd.h.
#include <cstdint>

#include "tensor/cpu/simd_table.h"

namespace sono::cpu::SONO_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

template <int L>
struct VectorOf {
  typedef float Float __attribute__((vector_size(L * 4)));  // typedef: g++ 12 drops the attribute from a dependent `using`
  typedef int32_t Int __attribute__((vector_size(L * 4)));
};
using Vec = VectorOf<lanes>::Float;
using IntVec = VectorOf<lanes>::Int;

template <class V, class T>
inline V load(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T>
inline void store(T* p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}
template <class V>
inline V broadcast(float x) {
  return x - V{};
}  // keeps -0, NaN and infinity

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace sono::cpu::SONO_ISA
