#pragma once
// Optimisers: what changes the weights, given their gradients. The rules are written out at their kernels in tensor/kernels.h.
//
//   Adam optimizer(model, {.rate = 1e-3, .groups = {{.pattern = "*.bias", .weight_decay = 0}}});
//   for (…) { optimizer.zero_gradients(); backward(loss(model(x), y)); optimizer.step(); }
//   optimizer.state();                               // named tensors, for a checkpoint
//
// One step is one pass over all parameters on several threads; the result does not depend on their number.
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/module.h"
#include "tensor/files.h"
#include "tensor/kernels.h"

namespace sono {

// What is learnt: the parameters of a model, which must outlive it, or leaves by name. Made implicitly from either.
// Parameters that are frozen, or moved to another dtype or device, are seen as they are at each use.
class Parameters {
 public:
  Parameters(const Module& model) : entries_(model.parameters()) {}
  Parameters(const NamedTensors& leaves);
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  size_t size() const { return entries_.size(); }
  const Module::Entry& operator[](size_t i) const { return entries_[i]; }

 private:
  std::shared_ptr<std::deque<Tensor>> leaves_;
  std::vector<Module::Entry> entries_;
};

// Parameters whose path matches the pattern have a learning rate or weight decay of their own; the first group that matches counts.
struct ParameterGroup {
  std::string pattern = "*";
  std::optional<double> rate = {}, weight_decay = {};
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Changes the parameters by the gradients that backward() has added up. Those without a gradient stay as they are.
  virtual void step();
  // Calls f, which computes the loss and its gradients (from zero), and makes one step; returns the loss. L-BFGS calls f several times.
  virtual double step(const std::function<double()>& f);
  void zero_gradients();

  double rate() const { return rate_ * factor_; }  // of parameters in no group with a rate of its own
  double rate_factor() const { return factor_; }
  void set_rate_factor(double factor) { factor_ = factor; }  // a schedule's business: multiplies the rate of every group

  virtual const char* kind() const = 0;  // "adam"
  const Parameters& parameters() const { return parameters_; }

  // "conv1.weight.momentum" …, and "conv1.weight.step": how often that parameter was changed. load_state takes what state() gave;
  // ShapeError if a name is unknown or a shape differs, and nothing is changed then.
  virtual NamedTensors state() const;
  virtual void load_state(const NamedTensors& state);

 protected:
  Optimizer(Parameters parameters, double rate, double weight_decay, std::vector<ParameterGroup> groups);

  // The names of what is kept per parameter, in the order first, second, third of the slots; an empty name: nothing there.
  virtual std::vector<std::string> state_names() const = 0;
  virtual double initial_state() const { return 0; }
  virtual void update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) = 0;

  Parameters parameters_;
  double rate_, factor_ = 1;

 private:
  struct Kept {
    Tensor values[3];
    int64_t step = 0;
  };
  struct Group {
    double rate, weight_decay;
    std::vector<size_t> members;
  };  // members: places in parameters_
  kernels::OptimizerSlot slot(size_t i, const Tensor& gradient);
  std::vector<Group> groups_;
  std::vector<Kept> kept_;
};

// Stochastic gradient descent. Defaults, momentum and Nesterov as PyTorch has them. With sutskever the momentum rises as
// min(1 - 2^(-1 - log2(floor(t / 250) + 1)), momentum) at step t = 0, 1, … [Sutskever et al., ICML 2013].
struct SgdOptions {
  double rate = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, sutskever = false;
  std::vector<ParameterGroup> groups = {};
  std::function<double(int64_t step)> momentum_at = {};  // the momentum of step t = 0, 1, … in place of both: schedules::momentum(…)
};
double sutskever_momentum(int64_t t, double most);
class Sgd : public Optimizer {
 public:
  Sgd(Parameters parameters, SgdOptions options = {});
  const char* kind() const override { return "sgd"; }

 private:
  std::vector<std::string> state_names() const override;
  void update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) override;
  SgdOptions options_;
};

struct AdagradOptions {
  double rate = 1e-2, rate_decay = 0, weight_decay = 0, initial = 0, epsilon = 1e-10;
  std::vector<ParameterGroup> groups = {};
};
class Adagrad : public Optimizer {
 public:
  Adagrad(Parameters parameters, AdagradOptions options = {});
  const char* kind() const override { return "adagrad"; }

 private:
  std::vector<std::string> state_names() const override { return {"sum"}; }
  double initial_state() const override { return options_.initial; }
  void update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) override;
  AdagradOptions options_;
};

struct RmspropOptions {
  double rate = 1e-2, decay = 0.99, epsilon = 1e-8, weight_decay = 0, momentum = 0;
  bool centred = false;
  std::vector<ParameterGroup> groups = {};
};
class Rmsprop : public Optimizer {
 public:
  Rmsprop(Parameters parameters, RmspropOptions options = {});
  const char* kind() const override { return "rmsprop"; }

 private:
  std::vector<std::string> state_names() const override;
  void update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) override;
  RmspropOptions options_;
};

// Adam adds weight decay to the gradient; AdamW shrinks the weights beside it and has weight_decay = 0.01 unless it is given.
struct AdamOptions {
  double rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  std::optional<double> weight_decay = {};
  bool amsgrad = false;
  std::vector<ParameterGroup> groups = {};
};
class Adam : public Optimizer {
 public:
  Adam(Parameters parameters, AdamOptions options = {}) : Adam(std::move(parameters), std::move(options), false) {}
  const char* kind() const override { return "adam"; }

 protected:
  Adam(Parameters parameters, AdamOptions options, bool decoupled);

 private:
  std::vector<std::string> state_names() const override;
  void update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) override;
  AdamOptions options_;
  bool decoupled_;
};
class AdamW : public Adam {
 public:
  AdamW(Parameters parameters, AdamOptions options = {}) : Adam(std::move(parameters), std::move(options), true) {}
  const char* kind() const override { return "adamw"; }
};

}  // namespace sono
