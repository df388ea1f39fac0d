// Sums over logits (tensor/kernels.h). Logistic function, its slope and the cross-entropy share one exp and one division: some 55
// operations a value forward, 35 backward.
#include "tensor/cpu/simd/math.h"

namespace sono::cpu::SONO_ISA {
namespace {

template <int L>
struct Logistic {
  using F = typename VectorOf<L>::Float;
  F x, e, q;  // e = exp(-|x|), q = 1 / (1 + e)

  explicit Logistic(F logit) : x(logit) {
    e = exp_below_89<L>(x < 0.0f ? x : -x);
    q = 1.0f / (e + 1.0f);
  }
  F value() const { return x < 0.0f ? e * q : q; }                                    // 1 / (1 + exp(-x))
  F slope() const { return e * q * q; }                                               // value (1 - value)
  F loss(F t) const { return (x < 0.0f ? F{} : x) + log_of_one_plus<L>(e) - x * t; }  // max(x, 0) + log(1 + e) - x t
};

template <int L>
inline void add(float* to, typename VectorOf<L>::Float v) {
  store(to, load<typename VectorOf<L>::Float>(to) + v);
}

}  // namespace

void logit_sums(const float* x, const float* t, int64_t n, int64_t wide, bool squared, float* sums) {
  for (int64_t first = 0; first < n; first += wide)
    for_each_vector(smaller(wide, n - first), [&]<int L>(int64_t i) {
      using F = typename VectorOf<L>::Float;
      const Logistic<L> l(load<F>(x + first + i));
      const F s = l.value(), target = load<F>(t + first + i);
      add<L>(sums + i, s * target);
      add<L>(sums + wide + i, squared ? s * s : s);
      add<L>(sums + 2 * wide + i, squared ? target * target : target);
      add<L>(sums + 3 * wide + i, l.loss(target));
    });
}

void logit_gradient(const float* x, const float* t, int64_t n, int64_t wide, bool squared, const float* g, float* gx) {
  for (int64_t first = 0; first < n; first += wide)
    for_each_vector(smaller(wide, n - first), [&]<int L>(int64_t i) {
      using F = typename VectorOf<L>::Float;
      const Logistic<L> l(load<F>(x + first + i));
      const F s = l.value(), target = load<F>(t + first + i), ours = load<F>(g + wide + i);
      const F dice = load<F>(g + i) * target + (squared ? ours * 2.0f * s : ours);
      store(gx + first + i, dice * l.slope() + load<F>(g + 3 * wide + i) * (s - target));
    });
}

}  // namespace sono::cpu::SONO_ISA
