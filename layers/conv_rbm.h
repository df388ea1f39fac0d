#pragma once
// The convolutional restricted Boltzmann machine with probabilistic max-pooling [Lee et al., ICML 2009]: filters shared over the image; in
// each block of pool x pool hidden units of a map at most one is on, and the pooled unit above says whether one is.
//
//   ConvRbm rbm({.in = 1, .hidden = 24, .kernel = 7, .pool = 2});
//   ConvRbm::Hidden h = rbm.hidden_given_visible(images);   // (N, 28, 28, 1) -> h.units (N, 22, 22, 24), h.pooled (N, 11, 11, 24)
//
// With I = conv(v, W) + b ("valid", so that H' = H - kernel + 1, which pool must divide) and B(ij) the block of unit ij of map k:
//   E(v, h) = -sum_k sum_ij h^k_ij I^k_ij - c sum v,   sum over each block of h <= 1      (Gaussian units of deviation 1: + sum (v - c)^2 / 2,
//                                                                                          in place of - c sum v)
//   P(h^k_ij = 1 | v) = exp(I^k_ij) / (1 + sum_{B(ij)} exp(I^k)),   P(pooled = 1 | v) = sum over the block of P(h = 1 | v)
//   v | h: sigmoid or mean of c + conv_transpose(h, W)
//   F(v) = -c sum v - sum_k sum_blocks log(1 + sum_B exp(I^k))
#include "layers/module.h"
#include "layers/units.h"

namespace sono {

struct ConvRbmOptions {
  int64_t in = 1, hidden = 24, kernel = 7, pool = 2;  // pool 1: plain binary units
  VisibleUnits units = VisibleUnits::bernoulli;
  double deviation = 0.01;  // of the first filters
};

// weight (kernel, kernel, in, hidden), visible_bias (in), hidden_bias (hidden). v (N, H, W, in). Learnt by
// optim/conv_contrastive_divergence.h.
class ConvRbm : public Module {
 public:
  using Options = ConvRbmOptions;
  explicit ConvRbm(const Options& options) : ConvRbm(nullptr, "", options) {}
  ConvRbm(Module* parent, std::string name, const Options& options);

  struct Hidden {
    Tensor units, pooled;  // (N, H', W', hidden), (N, H' / pool, W' / pool, hidden)
  };
  Tensor operator()(const Tensor& v) const { return hidden_given_visible(v).pooled; }  // what the next layer sees
  Hidden hidden_given_visible(const Tensor& v) const;    // probabilities; differentiable
  Tensor visible_given_hidden(const Tensor& h) const;    // h: units, not pooled
  Tensor energy(const Tensor& v, const Tensor& h) const;  // (N); a block of h with more than one unit on is an Error
  Tensor free_energy(const Tensor& v) const;              // (N); differentiable
  Hidden sample_hidden(const Tensor& v, Draw draw) const;  // 0 and 1: one draw per block among its units and "none"
  Tensor sample_visible(const Tensor& h, Draw draw) const;

  const Options& options() const { return options_; }
  const char* kind() const override { return "ConvRbm"; }
  std::string describe() const override;

  Tensor weight, visible_bias, hidden_bias;

 private:
  Tensor drive(const Tensor& v) const;  // I; shape and values are checked
  Tensor visible_energy(const Tensor& v) const;
  Options options_;
};

}  // namespace sono
