#pragma once
// Stochastic units, as energy-based models draw them.
//
//   Tensor h = bernoulli(rbm.hidden_given_visible(v), {.seed = 1, .stream = 0});   // 0 and 1
//
// A draw is a function of (seed, stream, place in the tensor): the same on any number of threads, twice, and after a resumption.
#include <string_view>

#include "autograd/ops.h"

namespace sono {

enum class VisibleUnits : uint8_t { bernoulli, gaussian };

// Which random numbers: those of random_uniform(shape, seed, stream) or random_normal. Two draws that must not depend on each other need two
// streams; of() makes one from a purpose and up to two counters.
struct Draw {
  uint64_t seed = 0, stream = 0;
  Draw of(std::string_view purpose, uint64_t a = 0, uint64_t b = 0) const;
};

Tensor bernoulli(const Tensor& probability, Draw draw);                      // 1 where u < probability, else 0; no gradient
Tensor gaussian(const Tensor& mean, const Tensor& deviation, Draw draw);     // mean + deviation * n; deviation broadcasts; no gradient

// Refuses what a model with such units cannot have seen: NaN and infinities, and for Bernoulli units values outside [0, 1]. An Error in one
// line says the value and its row ("[rbm] visible values must lie in [0, 1], got 1.7 at row 3; …").
void check_visible(const char* model, VisibleUnits units, const Tensor& v);
// Refuses columns of (N, n) that never change, which no variance can be learnt of: an Error names the first.
void check_varies(const char* model, const Tensor& v);

}  // namespace sono
