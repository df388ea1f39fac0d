// Learning of RBMs: gradients, exact likelihoods, samples, monitors, and the same bits in all circumstances.
#include "optim/contrastive_divergence.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "layers/linear.h"
#include "layers/loss.h"
#include "optim/conv_contrastive_divergence.h"
#include "optim/gated_learning.h"
#include "optim/lbfgs.h"
#include "optim/partition.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "tests/folder.h"
#include "tests/message.h"
#include "tests/optim/energy_models.h"

using namespace sono;
using namespace sono::tests;

namespace {

std::vector<Tensor> leaves(const Module& module) {
  std::vector<Tensor> all;
  for (const auto& e : module.trainable()) all.push_back(*e.value);
  return all;
}

// Largest difference between the learner's gradients and those of `objective`, by autograd.
double gradient_difference(BoltzmannLearner& learner, const Tensor& batch, const std::function<Tensor()>& objective) {
  learner.compute_gradients(batch);
  const std::vector<Tensor> parameters = leaves(learner.model());
  std::vector<Tensor> found;
  for (const Tensor& p : parameters) found.push_back(gradient(p).clone());
  const std::vector<Tensor> wanted = grad(objective(), parameters);
  double worst = 0;
  for (size_t i = 0; i < parameters.size(); i++) worst = std::max(worst, largest(found[i] - wanted[i]));
  return worst;
}

}  // namespace

TEST_CASE("contrastive divergence has the gradient of F(data) - F(model's sample)") {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32})
    for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian})
      for (const bool persistent : {false, true})
        for (const int64_t steps : {1, 3})
          for (const bool sample_visible : {true, false}) {
            Rbm rbm({.visible = 17, .hidden = 11, .units = units, .learn_variance = units == VisibleUnits::gaussian});
            randomise(rbm, 0.4, dtype);
            ContrastiveDivergence cd(
                rbm, {.rule = {.seed = 3}, .steps = steps, .sample_visible = sample_visible, .persistent = persistent, .chains = 9});
            const Tensor v = random_uniform({13, 17}, 1, 1, 0, 1, dtype);
            const double off = gradient_difference(cd, v, [&] { return mean(rbm.free_energy(v)) - mean(rbm.free_energy(cd.negative())); });
            CHECK(off < (dtype == Dtype::f64 ? 1e-12 : 2e-5));
          }
}

TEST_CASE("convolutional contrastive divergence has the gradient of F(data) - F(model's sample) per position") {
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian}) {
    ConvRbm rbm({.in = 2, .hidden = 3, .kernel = 3, .pool = 2, .units = units});
    randomise(rbm, 0.4, Dtype::f64);
    ConvContrastiveDivergence cd(rbm, {.rule = {.seed = 3}, .steps = 2, .sample_visible = units == VisibleUnits::gaussian});
    const Tensor v = random_uniform({5, 8, 6, 2}, 1, 1, 0, 1, Dtype::f64);
    CHECK(gradient_difference(cd, v, [&] { return (sum(rbm.free_energy(v)) - sum(rbm.free_energy(cd.negative()))) / (5.0 * 6 * 4); }) <
          1e-12);
  }
}

TEST_CASE("gated contrastive divergence has the gradient of E(data) - E(chain) at the inferred means") {
  GatedRbm gated({.visible = 12, .relevant = 5, .irrelevant = 4});
  randomise(gated, 0.4, Dtype::f64);
  GatedLearning learning(gated, {.rule = {.seed = 3}, .steps = 3, .sample_visible = true});
  const Tensor v = random_uniform({7, 12}, 1, 1, 0, 1, Dtype::f64);
  const auto energy = [&](const Tensor& x) {
    GatedRbm::Hidden h = gated.infer(x);
    h.relevant = h.relevant.detach(), h.irrelevant = h.irrelevant.detach(), h.gate = h.gate.detach();
    return mean(gated.energy(x, h));
  };
  CHECK(gradient_difference(learning, v, [&] { return energy(v) - energy(learning.negative()); }) < 1e-12);
}

