#include "autograd/plan.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tests/autograd/check.h"
#include "tests/autograd/op_cases.h"

using namespace sono;
using namespace sono::tests;

namespace {

std::vector<Tensor> values_of(const OpCase& c, uint64_t seed, Dtype dtype) {
  Random random(seed, c.name);
  std::vector<Tensor> all;
  for (const Shape& s : c.inputs) {
    Tensor t(s, Dtype::f64);
    for (int64_t i = 0; i < t.size(); i++) {
      double v;
      do v = random.uniform(c.low, c.high);
      while (std::abs(v - c.kink) < 0.02 || std::abs(v - c.kink2) < 0.02);
      t.data<double>()[i] = v;
    }
    all.push_back(t.to(dtype));
  }
  return all;
}

// Batch statistics, random draws, losses and gradients of weights have no place in a frozen network.
bool refused(const std::string& message) {
  for (const char* name :
       {"takes statistics of the batch", "dropout draws", "'conv1d_weight'", "'conv2d_weight'", "'conv3d_weight'", "'cross_entropy'",
        "'logit_sums'"})
    if (message.find(name) != std::string::npos) return true;
  return false;
}

double apart(const Tensor& a, const Tensor& b) { return difference(a.to(Dtype::f64), b.to(Dtype::f64)); }

}  // namespace

TEST_CASE("a plan of every operation gives what the operation gives, with known operands and without") {
  const PlanOptions options{.check = false};
  int frozen = 0;
  for (const OpCase& c : op_cases())
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      CAPTURE(c.name);
      const auto values = values_of(c, 1, dtype), others = values_of(c, 2, dtype);
      try {
        Plan plan = freeze([&](const std::vector<Tensor>& x) { return std::vector<Tensor>{c.run(x)}; }, values, options);
        CHECK(apart(plan(others)[0], c.run(others)) < (dtype == Dtype::f32 ? 2e-5 : 1e-12));
        std::vector<Tensor> mixed = values;
        mixed[0] = others[0];
        Plan known = freeze(
            [&](const Tensor& x) {
              std::vector<Tensor> all = values;
              all[0] = x;
              return c.run(all);
            },
            values[0], options);
        CHECK(apart(known(others[0]), c.run(mixed)) < (dtype == Dtype::f32 ? 2e-5 : 1e-12));
        frozen++;
      } catch (const Error& e) {
        const std::string message = e.what();
        CAPTURE(message);
        CHECK(refused(e.what()));
      }
    }
  CHECK(frozen > 200);
}

namespace {

Tensor uniform(Shape shape, uint64_t stream) { return random_uniform(std::move(shape), 3, stream, -1, 1); }

size_t steps(const Plan& plan) { return plan.summary().steps.size(); }

// Freezes f and compares the plan with it on the example and on other values.
Plan frozen(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  Plan plan = freeze(f, x);
  const NoGrad values;
  CHECK(difference(plan(x), f(x)) < 1e-5);
  const Tensor other = uniform(x.shape(), 77);
  CHECK(difference(plan(other), f(other)) < 1e-5);
  return plan;
}

Tensor norm(const Tensor& x, uint64_t stream) {
  const Shape c{x.dim(-1)};
  return batch_norm_eval(x, uniform(c, stream), uniform(c, stream + 1), uniform(c, stream + 2), square(uniform(c, stream + 3)) + 0.5);
}

}  // namespace

TEST_CASE("norms, biases and activations go into the products") {
  const Tensor x = uniform({1, 9, 7, 3}, 1), w = uniform({3, 3, 3, 5}, 2), b = uniform({5}, 3);
  CHECK(steps(frozen([&](const Tensor& t) { return relu(norm(conv(t, w, b, {.padding = 1}), 10)); }, x)) == 1);
  CHECK(steps(frozen([&](const Tensor& t) { return sigmoid(norm(conv(t, w, {}, {.stride = 2}) + b, 10)); }, x)) == 1);
  CHECK(steps(frozen([&](const Tensor& t) { return conv(norm(t, 20), w, b); }, x)) == 1);
  CHECK(steps(frozen([&](const Tensor& t) { return conv(norm(t, 20), w, b, {.padding = 1}); }, x)) == 2);  // zeros are not shifted
  CHECK(steps(frozen([&](const Tensor& t) { return conv(relu(norm(t, 20)), w, b); }, x)) == 2);
  const Tensor up = uniform({2, 2, 5, 3}, 4);
  CHECK(steps(frozen([&](const Tensor& t) { return relu(norm(conv_transpose(t, up, b, {.stride = 2}), 10)); }, x)) == 1);
  const Tensor rows = uniform({6, 4}, 5), m = uniform({4, 5}, 6);
  CHECK(steps(frozen([&](const Tensor& t) { return tanh(norm(linear(t, m, b), 10)); }, rows)) == 1);
  CHECK(steps(frozen([&](const Tensor& t) { return relu(norm(matmul(t, m), 10) + b); }, rows)) == 1);
  CHECK(steps(frozen([&](const Tensor& t) { return linear(norm(t, 30), m, b); }, rows)) == 1);
  const Tensor grouped = uniform({3, 3, 1, 6}, 7);
  CHECK(steps(frozen([&](const Tensor& t) { return relu(norm(conv(t, grouped, {}, {.padding = 1, .groups = 3}), 10)); }, x)) == 1);
}

