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
// Loads, and where Far asks for what lies `ahead` values further on.
template <bool Far, class V>
inline V load_ahead(const float* p, int64_t ahead) {
  if constexpr (Far) __builtin_prefetch(p + ahead);
  return load<V>(p);
}

// A store past the cache, for lines that are written whole: they are not read before. p is aligned to the vector.
template <class V, class T>
inline void store_past(T* p, V v) {
#if defined(__clang__)
  __builtin_nontemporal_store(v, reinterpret_cast<V*>(p));
#else
#if defined(__AVX512F__)
  if constexpr (sizeof v == 64) return __builtin_ia32_movntps512(reinterpret_cast<float*>(p), (VectorOf<16>::Float)v);
#elif defined(__AVX__)
  if constexpr (sizeof v == 32) return __builtin_ia32_movntps256(reinterpret_cast<float*>(p), (VectorOf<8>::Float)v);
#endif
  store(p, v);
#endif
}
template <bool Far, class V, class T>
inline void store_past_if(bool past, T* p, V v) {
  if (Far && past) return store_past(p, v);
  store(p, v);
}
// Stores past the cache are seen by other threads from here on.
inline void stores_done() {
#if defined(__x86_64__)
  asm volatile("sfence" ::: "memory");
#endif
}

template <class V>
inline V broadcast(float x) {
  return x - V{};
}  // keeps -0, NaN and infinity

// Calls f.template operator()<lanes>(c) for vectors that cover [0, n): wide ones, then 4, then 1.
template <class F>
inline void for_each_vector(int64_t n, F f) {
  int64_t c = 0;
  for (; c + lanes <= n; c += lanes) f.template operator()<lanes>(c);
  if constexpr (lanes > 4)
    for (; c + 4 <= n; c += 4) f.template operator()<4>(c);
  for (; c < n; c++) f.template operator()<1>(c);
}

// f(lower half, upper half), again and again until one value is left.
template <int L, class F>
inline float fold(typename VectorOf<L>::Float v, F f) {
  if constexpr (L == 1)
    return v[0];
  else {
    typename VectorOf<L / 2>::Float half[2];
    __builtin_memcpy(half, &v, sizeof v);
    return fold<L / 2>(f(half[0], half[1]), f);
  }
}
template <int L>
inline float total(typename VectorOf<L>::Float v) {
  return fold<L>(v, [](auto a, auto b) { return a + b; });
}

// What holds all registers must not be moved about by the compiler's own ideas: keep() makes v pass through a register here, fresh() makes
// it forget what it has read through p.
template <class V>
inline void keep([[maybe_unused]] V& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#endif
}
template <class T>
inline T* fresh(T* p) {
  asm("" : "+r"(p));
  return p;
}

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace sono::cpu::SONO_ISA
