#pragma once
// The deep Boltzmann machine [Salakhutdinov and Hinton, AISTATS 2009]: several layers of binary hidden units, all connections undirected.
//
//   Dbm dbm({.widths = {784, 500, 1000}});
//   pretrain(dbm, images, {.epochs = 20});          // optim/dbm_learning.h: RBMs with doubled weights
//   std::vector<Tensor> mu = dbm.mean_field(images);  // (N, 500), (N, 1000)
//
//   E(v, h1 … hL) = -a·v - sum_l b_l·h_l - v W1 h1 - h1 W2 h2 - …
//   P(h_l = 1 | h_(l-1), h_(l+1)) = sigmoid(b_l + h_(l-1) W_l + W_(l+1) h_(l+1)),  h_0 = v
#include "layers/module.h"
#include "layers/units.h"

namespace sono {

struct DbmOptions {
  std::vector<int64_t> widths = {784, 500, 1000};  // visible units first; two hidden layers or more
  int64_t iterations = 10;                         // of mean field
  double deviation = 0.01;                         // of the first weights
};

// weight_l1 (visible, h1), weight_l2 (h1, h2) …; bias_l0 (visible), bias_l1 …. Every unit is binary. v (N, visible) in [0, 1].
class Dbm : public Module {
 public:
  using Options = DbmOptions;
  explicit Dbm(const Options& options) : Dbm(nullptr, "", options) {}
  Dbm(Module* parent, std::string name, const Options& options);

  Tensor operator()(const Tensor& v) const { return mean_field(v).back(); }
  // Q(h) = product of Bernoulli(mu), the mu of each layer after `iterations` rounds over the layers from below. They begin at one upward
  // pass with doubled weights (the top layer's are not doubled), as pre-training saw the data.
  std::vector<Tensor> mean_field(const Tensor& v) const;
  Tensor energy(const Tensor& v, const std::vector<Tensor>& h) const;  // (N)
  // E_Q[-E(v, h)] + H(Q) <= log P(v) + log Z, (N); mu: mean_field(v), or any other.
  Tensor bound(const Tensor& v, const std::vector<Tensor>& mu) const;

  // `steps` rounds of Gibbs sampling over {v, h1 … hL}, odd layers given even ones and the other way round, in place.
  void gibbs(std::vector<Tensor>& units, int64_t steps, Draw draw) const;
  std::vector<Tensor> random_units(int64_t n, Draw draw) const;  // (n, width) of 0 and 1 for each layer, v first
  Tensor generate(int64_t n, int64_t steps, Draw draw) const;    // P(v = 1 | h1) at the end of a chain from random units

  int64_t layers() const { return static_cast<int64_t>(weights_.size()); }       // of hidden units
  const Tensor& weight(int64_t l) const { return weights_[static_cast<size_t>(l)]; }  // (width l, width l + 1), l from 0
  const Tensor& bias(int64_t l) const { return biases_[static_cast<size_t>(l)]; }     // of layer l; 0: visible units
  const Options& options() const { return options_; }
  const char* kind() const override { return "Dbm"; }
  std::string describe() const override;

  // The probability of layer l from its neighbours among {v, h1 … hL}.
  Tensor given_neighbours(const std::vector<Tensor>& units, int64_t l) const;

 private:
  void check(const Tensor& v) const;
  Options options_;
  std::vector<Tensor> weights_, biases_;
};

}  // namespace sono