TEST_CASE("what is read twice is not folded away") {
  const Tensor x = uniform({1, 6, 5, 3}, 1), w = uniform({3, 3, 3, 3}, 2);
  frozen(
      [&](const Tensor& t) {
        const Tensor y = conv(t, w, {}, {.padding = 1}), z = norm(y, 10);
        return relu(z) + y * z;
      },
      x);
  frozen([&](const Tensor& t) { return relu(t) + t; }, x);
}

TEST_CASE("maps run in one pass and over what is dead; joined parts are written in place") {
  const Tensor x = uniform({3, 40, 33}, 1), c = uniform({33}, 2);
  CHECK(steps(frozen([&](const Tensor& t) { return relu(exp(t * 0.5) * c + t); }, x)) == 1);
  CHECK(steps(frozen([&](const Tensor& t) { return concat({sigmoid(t), tanh(t)}, 0); }, x)) == 2);
  CHECK(steps(frozen([&](const Tensor& t) { return concat({sigmoid(t), t, t}, 0); }, x)) == 2);
  CHECK(steps(frozen([&](const Tensor& t) { return concat({sigmoid(t), t}, 2); }, x)) == 2);
  CHECK(steps(frozen([&](const Tensor& t) { return slice(sigmoid(reshape(t, {1, -1})), 1, 33, 66); }, x)) == 1);
  const Plan chain = frozen([&](const Tensor& t) { return sum(exp(sigmoid(softmax(exp(t)))), {0}); }, x);
  CHECK(chain.summary().arena_bytes < 3 * x.bytes() + x.bytes() / 2);
}

TEST_CASE("several inputs and outputs, constants and the inputs themselves among them") {
  const Tensor a = uniform({2, 3}, 1), b = uniform({3}, 2), c = uniform({2}, 3);
  Plan plan = freeze(
      [&](const std::vector<Tensor>& x) {
        return std::vector<Tensor>{x[0] + x[1], reshape(x[0], {6}), c, x[1] * 2.0};
      },
      {a, b});
  const Tensor a2 = uniform({2, 3}, 4), b2 = uniform({3}, 5);
  const std::vector<Tensor>& y = plan({a2, b2});
  CHECK(same_bits(y[0], a2 + b2));
  CHECK(same_bits(y[1], a2.view({6})));
  CHECK(same_bits(y[2], c));
  CHECK(same_bits(y[3], b2 * 2.0));
}

TEST_CASE("one plan per shape, made on demand; nothing is allocated once it exists") {
  const Tensor w = uniform({3, 3, 1, 8}, 1);
  int runs = 0;
  Plan plan = freeze(
      [&](const Tensor& t) {
        runs++;
        return max_pool(relu(conv(t, w, {}, {.padding = 1})));
      },
      uniform({1, 8, 8, 1}, 2), {.check = false});
  for (int64_t n = 8; n < 20; n++) CHECK(plan(uniform({1, n, 9, 1}, 3)).shape() == Shape{1, n / 2, 4, 8});
  CHECK(runs == 13);
  CHECK(plan.shapes() == 8);
  const Tensor x = uniform({1, 19, 9, 1}, 4);
  plan(x);
  const int64_t before = memory_stats().system_allocations, live = memory_stats().live;
  const void* where = plan(x).raw();
  for (int i = 0; i < 10; i++) CHECK(plan(x).raw() == where);
  CHECK(runs == 13);
  CHECK(memory_stats().system_allocations == before);
  CHECK(memory_stats().live == live);
}

TEST_CASE("weights are frozen as they were") {
  const Tensor w = uniform({4, 4}, 1), b = uniform({4}, 2), x = uniform({2, 4}, 3);
  Plan plan = freeze([&](const Tensor& t) { return linear(t, w, b) * b; }, x);
  const Tensor before = plan(x).clone();
  w.fill(0), b.fill(0);
  CHECK(same_bits(plan(x), before));
}

