#pragma once
// exp, log, tanh and the normal distribution of 16 values by what AVX-512 has for them: tables of 16 values in a register (VPERMPS), powers
// of two as factors (VSCALEFPS), exponents and mantissas (VGETEXPPS, VGETMANTPS). A table leaves a short polynomial: for 16 values in the
// first-level cache of a Zen 4 exp takes 2.3 ns (4.6 by the formulas of tensor/scalar_math.h), log 2.5 (5.3), tanh 3.3 (4.7), x times the
// normal distribution 3.1 (4.7), which is less than memory takes to bring 16 values and to store as many (3.8).
// Right for NaN, infinity, zero and denormals. Of the intrinsics the masked forms are those whose undefined operands g++ 12 does not warn
// of.
#include "tensor/cpu/simd/vector.h"

#if defined(__AVX512F__)
#include <immintrin.h>

namespace sono::cpu::SONO_ISA {
namespace {

struct alignas(64) Table16 {
  float value[16];
};

// Of each lane of v the value of the table that its lowest four bits name.
inline Vec look_up(const Table16& table, Vec v) { return _mm512_maskz_permutexvar_ps(0xFFFF, (__m512i)v, load<Vec>(table.value)); }

constexpr Table16 powers{{1, 1.04427373f, 1.09050775f, 1.13878858f, 1.18920708f, 1.24185777f, 1.29683959f, 1.35425556f,  // 2^(i / 16)
                          1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f, 1.68179286f, 1.75625217f, 1.8340081f, 1.91520655f}};

// exp(x) = 2^n * exp(r), 16 n = round(16 x / ln 2), |r| <= ln(2)/32: of 2^n the table has what is left beside the integer part. Within 1
// ulp.
inline Vec exp16(Vec x) {
  const Vec above = _mm512_maskz_max_ps(0xFFFF, broadcast<Vec>(-105.0f), x), c = _mm512_maskz_min_ps(0xFFFF, broadcast<Vec>(90.0f), above);
  const Vec shifted = c * 1.44269504f + 786432.0f, n = shifted - 786432.0f;  // 1.5 * 2^19: rounds to the nearest sixteenth
  const Vec r = (c - n * 0.693359375f) + n * 2.12194440e-4f;
  const Vec p = (r * 0.16667031f + 0.5000162f) * (r * r) + r, power = look_up(powers, shifted);
  return _mm512_maskz_scalef_ps(0xFFFF, power * p + power, n);
}

// 1 / m of the middle of each piece of [0.75, 1.5), to 8 bits, and log of m = 1 / that; the pieces beside 1 have 1 and 0, so that small
// logarithms keep their digits. Pieces 0 to 7 lie above 1, 8 to 15 below.
constexpr Table16 inverses{{1, 0.9140625f, 0.86328125f, 0.8203125f, 0.78125f, 0.74609375f, 0.7109375f, 0.6796875f, 1.3046875f, 1.25390625f,
                            1.20703125f, 1.1640625f, 1.12109375f, 1.0859375f, 1.05078125f, 1}};
constexpr Table16 logarithms{{0, 0.0898563266f, 0.147014737f, 0.198069915f, 0.246860072f, 0.292904019f, 0.341170758f, 0.386122137f,
                              -0.265963554f, -0.226263672f, -0.188163832f, -0.151916042f, -0.114304774f, -0.0824436694f, -0.0495339334f,
                              0}};

// log(x) = n ln 2 + log(m), x = m 2^n, m in [0.75, 1.5); log(m) = log(1 + r) - log(i), r = m i - 1 in [-1/32, 1/16], i of the table. Within
// 1.7 ulp.
inline Vec log16(Vec x) {
  const Vec m = _mm512_maskz_getmant_ps(0xFFFF, x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);  // NaN of what has a sign, but for -0
  const Vec n = _mm512_maskz_getexp_ps(0xFFFF, x) - _mm512_maskz_getexp_ps(0xFFFF, m);         // of infinity itself, of 0 its negative
  const Vec piece = (Vec)((IntVec)m >> 19);
  const Vec r = m * look_up(inverses, piece) - 1.0f;
  Vec p = 0.33334447f + r * (0.1885523f * r - 0.2500667f);
  p = p * r - 0.5f;
  return n * 0.693147181f + look_up(logarithms, piece) + (p * (r * r) + r);
}

// tanh(5/8 i)
constexpr Table16 tangents{{0, 0.554599702f, 0.848283648f, 0.954045236f, 0.986614287f, 0.99614656f, 0.998894453f, 0.999683142f,
                            0.999909222f, 0.999974012f, 0.999992549f, 0.999997854f, 0.999999404f, 0.999999821f, 0.99999994f, 1}};

// tanh(u + t) = (tanh u + tanh t) / (1 + tanh u tanh t), u = 5/8 i, |t| <= 5/16; tanh t = p / (1 + q), a rational fit of degrees 3 and 2.
// Within 3.5 ulp; never beyond 1.
inline Vec tanh16(Vec x) {
  const IntVec sign = (IntVec)x & INT32_MIN;
  const Vec a = (Vec)((IntVec)x ^ sign), c = _mm512_maskz_min_ps(0xFFFF, broadcast<Vec>(9.375f), a);
  const Vec shifted = c * 1.6f + 12582912.0f, t = c - (shifted - 12582912.0f) * 0.625f;  // 1.5 * 2^23: rounds
  const Vec z = t * t, p = (z * 0.0664091685f) * t + t, q = z * 0.399739931f, tanh_u = look_up(tangents, shifted);
  return (Vec)((IntVec)(((tanh_u * q + p) + tanh_u) / ((tanh_u * p + q) + 1.0f)) | sign);
}

// Of the standard normal distribution what lies between 0 and x = 3/8 i + t, |t| <= 3/16, by powers of t.
constexpr Table16 normal0{{0, 0.146169767f, 0.27337265f, 0.369705468f, 0.43319279f, 0.469603628f, 0.487775534f, 0.495667547f, 0.498650104f,
                           0.499630928f, 0.499911577f, 0.499981463f, 0.499996603f, 0.499999464f, 0.499999911f, 0.5f}};
constexpr Table16 normal1{{0.398938447f, 0.371852517f, 0.301137477f, 0.211878672f, 0.12951985f, 0.068787545f, 0.031739831f, 0.0127238119f,
                           0.00443142233f, 0.00134084083f, 0.000352463074f, 8.04906958e-05f, 1.59685642e-05f, 2.75210982e-06f,
                           4.1203694e-07f, 0}};
constexpr Table16 normal2{{0, -0.0697202012f, -0.112924166f, -0.119179301f, -0.0971388444f, -0.0644885227f, -0.0357080922f, -0.0167007893f,
                           -0.00664766412f, -0.00226294459f, -0.000660983904f, -0.000166052138f, -3.59408987e-05f, -6.71111593e-06f,
                           -1.08218865e-06f, 0}};
constexpr Table16 normal3{{-0.0660540983f, -0.0529653691f, -0.0219630692f, 0.00914925151f, 0.0267258789f, 0.0286957119f, 0.0214697979f,
                           0.0125344135f, 0.0059576761f, 0.00235414947f, 0.000782704796f, 0.000220635106f, 5.30032885e-05f, 1.089122e-05f,
                           1.91943923e-06f, 0}};
constexpr Table16 normal4{{0, 0.0164523702f, 0.0227689743f, 0.0171450619f, 0.00611110684f, -0.00268546469f, -0.00607647747f,
                           -0.00539617101f, -0.00333058019f, -0.0015943069f, -0.000617616577f, -0.000197843983f, -5.30740836e-05f,
                           -1.20211871e-05f, -2.31187846e-06f, 0}};

// As math::normal_below, within 2.5e-7; 1 and 0 from 5.44 and -5.44 on.
inline Vec normal_below16(Vec x) {
  const IntVec sign = (IntVec)x & INT32_MIN;
  const Vec a = (Vec)((IntVec)x ^ sign), c = _mm512_maskz_min_ps(0xFFFF, broadcast<Vec>(5.625f), a);
  const Vec shifted = c * 2.66666667f + 12582912.0f, t = c - (shifted - 12582912.0f) * 0.375f;  // 1.5 * 2^23: rounds
  Vec p = look_up(normal4, shifted) * t + look_up(normal3, shifted);
  p = p * t + look_up(normal2, shifted);
  p = p * t + look_up(normal1, shifted);
  p = p * t + look_up(normal0, shifted);
  return (Vec)((IntVec)p ^ sign) + 0.5f;
}

}  // namespace
}  // namespace sono::cpu::SONO_ISA
#endif