TEST_CASE("many long chains give the gradient of the exact log-likelihood within their sampling error") {
  Rbm rbm({.visible = 6, .hidden = 5});
  randomise(rbm, 0.5, Dtype::f32);
  const Tensor v = (random_uniform({40, 6}, 1, 1) > 0.4).to(Dtype::f32), states = all_states(6);
  const int64_t chains = 20000;
  ContrastiveDivergence pcd(rbm, {.rule = {.seed = 3}, .steps = 60, .persistent = true, .chains = chains});
  // -mean log P(v) = mean F(v) + log Z, log Z = log sum over v of exp(-F(v)).
  CHECK(gradient_difference(pcd, v, [&] { return mean(rbm.free_energy(v)) + logsumexp(-rbm.free_energy(states)); }) <
        5 * 0.5 / std::sqrt(static_cast<double>(chains)));
}

TEST_CASE("samples of a trained machine pass a chi-square test against its exact probabilities") {
  const Tensor data = bars_and_stripes(3);
  for (const int64_t temperatures : {1, 5}) {
    set_seed(5);
    Rbm rbm({.visible = 9, .hidden = 8, .deviation = 0.1});
    rbm.fit_visible(data);
    ContrastiveDivergence pcd(rbm, {.rule = {.rate = 0.05, .final_momentum = 0.5, .weight_decay = 1e-3, .seed = 1},
                                    .persistent = true,
                                    .chains = 50,
                                    .temperatures = temperatures});
    const auto exact = [&] { return mean(log_likelihood(rbm, data, exact_log_partition(rbm))).item(); };
    const double before = exact();
    fit(pcd, data, {.epochs = 1500, .batch = 16, .monitor = false});
    CHECK(exact() > before + 1);  // before: independent pixels
    const int64_t n = 5000;
    const Tensor p = exact_probabilities(rbm), sample = rbm.gibbs(Tensor::full({n, 9}, 0.5), 300, {.seed = 9}).sample;
    std::vector<double> count(512);
    for (int64_t r = 0; r < n; r++) {
      size_t s = 0;
      for (int64_t i = 0; i < 9; i++) s |= static_cast<size_t>(sample.data<float>()[r * 9 + i]) << i;
      count[s]++;
    }
    double chi_square = 0, rare_count = 0, rare_expected = 0, bins = 0;
    for (size_t s = 0; s < 512; s++) {
      const double expected = p.data<double>()[s] * static_cast<double>(n);
      if (expected < 5)
        rare_count += count[s], rare_expected += expected;
      else
        chi_square += (count[s] - expected) * (count[s] - expected) / expected, bins++;
    }
    if (rare_expected > 5) chi_square += (rare_count - rare_expected) * (rare_count - rare_expected) / rare_expected, bins++;
    const double free = bins - 1, z = 3.09;  // Wilson and Hilferty's approximation of the quantile of 0.999
    CHECK(bins > 20);
    CHECK(chi_square < free * std::pow(1 - 2 / (9 * free) + z * std::sqrt(2 / (9 * free)), 3));
  }
}

