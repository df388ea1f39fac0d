#pragma once
// Contrastive divergence [Hinton, Neural Computation 2002], its persistent form [Tieleman, ICML 2008] and parallel tempering
// [Desjardins et al., AISTATS 2010], for an Rbm.
//
//   ContrastiveDivergence cd(rbm, {.steps = 1});
//   for (const Tensor& batch : batches) cd.learn(batch);
//
// The gradient is that of mean F(data) - mean F(v_k), v_k held fixed:
//   dW = (v_k^T P(h | v_k) - v_0^T P(h | v_0)) / N,  da = mean(v_k) - mean(v_0),  db = mean P(h | v_k) - mean P(h | v_0)
// Statistics use the probabilities of h; samples of h drive the chain [Hinton 2010, §3]. One product gives both terms of dW.
#include "layers/rbm.h"
#include "optim/boltzmann_learner.h"

namespace sono {

struct ContrastiveDivergenceOptions {
  LearningRule rule = {};
  int64_t steps = 1;            // k: Gibbs steps per update
  bool sample_visible = true;   // false: the reconstruction is the means, which is less noisy and no longer a Markov chain of the model
  bool persistent = false;      // chains go on from update to update, `chains` of them, instead of beginning at the data
  int64_t chains = 0;           // 0: as many as the first batch has rows
  // Parallel tempering, with persistent: `temperatures` copies of the chains at inverse temperatures from 1 down to 0 in equal steps, of
  // which neighbours swap after every step with probability min(1, exp((beta_a - beta_b) (E_a - E_b))); Bernoulli visible units only. 1: none.
  int64_t temperatures = 1;
  // P(h | v) = sigmoid(up v W + b), P(v | h) = sigmoid(down h W^T + a): 2 where a deep Boltzmann machine will add a layer's second neighbour.
  double up = 1, down = 1;
};

class ContrastiveDivergence : public BoltzmannLearner {
 public:
  explicit ContrastiveDivergence(Rbm& rbm, const ContrastiveDivergenceOptions& options = {});
  double compute_gradients(const Tensor& batch) override;
  Module& model() const override { return rbm_; }
  Tensor free_energy(const Tensor& v) const override;
  double pseudo_likelihood(const Tensor& v) const override;
  const char* kind() const override { return "contrastive divergence"; }
  Tensor negative() const;      // (chains or N, visible): v_k of the last gradients
  const Tensor& chains() const { return chain_; }  // persistent: (chains, visible); empty before the first batch

 private:
  struct Workspace;
  void hidden_of(const Tensor& u, const Tensor& probability, const Tensor& sample, Draw draw) const;
  void visible_of(const Tensor& h, const Tensor& mean, const Tensor& sample, Draw draw) const;
  void rescale(const Tensor& v, const Tensor& u, bool divide) const;
  double run_chain();
  double run_persistent_chains();
  void temper(const Tensor& cold_visible, const Tensor& cold_hidden, uint64_t step);
  void statistics();
  void deviation_statistics();
  void start_chains(const Tensor& batch);
  NamedTensors own_state() const override;
  void take_state(const NamedTensors& state) override;
  Settings own_settings() const override;
  Rbm& rbm_;
  ContrastiveDivergenceOptions options_;
  Tensor chain_, hot_;  // hot_: the tempered copies, (temperatures - 1, chains, visible)
  std::shared_ptr<Workspace> work_;
};

}  // namespace sono
