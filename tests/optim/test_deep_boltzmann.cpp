// Learning of deep belief networks and deep Boltzmann machines.
#include <doctest/doctest.h>

#include <cmath>

#include "optim/dbm_learning.h"
#include "optim/dbn_training.h"
#include "optim/partition.h"
#include "optim/rbm_layer.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "tests/folder.h"
#include "tests/message.h"
#include "tests/optim/energy_models.h"

using namespace sono;
using namespace sono::tests;

namespace {

// Mean log-likelihood of binary rows under independent units of the data's means, each mean drawn towards 1/2 by one count.
double independent_units(const Tensor& v) {
  const double n = static_cast<double>(v.dim(0));
  const Tensor p = (sum(v.to(Dtype::f64), {0}) + 1.0) / (n + 2), x = v.to(Dtype::f64);
  return mean(sum(x * log(p) + (1.0 - x) * log(1.0 - p), {1})).item();
}

// log P(v) of a Dbn of two layers: P(v) = sum over h of P(v | h) P_top(h).
double mean_log_likelihood(const Dbn& dbn, const Tensor& v) {
  const NoGrad values;
  const Tensor h = all_states(dbn.top().visible()), q = dbn.below(h, 0),
               prior = log_likelihood(dbn.top(), h, exact_log_partition(dbn.top()));
  const Tensor given = matmul(v, log(q), false, true) + matmul(1.0 - v, log(1.0 - q), false, true);  // (N, states)
  return mean(logsumexp(given.to(Dtype::f64) + prior, {1})).item();
}

// log P(v) of a Dbm: -F(v) by the sum over the states of its two hidden layers.
double mean_log_likelihood(const Dbm& dbm, const Tensor& v) {
  const NoGrad values;
  const auto& w = dbm.options().widths;
  const Tensor h = all_states(w[1] + w[2]), h1 = slice(h, 1, 0, w[1]), h2 = slice(h, 1, w[1], w[1] + w[2]);
  double total = 0;
  for (int64_t r = 0; r < v.dim(0); r++) {
    const Tensor rows = broadcast_to(v.rows(r, r + 1), {h.dim(0), w[0]});
    total += logsumexp(-dbm.energy(rows, {h1, h2}).to(Dtype::f64)).item();
  }
  return total / static_cast<double>(v.dim(0)) - exact_log_partition(dbm);
}

}  // namespace

TEST_CASE("digits: a deep belief network, fine-tuned, is right on 97 % of what was held out") {
  const Digits digits;
  set_seed(3);
  Dbn dbn({.widths = {64, 200, 200}});
  pretrain(dbn, digits.train, {.epochs = 20, .batch = 20, .learning = {{.rule = {.rate = 0.05, .weight_decay = 2e-4}}}});
  const auto net = unroll(dbn, 10);
  fine_tune(*net, digits.train, digits.train_labels, {.epochs = 30, .batch = 20, .rate = 0.1});
  const double right = accuracy(*net, digits.test, digits.test_labels);
  MESSAGE("accuracy " << right);
  CHECK(right >= 0.97);
}

TEST_CASE("a deep belief network learns bars and stripes; up-down learning keeps its likelihood above independent units") {
  const Tensor data = bars_and_stripes(3);
  set_seed(4);
  Dbn dbn({.widths = {9, 8, 8}, .deviation = 0.1});
  pretrain(dbn, data, {.epochs = 1500, .batch = 16, .learning = {{.rule = {.rate = 0.1, .weight_decay = 1e-4}, .sample_visible = true}}});
  const double greedy = mean_log_likelihood(dbn, data);
  UpDown up_down(dbn, {.rule = {.rate = 0.05}, .steps = 5});
  fit(up_down, data, {.epochs = 1500, .batch = 16, .monitor = false});
  const double after = mean_log_likelihood(dbn, data), independent = independent_units(data);
  MESSAGE("log-likelihood: independent units " << independent << ", greedy " << greedy << ", up-down " << after);
  CHECK(greedy > independent + 0.5);
  CHECK(after > greedy);
}