TEST_CASE("the rule: momentum, weight decay of weights alone, falling rate, sparsity on hidden biases alone") {
  Rbm rbm({.visible = 5, .hidden = 4, .deviation = 0.5});
  const LearningRule rule{
      .rate = 0.1, .rate_decay = 0.5, .momentum = 0.5, .final_momentum = 0.9, .momentum_epochs = 1, .weight_decay = 0.01};
  ContrastiveDivergence cd(rbm, {.rule = rule});
  const Tensor v = random_uniform({10, 5}, 1, 1);
  Tensor w = rbm.weight.detach().clone(), b = rbm.hidden_bias.detach().clone(), speed_w = Tensor::zeros({5, 4}),
         speed_b = Tensor::zeros({4});
  for (int epoch = 0; epoch < 3; epoch++) {
    cd.set_epoch(epoch);
    cd.learn(v);
    const double m = epoch < 1 ? 0.5 : 0.9, rate = 0.1 / (1 + 0.5 * epoch);
    speed_w = speed_w * m + gradient(rbm.weight) + w * 0.01, speed_b = speed_b * m + gradient(rbm.hidden_bias);
    w = w - speed_w * rate, b = b - speed_b * rate;
    CHECK(largest(rbm.weight - w) < 1e-6);
    CHECK(largest(rbm.hidden_bias - b) < 1e-6);
  }
  CHECK(cd.steps() == 3);

  Rbm plain({.visible = 5, .hidden = 4}), sparse({.visible = 5, .hidden = 4});
  sparse.load(plain.state());
  ContrastiveDivergence one(plain, {.rule = {}}), two(sparse, {.rule = {.sparsity_target = 0.1, .sparsity_cost = 0.5}});
  one.compute_gradients(v), two.compute_gradients(v);
  CHECK(largest(gradient(plain.weight) - gradient(sparse.weight)) == 0);
  const Tensor activity = mean(plain(v), {0}).detach();
  CHECK(largest(gradient(sparse.hidden_bias) - gradient(plain.hidden_bias) + 0.5 * (0.1 - activity)) < 1e-6);
  CHECK(contains(message([&] { ContrastiveDivergence(rbm, {.rule = {.momentum = 1}}); }), "momentum must be in [0, 1)"));
}

TEST_CASE("a sparsity target is reached") {
  const Digits digits;
  set_seed(2);
  Rbm rbm({.visible = 64, .hidden = 50});
  ContrastiveDivergence cd(rbm, {.rule = {.sparsity_target = 0.1, .sparsity_cost = 1}});
  fit(cd, digits.train, {.epochs = 15, .batch = 50, .monitor = false});
  CHECK(mean(rbm(digits.test)).item() == doctest::Approx(0.1).epsilon(0.2));
}

// ---- the same bits
// -----------------------------------------------------------------------------------------------------------------------------
namespace {

struct Setup {
  std::shared_ptr<Module> model;
  std::shared_ptr<BoltzmannLearner> learner;
  Tensor data;
};

Setup setup(const std::string& name) {
  set_seed(4);
  const LearningRule rule{.rate = 0.02, .rate_decay = 0.1, .momentum_epochs = 2, .sparsity_target = 0.2, .seed = 7};
  const Tensor binary = random_uniform({53, 30}, 1, 1);
  const auto rbm_setup = [&](VisibleUnits units, ContrastiveDivergenceOptions options) {
    const auto rbm =
        std::make_shared<Rbm>(RbmOptions{.visible = 30, .hidden = 40, .units = units, .learn_variance = units == VisibleUnits::gaussian});
    options.rule = rule;
    return Setup{rbm, std::make_shared<ContrastiveDivergence>(*rbm, options),
                 units == VisibleUnits::gaussian ? random_normal({53, 30}, 1, 1) : binary};
  };
  if (name == "cd-2") return rbm_setup(VisibleUnits::bernoulli, {.steps = 2, .sample_visible = true});
  if (name == "pcd") return rbm_setup(VisibleUnits::bernoulli, {.persistent = true});
  if (name == "tempering") return rbm_setup(VisibleUnits::bernoulli, {.persistent = true, .chains = 11, .temperatures = 4});
  if (name == "gaussian") return rbm_setup(VisibleUnits::gaussian, {.persistent = true});
  if (name == "conv") {
    const auto rbm = std::make_shared<ConvRbm>(ConvRbmOptions{.in = 1, .hidden = 5, .kernel = 3, .pool = 2});
    return {rbm, std::make_shared<ConvContrastiveDivergence>(*rbm, ConvContrastiveDivergenceOptions{.rule = rule}),
            random_uniform({21, 8, 8, 1}, 1, 1)};
  }
  const auto gated = std::make_shared<GatedRbm>(GatedRbmOptions{.visible = 30, .relevant = 12, .irrelevant = 9});
  return {gated, std::make_shared<GatedLearning>(*gated, GatedLearningOptions{.rule = rule, .steps = 2}), binary};
}

std::vector<float> trained(const std::string& name, int threads, const FitOptions& options) {
  set_threads(threads);
  const Setup s = setup(name);
  fit(*s.learner, s.data, options);
  set_threads(0);
  return bits_of(*s.model);
}

}  // namespace

