#pragma once
// The restricted Boltzmann machine [Smolensky 1986; Hinton, Neural Computation 2002].
//
//   Rbm rbm({.visible = 784, .hidden = 500});
//   Tensor h = rbm(images);                  // (N, 784) in [0, 1] -> P(h = 1 | v), (N, 500)
//   Tensor f = rbm.free_energy(images);      // (N): low where the model expects data; differentiable
//
// Learning is in optim/contrastive_divergence.h, the partition function in optim/partition.h.
//
// Bernoulli visible units:  E(v, h) = -a·v - b·h - v W h
//   P(h_j = 1 | v) = sigmoid(b_j + (v W)_j),  P(v_i = 1 | h) = sigmoid(a_i + (W h)_i)
//   F(v) = -log sum_h exp(-E(v, h)) = -a·v - sum_j softplus(b_j + (v W)_j)
// Gaussian visible units, deviation s_i = exp(log_deviation_i) [Krizhevsky 2009]:
//   E(v, h) = sum_i (v_i - a_i)^2 / (2 s_i^2) - b·h - (v / s) W h
//   P(h_j = 1 | v) = sigmoid(b_j + ((v / s) W)_j),  v_i | h ~ N(a_i + s_i (W h)_i, s_i^2)
//   F(v) = sum_i (v_i - a_i)^2 / (2 s_i^2) - sum_j softplus(b_j + ((v / s) W)_j)
#include "layers/module.h"
#include "layers/units.h"

namespace sono {

struct RbmOptions {
  int64_t visible, hidden;
  VisibleUnits units = VisibleUnits::bernoulli;
  bool learn_variance = false;  // Gaussian units: log_deviation is learnt with the rest; otherwise it stays as it is, 0 at first
  double deviation = 0.01;      // of the first weights, which are normal [Hinton, A practical guide to training RBMs, 2010, §8]; biases are 0
};

// weight (visible, hidden), visible_bias (visible), hidden_bias (hidden); Gaussian: log_deviation (visible), a parameter if learnt, else a
// buffer. All functions take rows: v (N, visible), h (N, hidden). Wrong shapes are a ShapeError, impossible values an Error (check_visible).
class Rbm : public Module {
 public:
  using Options = RbmOptions;
  explicit Rbm(const Options& options) : Rbm(nullptr, "", options) {}
  Rbm(Module* parent, std::string name, const Options& options);

  Tensor operator()(const Tensor& v) const { return hidden_given_visible(v); }
  Tensor hidden_given_visible(const Tensor& v) const;  // P(h = 1 | v), (N, hidden)
  Tensor visible_given_hidden(const Tensor& h) const;  // P(v = 1 | h) or the mean of v, (N, visible)
  Tensor energy(const Tensor& v, const Tensor& h) const;  // (N)
  Tensor free_energy(const Tensor& v) const;              // (N)

  // A mean (of Bernoulli units their probability) and a draw from it. No gradient.
  struct Units {
    Tensor mean, sample;
  };
  Units sample_hidden(const Tensor& v, Draw draw) const;
  Units sample_visible(const Tensor& h, Draw draw) const;
  // `steps` times h ~ P(h | v), v ~ P(v | h), beginning at v; the visible units of the last step.
  Units gibbs(const Tensor& v, int64_t steps, Draw draw) const;

  // Visible biases at which the model without weights has the data's means: log(p / (1 - p)), p within [1/(2N), 1 - 1/(2N)], or the mean;
  // Gaussian: log_deviation as the data's too, which a column of zero variance makes an Error.
  void fit_visible(const Tensor& data);

  int64_t visible() const { return weight.dim(0); }
  int64_t hidden() const { return weight.dim(1); }
  VisibleUnits units() const { return options_.units; }
  const Options& options() const { return options_; }
  Tensor deviation() const;  // exp(log_deviation), (visible); Gaussian only
  const char* kind() const override { return "Rbm"; }
  std::string describe() const override;

  Tensor weight, visible_bias, hidden_bias, log_deviation;

 private:
  void check(const char* function, const Tensor& t, int64_t width) const;
  Tensor scaled(const Tensor& v) const;
  Tensor visible_energy(const Tensor& v) const;
  Options options_;
};

}  // namespace sono