TEST_CASE("measured choices give the same results") {
  const Tensor x = uniform({1, 17, 19, 16}, 1), w = uniform({3, 3, 16, 16}, 2);
  const auto f = [&](const Tensor& t) { return relu(conv(t, w, {}, {.padding = 1})); };
  Plan plan = freeze(f, x, {.measure = true});
  CHECK(difference(plan(x), f(x)) < 1e-5);
}

TEST_CASE("NaN and infinity pass through") {
  const Tensor x = uniform({1, 12, 12, 4}, 1), w = uniform({3, 3, 4, 4}, 2);
  Plan plan = freeze([&](const Tensor& t) { return max_pool(relu(norm(conv(t, w, {}, {.padding = 1}), 10)) + t); }, x);
  Tensor bad = x.clone();
  bad.data<float>()[4 * (3 * 12 + 5)] = std::numeric_limits<float>::quiet_NaN();
  const Tensor& y = plan(bad);
  int64_t nans = 0;
  for (int64_t i = 0; i < y.size(); i++) nans += std::isnan(y.data<float>()[i]);
  CHECK(nans >= 4 * 4);
  CHECK(nans < y.size());
}

TEST_CASE("the same bits with any number of threads, and a plan of its own for another thread") {
  const Tensor x = uniform({1, 64, 64, 16}, 1), w = uniform({3, 3, 16, 16}, 2);
  const auto f = [&](const Tensor& t) { return sigmoid(norm(conv(relu(norm(conv(t, w, {}, {.padding = 1}), 10)) + t, w), 20)) * 2.0; };
  Plan plan = freeze(f, x);
  std::vector<Tensor> results;
  for (const int n : {1, 2, 3, 8}) {
    set_threads(n);
    results.push_back(plan(x).clone());
  }
  set_threads(0);
  for (const Tensor& y : results) CHECK(same_bits(y, results[0]));
  Tensor elsewhere;
  std::thread other([&] {
    Plan own = freeze(f, x);
    for (int i = 0; i < 5; i++) elsewhere = own(x).clone();
  });
  for (int i = 0; i < 5; i++) CHECK(same_bits(plan(x), results[0]));
  other.join();
  CHECK(same_bits(elsewhere, results[0]));
}

TEST_CASE("what cannot be frozen is named") {
  const Tensor x = uniform({4, 3}, 1), one = Tensor::ones({3}), zero = Tensor::zeros({3});
  const auto message = [&](const std::function<Tensor(const Tensor&)>& f) {
    try {
      freeze(f, x);
    } catch (const Error& e) { return std::string(e.what()); }
    return std::string("none");
  };
  CHECK(message([&](const Tensor& t) { return batch_norm(t, one, zero).y; }) ==
        "[plan] batch_norm takes statistics of the batch: call eval() before freezing");
  CHECK(message([&](const Tensor& t) { return dropout(t, 0.5, true); }) ==
        "[plan] dropout draws random numbers: call eval() before freezing");
  CHECK(message([](const Tensor& t) {
          return differentiable("cube", t.clone(), {{t, nullptr}});
        }) == "[plan] the operation 'cube' cannot be frozen; say how it is run with register_plan_operation()");
  const std::string by_hand = message([](const Tensor& t) { return t * t.at({0, 0}); });
  CHECK(by_hand ==
        "[plan] output 0 (4, 3) is not what the function gives for other values: it must depend on its inputs through operations alone");
  CHECK(message([](const Tensor&) { return Tensor{}; }) == "[plan] the function returned an empty handle");
  Plan plan = freeze([](const Tensor& t) { return t; }, x);
  CHECK_THROWS_WITH_AS(plan(Tensor{}), "[plan] an input is an empty handle; give a tensor", Error);
}

TEST_CASE("an operation of one's own runs once the plan knows how") {
  register_plan_operation("tests: cube", [](const std::vector<Tensor>& x, const Attributes& a) {
    return x[0] * x[0] * x[0] * std::get<double>(a.at(0).second);
  });
  const auto cube = [](const Tensor& t) {
    const Tensor y = t.detach() * t.detach() * t.detach() * 3.0;
    return differentiable("tests: cube", y.clone(), {{t, nullptr}}, [] { return Attributes{{"scale", 3.0}}; });
  };
  const Tensor x = uniform({4, 3}, 1);
  const Plan plan = frozen([&](const Tensor& t) { return relu(cube(t * 2.0)) + 1.0; }, x);
  CHECK(plan.summary().table().find("tests: cube (eager)") != std::string::npos);
}