TEST_CASE("one and two threads, twice, and a training that was stopped and resumed give the same bits") {
  for (const std::string name : {"cd-2", "pcd", "tempering", "gaussian", "conv", "gated"}) {
    CAPTURE(name);
    const FitOptions whole{.epochs = 4, .batch = 20, .monitor = false};
    const std::vector<float> one = trained(name, 1, whole);
    CHECK(one == trained(name, 2, whole));
    CHECK(one == trained(name, 2, whole));
    const Folder folder("energy_" + name);
    trained(name, 2, {.epochs = 4, .batch = 20, .monitor = false, .folder = folder.path, .on_epoch = [](const BoltzmannEpoch& e) {
                        return e.epoch < 2;
                      }});
    CHECK(one != trained(name, 1, {.epochs = 2, .batch = 20, .monitor = false, .folder = folder.path, .resume = true}));
    CHECK(one == trained(name, 1, {.epochs = 4, .batch = 20, .monitor = false, .folder = folder.path, .resume = true}));
    CHECK(read_metrics(folder / "metrics.jsonl").size() == 4);
  }
}

TEST_CASE("what does not fit is refused in one line") {
  const Folder folder("energy_refused");
  const Setup s = setup("cd-2");
  const FitOptions options{.epochs = 1, .folder = folder.path};
  fit(*s.learner, s.data, options);
  CHECK(contains(message([&] { fit(*setup("cd-2").learner, s.data, options); }),
                 "has a training already; resume it, or choose another folder"));
  FitOptions again = options;
  again.resume = true;
  CHECK(contains(message([&] { fit(*setup("pcd").learner, s.data, again); }), "was trained with other settings"));
  CHECK(contains(message([&] { fit(*setup("cd-2").learner, s.data.rows(0, 50), again); }), "was trained with other settings: data"));
  CHECK(message([&] { s.learner->learn(s.data * 2.0); }).starts_with("[rbm] visible values must lie in [0, 1], got "));
  CHECK(contains(message([&] { s.learner->learn(Tensor::zeros({3, 29})); }), "expected (N, 30), got (3, 29)"));
  CHECK(contains(message([&] { fit(*s.learner, Tensor()); }), "one row or more"));
  Rbm wild({.visible = 30, .hidden = 4, .units = VisibleUnits::gaussian});
  ContrastiveDivergence cd(wild, {.rule = {.rate = 1e6}});
  CHECK(contains(message([&] { fit(cd, random_normal({200, 30}, 1, 1) * 100.0, {.epochs = 60, .batch = 20}); }), "lower the rate"));
  CHECK(contains(message([&] { ContrastiveDivergence(wild, {.persistent = true, .temperatures = 3}); }), "bernoulli visible units"));
}

TEST_CASE("nothing is asked of the system after the first batches") {
  set_threads(1);
  for (const std::string name : {"cd-2", "pcd"}) {
    const Setup s = setup(name);
    for (int i = 0; i < 3; i++) s.learner->learn(s.data.rows(0, 20));
    const MemoryStats before = memory_stats();
    for (int i = 0; i < 5; i++) s.learner->learn(s.data.rows(0, 20));
    CHECK(memory_stats().system_allocations == before.system_allocations);
    CHECK(memory_stats().live == before.live);
  }
  set_threads(0);
}

