#pragma once
// The loops of the optimizer steps (tensor/kernels.h says what they compute), over a piece of one slot. They are compiled once for every
// instruction set, and once more as the plain reference; so everything has internal linkage, see tensor/cpu/simd.h.
#include <cstdint>

namespace sono::cpu {

// n values of one slot: parameter, gradient, and the state that the rule keeps.
template <class T>
struct Piece {
  T* w;
  const T* g;
  T *first, *second, *third;
  int64_t n;
};
template <class T>
struct SgdRule {
  T rate, momentum, fresh, decay;
  bool start, nesterov;
};
template <class T>
struct AdagradRule {
  T rate, decay, epsilon;
};
template <class T>
struct RmspropRule {
  T rate, keep, take, decay, epsilon, momentum;
  bool centred;
};
template <class T>
struct AdamRule {
  T rate, correction, epsilon, keep1, take1, keep2, take2, decay, shrink;
  bool amsgrad;
};
template <class T>
struct AverageRule {
  T keep, take;
};

namespace {

inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }

template <class T>
void step(const Piece<T>& p, const SgdRule<T>& o) {
  T* __restrict w = p.w;
  const T* __restrict grad = p.g;
  T* __restrict velocity = p.first;
  if (!velocity) {
    for (int64_t i = 0; i < p.n; i++) w[i] -= o.rate * (grad[i] + o.decay * w[i]);
    return;
  }
  for (int64_t i = 0; i < p.n; i++) {
    const T g = grad[i] + o.decay * w[i];
    const T v = o.start ? g : o.momentum * velocity[i] + o.fresh * g;
    velocity[i] = v;
    w[i] -= o.rate * (o.nesterov ? g + o.momentum * v : v);
  }
}

template <class T>
void step(const Piece<T>& p, const AdagradRule<T>& o) {
  T* __restrict w = p.w;
  const T* __restrict grad = p.g;
  T* __restrict squares = p.first;
  for (int64_t i = 0; i < p.n; i++) {
    const T g = grad[i] + o.decay * w[i];
    squares[i] += g * g;
    w[i] -= o.rate * g / (root(squares[i]) + o.epsilon);
  }
}

template <bool centred, bool with_momentum, class T>
void rmsprop(const Piece<T>& p, const RmspropRule<T>& o) {
  T* __restrict w = p.w;
  const T* __restrict grad = p.g;
  T* __restrict squares = p.first, * __restrict momentum = p.second, * __restrict mean = p.third;
  for (int64_t i = 0; i < p.n; i++) {
    const T g = grad[i] + o.decay * w[i];
    T variance = squares[i] = o.keep * squares[i] + o.take * g * g;
    if constexpr (centred) {
      const T m = mean[i] = o.keep * mean[i] + o.take * g;
      variance -= m * m;
    }
    T u = g / (root(variance) + o.epsilon);
    if constexpr (with_momentum) u = momentum[i] = o.momentum * momentum[i] + u;
    w[i] -= o.rate * u;
  }
}

template <class T>
void step(const Piece<T>& p, const RmspropRule<T>& o) {
  if (o.centred)
    o.momentum != 0 ? rmsprop<true, true>(p, o) : rmsprop<true, false>(p, o);
  else
    o.momentum != 0 ? rmsprop<false, true>(p, o) : rmsprop<false, false>(p, o);
}

template <bool amsgrad, class T>
void adam(const Piece<T>& p, const AdamRule<T>& o) {
  T* __restrict w = p.w;
  const T* __restrict grad = p.g;
  T* __restrict mean = p.first, * __restrict squares = p.second, * __restrict largest = p.third;
  for (int64_t i = 0; i < p.n; i++) {
    const T g = grad[i] + o.decay * w[i];
    const T m = mean[i] = o.keep1 * mean[i] + o.take1 * g;
    T variance = squares[i] = o.keep2 * squares[i] + o.take2 * g * g;
    if constexpr (amsgrad) variance = largest[i] = largest[i] < variance ? variance : largest[i];
    w[i] = o.shrink * w[i] - o.rate * m / (root(variance) * o.correction + o.epsilon);
  }
}

template <class T>
void step(const Piece<T>& p, const AdamRule<T>& o) {
  o.amsgrad ? adam<true>(p, o) : adam<false>(p, o);
}

template <class T>
void step(const Piece<T>& p, const AverageRule<T>& o) {
  T* __restrict w = p.w;
  const T* __restrict value = p.g;
  for (int64_t i = 0; i < p.n; i++) w[i] = o.keep * w[i] + o.take * value[i];
}

}  // namespace
}  // namespace sono::cpu
