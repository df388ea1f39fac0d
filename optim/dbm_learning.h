#pragma once
// Learning of a deep Boltzmann machine [Salakhutdinov and Hinton, AISTATS 2009].
//
//   pretrain(dbm, images, {.epochs = 20});
//   DbmLearning learning(dbm, {.rule = {.rate = 0.005}});
//   fit(learning, images, {.epochs = 50});
#include "layers/dbm.h"
#include "optim/contrastive_divergence.h"

namespace sono {

// One RBM per layer by contrastive divergence, each on the probabilities of the one below. Every hidden unit will have two neighbours in the
// whole machine but one here: the input of the lowest RBM's hidden units is doubled, that of the top one's visible units, and both of those
// between. The bias of a layer is then the mean of what its two RBMs found.
struct DbmPretrainOptions {
  int64_t epochs = 20, batch = 100;
  ContrastiveDivergenceOptions learning = {};
  uint64_t seed = 0;
};
void pretrain(Dbm& dbm, const Tensor& data, const DbmPretrainOptions& options = {});

struct DbmLearningOptions {
  LearningRule rule = {.rate = 0.005, .rate_decay = 0.05};
  int64_t chains = 100, steps = 5;  // persistent fantasy particles; Gibbs steps per update
};

// Data statistics from mean field, model statistics from persistent chains: the gradient of the variational bound, as far as the chains
// follow the model.
class DbmLearning : public BoltzmannLearner {
 public:
  explicit DbmLearning(Dbm& dbm, const DbmLearningOptions& options = {});
  double compute_gradients(const Tensor& batch) override;
  Module& model() const override { return dbm_; }
  const char* kind() const override { return "deep Boltzmann learning"; }
  const std::vector<Tensor>& chains() const { return chains_; }  // v, h1 … hL

 private:
  NamedTensors own_state() const override;
  void take_state(const NamedTensors& state) override;
  Settings own_settings() const override;
  Dbm& dbm_;
  DbmLearningOptions options_;
  std::vector<Tensor> chains_;
};

}  // namespace sono
