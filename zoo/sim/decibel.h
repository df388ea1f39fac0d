#pragma once
// Decibels and soft thresholds in plain floats, branch-free, so that loops over pixels vectorise.
#include "tensor/scalar_math.h"

namespace sono::zoo::sim {

inline float amplitude(float decibel) { return math::exp(0.115129255f * decibel); }    // 10^(dB / 20)
inline float decibel_of_power(float power) { return 4.34294482f * math::log(power); }  // 10 log10(power)
inline float clamped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
inline float mix(float a, float b, float weight) { return a + weight * (b - a); }

// About exp(-x / 2) for x >= 0, and 0 from 7.3 on: (1 - x/7.3)³.
inline float bump(float x) {
  const float left = 1 - x * 0.137f, kept = left > 0 ? left : 0;
  return kept * kept * kept;
}

// Angle of (x, y) to the x axis in (-π, π], within 2e-4 rad.
inline float angle_of(float y, float x) {
  const float ax = x < 0 ? -x : x, ay = y < 0 ? -y : y, ratio = (ax < ay ? ax : ay) / ((ax < ay ? ay : ax) + 1e-20f), s = ratio * ratio;
  const float small = ((-0.0464964749f * s + 0.15931422f) * s - 0.327622764f) * s * ratio + ratio;
  const float first = ax < ay ? 1.57079633f - small : small, upper = x < 0 ? 3.14159265f - first : first;
  return y < 0 ? -upper : upper;
}

// 0 below low, 1 above high, smooth between.
inline float smooth_step(float x, float low, float high) {
  const float t = clamped((x - low) / (high - low), 0, 1);
  return t * t * (3 - 2 * t);
}

}  // namespace sono::zoo::sim
