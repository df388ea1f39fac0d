// Ten losses and the final weights of every optimiser against PyTorch; golden_optim.py made the values.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numeric>

#include "layers/linear.h"
#include "optim/clip.h"
#include "optim/ema.h"
#include "optim/lbfgs.h"
#include "optim/optimizer.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;

namespace {

const std::map<std::string, Tensor>& golden() {
  static const auto all = [] {
    const TensorFile file = read_safetensors(SONO_SOURCE_DIR "/tests/optim/golden_optim.safetensors");
    return std::map<std::string, Tensor>(file.tensors.begin(), file.tensors.end());
  }();
  return all;
}

// The golden script's network: x -> tanh(x w1 + b1) w2 + b2, mean squared error.
struct Problem {
  Tensor x, y;
  NamedTensors w;
  explicit Problem(Dtype dtype) : x(golden().at("x").to(dtype)), y(golden().at("y").to(dtype)) {
    for (const char* name : {"w1", "b1", "w2", "b2"}) w.emplace_back(name, leaf(golden().at(name).to(dtype).clone()));
  }
  Tensor loss() const {
    const Tensor h = tanh(matmul(x, w[0].second) + w[1].second);
    return mean(square(matmul(h, w[2].second) + w[3].second - y));
  }
  std::vector<double> flat() const {
    std::vector<double> values;
    for (const auto& [name, t] : w)
      for (double v : t.detach().to_vector<double>()) values.push_back(v);
    return values;
  }
  std::vector<double> train(Optimizer& optimizer, int steps) const {
    std::vector<double> losses;
    for (int i = 0; i < steps; i++)
      losses.push_back(optimizer.step([&] {
        optimizer.zero_gradients();
        const Tensor l = loss();
        backward(l);
        return l.item();
      }));
    return losses;
  }
};

using Make = std::function<std::unique_ptr<Optimizer>(const NamedTensors&)>;
template <class O, class Options>
Make make(Options options) {
  return [=](const NamedTensors& w) { return std::make_unique<O>(w, options); };
}

const std::vector<std::pair<const char*, Make>>& cases() {
  static const std::vector<std::pair<const char*, Make>> all{
      {"sgd", make<Sgd>(SgdOptions{.rate = 0.1})},
      {"sgd_decay", make<Sgd>(SgdOptions{.rate = 0.1, .weight_decay = 0.05})},
      {"sgd_momentum", make<Sgd>(SgdOptions{.rate = 0.1, .momentum = 0.9})},
      {"sgd_dampening", make<Sgd>(SgdOptions{.rate = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.05})},
      {"sgd_nesterov", make<Sgd>(SgdOptions{.rate = 0.1, .momentum = 0.9, .weight_decay = 0.05, .nesterov = true})},
      {"sgd_sutskever", make<Sgd>(SgdOptions{.rate = 0.1, .momentum = 0.9, .nesterov = true, .sutskever = true})},
      {"adagrad", make<Adagrad>(AdagradOptions{.rate = 0.1})},
      {"adagrad_all", make<Adagrad>(AdagradOptions{.rate = 0.1, .rate_decay = 0.1, .weight_decay = 0.05, .initial = 0.2})},
      {"rmsprop", make<Rmsprop>(RmspropOptions{.rate = 0.01})},
      {"rmsprop_momentum", make<Rmsprop>(RmspropOptions{.rate = 0.01, .decay = 0.9, .momentum = 0.8})},
      {"rmsprop_all", make<Rmsprop>(RmspropOptions{.rate = 0.01, .decay = 0.9, .weight_decay = 0.05, .momentum = 0.8, .centred = true})},
      {"adam", make<Adam>(AdamOptions{.rate = 0.02})},
      {"adam_all", make<Adam>(AdamOptions{.rate = 0.02, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.05, .amsgrad = true})},
      {"adamw", make<AdamW>(AdamOptions{.rate = 0.02})},
      {"adamw_groups",
       make<AdamW>(AdamOptions{.rate = 0.05, .weight_decay = 0.1, .groups = {{.pattern = "b*", .rate = 0.02, .weight_decay = 0}}})},
      {"lbfgs_short", make<Lbfgs>(LbfgsOptions{.max_iterations = 2})},
      {"lbfgs", make<Lbfgs>(LbfgsOptions{.max_iterations = 4, .history = 3})},
      {"lbfgs_fixed", make<Lbfgs>(LbfgsOptions{.rate = 0.3, .max_iterations = 3, .strong_wolfe = false})},
  };
  return all;
}

// |a - b| against the size of the golden values.
void check_close(const std::vector<double>& found, const Tensor& golden_values, double tolerance) {
  const std::vector<double> expected = golden_values.to_vector<double>();
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); i++) {
    CAPTURE(i);
    CHECK(std::abs(found[i] - expected[i]) <= tolerance * std::max(std::abs(expected[i]), 0.1));
  }
}

