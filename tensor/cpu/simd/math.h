#pragma once
// exp, sigmoid and tanh of whole vectors, for use inside kernels, right for NaN and infinity: some 18 operations for exp (the formula of
// tensor/scalar_math.h; 12 with AVX-512), 4 more and a division for sigmoid, 12 and a division for tanh.
#include "tensor/cpu/simd/math16.h"
#include "tensor/cpu/simd/vector.h"
#include "tensor/scalar_math.h"

namespace sono::cpu::SONO_ISA {
namespace {

// 2^n * exp(r), n = round(x / ln 2), exp(r) a polynomial of degree 6; x <= 89.
template <int L>
inline typename VectorOf<L>::Float exp_below_89(typename VectorOf<L>::Float x) {
  using F = typename VectorOf<L>::Float;
  using I = typename VectorOf<L>::Int;
#if defined(__AVX512F__)
  if constexpr (L == 16) return exp16(x);
#endif
  const F clamped = x < -104.0f ? F{} - 104.0f : x;
  const F shifted = clamped * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;  // 1.5 * 2^23 rounds to the nearest integer
  const F r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  const F p = math::exp_series(r);
  const I e = (I)shifted - 0x4B400000, half = e >> 1;                // two factors, so that results reach the denormals
  return p * (F)((half + 127) << 23) * (F)((e - half + 127) << 23);  // of NaN p is NaN
}

template <int L>
inline typename VectorOf<L>::Float exp_negative(typename VectorOf<L>::Float x) {
  return exp_below_89<L>(x);
}

template <int L>
inline typename VectorOf<L>::Float exp(typename VectorOf<L>::Float x) {
  using F = typename VectorOf<L>::Float;
  return exp_below_89<L>(x > 89.0f ? F{} + 89.0f : x);
}

// 1 / (1 + exp(-x)), by exp(-|x|): nothing overflows, and small results keep their digits.
template <int L>
inline typename VectorOf<L>::Float sigmoid(typename VectorOf<L>::Float x) {
  using F = typename VectorOf<L>::Float;
  const F e = exp_below_89<L>(x < 0.0f ? x : -x), one = F{} + 1.0f;
  return (x < 0.0f ? e : one) / (one + e);
}

// x P(x^2) / Q(x^2) within 6 ulp, which may be two beyond 1: a rational fit of degrees 4 and 4 on |x| <= 9.02, where tanh is 1 - 3e-8.
template <int L>
inline typename VectorOf<L>::Float tanh(typename VectorOf<L>::Float x) {
  using F = typename VectorOf<L>::Float;
#if defined(__AVX512F__)
  if constexpr (L == 16) return tanh16(x);
#endif
  const F a = x > 9.02f ? F{} + 9.02f : x, v = a < -9.02f ? F{} - 9.02f : a, z = v * v;
  F p = z * 1.33189776e-8f + 2.05834112e-5f;
  p = p * z + 3.49403027e-3f;
  p = p * z + 0.133797143f;
  p = p * z + 1.0f;
  F q = z * 7.76198015e-7f + 3.28308583e-4f;
  q = q * z + 2.58710569e-2f;
  q = q * z + 0.467130296f;
  q = q * z + 1.0f;
  return v * p / q;
}

// As math::log.
template <int L>
inline typename VectorOf<L>::Float logarithm(typename VectorOf<L>::Float x) {
  using F = typename VectorOf<L>::Float;
  using I = typename VectorOf<L>::Int;
  const auto tiny = x < 1.17549435e-38f;
  const I shifted = (I)(x * (tiny ? F{} + 8388608.0f : F{} + 1.0f)) - 0x3F3504F3;
  const F n = __builtin_convertvector(shifted >> 23, F) - (tiny ? F{} + 23.0f : F{});
  const F m = (F)((shifted & 0x007FFFFF) + 0x3F3504F3) - 1.0f, z = m * m;
  const F y = n * -2.12194440e-4f + ((math::log_series(m) * m - 0.5f) * z + m) + n * 0.693359375f;
  const F none = x == 0.0f ? F{} - __builtin_inff() : F{} + __builtin_nanf("");
  return x <= 0.0f ? none : x < __builtin_inff() ? y : x;
}

// log(1 + e) for e in [0, 1], within 2 ulp: log(u) of u = 1 + e as rounded (tensor/scalar_math.h), and what the rounding lost; of NaN it is
// NaN.
template <int L>
inline typename VectorOf<L>::Float log_of_one_plus(typename VectorOf<L>::Float e) {
  using F = typename VectorOf<L>::Float;
  const F u = e + 1.0f, lost = e - (u - 1.0f);
  const auto high = u > 1.41421356f;
  const F m = (high ? u * 0.5f : u) - 1.0f, n = high ? F{} + 1.0f : F{}, z = m * m;
  const F p = math::log_series(m);
  return m + (p * m * z + n * -2.12194440e-4f - z * 0.5f) + n * 0.693359375f + lost / u;
}

// A sigmoid for gates, whose error counts beside 1: within 2e-7, small values to no more digits than that.
template <int L>
inline typename VectorOf<L>::Float gate(typename VectorOf<L>::Float x) {
  return tanh<L>(x * 0.5f) * 0.5f + 0.5f;
}

}  // namespace
}  // namespace sono::cpu::SONO_ISA
