#include "optim/boltzmann_learner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "layers/rbm.h"
#include "optim/checksum.h"
#include "tensor/random.h"

namespace sono {
namespace {

constexpr const char* own_prefix = "learner.";

std::vector<ParameterGroup> groups_for(const Module& model, const LearningRule& rule) {
  std::vector<ParameterGroup> groups{{.pattern = "*weight*", .weight_decay = rule.weight_decay}};
  const auto all = model.parameters();
  if (std::any_of(all.begin(), all.end(), [](const auto& e) { return e.path.ends_with("log_deviation"); }))
    groups.push_back({.pattern = "*log_deviation", .rate = 0.1 * rule.rate, .weight_decay = 0});
  return groups;
}

void check(const LearningRule& r) {
  const auto fail = [](const char* what, double value) { throw Error("[learning rule] " + std::string(what) + ", got " + std::to_string(value)); };
  if (!(r.rate > 0)) fail("rate must be positive", r.rate);
  if (!(r.rate_decay >= 0)) fail("rate_decay must not be negative", r.rate_decay);
  for (const double m : {r.momentum, r.final_momentum})
    if (!(m >= 0 && m < 1)) fail("momentum must be in [0, 1)", m);
  if (!(r.weight_decay >= 0)) fail("weight_decay must not be negative", r.weight_decay);
  if (!(r.sparsity_target >= 0 && r.sparsity_target < 1)) fail("sparsity_target must be in [0, 1)", r.sparsity_target);
  if (!(r.sparsity_decay >= 0 && r.sparsity_decay < 1)) fail("sparsity_decay must be in [0, 1)", r.sparsity_decay);
}

}  // namespace

BoltzmannLearner::BoltzmannLearner(Module& model, const LearningRule& rule)
    : Optimizer(model, rule.rate, 0, groups_for(model, rule)), rule_(rule) {
  check(rule);
}

double BoltzmannLearner::learn(const Tensor& batch) {
  const double error = compute_gradients(batch);
  step();
  steps_++;
  return error;
}

Tensor BoltzmannLearner::free_energy(const Tensor&) const { return {}; }
double BoltzmannLearner::pseudo_likelihood(const Tensor&) const { return std::nan(""); }
void BoltzmannLearner::set_epoch(int64_t epochs_done) { epoch_ = epochs_done; }
double BoltzmannLearner::momentum() const { return epoch_ < rule_.momentum_epochs ? rule_.momentum : rule_.final_momentum; }

std::vector<std::string> BoltzmannLearner::state_names() const {
  if (rule_.momentum == 0 && rule_.final_momentum == 0) return {};
  return {"velocity"};
}

void BoltzmannLearner::update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) {
  kernels::sgd_step({.slots = slots,
                     .rate = rate / (1 + rule_.rate_decay * static_cast<double>(epoch_)),
                     .momentum = momentum(),
                     .weight_decay = weight_decay});
}

void BoltzmannLearner::put_gradient(const Tensor& parameter, const Tensor& gradient) {
  if (wants_gradient(parameter)) set_gradient(parameter, gradient);
}

Draw BoltzmannLearner::draw(std::string_view purpose, uint64_t i) const {
  return Draw{rule_.seed, 0}.of(purpose, static_cast<uint64_t>(steps_), i);
}

void BoltzmannLearner::add_sparsity(const Tensor& activity, const Tensor& bias_gradient, size_t key) {
  if (rule_.sparsity_target == 0) return;
  if (activity_.size() <= key) activity_.resize(key + 1);
  Tensor& running = activity_[key];
  const bool first = !running;
  if (first) running = activity.detach().clone();
  visit_real("sparsity", activity.dtype(), [&]<class T>() {
    const T keep = static_cast<T>(rule_.sparsity_decay), cost = static_cast<T>(rule_.sparsity_cost), target = static_cast<T>(rule_.sparsity_target);
    T *q = running.data<T>(), *g = bias_gradient.data<T>();
    for (int64_t j = 0; j < running.size(); j++) {
      if (!first) q[j] = keep * q[j] + (1 - keep) * activity.data<T>()[j];
      g[j] -= cost * (target - q[j]);
    }
  });
}

NamedTensors BoltzmannLearner::state() const {
  NamedTensors all = Optimizer::state();
  if (steps_ == 0) return all;
  const auto add = [&](const std::string& name, const Tensor& t) { all.emplace_back(own_prefix + name, t); };
  add("steps", Tensor::scalar(static_cast<double>(steps_), Dtype::f64));
  for (size_t i = 0; i < activity_.size(); i++)
    if (activity_[i]) add("activity_" + std::to_string(i), activity_[i]);
  for (const auto& [name, t] : own_state()) add("own." + name, t);
  return all;
}

