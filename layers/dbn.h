#pragma once
// The deep belief network [Hinton, Osindero and Teh, Neural Computation 2006]: a stack of RBMs, of which the top one stays undirected and
// those below are read as directed, downward for generation and upward for recognition.
//
//   Dbn dbn({.widths = {784, 500, 500, 2000}});
//   pretrain(dbn, images, {.epochs = 20});                // optim/dbn_training.h: layer by layer
//   auto net = unroll(dbn, 10);                           // a Sequential of Linear and Sigmoid, and a last Linear to 10 classes
//   Tensor fantasies = dbn.generate(16, 200, {.seed = 1}); // (16, 784)
#include <memory>

#include "layers/linear.h"
#include "layers/rbm.h"
#include "layers/sequential.h"

namespace sono {

struct DbnOptions {
  std::vector<int64_t> widths = {784, 500, 500, 2000};  // visible units first
  VisibleUnits units = VisibleUnits::bernoulli;         // of the lowest layer; those above are binary
  bool learn_variance = false;
  double deviation = 0.01;
};

// rbms.0 … rbms.(L-1), bottom first: weights and hidden biases are the recognition model, the last one is the associative memory.
// generative.0 … generative.(L-2): Linear (hidden, visible) of the directed layers, the downward model. tie() sets it to what the RBMs say;
// pretrain() does so, up-down learning then changes both apart.
class Dbn : public Module {
 public:
  using Options = DbnOptions;
  explicit Dbn(const Options& options) : Dbn(nullptr, "", options) {}
  Dbn(Module* parent, std::string name, const Options& options);

  Tensor operator()(const Tensor& v) const { return up(v); }
  // Probabilities of the hidden units of layer `layers` (all of them: -1), each from those below; layer 0 is v itself.
  Tensor up(const Tensor& v, int64_t layers = -1) const;
  // Means of the visible units from the units that `layers` layers lie below, by the generative model (top layer: the RBM's).
  Tensor down(const Tensor& h, int64_t layers = -1) const;
  Tensor below(const Tensor& h, int64_t layer) const;  // one step: means of layer `layer` from the units above it
  Tensor reconstruct(const Tensor& v) const { return down(up(v)); }

  // n visible vectors (means of the last downward step): `steps` rounds of Gibbs sampling in the top RBM, then one pass of sampling
  // downward. The chain begins at random units, or at `start` (n, visible), passed up.
  Tensor generate(int64_t n, int64_t steps, Draw draw, const Tensor& start = {}) const;
  void tie();

  int64_t layers() const { return static_cast<int64_t>(rbms.size()); }
  Rbm& top() const { return rbms[rbms.size() - 1]; }
  const Options& options() const { return options_; }
  const char* kind() const override { return "Dbn"; }
  std::string describe() const override;

  ModuleList<Rbm> rbms;
  ModuleList<Linear> generative;

 private:
  Options options_;
};

// The recognition model as a feed-forward network, for supervised fine-tuning: "0" Linear, "1" Sigmoid, "2" Linear …, and a last Linear to
// `classes` logits, PyTorch's default at first. Copies: the Dbn stays as it is. Deviations of Gaussian units are folded into the first weight.
std::unique_ptr<Sequential> unroll(const Dbn& dbn, int64_t classes);
// Up and down again [Hinton and Salakhutdinov, Science 2006]: Linear, Sigmoid …, the last Linear gives logits of Bernoulli units, or means.
// linear_code: the middle layer has no Sigmoid.
std::unique_ptr<Sequential> unroll_autoencoder(const Dbn& dbn, bool linear_code = false);

}  // namespace sono
