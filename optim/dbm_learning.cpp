#include "optim/dbm_learning.h"

#include "tensor/random.h"

namespace sono {

void pretrain(Dbm& dbm, const Tensor& data, const DbmPretrainOptions& o) {
  const NoGrad values;
  const auto& widths = dbm.options().widths;
  const size_t layers = widths.size() - 1;
  Tensor below = data.to(dbm.weight(0).dtype());
  for (size_t l = 0; l < layers; l++) {
    Rbm rbm({.visible = widths[l], .hidden = widths[l + 1], .deviation = dbm.options().deviation});
    rbm.to(below.dtype());
    rbm.weight.detach().copy_from(dbm.weight(static_cast<int64_t>(l)).detach());
    rbm.fit_visible(below);
    ContrastiveDivergenceOptions learning = o.learning;
    learning.up = l + 1 < layers ? 2 : 1, learning.down = l > 0 ? 2 : 1;
    learning.rule.seed = Random(o.learning.rule.seed, "layer", l).stream();
    ContrastiveDivergence cd(rbm, learning);
    fit(cd, below, {.epochs = o.epochs, .batch = o.batch, .seed = o.seed + l, .monitor = false});
    dbm.weight(static_cast<int64_t>(l)).detach().copy_from(rbm.weight.detach());
    const Tensor lower = dbm.bias(static_cast<int64_t>(l)).detach();  // of hidden units it has the upper half of its last RBM already
    lower.copy_from(l > 0 ? (lower + rbm.visible_bias.detach()) * 0.5 : rbm.visible_bias.detach());
    dbm.bias(static_cast<int64_t>(l + 1)).detach().copy_from(rbm.hidden_bias.detach());
    below = sigmoid(linear(below * learning.up, rbm.weight.detach(), rbm.hidden_bias.detach()));
  }
}

DbmLearning::DbmLearning(Dbm& dbm, const DbmLearningOptions& o) : BoltzmannLearner(dbm, o.rule), dbm_(dbm), options_(o) {
  if (o.steps < 1 || o.chains < 1)
    throw Error("[deep Boltzmann learning] steps and chains must be at least 1, got " + std::to_string(o.steps) + " and " + std::to_string(o.chains));
}

double DbmLearning::compute_gradients(const Tensor& given) {
  const NoGrad values;
  const Tensor v = given.detach().to(dbm_.bias(0).dtype()).to(dbm_.bias(0).device());
  std::vector<Tensor> data = dbm_.mean_field(v);
  data.insert(data.begin(), v);
  if (chains_.empty()) chains_ = dbm_.random_units(options_.chains, draw("start"));
  dbm_.gibbs(chains_, options_.steps, draw("gibbs"));
  const double over_n = 1 / static_cast<double>(v.dim(0)), over_c = 1 / static_cast<double>(chains_[0].dim(0));
  for (size_t l = 0; l < data.size(); l++) {
    if (l + 1 < data.size())
      put_gradient(dbm_.weight(static_cast<int64_t>(l)), matmul(chains_[l], chains_[l + 1], true) * over_c - matmul(data[l], data[l + 1], true) * over_n);
    const Tensor active = mean(data[l], {0}), bias = mean(chains_[l], {0}) - active;
    if (l > 0) add_sparsity(active, bias, l);
    put_gradient(dbm_.bias(static_cast<int64_t>(l)), bias);
  }
  return mean(square(dbm_.given_neighbours(data, 0) - v)).item();
}

NamedTensors DbmLearning::own_state() const {
  NamedTensors all;
  for (size_t l = 0; l < chains_.size(); l++) all.emplace_back("chain_l" + std::to_string(l), chains_[l]);
  return all;
}

void DbmLearning::take_state(const NamedTensors& state) {
  std::vector<Tensor> chains;
  for (const auto& [name, t] : state) {
    const size_t l = chains.size();
    if (name != "chain_l" + std::to_string(l) || l >= dbm_.options().widths.size() || t.rank() != 2 || t.dim(1) != dbm_.options().widths[l])
      throw ShapeError("[deep Boltzmann learning] state " + name + " " + to_string(t.shape()) + " does not fit this learner");
    chains.push_back(t.clone());
  }
  if (!chains.empty() && chains.size() != dbm_.options().widths.size()) throw ShapeError("[deep Boltzmann learning] chains of some layers are missing");
  chains_ = std::move(chains);
}

DbmLearning::Settings DbmLearning::own_settings() const {
  return {{"chains", static_cast<double>(options_.chains)}, {"steps", static_cast<double>(options_.steps)}};
}

}  // namespace sono
