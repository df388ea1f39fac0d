#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace sono {

Parameters::Parameters(const NamedTensors& leaves) : leaves_(std::make_shared<std::deque<Tensor>>()) {
  for (const auto& [path, leaf] : leaves) entries_.push_back({path, &leaves_->emplace_back(leaf)});
}

Optimizer::Optimizer(Parameters parameters, double rate, double weight_decay, std::vector<ParameterGroup> groups)
    : parameters_(std::move(parameters)), rate_(rate), kept_(parameters_.size()) {
  for (const auto& g : groups) groups_.push_back({g.rate.value_or(rate), g.weight_decay.value_or(weight_decay), {}});
  groups_.push_back({rate, weight_decay, {}});
  for (size_t i = 0; i < parameters_.size(); i++) {
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return matches(g.pattern, parameters_[i].path); });
    groups_[static_cast<size_t>(found - groups.begin())].members.push_back(i);
  }
  for (size_t k = 0; k < groups.size(); k++)
    if (groups_[k].members.empty()) throw Error("[optimizer] no parameter matches the group pattern '" + groups[k].pattern + "'");
}

kernels::OptimizerSlot Optimizer::slot(size_t i, const Tensor& gradient) {
  const Tensor& value = *parameters_[i].value;
  Kept& kept = kept_[i];
  const auto names = state_names();
  for (size_t k = 0; k < names.size(); k++) {
    Tensor& t = kept.values[k];
    if (!names[k].empty() && !t) t = Tensor::full(value.shape(), initial_state(), value.dtype(), value.device());
    if (t && (t.dtype() != value.dtype() || t.device() != value.device()))
      throw DtypeError(std::string("[") + kind() + "] " + parameters_[i].path + " has become " + to_string(value.dtype()) + " on " +
                       to_string(value.device()) + "; move the model before its first step");
  }
  return {value.detach(), gradient.detach(), kept.values[0], kept.values[1], kept.values[2], ++kept.step};
}

void Optimizer::step() {
  const NoGrad no_grad;
  for (const Group& group : groups_) {
    std::vector<kernels::OptimizerSlot> slots;
    for (const size_t i : group.members) {
      const Tensor& value = *parameters_[i].value;
      if (const Tensor g = wants_gradient(value) ? gradient(value) : Tensor()) slots.push_back(slot(i, g));
    }
    if (slots.empty()) continue;
    update(slots, group.rate * factor_, group.weight_decay);
    for (const auto& s : slots) s.parameter.raise_version();
  }
}

double Optimizer::step(const std::function<double()>& f) {
  const double loss = f();
  step();
  return loss;
}

void Optimizer::zero_gradients() {
  for (const auto& p : parameters_)
    if (wants_gradient(*p.value)) set_gradient(*p.value, {});
}

NamedTensors Optimizer::state() const {
  NamedTensors all;
  const auto names = state_names();
  for (size_t i = 0; i < kept_.size(); i++) {
    if (kept_[i].step == 0) continue;
    for (size_t k = 0; k < names.size(); k++)
      if (!names[k].empty()) all.emplace_back(parameters_[i].path + "." + names[k], kept_[i].values[k]);
    all.emplace_back(parameters_[i].path + ".step", Tensor::scalar(static_cast<double>(kept_[i].step), Dtype::f64));
  }
  return all;
}

void Optimizer::load_state(const NamedTensors& state) {
  std::map<std::string, Tensor> given(state.begin(), state.end());
  const auto take = [&](const std::string& name, const Shape& shape, Dtype dtype) {
    const auto found = given.find(name);
    const std::string what = std::string("[") + kind() + "] state " + name;
    if (found == given.end()) throw ShapeError(what + " is missing");
    const Tensor t = found->second;
    if (t.shape() != shape || t.dtype() != dtype)
      throw ShapeError(what + " is " + to_string(t.shape()) + " " + to_string(t.dtype()) + ", expected " + to_string(shape) + " " +
                       to_string(dtype));
    given.erase(found);
    return t;
  };
  std::vector<Kept> kept(kept_.size());
  const auto names = state_names();
  for (size_t i = 0; i < kept.size(); i++) {
    const auto& [path, value] = parameters_[i];
    if (!given.count(path + ".step")) continue;
    kept[i].step = static_cast<int64_t>(take(path + ".step", {}, Dtype::f64).item());
    for (size_t k = 0; k < names.size(); k++)
      if (!names[k].empty()) kept[i].values[k] = take(path + "." + names[k], value->shape(), value->dtype()).to(value->device()).clone();
  }
  if (!given.empty())
    throw ShapeError(std::string("[") + kind() + "] state " + given.begin()->first + " belongs to no parameter of this optimizer");
  kept_ = std::move(kept);
}

