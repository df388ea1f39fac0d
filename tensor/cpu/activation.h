#pragma once
// Activations of single values, for references and tails.
#include <cmath>

#include "tensor/kernels.h"

namespace sono::kernels {

template <class T> T activated(Activation activation, T v) {
  switch (activation) {
    case Activation::relu: return v < T(0) ? T(0) : v;  // NaN stays
    case Activation::sigmoid: return v < T(0) ? std::exp(v) / (T(1) + std::exp(v)) : T(1) / (T(1) + std::exp(-v));
    case Activation::tanh: return std::tanh(v);
    case Activation::none: break;
  }
  return v;
}

}  // namespace sono::kernels