void BoltzmannLearner::load_state(const NamedTensors& state) {
  NamedTensors base, own;
  std::vector<Tensor> activity;
  int64_t steps = 0;
  const std::string prefix = own_prefix;
  for (const auto& [name, t] : state) {
    if (!name.starts_with(prefix)) {
      base.emplace_back(name, t);
    } else if (name == prefix + "steps") {
      steps = static_cast<int64_t>(t.item());
    } else if (name.starts_with(prefix + "activity_")) {
      const auto key = static_cast<size_t>(std::atoi(name.c_str() + prefix.size() + 9));
      if (key > 64) throw ShapeError("[learner] state " + name + " belongs to no parameter of this learner");
      if (activity.size() <= key) activity.resize(key + 1);
      activity[key] = t.clone();
    } else {
      own.emplace_back(name.substr(std::min(name.size(), prefix.size() + 4)), t);
    }
  }
  Optimizer::load_state(base);
  take_state(own);
  steps_ = steps, activity_ = std::move(activity);
}

void BoltzmannLearner::take_state(const NamedTensors& state) {
  if (!state.empty()) throw ShapeError(std::string("[") + kind() + "] state " + state[0].first + " is unknown");
}

std::string BoltzmannLearner::recipe() const {
  nlohmann::ordered_json j{{"kind", kind()},
                           {"rate", rule_.rate},
                           {"rate_decay", rule_.rate_decay},
                           {"momentum", rule_.momentum},
                           {"final_momentum", rule_.final_momentum},
                           {"momentum_epochs", rule_.momentum_epochs},
                           {"weight_decay", rule_.weight_decay},
                           {"sparsity_target", rule_.sparsity_target},
                           {"sparsity_cost", rule_.sparsity_cost},
                           {"sparsity_decay", rule_.sparsity_decay},
                           {"seed", rule_.seed}};
  for (const auto& [name, value] : own_settings()) j[name] = value;
  return j.dump();
}

// ---- epochs --------------------------------------------------------------------------------------------------------------------------------
namespace {

// Rows order[first … last) of the data, one below the other.
void gather(const Tensor& data, const std::vector<int64_t>& order, int64_t first, int64_t last, const Tensor& batch) {
  const auto row = static_cast<size_t>(data.bytes() / data.dim(0));
  const auto* from = static_cast<const char*>(data.raw());
  auto* to = static_cast<char*>(batch.raw());
  for (int64_t i = first; i < last; i++)
    std::memcpy(to + static_cast<size_t>(i - first) * row, from + static_cast<size_t>(order[static_cast<size_t>(i)]) * row, row);
}

double epoch_of(BoltzmannLearner& learner, const Tensor& data, const FitOptions& o, int64_t epoch, const Tensor& buffer) {
  const int64_t n = data.dim(0);
  const std::vector<int64_t> order = Random(o.seed, "order", static_cast<uint64_t>(epoch)).permutation(n);
  learner.set_epoch(epoch - 1);
  double error = 0;
  for (int64_t first = 0; first < n; first += o.batch) {
    const int64_t last = std::min(n, first + o.batch);
    const Tensor batch = buffer.rows(0, last - first);
    gather(data, order, first, last, batch);
    batch.raise_version();
    error += learner.learn(batch) * static_cast<double>(last - first);
  }
  error /= static_cast<double>(n);
  if (!std::isfinite(error))
    throw NumericError(std::string("[") + learner.kind() + "] the reconstruction is not finite in epoch " + std::to_string(epoch) +
                       "; lower the rate, " + std::to_string(learner.rule().rate) + " now");
  return error;
}

double mean_of(const Tensor& t) { return t ? mean(t).item() : std::nan(""); }

void look(const BoltzmannLearner& learner, const Tensor& data, const FitOptions& o, BoltzmannEpoch& e) {
  const NoGrad values;
  e.pseudo_likelihood = e.free_energy_gap = std::nan("");
  if (!o.monitor) return;
  e.pseudo_likelihood = learner.pseudo_likelihood(data.rows(0, std::min<int64_t>(1000, data.dim(0))));
  if (!o.held_out) return;
  const int64_t n = std::min(data.dim(0), o.held_out.dim(0));
  e.free_energy_gap = mean_of(learner.free_energy(o.held_out.rows(0, n))) - mean_of(learner.free_energy(data.rows(0, n)));
}

std::string recipe_of(const BoltzmannLearner& learner, const Tensor& data, const FitOptions& o) {
  nlohmann::ordered_json j{{"learner", nlohmann::ordered_json::parse(learner.recipe())},
                           {"batch", o.batch},
                           {"order", o.seed},
                           {"data", to_string(data.shape()) + " crc32c " + std::to_string(crc32c({static_cast<const char*>(data.raw()), static_cast<size_t>(data.bytes())}))}};
  if (!o.recipe.empty()) j["recipe"] = o.recipe;
  return j.dump();
}

void check(const BoltzmannLearner& learner, const Tensor& data, const FitOptions& o) {
  const std::string who = std::string("[") + learner.kind() + "] ";
  if (!data || data.rank() < 2 || data.dim(0) < 1) throw ShapeError(who + "data must be (N, …) with one row or more" + (data ? ", got " + to_string(data.shape()) : ""));
  if (data.device() != Device::cpu) throw DeviceError(who + "the data must be on the CPU; batches go where the model is");
  if (o.batch < 1 || o.epochs < 0) throw Error(who + "batch must be at least 1 and epochs not negative");
}

}  // namespace

