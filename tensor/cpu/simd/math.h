#pragma once
// exp, sigmoid and tanh of whole vectors, for use inside kernels: the formulas of tensor/scalar_math.h, right for NaN, infinity and
// denormals. Some 16 operations for exp, 18 and a division for sigmoid, 27 and a division for tanh.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// 2^n * exp(r), n = round(x / ln 2), exp(r) a polynomial of degree 6; x <= 89.
template <int L>
inline typename VectorOf<L>::Float exp_below_89(typename VectorOf<L>::Float x) {
  using F = typename VectorOf<L>::Float;
  using I = typename VectorOf<L>::Int;
  const F clamped = x < -104.0f ? F{} - 104.0f : x;
  const F shifted = clamped * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;  // 1.5 * 2^23 rounds to the nearest integer
  const F r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  F p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const I e = (I)shifted - 0x4B400000, half = e >> 1;  // two factors, so that results reach the denormals
  const F y = p * (F)((half + 127) << 23) * (F)((e - half + 127) << 23);
  return x == x ? y : x;
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

// 1 - 2 / (exp(2x) + 1), an odd polynomial below 0.625.
template <int L>
inline typename VectorOf<L>::Float tanh(typename VectorOf<L>::Float x) {
  using F = typename VectorOf<L>::Float;
  const F a = x < 0.0f ? -x : x, z = x * x, e = exp_below_89<L>(a * -2.0f);
  F p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const F small = p * z * x + x, large = (1.0f - e) / (1.0f + e);
  return a < 0.625f ? small : (x < 0.0f ? -large : large);
}

}  // namespace
}  // namespace sono::cpu::SONO_ISA
