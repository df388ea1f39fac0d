// Sums over logits (tensor/kernels.h). Logistic function, its slope and the cross-entropy share one exp and one division.
#include "tensor/cpu/simd/vector.h"
#include "tensor/scalar_math.h"

namespace sono::cpu::SONO_ISA {
namespace {

struct Logistic {
  float s, slope, loss;  // 1 / (1 + exp(-x)), s (1 - s), max(x, 0) + log(1 + exp(-|x|))

  SONO_INLINE explicit Logistic(float x) {
    const float e = math::exp(x < 0 ? x : -x), u = 1 + e, q = 1 / u;
    s = x < 0 ? e * q : q, slope = e * q * q;
    loss = (x < 0 ? 0 : x) + (math::log(u) + (e - (u - 1)) * q);
  }
};

}  // namespace

void logit_sums(const float* x, const float* t, int64_t n, int64_t wide, bool squared, float* sums) {
  float* __restrict both = sums, * __restrict ours = sums + wide, * __restrict theirs = sums + 2 * wide, * __restrict loss = sums + 3 * wide;
  for (int64_t first = 0; first < n; first += wide) {
    const float *p = x + first, *y = t + first;
#pragma omp simd
    for (int64_t i = 0; i < smaller(wide, n - first); i++) {
      const Logistic l(p[i]);
      both[i] += l.s * y[i];
      ours[i] += squared ? l.s * l.s : l.s;
      theirs[i] += squared ? y[i] * y[i] : y[i];
      loss[i] += l.loss - p[i] * y[i];
    }
  }
}

void logit_gradient(const float* x, const float* t, int64_t n, int64_t wide, bool squared, const float* g, float* gx) {
  for (int64_t first = 0; first < n; first += wide) {
    const float *p = x + first, *y = t + first;
    float* __restrict out = gx + first;
#pragma omp simd
    for (int64_t i = 0; i < smaller(wide, n - first); i++) {
      const Logistic l(p[i]);
      out[i] = (g[i] * y[i] + g[wide + i] * (squared ? 2 * l.s : 1.0f)) * l.slope + g[3 * wide + i] * (l.s - y[i]);
    }
  }
}

}  // namespace sono::cpu::SONO_ISA
