#pragma once
// What all learners of energy-based models share: the rule that turns statistics into new weights, and the loop over epochs.
//
//   ContrastiveDivergence cd(rbm, {.rate = 0.05});
//   fit(cd, images, {.epochs = 20, .batch = 100, .folder = "run", .resume = true});
//
// A learner is an Optimizer: its gradient is minus the usual statistics, -(<dE-terms>_data - <…>_model), averaged over the batch, and its
// rule is momentum: v = m v + gradient + weight_decay w, w -= rate_t v. It may stand in a checkpoint like any other; its state also holds
// chains, running means and the count of steps, so that a training that was stopped goes on to bitwise the same weights.
// Deviations of Gaussian units (log_deviation) learn at a tenth of the rate.
//
// All draws are functions of (seed, step, place): the same on any number of threads.
#include "layers/units.h"
#include "optim/checkpoint.h"
#include "optim/log.h"

namespace sono {

// Defaults after Hinton, "A practical guide to training restricted Boltzmann machines", 2010. Rates are per batch mean, not per sum.
struct LearningRule {
  double rate = 0.05;          // 0.005 and less for Gaussian visible units
  double rate_decay = 0;       // rate_t = rate / (1 + rate_decay t), t epochs done
  double momentum = 0.5, final_momentum = 0.9;
  int64_t momentum_epochs = 5;  // epochs with the first momentum
  double weight_decay = 1e-4;   // L2, of weights; biases have none
  // Sparsity [Lee et al., NIPS 2007; Hinton 2010 §11]: q = sparsity_decay q + (1 - sparsity_decay) (mean activation of the batch), and
  // sparsity_cost (target - q) is added to what moves the hidden biases. 0: off.
  double sparsity_target = 0, sparsity_cost = 0.1, sparsity_decay = 0.9;
  uint64_t seed = 0;
};

class BoltzmannLearner : public Optimizer {
 public:
  // One batch (N, …): statistics, gradients, new weights. Returns the mean squared error of the one-step reconstruction per value, which is a
  // sign of life and not what is minimised. Refuses impossible values in one line.
  double learn(const Tensor& batch);
  // The gradients alone, put where gradient(parameter) finds them; what learn() does before it moves the weights. Draws as the next learn().
  virtual double compute_gradients(const Tensor& batch) = 0;

  virtual Module& model() const = 0;
  virtual Tensor free_energy(const Tensor& v) const;  // (N), for the gap monitor; an empty handle where the model has none
  virtual double pseudo_likelihood(const Tensor& v) const;  // mean over rows; NaN where the model has none

  void set_epoch(int64_t epochs_done);  // momentum and rate follow; fit() calls it
  int64_t steps() const { return steps_; }
  double momentum() const;
  const LearningRule& rule() const { return rule_; }
  std::string recipe() const;  // kind, rule and settings as JSON: what must be the same on resuming

  NamedTensors state() const override;  // velocities, "learner.steps", "learner.activity" and what own_state() adds
  void load_state(const NamedTensors& state) override;

 protected:
  BoltzmannLearner(Module& model, const LearningRule& rule);
  // What goes from one step to the next beside weights and velocities (chains), by name. take_state replaces it; what is not named is empty.
  virtual NamedTensors own_state() const { return {}; }
  virtual void take_state(const NamedTensors& state);
  using Settings = std::vector<std::pair<std::string, double>>;
  virtual Settings own_settings() const { return {}; }  // for recipe()

  Draw draw(std::string_view purpose, uint64_t i = 0) const;  // of this step
  static void put_gradient(const Tensor& parameter, const Tensor& gradient);  // frozen parameters are passed over
  // activity (hidden): batch means of P(h = 1 | data). Changes bias_gradient in place; key: which bias, if there are several.
  void add_sparsity(const Tensor& activity, const Tensor& bias_gradient, size_t key = 0);

  int64_t steps_ = 0, epoch_ = 0;

 private:
  std::vector<std::string> state_names() const override;
  void update(std::span<const kernels::OptimizerSlot> slots, double rate, double weight_decay) override;
  LearningRule rule_;
  std::vector<Tensor> activity_;  // running means
};

// What a look at the model after an epoch found. pseudo_likelihood and gap: NaN if the model has none or no held-out data was given.
struct BoltzmannEpoch {
  int64_t epoch = 0;  // from 1
  double reconstruction = 0;     // mean squared error over the epoch's batches
  double pseudo_likelihood = 0;  // mean over up to 1000 rows of the training data
  double free_energy_gap = 0;    // mean F(held out) - mean F(as many rows of training data): rises when the model overfits
  double seconds = 0;
};

struct FitOptions {
  int64_t epochs = 10, batch = 100;  // the last batch of an epoch may be smaller
  uint64_t seed = 0;                 // of the order of the rows
  Tensor held_out = {};
  bool monitor = true;      // pseudo-likelihood and free energies after each epoch
  std::string folder = {};  // last.safetensors and metrics.jsonl after each epoch; made if needed; empty: nothing is written
  bool resume = false;      // go on from the folder's checkpoint if there is one; false: a folder that has one is refused
  std::string recipe = {};  // what must be the same on resuming
  std::function<bool(const BoltzmannEpoch&)> on_epoch = {};  // false: stop here
};

// Epochs of batches in an order that depends on (seed, epoch) alone. Returns what was seen after each epoch of this call.
std::vector<BoltzmannEpoch> fit(BoltzmannLearner& learner, const Tensor& data, const FitOptions& options = {});

// ---- monitors ------------------------------------------------------------------------------------------------------------------------------
class Rbm;
// Besag's pseudo-likelihood, estimated with one random unit i per row: mean of n log sigmoid(F(v with unit i flipped) - F(v)). Bernoulli
// visible units only. exact: all units of every row.
double pseudo_likelihood(const Rbm& rbm, const Tensor& v, Draw draw = {}, bool exact = false);
double free_energy_gap(const Rbm& rbm, const Tensor& train, const Tensor& held_out);  // mean F(held_out) - mean F(train)

}  // namespace sono
