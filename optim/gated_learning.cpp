#include "optim/gated_learning.h"

namespace sono {

GatedLearning::GatedLearning(GatedRbm& gated, const GatedLearningOptions& o) : BoltzmannLearner(gated, o.rule), gated_(gated), options_(o) {
  if (o.steps < 1) throw Error("[gated contrastive divergence] steps must be at least 1, got " + std::to_string(o.steps));
}

// v' after `steps` rounds from units drawn of the inferred means, and the means of its first round.
GatedLearning::Chain GatedLearning::run_chain(const Tensor& v0, const GatedRbm::Hidden& positive) const {
  GatedRbm::Hidden units = positive;
  Chain chain{v0, {}};
  for (int64_t t = 0; t < options_.steps; t++) {
    const auto step = static_cast<uint64_t>(t);
    if (t > 0) units = gated_.hidden_given(chain.v, units.gate);
    units.relevant = bernoulli(units.relevant, draw("relevant", step));
    units.irrelevant = bernoulli(units.irrelevant, draw("irrelevant", step));
    units.gate = bernoulli(gated_.gate_given(chain.v, units.relevant, units.irrelevant), draw("gate", step));
    const Tensor mean = gated_.visible_given(units);
    if (t == 0) chain.first_mean = mean;
    chain.v = options_.sample_visible ? bernoulli(mean, draw("visible", step)) : mean;
  }
  return chain;
}

// What a component sees of data and chain, and its units: gradients of its three parameters.
void GatedLearning::component_gradients(const Rbm& rbm, const Seen& data, const Seen& chain, size_t key) {
  const double over = 1 / static_cast<double>(data.v.dim(0));
  put_gradient(rbm.weight, (matmul(chain.v, chain.h, true) - matmul(data.v, data.h, true)) * over);
  put_gradient(rbm.visible_bias, mean(chain.v, {0}) - mean(data.v, {0}));
  const Tensor active = mean(data.h, {0}), hidden = mean(chain.h, {0}) - active;
  add_sparsity(active, hidden, key);
  put_gradient(rbm.hidden_bias, hidden);
}

double GatedLearning::compute_gradients(const Tensor& given) {
  const NoGrad values;
  const Tensor v0 = given.detach().to(gated_.relevant.weight.dtype()).to(gated_.relevant.weight.device());
  const GatedRbm::Hidden positive = gated_.infer(v0);
  const Chain chain = run_chain(v0, positive);
  const GatedRbm::Hidden negative = gated_.infer(chain.v);
  component_gradients(gated_.relevant, {v0 * positive.gate, positive.relevant}, {chain.v * negative.gate, negative.relevant}, 0);
  component_gradients(gated_.irrelevant, {v0 * (1.0 - positive.gate), positive.irrelevant}, {chain.v * (1.0 - negative.gate), negative.irrelevant}, 1);
  return mean(square(chain.first_mean - v0)).item();
}

GatedLearning::Settings GatedLearning::own_settings() const {
  return {{"steps", static_cast<double>(options_.steps)}, {"sample_visible", options_.sample_visible}};
}

}  // namespace sono
