#pragma once
// Sixteen floats that read as one number: the operations of tensor/elementwise.h are run on them by their own lines (T = Lanes), with the
// functions of tensor/cpu/simd/math16.h. Constants are given as double, as tensor/elementwise.h's num() does for what is not a number.
#include "tensor/cpu/simd/math16.h"

#if defined(__AVX512F__)
namespace sono::cpu::SONO_ISA {
namespace {

struct Lanes {
  Vec v;
  Lanes(Vec value) : v(value) {}
  Lanes(double constant) : v(broadcast<Vec>(static_cast<float>(constant))) {}
};

inline Lanes operator+(Lanes a, Lanes b) { return a.v + b.v; }
inline Lanes operator-(Lanes a, Lanes b) { return a.v - b.v; }
inline Lanes operator*(Lanes a, Lanes b) { return a.v * b.v; }
inline Lanes operator/(Lanes a, Lanes b) { return a.v / b.v; }
inline Lanes operator-(Lanes a) { return -a.v; }
inline IntVec operator<(Lanes a, Lanes b) { return a.v < b.v; }
inline IntVec operator>(Lanes a, Lanes b) { return a.v > b.v; }
inline Lanes select(IntVec condition, Lanes yes, Lanes no) { return condition ? yes.v : no.v; }
inline Lanes exp(Lanes x) { return exp16(x.v); }
inline Lanes log(Lanes x) { return log16(x.v); }
inline Lanes tanh(Lanes x) { return tanh16(x.v); }
inline Lanes normal_below(Lanes x) { return normal_below16(x.v); }

}  // namespace
}  // namespace sono::cpu::SONO_ISA
#endif
