#pragma once
// Contrastive divergence for the convolutional RBM [Lee et al., ICML 2009]: statistics are sums over the image, divided by the number of
// hidden positions, so that rates do not depend on its size.
//
//   ConvContrastiveDivergence cd(rbm, {.rule = {.rate = 0.01, .sparsity_target = 0.01, .sparsity_cost = 5}});
//   fit(cd, images, {.epochs = 10, .batch = 10});
#include "layers/conv_rbm.h"
#include "optim/boltzmann_learner.h"

namespace sono {

struct ConvContrastiveDivergenceOptions {
  LearningRule rule = {};
  int64_t steps = 1;
  bool sample_visible = true;
};

class ConvContrastiveDivergence : public BoltzmannLearner {
 public:
  explicit ConvContrastiveDivergence(ConvRbm& rbm, const ConvContrastiveDivergenceOptions& options = {});
  double compute_gradients(const Tensor& batch) override;
  Module& model() const override { return rbm_; }
  Tensor free_energy(const Tensor& v) const override { return rbm_.free_energy(v); }
  const char* kind() const override { return "convolutional contrastive divergence"; }
  const Tensor& negative() const { return negative_; }  // v_k of the last gradients

 private:
  Settings own_settings() const override;
  ConvRbm& rbm_;
  ConvContrastiveDivergenceOptions options_;
  Tensor negative_;
};

}  // namespace sono