// ---- the rules
// -----------------------------------------------------------------------------------------------------------------------------
namespace {
void check(const char* kind, bool good, const char* rule) {
  if (!good) throw Error(std::string("[") + kind + "] " + rule);
}
const char* positive_rate = "the learning rate and the weight decay must not be negative";
}  // namespace

double sutskever_momentum(int64_t t, double most) {
  const double level = std::floor(static_cast<double>(t) / 250) + 1;
  return std::min(1 - std::exp2(-1 - std::log2(level)), most);
}

Sgd::Sgd(Parameters parameters, SgdOptions options)
    : Optimizer(std::move(parameters), options.rate, options.weight_decay, options.groups), options_(std::move(options)) {
  check(kind(), options_.rate >= 0 && options_.weight_decay >= 0, positive_rate);
  check(kind(), options_.momentum >= 0 && options_.momentum < 1, "momentum must be at least 0 and below 1");
  check(kind(), !options_.nesterov || ((options_.momentum > 0 || options_.momentum_at) && options_.dampening == 0),
        "nesterov needs a momentum and no dampening");
  check(kind(), !options_.sutskever || options_.momentum > 0, "sutskever needs a momentum to rise to");
  check(kind(), !options_.sutskever || !options_.momentum_at, "sutskever and momentum_at are two schedules; choose one");
}
std::vector<std::string> Sgd::state_names() const {
  return options_.momentum != 0 || options_.momentum_at ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
}
void Sgd::update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) {
  const auto run = [&](std::span<const kernels::OptimizerSlot> some, double momentum) {
    kernels::sgd_step({some, rate, momentum, options_.dampening, weight_decay, options_.nesterov});
  };
  if (!options_.sutskever && !options_.momentum_at) return run(slots, options_.momentum);
  while (!slots.empty()) {  // runs of parameters that were changed equally often: nearly always one run
    const auto other = std::find_if(slots.begin(), slots.end(), [&](const auto& s) { return s.step != slots[0].step; });
    const size_t n = static_cast<size_t>(other - slots.begin());
    const int64_t step = slots[0].step - 1;
    run(slots.first(n), options_.momentum_at ? options_.momentum_at(step) : sutskever_momentum(step, options_.momentum));
    slots = slots.subspan(n);
  }
}

Adagrad::Adagrad(Parameters parameters, AdagradOptions options)
    : Optimizer(std::move(parameters), options.rate, options.weight_decay, options.groups), options_(std::move(options)) {
  check(kind(), options_.rate >= 0 && options_.weight_decay >= 0, positive_rate);
}
void Adagrad::update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) {
  kernels::adagrad_step({slots, rate, options_.rate_decay, weight_decay, options_.epsilon});
}

Rmsprop::Rmsprop(Parameters parameters, RmspropOptions options)
    : Optimizer(std::move(parameters), options.rate, options.weight_decay, options.groups), options_(std::move(options)) {
  check(kind(), options_.rate >= 0 && options_.weight_decay >= 0, positive_rate);
  check(kind(), options_.decay >= 0 && options_.decay <= 1, "decay must be in [0, 1]");
}
std::vector<std::string> Rmsprop::state_names() const {
  return {"square", options_.momentum != 0 ? "momentum" : "", options_.centred ? "mean" : ""};
}
void Rmsprop::update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) {
  kernels::rmsprop_step({slots, rate, options_.decay, options_.epsilon, weight_decay, options_.momentum, options_.centred});
}

Adam::Adam(Parameters parameters, AdamOptions options, bool decoupled)
    : Optimizer(std::move(parameters), options.rate, options.weight_decay.value_or(decoupled ? 0.01 : 0), options.groups),
      options_(std::move(options)),
      decoupled_(decoupled) {
  const char* name = decoupled ? "adamw" : "adam";
  check(name, options_.rate >= 0 && options_.weight_decay.value_or(0) >= 0, positive_rate);
  check(name, options_.beta1 >= 0 && options_.beta1 < 1 && options_.beta2 >= 0 && options_.beta2 < 1,
        "beta1 and beta2 must be at least 0 and below 1");
}
std::vector<std::string> Adam::state_names() const { return {"mean", "square", options_.amsgrad ? "largest_square" : ""}; }
void Adam::update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) {
  kernels::adam_step({slots, rate, options_.beta1, options_.beta2, options_.epsilon, weight_decay, decoupled_, options_.amsgrad});
}

}  // namespace sono