bool same(const NamedTensors& a, const NamedTensors& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++)
    if (a[i].first != b[i].first || a[i].second.to_vector<double>() != b[i].second.to_vector<double>()) return false;
  return true;
}

struct Threads {
  explicit Threads(int n) { set_threads(n); }
  ~Threads() { set_threads(0); }
};

}  // namespace

TEST_CASE("every optimizer takes PyTorch's ten steps") {
  for (const auto& [name, create] : cases())
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      const std::string key = std::string(name) + "/" + to_string(dtype);
      CAPTURE(key);
      if (key == "lbfgs/f32") continue;  // see golden_optim.py
      const Problem problem(dtype);
      const auto optimizer = create(problem.w);
      const double tolerance = dtype == Dtype::f64 ? 1e-9 : 1e-4;
      check_close(problem.train(*optimizer, 10), golden().at(key + "/losses"), tolerance);
      check_close(problem.flat(), golden().at(key + "/weights"), tolerance);
    }
}

TEST_CASE("state saved in the middle goes on bitwise as if it had not stopped") {
  for (const auto& [name, create] : cases()) {
    CAPTURE(name);
    const Problem straight(Dtype::f32), first(Dtype::f32), second(Dtype::f32);
    const auto whole = create(straight.w), before = create(first.w), after = create(second.w);
    straight.train(*whole, 7);
    first.train(*before, 4);
    for (size_t i = 0; i < first.w.size(); i++) second.w[i].second.copy_from(first.w[i].second.detach());
    after->load_state(before->state());
    CHECK(same(after->state(), before->state()));
    second.train(*after, 3);
    CHECK(second.flat() == straight.flat());
    CHECK(same(after->state(), whole->state()));
  }
}

TEST_CASE("state of another model or optimizer is refused and nothing changes") {
  const Problem problem(Dtype::f32);
  Adam adam(problem.w);
  problem.train(adam, 2);
  const NamedTensors good = adam.state();
  NamedTensors missing(good.begin() + 1, good.end()), unknown = good, reshaped = good;
  unknown.emplace_back("w9.mean", Tensor::zeros({2}));
  reshaped[0].second = Tensor::zeros({5, 9});
  CHECK_THROWS_WITH_AS(adam.load_state(missing), "[adam] state w1.mean is missing", ShapeError);
  CHECK_THROWS_WITH_AS(adam.load_state(unknown), "[adam] state w9.mean belongs to no parameter of this optimizer", ShapeError);
  CHECK_THROWS_WITH_AS(adam.load_state(reshaped), "[adam] state w1.mean is (5, 9) f32, expected (5, 8) f32", ShapeError);
  CHECK(same(adam.state(), good));
  Sgd sgd(problem.w, {.momentum = 0.9});
  CHECK_THROWS_AS(sgd.load_state(good), ShapeError);
  Lbfgs lbfgs(problem.w);
  CHECK_THROWS_AS(lbfgs.load_state(good), ShapeError);
}