TEST_CASE("monitors: the pseudo-likelihood's estimate is right on average, the gap is the difference of free energies") {
  Rbm rbm({.visible = 5, .hidden = 3});
  randomise(rbm, 0.7, Dtype::f64);
  const Tensor v = (random_uniform({4, 5}, 1, 1, 0, 1, Dtype::f64) > 0.5).to(Dtype::f64);
  // log P(v_i | the other units) from exact probabilities, times the units, on average over them.
  const Tensor p = exact_probabilities(rbm);
  double expected = 0;
  for (int64_t r = 0; r < 4; r++) {
    size_t s = 0;
    for (int64_t i = 0; i < 5; i++) s |= static_cast<size_t>(v.at({r, i})) << i;
    for (int64_t i = 0; i < 5; i++)
      expected += std::log(p.data<double>()[s] / (p.data<double>()[s] + p.data<double>()[s ^ (size_t{1} << i)])) / 4;
  }
  CHECK(pseudo_likelihood(rbm, v, {}, true) == doctest::Approx(expected).epsilon(1e-9));
  double sum = 0;
  for (uint64_t i = 0; i < 2000; i++) sum += pseudo_likelihood(rbm, v, {.seed = i}) / 2000;
  CHECK(sum == doctest::Approx(expected).epsilon(0.02));
  CHECK(free_energy_gap(rbm, v.rows(0, 2), v.rows(2, 4)) ==
        doctest::Approx(mean(rbm.free_energy(v.rows(2, 4))).item() - mean(rbm.free_energy(v.rows(0, 2))).item()));
  CHECK(contains(message([] {
                   pseudo_likelihood(Rbm({.visible = 2, .hidden = 2, .units = VisibleUnits::gaussian}), Tensor::zeros({1, 2}));
                 }),
                 "bernoulli"));
}

// ---- digits
// ------------------------------------------------------------------------------------------------------------------------------------
namespace {

// scikit-learn's LogisticRegression(C): minimises C sum of the losses + |W|^2 / 2. Returns the accuracy on the held-out rows.
double logistic_accuracy(const Tensor& x, const Tensor& y, const Tensor& test, const Tensor& test_y, double C) {
  Linear head({.in = x.dim(1), .out = 10});
  head.weight.fill(0), head.bias.fill(0);
  Lbfgs lbfgs(head, {.max_iterations = 300});
  lbfgs.step([&] {
    lbfgs.zero_gradients();
    const Tensor loss = cross_entropy(head(x), y) + sum(square(head.weight)) * (0.5 / (C * static_cast<double>(x.dim(0))));
    backward(loss);
    return loss.item();
  });
  const NoGrad values;
  return fraction_right(head(test), test_y);
}

}  // namespace

TEST_CASE("digits: pseudo-likelihood and a logistic head not below scikit-learn's, at equal size and epochs") {
  const auto golden = nlohmann::json::parse(read_file(SONO_SOURCE_DIR "/tests/data/digits_sklearn.json"));
  const Digits digits;
  set_seed(1);
  Rbm rbm({.visible = 64, .hidden = golden["hidden"].get<int64_t>()});
  ContrastiveDivergence cd(rbm, {.rule = {.rate = 0.05}});
  const auto epochs =
      fit(cd, digits.train, {.epochs = golden["epochs"].get<int64_t>(), .batch = golden["batch"].get<int64_t>(), .held_out = digits.test});
  const double likelihood = pseudo_likelihood(rbm, digits.test, {}, true);
  const auto features = [&](const Tensor& v) { return rbm(v).detach(); };
  const double accuracy =
      logistic_accuracy(features(digits.train), digits.train_labels, features(digits.test), digits.test_labels, golden["C"].get<double>());
  MESSAGE("pseudo-likelihood " << likelihood << " (scikit-learn " << golden["pseudo_likelihood"].get<double>() << "), accuracy " << accuracy
                               << " (" << golden["accuracy"].get<double>() << ")");
  CHECK(likelihood > golden["pseudo_likelihood"].get<double>());
  CHECK(accuracy > golden["accuracy"].get<double>());
  CHECK(epochs.back().pseudo_likelihood > epochs.front().pseudo_likelihood);
  CHECK(epochs.back().reconstruction < epochs.front().reconstruction);
  CHECK(std::abs(epochs.back().free_energy_gap) < 0.1 * std::abs(mean(rbm.free_energy(digits.test)).item()));
}
