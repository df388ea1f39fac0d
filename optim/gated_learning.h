#pragma once
// Contrastive divergence for the point-wise gated Boltzmann machine [Sohn et al., ICML 2013].
//
//   GatedLearning learning(gated, {.rule = {.rate = 0.005, .rate_decay = 0.01, .weight_decay = 5e-4, .sparsity_target = 0.15}});
//   fit(learning, images, {.epochs = 100, .batch = 200});
//
// Data: mean-field inference of z, h1, h2. Chain: h drawn from these means, z | v, h, v | z, h, then `steps` - 1 rounds of h | v, z; z | v, h;
// v | z, h; the last v' is inferred by mean field again. With z, h the means:
//   dW1 = -((z v)^T h1 - (z' v')^T h1') / N,  da1 = -mean(z v - z' v'),  db1 = -mean(h1 - h1'), and with 1 - z for component 2.
#include "layers/gated_rbm.h"
#include "optim/boltzmann_learner.h"

namespace sono {

struct GatedLearningOptions {
  LearningRule rule = {};
  int64_t steps = 5;
  bool sample_visible = true;
};

class GatedLearning : public BoltzmannLearner {
 public:
  explicit GatedLearning(GatedRbm& gated, const GatedLearningOptions& options = {});
  double compute_gradients(const Tensor& batch) override;
  Module& model() const override { return gated_; }
  const char* kind() const override { return "gated contrastive divergence"; }

 private:
  Settings own_settings() const override;
  struct Chain {
    Tensor v, first_mean;
  };
  struct Seen {
    Tensor v, h;
  };
  Chain run_chain(const Tensor& v0, const GatedRbm::Hidden& positive) const;
  void component_gradients(const Rbm& rbm, const Seen& data, const Seen& chain, size_t key);
  GatedRbm& gated_;
  GatedLearningOptions options_;
};

}  // namespace sono