TEST_CASE("steps over many tensors of odd sizes are bitwise those of each alone, with 1 and 2 threads") {
  const std::vector<int64_t> sizes{1, 7, 16384, 33, 40001, 0, 15, 17};
  const auto member = [&](size_t i) {
    const Tensor w = leaf(random_normal({sizes[i]}, 1, i));
    set_gradient(w, random_normal({sizes[i]}, 2, i));
    return std::pair<std::string, Tensor>((i % 2 ? "b" : "w") + std::to_string(i), w);
  };
  for (const auto& [name, create] : cases()) {
    if (std::string(name).starts_with("lbfgs")) continue;
    CAPTURE(name);
    const auto run = [&, &create = create](int threads, const std::vector<size_t>& members) {
      const Threads scope(threads);
      NamedTensors w;
      for (const size_t i : members) w.push_back(member(i));
      if (members.size() == 1) w.emplace_back("b", leaf(Tensor::ones({3})));  // without a gradient; so that every group has a member
      const auto optimizer = create(w);
      for (int step = 0; step < 3; step++) optimizer->step();
      std::vector<std::vector<float>> values;
      for (size_t k = 0; k < members.size(); k++) values.push_back(w[k].second.detach().to_vector<float>());
      return values;
    };
    std::vector<size_t> all(sizes.size());
    std::iota(all.begin(), all.end(), size_t{0});
    const auto together = run(1, all);
    CHECK(run(2, all) == together);
    for (const size_t i : all) CHECK(run(1, {i})[0] == together[i]);
  }
}

TEST_CASE("Sutskever's momentum rises in steps of 250 updates to its maximum") {
  CHECK(sutskever_momentum(0, 0.99) == doctest::Approx(0.5).epsilon(1e-12));
  CHECK(sutskever_momentum(249, 0.99) == doctest::Approx(0.5).epsilon(1e-12));
  CHECK(sutskever_momentum(250, 0.99) == doctest::Approx(0.75).epsilon(1e-12));
  CHECK(sutskever_momentum(500, 0.99) == doctest::Approx(1 - 1.0 / 6).epsilon(1e-12));
  CHECK(sutskever_momentum(250 * 99, 0.999) == doctest::Approx(0.995).epsilon(1e-12));
  CHECK(sutskever_momentum(1000000, 0.99) == 0.99);
}

TEST_CASE("groups, frozen parameters and parameters without a gradient") {
  struct Two : Module {
    Linear a{this, "a", {.in = 2, .out = 2}}, b{this, "b", {.in = 2, .out = 2}};
  } model;
  CHECK_THROWS_WITH_AS(Sgd(model, {.groups = {{.pattern = "decoder.*"}}}), "[optimizer] no parameter matches the group pattern 'decoder.*'",
                       Error);
  Sgd sgd(model, {.rate = 1, .groups = {{.pattern = "*.bias", .rate = 0.5}}});
  sgd.set_rate_factor(0.1);
  CHECK(sgd.rate() == doctest::Approx(0.1));

  const auto values = [&] {
    std::vector<double> all;
    for (const auto& p : model.parameters())
      for (double v : p.value->detach().to_vector<double>()) all.push_back(v);
    return all;
  };
  const auto give = [&] {
    for (const auto& p : model.trainable()) set_gradient(*p.value, Tensor::ones(p.value->shape()));
  };
  const std::vector<double> start = values();
  REQUIRE(model.freeze("b.*") == 2);
  give();
  sgd.step();
  const std::vector<double> frozen = values();
  for (size_t i = 0; i < 12; i++) {
    CAPTURE(i);
    const double moved = i < 4 ? 0.1 : i < 6 ? 0.05 : 0;  // a.weight, a.bias, b
    CHECK(start[i] - frozen[i] == doctest::Approx(moved).epsilon(1e-5));
  }
  REQUIRE(model.unfreeze("b.*") == 2);  // new leaves: the optimiser sees them
  sgd.zero_gradients();
  set_gradient(model.b.bias, Tensor::ones({2}));
  sgd.step();
  const std::vector<double> after = values();
  for (size_t i = 0; i < 12; i++) {
    CAPTURE(i);
    CHECK(frozen[i] - after[i] == doctest::Approx(i >= 10 ? 0.05 : 0).epsilon(1e-5));
  }
  CHECK(!gradient(model.a.weight));
}

