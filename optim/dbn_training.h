#pragma once
// From data to a deep belief network to a classifier, a call for each step.
//
//   Dbn dbn({.widths = {64, 200, 200}});
//   pretrain(dbn, images, {.epochs = 30});
//   auto net = unroll(dbn, 10);
//   fine_tune(*net, images, labels, {.epochs = 30, .rate = 0.1});
//   double right = accuracy(*net, test_images, test_labels);
#include "layers/dbn.h"
#include "optim/contrastive_divergence.h"
#include "optim/trainer.h"

namespace sono {

// Greedy [Hinton, Osindero and Teh 2006]: each RBM learns the probabilities of the one below. `learning` has one entry for all layers, or one
// per layer (Gaussian visible units want a smaller rate than the layers above). With a folder, layer i is checkpointed in folder/layer<i>:
// resumed, layers that are done are read and not learnt again.
struct DbnPretrainOptions {
  int64_t epochs = 30, batch = 100;
  std::vector<ContrastiveDivergenceOptions> learning = {{}};
  uint64_t seed = 0;
  bool fit_visible = true;  // Rbm::fit_visible on the data first; false: the lowest RBM's visible biases and deviations stay as they are
  Tensor held_out = {};
  std::string folder = {};
  bool resume = false;
  std::function<void(int64_t layer, const BoltzmannEpoch&)> on_epoch = {};
};
std::vector<std::vector<BoltzmannEpoch>> pretrain(Dbn& dbn, const Tensor& data, const DbnPretrainOptions& options = {});

// The up-down algorithm, a contrastive wake-sleep [Hinton, Osindero and Teh 2006, appendix B]: wake, sampled upward, teaches the generative
// weights; `steps` of Gibbs sampling in the top RBM give it contrastive divergence; sleep, sampled downward from there, teaches the
// recognition weights. A learner like the others: fit(up_down, data, …). The Dbn should have been pre-trained (or tie()d) before.
struct UpDownOptions {
  LearningRule rule = {.rate = 0.01, .weight_decay = 0};
  int64_t steps = 3;
};
class UpDown : public BoltzmannLearner {
 public:
  explicit UpDown(Dbn& dbn, const UpDownOptions& options = {});
  double compute_gradients(const Tensor& batch) override;
  Module& model() const override { return dbn_; }
  const char* kind() const override { return "up-down"; }

 private:
  std::vector<Tensor> wake(const Tensor& v, double& error);
  Tensor dream(const Tensor& v0);
  void sleep(const Tensor& from);
  Settings own_settings() const override { return {{"steps", static_cast<double>(options_.steps)}}; }
  Dbn& dbn_;
  UpDownOptions options_;
};

// Supervised training of any network that gives logits (N, classes), by a Trainer with SGD, cross-entropy, momentum.
struct DbnFineTuneOptions {
  int64_t epochs = 30, batch = 100;
  double rate = 0.1, momentum = 0.9, weight_decay = 1e-5;
  bool cosine = true;  // the rate falls to 0 along a cosine; false: constant
  uint64_t seed = 0;   // of the order of the rows
  Tensor held_out = {}, held_out_labels = {};  // given: the weights of the epoch of best accuracy there stay
  std::string folder = {};
  bool resume = false;
};
Report fine_tune(Sequential& net, const Tensor& x, const Tensor& labels, const DbnFineTuneOptions& options = {});  // labels (N) i32
double accuracy(const Sequential& net, const Tensor& x, const Tensor& labels);

}  // namespace sono
