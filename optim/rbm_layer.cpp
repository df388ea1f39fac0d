#include "optim/rbm_layer.h"

#include "layers/activation.h"
#include "tensor/random.h"

namespace sono {

RbmLayer::RbmLayer(const RbmOptions& options, RbmTraining training) : rbm(options), training_(std::move(training)) {
  recipe_ = rbm.describe() + ", " + std::to_string(training_.epochs) + " epochs of batches of " + std::to_string(training_.batch) +
            (training_.fit_visible ? ", visible units fitted, " : ", ") + ContrastiveDivergence(rbm, training_.learning).recipe();
}

ContrastiveDivergenceOptions RbmLayer::learning(uint64_t seed) const {
  ContrastiveDivergenceOptions options = training_.learning;
  options.rule.seed = Random(options.rule.seed, "stage", seed).stream();
  return options;
}

void RbmLayer::pretrain(const Tensor& x, const Stage& stage) {
  const Tensor rows = x.detach().view({x.dim(0), -1}).to(rbm.weight.dtype());
  if (training_.fit_visible) rbm.fit_visible(rows);
  ContrastiveDivergence learner(rbm, learning(stage.seed));
  fit(learner, rows,
      {.epochs = training_.epochs, .batch = training_.batch, .seed = stage.seed, .folder = stage.folder, .resume = stage.resume});
}

Tensor RbmLayer::code(const Tensor& x) const {
  const NoGrad values;
  return rbm(x.detach().view({x.dim(0), -1}).to(rbm.weight.dtype()));
}

namespace {

void append_linear(Sequential& net, const Tensor& weight, const Tensor& bias) {
  const Linear& layer = net.append<Linear>({.in = weight.dim(0), .out = weight.dim(1)});
  layer.weight.detach().copy_from(weight.detach().to(Dtype::f32).to(Device::cpu));
  layer.bias.detach().copy_from(bias.detach().to(Dtype::f32).to(Device::cpu));
}

}  // namespace

void RbmLayer::append_encoder(Sequential& net) const {
  const NoGrad values;
  const Tensor w = rbm.weight.detach();
  append_linear(net, rbm.log_deviation ? w / reshape(rbm.deviation(), {-1, 1}) : w, rbm.hidden_bias);
  net.append<Sigmoid>();
}

void RbmLayer::append_decoder(Sequential& net) const {
  const NoGrad values;
  const Tensor w = transpose(rbm.weight.detach());
  append_linear(net, rbm.log_deviation ? w * rbm.deviation() : w, rbm.visible_bias);
}

}  // namespace sono
