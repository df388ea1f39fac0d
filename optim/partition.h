#pragma once
// The partition function Z = sum over v, h of exp(-E(v, h)) (an integral over Gaussian v): exactly for small machines, by annealed
// importance sampling [Neal 2001; Salakhutdinov and Murray, ICML 2008] for others.
//
//   const LogPartition z = annealed_log_partition(rbm, {.chains = 100});   // z.value ± 3 z.deviation
//   Tensor log_p = log_likelihood(rbm, images, z.value);                   // (N)
#include "layers/dbm.h"
#include "layers/rbm.h"

namespace sono {

// Sums over all states of the side with fewer units (the hidden one of Gaussian machines), in double precision; at most 24 units: an Error
// says so. Of a Dbm: over the layers of one parity, the other one sums in closed form.
double exact_log_partition(const Rbm& rbm);
double exact_log_partition(const Dbm& dbm);
// P(v) of all 2^n visible states, row s the state whose unit i is bit i of s; n at most 20, Bernoulli units. (2^n) f64.
Tensor exact_probabilities(const Rbm& rbm);
Tensor all_states(int64_t n, Dtype dtype = Dtype::f32);  // (2^n, n), in that order

struct AnnealingOptions {
  int64_t chains = 100;
  int64_t temperatures = 10000;  // between 0 and 1, in three parts after the paper: a thirtieth up to 0.5, a quarter to 0.9, the rest to 1
  Tensor data = {};              // its means are the visible biases of the base model; none: the rbm's own visible biases
  uint64_t seed = 0;
};
struct LogPartition {
  double value = 0;      // log of the mean importance weight + log Z of the base model
  double deviation = 0;  // of value: relative deviation of the mean weight
  double low = 0, high = 0;  // log of (mean weight -+ 3 deviations of the mean); low is -inf if the difference is not positive
};
// Base model: the visible units without hidden ones. Chains run at rising inverse temperatures b from 0 to 1 over
//   p_b(v) ∝ exp(((1 - b) a_base + b a)·v) prod_j (1 + exp(b (hidden_bias_j + (v W)_j)))
LogPartition annealed_log_partition(const Rbm& rbm, const AnnealingOptions& options = {});

Tensor log_likelihood(const Rbm& rbm, const Tensor& v, double log_partition);  // -F(v) - log Z, (N) f64

}  // namespace sono