TEST_CASE("deep Boltzmann learning has the gradient of E(mean field) - E(chains)") {
  Dbm dbm({.widths = {6, 5, 4, 3}});
  randomise(dbm, 0.4);
  DbmLearning learning(dbm, {.chains = 11});
  const Tensor v = random_uniform({7, 6}, 1, 1, 0, 1, Dtype::f64);
  learning.compute_gradients(v);
  std::vector<Tensor> mu, parameters;
  {
    const NoGrad values;
    mu = dbm.mean_field(v);
  }
  for (const auto& e : dbm.parameters()) parameters.push_back(*e.value);
  const auto& c = learning.chains();
  const std::vector<Tensor> wanted = grad(mean(dbm.energy(v, mu)) - mean(dbm.energy(c[0], {c.begin() + 1, c.end()})), parameters);
  for (size_t i = 0; i < parameters.size(); i++) CHECK(largest(gradient(parameters[i]) - wanted[i]) < 1e-12);
}

TEST_CASE("a deep Boltzmann machine, pre-trained and trained, beats independent units by exact likelihood") {
  const Tensor data = bars_and_stripes(3);
  set_seed(4);
  Dbm dbm({.widths = {9, 6, 4}, .deviation = 0.1});
  pretrain(dbm, data, {.epochs = 600, .batch = 16, .learning = {.rule = {.rate = 0.05, .weight_decay = 1e-3}, .sample_visible = true}});
  const double pretrained = mean_log_likelihood(dbm, data);
  DbmLearning learning(dbm, {.rule = {.rate = 0.02, .momentum = 0.5, .final_momentum = 0.5}, .chains = 100, .steps = 5});
  fit(learning, data, {.epochs = 1000, .batch = 16, .monitor = false});
  const double after = mean_log_likelihood(dbm, data), independent = independent_units(data);
  MESSAGE("log-likelihood: independent units " << independent << ", pre-trained " << pretrained << ", trained " << after);
  CHECK(pretrained > independent + 0.5);
  CHECK(after > pretrained);
  const NoGrad values;
  CHECK(mean(dbm.bound(data, dbm.mean_field(data))).item() - exact_log_partition(dbm) <= after + 1e-6);
}

// ---- the same bits
// -----------------------------------------------------------------------------------------------------------------------------
namespace {

const DbnPretrainOptions pretraining{.epochs = 3, .batch = 20, .learning = {{.rule = {.rate = 0.02, .sparsity_target = 0.2}}}};

std::vector<float> pretrained_dbn(int threads, DbnPretrainOptions options, const Tensor& data) {
  set_threads(threads), set_seed(6);
  Dbn dbn({.widths = {30, 20, 15}});
  pretrain(dbn, data, options);
  set_threads(0);
  return bits_of(dbn);
}

template <class Model, class Learner>
std::vector<float> trained(int threads, const FitOptions& options, const Tensor& data) {
  set_threads(threads), set_seed(6);
  Model model({.widths = {30, 20, 15}});
  Learner learner(model, {.rule = {.rate = 0.02, .sparsity_target = 0.2, .seed = 3}, .steps = 2});
  fit(learner, data, options);
  set_threads(0);
  return bits_of(model);
}

template <class Model, class Learner>
void check_bits(const std::string& name, const Tensor& data) {
  const FitOptions whole{.epochs = 4, .batch = 20, .monitor = false};
  const auto one = trained<Model, Learner>(1, whole, data);
  CHECK(one == trained<Model, Learner>(2, whole, data));
  CHECK(one == trained<Model, Learner>(2, whole, data));
  const Folder folder(name);
  FitOptions part = whole;
  part.folder = folder.path, part.on_epoch = [](const BoltzmannEpoch& e) { return e.epoch < 2; };
  trained<Model, Learner>(2, part, data);
  part.on_epoch = {}, part.resume = true;
  CHECK(one == trained<Model, Learner>(1, part, data));
}

}  // namespace

TEST_CASE("deep models: one and two threads, twice, and stopped and resumed, the same bits") {
  const Tensor data = random_uniform({53, 30}, 1, 1);
  const auto one = pretrained_dbn(1, pretraining, data);
  CHECK(one == pretrained_dbn(2, pretraining, data));
  const Folder folder("energy_dbn");
  DbnPretrainOptions stopped = pretraining;
  stopped.folder = folder.path;
  stopped.on_epoch = [](int64_t layer, const BoltzmannEpoch& e) {
    if (layer == 1 && e.epoch == 2) throw Error("stopped");
  };
  CHECK(message([&] { pretrained_dbn(2, stopped, data); }) == "stopped");
  stopped.on_epoch = {}, stopped.resume = true;
  CHECK(one == pretrained_dbn(1, stopped, data));
  check_bits<Dbn, UpDown>("energy_up_down", data);
  check_bits<Dbm, DbmLearning>("energy_dbm", data);
}

