#pragma once
// Scalar mathematics that vectorises: branch-free, right for NaN, infinity and denormals, without -ffast-math.
// float versions are polynomials within 2 ulp (exp, log; tanh to 3, log1p, expm1, erf to 4 ulp; tests/tensor/test_scalar_math.cpp); pow, and double, call the C library, which is exact enough for
// gradient checks. (A vector pow needs double: 3.9 ns a value with AVX2 where the library's takes 5.8, but 33 without.)
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define SONO_INLINE __host__ __device__ __forceinline__
#else
#define SONO_INLINE inline __attribute__((always_inline))
#endif

namespace sono::math {

SONO_INLINE float float_of_bits(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
SONO_INLINE uint32_t bits_of_float(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }

// exp(r) for |r| <= ln(2)/2, to degree 7 (Cephes' coefficients), and (log(1 + m) - m + m^2/2) / m^3 for m in [sqrt(1/2) - 1, sqrt(2) - 1], to
// degree 7 (a minimax fit, within 6e-9 of log). V: float, or a vector of floats.
template <class V> SONO_INLINE V exp_remainder(V r) {
  V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  return p * r + 5.0000001201e-1f;
}
template <class V> SONO_INLINE V exp_series(V r) { return exp_remainder(r) * r * r + r + 1.0f; }
template <class V> SONO_INLINE V log_series(V m) {
  V p = 1.2761577883e-1f - m * 7.6344986254e-2f;
  p = p * m - 1.3160181996e-1f;
  p = p * m + 1.4201757859e-1f;
  p = p * m - 1.6623357371e-1f;
  p = p * m + 2.0001226883e-1f;
  p = p * m - 2.5000821034e-1f;
  return p * m + 3.3333331708e-1f;
}

// exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln(2)/2 (Cephes' reduction in two parts).
// 2^n is applied as two factors so that results reach the denormals. x is clamped to [-104, 89] by its bits, which rise with the value, or
// fall if they are taken as unsigned: a minimum each, where g++ makes five operations of comparisons of floats.
SONO_INLINE float exp(float x) {
  const int32_t most = 0x42B20000, bits = static_cast<int32_t>(bits_of_float(x)), below = bits < most ? bits : most;
  const uint32_t least = 0xC2D00000u, both = static_cast<uint32_t>(below) < least ? static_cast<uint32_t>(below) : least;
  const float clamped = float_of_bits(both);
  const float shifted = clamped * 1.44269504f + 12582912.0f;              // 1.5 * 2^23: rounds to the nearest integer
  const float n = shifted - 12582912.0f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  const float p = exp_series(r);
  const int32_t e = static_cast<int32_t>(bits_of_float(shifted)) - 0x4B400000;  // the integer n
  const int32_t half = e >> 1;
  const float y = p * float_of_bits(static_cast<uint32_t>(half + 127) << 23) * float_of_bits(static_cast<uint32_t>(e - half + 127) << 23);
  return x == x ? y : x;
}

// log(x): mantissa in [sqrt(1/2), sqrt(2)), a polynomial of degree 10 in it less 1. Denormals are scaled by 2^23 (a factor: of a choice
// between x and its product g++ makes two whole computations).
SONO_INLINE float log(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const float factor = tiny ? 8388608.0f : 1.0f, lost = tiny ? 23.0f : 0.0f;
  const uint32_t shifted = bits_of_float(x * factor) - 0x3F3504F3u;  // bits of sqrt(1/2)
  const float n = static_cast<float>(static_cast<int32_t>(shifted) >> 23) - lost;
  const float m = float_of_bits((shifted & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f, z = m * m;
  const float y = n * -2.12194440e-4f + ((log_series(m) * m - 0.5f) * z + m) + n * 0.693359375f;
  // What has no logarithm, by its bits: infinity and NaN stay, negative values become NaN. (Comparisons of floats cost g++ twice as many masks.)
  const uint32_t u = bits_of_float(x);
  const float known = u < 0x7F800000u ? y : float_of_bits(u | (u > 0x80000000u ? 0x7FC00000u : 0u));
  return x == 0.0f ? -float_of_bits(0x7F800000u) : known;
}

// log(1 + x) = log(u) + (x - (u - 1)) / u with u = 1 + x as rounded.
SONO_INLINE float log1p(float x) {
  const float u = 1.0f + x, lost = x - (u - 1.0f);
  const float y = log(u) + lost / u;
  const float inf = float_of_bits(0x7F800000u);
  return u == inf || u == 0.0f ? log(u) : (u == 1.0f ? x : y);
}

// exp(x) - 1: a polynomial where exp(x) would cancel.
SONO_INLINE float expm1(float x) {
  const float small = x * (1.0f + x * (0.5f + x * (1.6666667e-1f + x * (4.1666667e-2f + x * (8.3333333e-3f + x * (1.3888889e-3f + x * 1.9841270e-4f))))));
  const float large = exp(x) - 1.0f;
  return (x < 0.4f) && (x > -0.4f) ? small : large;
}

// tanh(x) = m / (m + 2), m = exp(2 |x|) - 1 = 2^n q + (2^n - 1) with q = exp(r) - 1, so that nothing cancels; 1 from 9.2 on.
SONO_INLINE float tanh(float x) {
  const uint32_t sign = bits_of_float(x) & 0x80000000u;
  const float a = float_of_bits(bits_of_float(x) ^ sign), c = a > 9.2f ? 9.2f : a;
  const float shifted = c * 2.88539008f + 12582912.0f, n = shifted - 12582912.0f;  // 2 / ln 2; rounds as exp does
  const float r = (2.0f * c - n * 0.693359375f) + n * 2.12194440e-4f;
  const float q = exp_remainder(r) * (r * r) + r;
  const float power = float_of_bits((bits_of_float(shifted) << 23) + 0x3F800000u), m = power * q + (power - 1.0f);
  return float_of_bits(bits_of_float(m / (m + 2.0f)) | sign);
}

// erf(x): an odd polynomial inside |x| < 1, 1 - exp(-x^2) * P(1 / (1 + |x| / 2)) outside (Chebyshev interpolants of degree 7).
SONO_INLINE float erf(float x) {
  const float a = x < 0.0f ? -x : x, z = x * x;
  float p = -9.6670437415e-06f;
  p = p * z + 1.1265958678e-04f;
  p = p * z - 8.4840803481e-04f;
  p = p * z + 5.2210318032e-03f;
  p = p * z - 2.6865430726e-02f;
  p = p * z + 1.1283782495e-01f;
  p = p * z - 3.7612638468e-01f;
  p = p * z + 1.1283791671e+00f;
  const float t = 1.0f / (1.0f + 0.5f * a);
  float q = 1.1989450276e-01f;
  q = q * t - 4.7308306372e-01f;
  q = q * t + 5.6600821519e-01f;
  q = q * t - 1.0578655175e-01f;
  q = q * t + 3.4881871964e-01f;
  q = q * t + 2.5940895784e-01f;
  q = q * t + 2.8495402072e-01f;
  q = q * t - 1.5676373524e-04f;
  const float large = 1.0f - exp(-z) * q;
  return a < 1.0f ? x * p : (x < 0.0f ? -large : large);
}

// Of the standard normal distribution what lies below x, (1 + erf(x / sqrt 2)) / 2: within 2.5e-7, a rational function of degrees 11 and 10; 1
// and 0 where it rounds to them. Half of the operations of erf, whose small values keep their digits as well.
SONO_INLINE float normal_below(float x) {
  const float z = x * x;
  float p = 2.2382753945e-08f * z + 6.2903064352e-06f;
  p = p * z + 1.6827701987e-04f;
  p = p * z + 4.6734374637e-03f;
  p = p * z + 3.3859878726e-02f;
  p = p * z + 3.9894227220e-01f;
  float q = 1.1821923326e-06f * z + 7.3161804762e-05f;
  q = q * z + 1.8817651864e-03f;
  q = q * z + 2.8638830617e-02f;
  q = q * z + 2.5154046868e-01f;
  q = q * z + 1.0f;
  const float y = x * p / q + 0.5f, below = x > 5.54f ? 1.0f : y;
  return x < -5.54f ? 0.0f : below;
}

SONO_INLINE float sqrt(float x) { return ::sqrtf(x); }
SONO_INLINE float pow(float x, float p) { return ::powf(x, p); }

// r = x - n pi / 2, n the nearest integer, in double and with pi / 2 in two parts, the first of 30 bits: sin and cos within 2 ulp for |x| up
// to 2^22, where neighbouring floats are half a radian apart. Beyond, their values mean nothing, but lie in [-1, 1].
struct Quadrant { float r; uint32_t n; };
SONO_INLINE Quadrant quadrant(float x) {
  const double magic = 6755399441055744.0;  // 1.5 * 2^52: rounds to the nearest integer, whose low bits are those of the sum
  const double d = x, t = d * 0.63661977236758134 + magic, n = t - magic;
  uint64_t bits;
  memcpy(&bits, &t, 8);
  const float r = static_cast<float>((d - n * 1.570796325802803) - n * 9.920935796805404e-10);
  return {r > 1.0f || r < -1.0f ? 0.0f : r, static_cast<uint32_t>(bits)};
}
// sin of r + n pi / 2 (Cephes' coefficients).
SONO_INLINE float sine(Quadrant q) {
  const float z = q.r * q.r;
  const float odd = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * q.r + q.r, s = z == 0.0f ? q.r : odd;  // keeps -0
  const float c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
  const float y = q.n & 1 ? c : s;
  return q.n & 2 ? -y : y;
}
SONO_INLINE float sin(float x) { return sine(quadrant(x)); }
SONO_INLINE float cos(float x) { const Quadrant q = quadrant(x); return sine({q.r, q.n + 1}); }

SONO_INLINE double exp(double x) { return ::exp(x); }
SONO_INLINE double log(double x) { return ::log(x); }
SONO_INLINE double log1p(double x) { return ::log1p(x); }
SONO_INLINE double expm1(double x) { return ::expm1(x); }
SONO_INLINE double tanh(double x) { return ::tanh(x); }
SONO_INLINE double erf(double x) { return ::erf(x); }
SONO_INLINE double normal_below(double x) { return 0.5 + 0.5 * ::erf(x * 0.70710678118654752); }
SONO_INLINE double sqrt(double x) { return ::sqrt(x); }
SONO_INLINE double pow(double x, double p) { return ::pow(x, p); }
SONO_INLINE double sin(double x) { return ::sin(x); }
SONO_INLINE double cos(double x) { return ::cos(x); }

}  // namespace sono::math
