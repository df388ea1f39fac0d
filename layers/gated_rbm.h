#pragma once
// The point-wise gated Boltzmann machine [Sohn et al., ICML 2013]: each visible unit is explained by one of two RBMs, and a binary gate says
// which. Learnt features of what matters for a task come apart from those of the rest.
//
//   GatedRbm gated({.visible = 784, .relevant = 500, .irrelevant = 500});
//   gated.initialise(rbm, score);                      // units of a trained Rbm, split by the caller's score of each
//   Tensor features = gated(images);                   // (N, 500) of the relevant component
//
// Gate z_i in {0, 1}; component 1 sees v z, component 2 sees v (1 - z) (element by element):
//   E(v, z, h1, h2) = -(z v)·(W1 h1 + a1) - ((1 - z) v)·(W2 h2 + a2) - b1·h1 - b2·h2
//   P(h1 | v, z) = sigmoid((v z) W1 + b1),   P(h2 | v, z) = sigmoid((v (1 - z)) W2 + b2)
//   P(z | v, h)  = sigmoid(v ((W1 h1 + a1) - (W2 h2 + a2)))
//   P(v | z, h)  = sigmoid(z (W1 h1 + a1) + (1 - z) (W2 h2 + a2))
#include "layers/rbm.h"

namespace sono {

struct GatedRbmOptions {
  int64_t visible, relevant = 500, irrelevant = 500;
  int64_t iterations = 10;  // of mean-field inference
  double deviation = 0.01;
};

// Two Bernoulli Rbms as children: paths relevant.weight, relevant.visible_bias …, irrelevant.weight …. v (N, visible) in [0, 1].
class GatedRbm : public Module {
 public:
  using Options = GatedRbmOptions;
  explicit GatedRbm(const Options& options) : GatedRbm(nullptr, "", options) {}
  GatedRbm(Module* parent, std::string name, const Options& options);

  struct Hidden {
    Tensor relevant, irrelevant, gate;  // probabilities or samples: (N, relevant), (N, irrelevant), (N, visible)
  };
  Tensor operator()(const Tensor& v) const { return infer(v).relevant; }
  // Mean field: z = 1, then `iterations` rounds of h1, h2, z by the formulas above with means in place of units. Differentiable.
  Hidden infer(const Tensor& v) const;
  Tensor visible_given(const Hidden& h) const;            // P(v = 1 | z, h)
  Tensor gate_given(const Tensor& v, const Tensor& relevant, const Tensor& irrelevant) const;
  Hidden hidden_given(const Tensor& v, const Tensor& gate) const;  // both components; the gate is handed on
  Tensor energy(const Tensor& v, const Hidden& h) const;  // (N)

  // Takes over the units of a Bernoulli Rbm of the same visible units: those of the `relevant` highest scores (rbm.hidden()) go to the
  // relevant component, of the rest those of the lowest `irrelevant` scores to the other; each component gets the Rbm's visible biases.
  // Equal scores: the unit with the lower number first. An Rbm with fewer than relevant + irrelevant units, or a score that is NaN, is an
  // Error.
  void initialise(const Rbm& rbm, const Tensor& score);

  const Options& options() const { return options_; }
  const char* kind() const override { return "GatedRbm"; }
  std::string describe() const override;

 private:
  Options options_;

 public:
  Rbm relevant, irrelevant;
};

}  // namespace sono