TEST_CASE("fine-tuning: threads, a kill, and labels that the network does not have") {
  const Tensor data = random_uniform({53, 30}, 1, 1), labels = (reshape(slice(data, 1, 0, 1), {53}) > 0.5).to(Dtype::i32);
  const Folder folder("energy_tune");
  const auto tuned = [&](int threads, const DbnFineTuneOptions& options) {
    set_threads(threads), set_seed(6);
    Dbn dbn({.widths = {30, 20, 15}});
    const auto net = unroll(dbn, 2);
    fine_tune(*net, data, labels, options);
    set_threads(0);
    return bits_of(*net);
  };
  const auto one = tuned(1, {.epochs = 4, .batch = 20, .cosine = false});
  CHECK(one == tuned(2, {.epochs = 4, .batch = 20, .cosine = false}));
  tuned(2, {.epochs = 2, .batch = 20, .cosine = false, .folder = folder.path});
  CHECK(one == tuned(1, {.epochs = 4, .batch = 20, .cosine = false, .folder = folder.path, .resume = true}));
  Dbn dbn({.widths = {30, 20, 15}});
  const auto net = unroll(dbn, 2);
  const Tensor wrong = labels.clone();
  wrong.data<int32_t>()[7] = 2;
  CHECK(message([&] { fine_tune(*net, data, wrong); }) == "[fine_tune] label 2 at row 7: the network gives 2 classes, from 0");
  CHECK(message([&] { UpDown(*std::make_unique<Dbn>(Dbn::Options{.widths = {4, 3}})); }).find("two layers or more") != std::string::npos);
  CHECK(message([&] { pretrain(dbn, data, {.learning = {{}, {}, {}}}); }).find("for each of 2, got 3") != std::string::npos);
}

TEST_CASE("an RBM is a layer of any stack: its code, encoder and decoder agree, and stopped stages resume to the same bits") {
  const Tensor data = random_uniform({53, 30}, 1, 1);
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian}) {
    const auto stack_of = [&] {
      set_seed(6);
      auto stack = std::make_unique<Stack>();
      stack->add<RbmLayer>(RbmOptions{.visible = 30, .hidden = 20, .units = units},
                           RbmTraining{.epochs = 3, .batch = 20, .learning = {.rule = {.rate = 0.01}}});
      stack->add<RbmLayer>(RbmOptions{.visible = 20, .hidden = 10}, RbmTraining{.epochs = 3, .batch = 20});
      return stack;
    };
    const auto bits = [](Stack& stack) {
      std::vector<float> all = bits_of(stack[0].module()), more = bits_of(stack[1].module());
      all.insert(all.end(), more.begin(), more.end());
      return all;
    };
    const auto whole = stack_of();
    pretrain(*whole, data);
    const DeepAutoencoder net(*whole);
    CHECK(largest(net.encode(data) - whole->code(data)) < 1e-6);
    const auto& lower = dynamic_cast<const RbmLayer&>((*whole)[0]).rbm;
    const auto& upper = dynamic_cast<const RbmLayer&>((*whole)[1]).rbm;
    const Tensor back = lower.visible_given_hidden(upper.visible_given_hidden(whole->code(data))), found = net.decode(net.encode(data));
    CHECK(largest((units == VisibleUnits::bernoulli ? sigmoid(found) : found) - back) < 1e-5);

    const Folder folder("energy_stack");
    const auto stopped = stack_of(), resumed = stack_of();
    CHECK(message([&] {
            pretrain(*stopped, data, {.folder = folder.path, .on_stage = [](size_t stage) {
                                        if (stage == 1) throw Error("stopped");
                                      }});
          }) == "stopped");
    pretrain(*resumed, data, {.folder = folder.path, .resume = true});
    CHECK(bits(*resumed) == bits(*whole));
  }
}