TEST_CASE("a step raises the version, so that a value saved before it is known to be stale") {
  const Tensor w = leaf(Tensor::ones({3}));
  Sgd sgd(NamedTensors{{"w", w}});
  const Tensor loss = sum(square(w));
  set_gradient(w, Tensor::ones({3}));
  sgd.step();
  CHECK_THROWS_AS(backward(loss), Error);
}

TEST_CASE("options that make no sense are refused") {
  const NamedTensors w{{"w", leaf(Tensor::ones({3}))}};
  CHECK_THROWS_WITH_AS(Sgd(w, {.rate = -1}), "[sgd] the learning rate and the weight decay must not be negative", Error);
  CHECK_THROWS_WITH_AS(Sgd(w, {.nesterov = true}), "[sgd] nesterov needs a momentum and no dampening", Error);
  CHECK_THROWS_AS(Sgd(w, {.momentum = 1}), Error);
  CHECK_THROWS_AS(Adam(w, {.beta2 = 1}), Error);
  CHECK_THROWS_AS(Rmsprop(w, {.decay = 2}), Error);
  CHECK_THROWS_AS(Lbfgs(w).step(), Error);
}

TEST_CASE("clipping scales the gradients to the norm, or their values into the range") {
  const NamedTensors w{{"a", leaf(Tensor::zeros({2}))}, {"b", leaf(Tensor::zeros({1}))}, {"c", leaf(Tensor::zeros({5}))}};
  const auto give = [&] {
    set_gradient(w[0].second, Tensor::from<float>({2}, {3, -4}));
    set_gradient(w[1].second, Tensor::from<float>({1}, {12}));
  };
  give();
  CHECK(gradient_norm(w) == doctest::Approx(13).epsilon(1e-6));
  CHECK(clip_norm(w, 20) == doctest::Approx(13).epsilon(1e-6));  // nothing to do
  CHECK(gradient(w[0].second).to_vector<float>() == std::vector<float>{3, -4});
  CHECK(clip_norm(w, 1.3) == doctest::Approx(13).epsilon(1e-6));
  CHECK(gradient_norm(w) == doctest::Approx(1.3).epsilon(1e-5));
  CHECK(gradient(w[0].second).at({1}) == doctest::Approx(-0.4).epsilon(1e-5));
  give();
  clip_value(w, 3.5);
  CHECK(gradient(w[0].second).to_vector<float>() == std::vector<float>{3, -3.5});
  CHECK(gradient(w[1].second).item() == 3.5);
  set_gradient(w[1].second, Tensor::from<float>({1}, {NAN}));
  CHECK(std::isnan(clip_norm(w, 1)));
  CHECK(gradient(w[0].second).to_vector<float>() == std::vector<float>{3, -3.5});  // left alone
  CHECK_THROWS_AS(clip_norm(w, 0), Error);
}

TEST_CASE("the weights' average follows its recurrence, is swapped in and out, and survives saving") {
  Linear model({.in = 3, .out = 2});
  Ema ema(model, 0.9);
  double expected = model.weight.at({0, 0});
  for (int t = 1; t <= 30; t++) {
    model.weight.fill(t);
    ema.update();
    const double decay = std::min(0.9, (1.0 + t) / (10 + t));
    expected = decay * expected + (1 - decay) * t;
  }
  const auto own = model.weight.detach().to_vector<float>();
  {
    const Ema::Swap averaged(ema);
    CHECK(model.weight.at({0, 0}) == doctest::Approx(expected).epsilon(1e-5));
    CHECK(model.weight.at({0, 0}) < 30);
  }
  CHECK(model.weight.detach().to_vector<float>() == own);

  Linear other({.in = 3, .out = 2});
  Ema loaded(other, 0.9);
  loaded.load_state(ema.state());
  other.weight.fill(5), model.weight.fill(5);
  ema.update(), loaded.update();
  NamedTensors a = ema.state(), b = loaded.state();
  CHECK(a[0].second.to_vector<float>() == b[0].second.to_vector<float>());
  CHECK(a.back().second.item() == 31);
  a.erase(a.begin());
  CHECK_THROWS_AS(loaded.load_state(a), ShapeError);
  CHECK_THROWS_AS(Ema(model, 1), Error);
}
