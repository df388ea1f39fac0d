#include "optim/conv_contrastive_divergence.h"

namespace sono {

ConvContrastiveDivergence::ConvContrastiveDivergence(ConvRbm& rbm, const ConvContrastiveDivergenceOptions& o)
    : BoltzmannLearner(rbm, o.rule), rbm_(rbm), options_(o) {
  if (o.steps < 1) throw Error("[convolutional contrastive divergence] steps must be at least 1, got " + std::to_string(o.steps));
}

double ConvContrastiveDivergence::compute_gradients(const Tensor& given) {
  const NoGrad values;
  const Tensor v0 = given.detach().to(rbm_.weight.dtype()).to(rbm_.weight.device());
  const Tensor h0 = rbm_.hidden_given_visible(v0).units;
  const bool gaussian = rbm_.options().units == VisibleUnits::gaussian;
  Tensor drive = rbm_.sample_hidden(v0, draw("hidden", 0)).units, mean_of_v, v1;
  double error = 0;
  for (int64_t t = 0; t < options_.steps; t++) {
    const auto step = static_cast<uint64_t>(t);
    mean_of_v = rbm_.visible_given_hidden(drive);
    v1 = mean_of_v;
    if (options_.sample_visible)
      v1 = gaussian ? sono::gaussian(v1, Tensor::ones({1}, v1.dtype(), v1.device()), draw("visible", step)) : bernoulli(v1, draw("visible", step));
    if (t == 0) error = mean(square(mean_of_v - v0)).item();
    if (t + 1 < options_.steps) drive = rbm_.sample_hidden(v1, draw("hidden", step + 1)).units;
  }
  negative_ = v1;
  const Tensor h1 = rbm_.hidden_given_visible(v1).units;
  const double over = 1 / static_cast<double>(h0.size() / h0.dim(3));  // of positions in all images
  put_gradient(rbm_.weight, (conv_weight(v1, h1, rbm_.weight.shape()) - conv_weight(v0, h0, rbm_.weight.shape())) * over);
  put_gradient(rbm_.visible_bias, (sum(v1, {0, 1, 2}) - sum(v0, {0, 1, 2})) * over);
  const Tensor active = sum(h0, {0, 1, 2}) * over, hidden = sum(h1, {0, 1, 2}) * over - active;
  add_sparsity(active, hidden);
  put_gradient(rbm_.hidden_bias, hidden);
  return error;
}

ConvContrastiveDivergence::Settings ConvContrastiveDivergence::own_settings() const {
  return {{"steps", static_cast<double>(options_.steps)}, {"sample_visible", options_.sample_visible}};
}

}  // namespace sono