std::vector<BoltzmannEpoch> fit(BoltzmannLearner& learner, const Tensor& data, const FitOptions& o) {
  check(learner, data, o);
  Training training{.model = learner.model(), .optimizer = &learner, .recipe = recipe_of(learner, data, o)};
  const std::string checkpoint = o.folder + "/last.safetensors";
  std::optional<MetricsLog> metrics;
  if (!o.folder.empty()) {
    std::filesystem::create_directories(o.folder);
    if (std::filesystem::exists(checkpoint)) {
      if (!o.resume) throw FileError(o.folder + ": has a training already; resume it, or choose another folder");
      load_checkpoint(checkpoint, training);
    }
    metrics.emplace(o.folder + "/metrics.jsonl", training.epoch);
  }
  Shape shape = data.shape();
  shape[0] = std::min(o.batch, data.dim(0));
  const Tensor buffer(shape, data.dtype());
  std::vector<BoltzmannEpoch> epochs;
  for (int64_t e = training.epoch + 1; e <= o.epochs; e++) {
    const auto start = std::chrono::steady_clock::now();
    BoltzmannEpoch seen{.epoch = e};
    seen.reconstruction = epoch_of(learner, data, o, e, buffer);
    look(learner, data, o, seen);
    seen.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    training.epoch = e, training.step = learner.steps(), training.seconds += seen.seconds;
    if (metrics) {
      metrics->add(e, {{"reconstruction", seen.reconstruction},
                       {"pseudo_likelihood", seen.pseudo_likelihood},
                       {"free_energy_gap", seen.free_energy_gap},
                       {"seconds", seen.seconds}});
      save_checkpoint(checkpoint, training);
    }
    epochs.push_back(seen);
    if (o.on_epoch && !o.on_epoch(seen)) break;
  }
  return epochs;
}

// ---- monitors ------------------------------------------------------------------------------------------------------------------------------
namespace {

// n log sigmoid(F(v with unit[r] of row r flipped) - F(v)), (N) f64.
Tensor flipped_likelihood(const Rbm& rbm, const Tensor& v, const Tensor& f, const std::vector<int64_t>& unit) {
  const Tensor flipped = v.detach().clone();
  const int64_t n = v.dim(1);
  visit_real("pseudo-likelihood", v.dtype(), [&]<class T>() {
    for (int64_t r = 0; r < v.dim(0); r++) {
      T& value = flipped.data<T>()[r * n + unit[static_cast<size_t>(r)]];
      value = 1 - value;
    }
  });
  const Tensor difference = (rbm.free_energy(flipped) - f).to(Dtype::f64);
  return -static_cast<double>(n) * softplus(-difference);
}

}  // namespace

double pseudo_likelihood(const Rbm& rbm, const Tensor& v, Draw draw, bool exact) {
  if (rbm.units() != VisibleUnits::bernoulli) throw Error("[pseudo-likelihood] is of bernoulli visible units");
  const NoGrad values;
  const Tensor f = rbm.free_energy(v);
  std::vector<int64_t> unit(static_cast<size_t>(v.dim(0)));
  if (!exact) {
    Random random(draw.seed, "pseudo-likelihood", draw.stream);
    for (int64_t& i : unit) i = random.below(v.dim(1));
    return mean(flipped_likelihood(rbm, v, f, unit)).item();
  }
  double total = 0;  // the mean over units of n times each is their sum
  for (int64_t i = 0; i < v.dim(1); i++) {
    std::fill(unit.begin(), unit.end(), i);
    total += mean(flipped_likelihood(rbm, v, f, unit)).item();
  }
  return total / static_cast<double>(v.dim(1));
}

double free_energy_gap(const Rbm& rbm, const Tensor& train, const Tensor& held_out) {
  const NoGrad values;
  return mean(rbm.free_energy(held_out)).item() - mean(rbm.free_energy(train)).item();
}

}  // namespace sono
