#include <doctest/doctest.h>

#include <cstdlib>

#include "autograd/graph.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tests/autograd/check.h"
#include "tests/autograd/op_cases.h"

using namespace sono;
using namespace sono::tests;

namespace {

// Uniform in [low, high], away from the kinks; the same for a name every time.
std::vector<Tensor> inputs_of(const OpCase& c) {
  Random random(11, c.name);
  std::vector<Tensor> all;
  for (const Shape& s : c.inputs) {
    Tensor t(s, Dtype::f64);
    for (int64_t i = 0; i < t.size(); i++) {
      double v;
      do v = random.uniform(c.low, c.high);
      while (std::abs(v - c.kink) < 0.02 || std::abs(v - c.kink2) < 0.02);
      t.data<double>()[i] = v;
    }
    all.push_back(t);
  }
  return all;
}

double weighted(const OpCase& c, const std::vector<Tensor>& x, const Tensor& upstream) {
  const NoGrad plain;
  return sum(c.run(x) * upstream).item();
}

struct Run {
  Tensor y;
  std::vector<Tensor> gradients;
};

Run forward_and_backward(const OpCase& c, const std::vector<Tensor>& values, const Tensor& upstream) {
  const std::vector<Tensor> x = leaves(values);
  const Tensor y = c.run(x);
  return {y.detach(), grad(y, x, false, upstream)};
}

}  // namespace

TEST_CASE("every gradient agrees with finite differences, value by value") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const auto values = inputs_of(c);
    const Tensor upstream = random_normal(c.run(values).shape(), 5, 0, 0, 1, Dtype::f64);  // never ones
    const Run run = forward_and_backward(c, values, upstream);
    for (size_t k = 0; k < values.size(); k++) {
      REQUIRE(run.gradients[k].shape() == values[k].shape());
      double worst = 0, largest = 1e-2;
      for (int64_t i = 0; i < values[k].size(); i++) {
        double& v = values[k].data<double>()[i];
        const double before = v, h = 1e-5;
        v = before + h;
        const double up = weighted(c, values, upstream);
        v = before - h;
        const double down = weighted(c, values, upstream);
        v = before;
        const double exact = run.gradients[k].data<double>()[i];
        worst = std::max(worst, std::abs((up - down) / (2 * h) - exact));
        largest = std::max(largest, std::abs(exact));
      }
      CAPTURE(k);
      CHECK(worst < 1e-7 * largest);
    }
  }
}

// With S(x, u) = sum over inputs of <direction, gradient of <u, f(x)>>: its gradient by x and u against differences of the first gradient.
TEST_CASE("every second gradient agrees with finite differences of the first, upstream included") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    auto values = inputs_of(c);
    const size_t n = values.size();
    values.push_back(random_normal(c.run(values).shape(), 5, 1, 0, 1, Dtype::f64));
    auto directions = random_like(values, 20);
    directions.pop_back();
    const auto first = [&](const std::vector<Tensor>& at) {
      const std::vector<Tensor> x = leaves({at.begin(), at.begin() + static_cast<int64_t>(n)});
      return dot(grad(c.run(x), x, false, at[n]), directions);
    };
    const std::vector<Tensor> x = leaves(values);
    const std::vector<Tensor> inputs(x.begin(), x.begin() + static_cast<int64_t>(n));
    const std::vector<Tensor> g = grad(c.run(inputs), inputs, true, x[n]);
    Tensor total = sum(g[0] * directions[0]);
    for (size_t k = 1; k < n; k++) total = total + sum(g[k] * directions[k]);
    CHECK(total.item() == doctest::Approx(first(values)).epsilon(1e-10));  // with a graph or without: the same gradient
    const std::vector<Tensor> second = grad(total, x);
    for (uint64_t trial = 0; trial < 3; trial++) {
      const auto along = random_like(values, 40 + 10 * trial);
      const double exact = dot(second, along), scale = std::max(1.0, norm(second) * norm(along));
      CHECK(std::abs(slope(first, values, along, 1e-4) - exact) < 1e-7 * scale);
    }
  }
}

TEST_CASE("f32 agrees with f64, forward and backward") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const auto values = inputs_of(c);
    std::vector<Tensor> single, rounded;
    for (const Tensor& v : values) single.push_back(v.to(Dtype::f32)), rounded.push_back(single.back().to(Dtype::f64));
    const Tensor upstream = random_normal(c.run(values).shape(), 5, 2, 0, 1, Dtype::f32);
    const Run a = forward_and_backward(c, single, upstream), b = forward_and_backward(c, rounded, upstream.to(Dtype::f64));
    CHECK(a.y.dtype() == Dtype::f32);
    CHECK(difference(a.y, b.y) < 2e-5);
    for (size_t k = 0; k < values.size(); k++) CHECK(difference(a.gradients[k], b.gradients[k]) < 2e-4);
  }
}

TEST_CASE("binary units: sigmoid of the product, and a draw that depends on seed, stream and place alone") {
  for (bool transposed : {false, true})
    for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const Tensor x = random_normal({20, 30}, 1, 0, 0, 1, dtype), bias = random_normal({17}, 1, 2, 0, 1, dtype);
      const Tensor w = random_normal(transposed ? Shape{17, 30} : Shape{30, 17}, 1, 1, 0, 0.2, dtype);
      const auto [p, sample] = sample_units(x, w, bias, transposed, 7, 3);
      CHECK(difference(p, sigmoid(matmul(x, w, false, transposed) + bias)) < 1e-6);
      const Tensor drawn = cast(random_uniform({20, 17}, 7, 3, 0, 1, dtype) < p, dtype);
      CHECK(difference(sample, drawn) == 0);
      CHECK(difference(sample_units(x, w, bias, transposed, 7, 3).sample, sample) == 0);
      CHECK(difference(sample_units(x, w, bias, transposed, 7, 4).sample, sample) > 0);
    }
  CHECK_THROWS_AS(sample_units(Tensor::zeros({2, 3}), Tensor::zeros({4, 5}), {}, false, 0, 0), ShapeError);
}

TEST_CASE("the same bits twice, and no node is left alive") {
  const int64_t before = live_nodes();
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const auto values = inputs_of(c);
    const Tensor upstream = random_normal(c.run(values).shape(), 5, 3, 0, 1, Dtype::f64);
    const Run a = forward_and_backward(c, values, upstream), b = forward_and_backward(c, values, upstream);
    CHECK(same_bits(a.y, b.y));
    for (size_t k = 0; k < values.size(); k++) CHECK(same_bits(a.gradients[k], b.gradients[k]));
    {
      const std::vector<Tensor> x = leaves(values);
      grad(c.run(x), x, true, upstream);
      backward(c.run(x), upstream);
    }
    CHECK(live_nodes() == before);
  }
}

TEST_CASE("1 and 2 threads give the same bits") {
  const Tensor target = random_uniform({8, 64, 64}, 3, 9, 0, 3, Dtype::f32).to(Dtype::i32),
               rows = random_uniform({20000}, 3, 8, 0, 99, Dtype::f32).to(Dtype::i32);
  const std::vector<OpCase> large = {
      {"elementwise", {{300, 401}, {401}}, [](auto& x) { return gelu(x[0] * x[1]) + x[1]; }},
      {"sum",
       {{64, 1025, 33}},
       [](auto& x) {
         return sum(x[0], {0, 1}) * mean(x[0]);
       }},
      {"max",
       {{64, 1025, 33}},
       [](auto& x) {
         return max(x[0], {0, 1});
       }},
      {"softmax", {{500, 133}}, [](auto& x) { return softmax(x[0], 0) + log_softmax(x[0]); }},
      {"cumsum", {{50, 300, 70}}, [](auto& x) { return cumsum(x[0], 1); }},
      {"sort", {{200, 300}}, [](auto& x) { return sort(x[0]).first; }},
      {"permute",
       {{8, 64, 64, 12}},
       [](auto& x) {
         return permute(x[0], {0, 3, 1, 2});
       }},
      {"take", {{100, 40}}, [=](auto& x) { return take(x[0], rows); }},
      {"matmul", {{257, 300}, {300, 129}}, [](auto& x) { return matmul(x[0], x[1]); }},
      {"conv2d", {{4, 33, 31, 8}, {3, 3, 8, 16}, {16}}, [](auto& x) { return conv(x[0], x[1], x[2], {.padding = 1}); }},
      {"pool", {{4, 64, 64, 16}}, [](auto& x) { return max_pool(x[0]) + avg_pool(x[0]); }},
      {"batch_norm", {{8, 32, 32, 16}, {16}, {16}}, [](auto& x) { return batch_norm(x[0], x[1], x[2], 1e-5, true).y; }},
      {"layer_norm", {{900, 65}, {65}, {65}}, [](auto& x) { return layer_norm(x[0], x[1], x[2]); }},
      {"cross_entropy", {{8, 64, 64, 4}}, [=](auto& x) { return cross_entropy(x[0], target); }},
      {"interpolate",
       {{2, 64, 64, 16}},
       [](auto& x) {
         return interpolate(x[0], {100, 150});
       }},
      {"grid_sample", {{2, 64, 64, 8}, {2, 80, 80, 2}}, [](auto& x) { return grid_sample(x[0], x[1]); }},
      {"fft", {{64, 500, 2}}, [](auto& x) { return fft(x[0]); }},
  };
  for (const OpCase& c : large) {
    CAPTURE(c.name);
    std::vector<Tensor> values;
    for (const Shape& s : c.inputs) values.push_back(random_uniform(s, 4, values.size(), -1.1, 1.1));
    set_threads(1);
    const Tensor upstream = random_normal(c.run(values).shape(), 5, 3);
    const Run a = forward_and_backward(c, values, upstream);
    set_threads(2);
    const Run b = forward_and_backward(c, values, upstream);
    set_threads(0);
    CHECK(same_bits(a.y, b.y));
    for (size_t k = 0; k < values.size(); k++) CHECK(same_bits(a.gradients[k], b.gradients[k]));
  }
}

TEST_CASE("NaN stays NaN, and infinities are treated alike in f32 and f64") {
  const double inf = INFINITY, special[] = {NAN, inf, -inf, 0.0, -0.0, 1e-40, 1e30};
  for (const OpCase& c : elementwise_cases()) {
    CAPTURE(c.name);
    for (double v : special) {
      CAPTURE(v);
      const double wide = c.run({Tensor::full({17}, v, Dtype::f64)}).at({16}), narrow = c.run({Tensor::full({17}, v, Dtype::f32)}).at({16});
      if (std::isnan(v) && c.name != "pow_scalar 0") CHECK(std::isnan(wide));
      if (std::abs(v) == 1e30 || v == 1e-40) continue;  // f32 may overflow or underflow
      CHECK(std::isnan(wide) == std::isnan(narrow));
      CHECK(std::isinf(wide) == std::isinf(narrow));
      if (std::isinf(wide)) CHECK(std::signbit(wide) == std::signbit(narrow));
    }
  }
  const Tensor nan = Tensor::full({5}, NAN), one = Tensor::full({5}, 0.5);
  for (const auto& [a, b] : {std::pair(nan, one), std::pair(one, nan)})
    for (const Tensor& y : {a + b, a - b, a * b, a / b, pow(a, b), maximum(a, b), minimum(a, b), bce_with_logits(a, b)})
      CHECK(std::isnan(y.at({3})));
  CHECK(std::isnan(prelu(nan, one).at({0})));
}

TEST_CASE("a NaN is seen by reductions, maxima and pools") {
  Tensor x = random_uniform({1, 4, 4, 2}, 1, 1);
  x.data<float>()[2 * (4 + 1)] = NAN;  // row 1, column 1, channel 0
  for (const Tensor& y : {sum(x), mean(x), var(x), max(x), min(x), logsumexp(x)}) CHECK(std::isnan(y.item()));
  for (const Tensor& y :
       {max_pool(x), avg_pool(x), adaptive_max_pool(x, 2), adaptive_avg_pool(x, 2), max_pool(x, {.window = 2, .ceil = true})}) {
    CHECK(std::isnan(y.at({0, 0, 0, 0})));
    CHECK(std::isfinite(y.at({0, 0, 0, 1})));
    CHECK(std::isfinite(y.at({0, 1, 1, 0})));
  }
  CHECK(argmax(reshape(x, {16, 2}), 0).at({0}) == 5);
  CHECK(std::isnan(sort(reshape(x, {-1}), 0, true).first.at({0})));
  CHECK(std::isnan(sort(reshape(x, {-1}), 0).first.at({31})));
  CHECK(std::isnan(softmax(reshape(x, {-1})).at({7})));
  CHECK(std::isnan(cross_entropy(reshape(x, {16, 2}), Tensor::zeros({16}, Dtype::i32)).item()));
}

TEST_CASE("infinite logits: logsumexp and softmax keep their limits") {
  const Tensor x = leaf(Tensor::from<double>({2, 3}, {-INFINITY, 0, 1, -INFINITY, -INFINITY, -INFINITY}));
  const Tensor y = logsumexp(x, {1});
  CHECK(y.at({0}) == doctest::Approx(std::log(1 + std::exp(1.0))));
  CHECK(y.at({1}) == -INFINITY);
  backward(sum(y));
  CHECK(gradient(x).at({0, 0}) == 0);
  CHECK(gradient(x).at({0, 2}) == doctest::Approx(1 / (1 + std::exp(-1.0))));
  CHECK(gradient(x).at({1, 0}) == 0);
  CHECK(softmax(x.detach()).at({0, 0}) == 0);
}

TEST_CASE("empty tensors pass through, forward and backward") {
  const std::vector<OpCase> empty = {
      {"unary", {{0, 3}}, [](auto& x) { return tanh(x[0]); }},
      {"binary", {{0, 3}, {3}}, [](auto& x) { return x[0] * x[1]; }},
      {"sum", {{0, 3}}, [](auto& x) { return sum(x[0], {0}); }},
      {"sum to nothing", {{0, 3}}, [](auto& x) { return sum(x[0], {1}); }},
      {"max", {{0, 3}}, [](auto& x) { return max(x[0], {1}); }},
      {"softmax", {{0, 3}}, [](auto& x) { return softmax(x[0]); }},
      {"permute",
       {{0, 3, 2}},
       [](auto& x) {
         return permute(x[0], {2, 0, 1});
       }},
      {"concat", {{0, 3}, {2, 3}}, [](auto& x) { return concat(x, 0); }},
      {"pad",
       {{0, 3}},
       [](auto& x) {
         return pad(x[0], {{1, 0}, {0, 1}});
       }},
      {"take", {{4, 3}}, [](auto& x) { return take(x[0], Tensor({0}, Dtype::i32)); }},
      {"sort", {{0, 3}}, [](auto& x) { return sort(x[0], 0).first; }},
      {"matmul", {{0, 3}, {3, 2}}, [](auto& x) { return matmul(x[0], x[1]); }},
      {"matmul over nothing", {{2, 0}, {0, 3}}, [](auto& x) { return matmul(x[0], x[1]); }},
      {"linear", {{0, 3}, {3, 2}, {2}}, [](auto& x) { return linear(x[0], x[1], x[2]); }},
      {"conv2d", {{0, 4, 4, 2}, {3, 3, 2, 3}, {3}}, [](auto& x) { return conv(x[0], x[1], x[2]); }},
      {"max_pool", {{0, 4, 4, 2}}, [](auto& x) { return max_pool(x[0]); }},
      {"avg_pool", {{0, 4, 4, 2}}, [](auto& x) { return avg_pool(x[0]); }},
      {"layer_norm", {{0, 4}, {4}, {4}}, [](auto& x) { return layer_norm(x[0], x[1], x[2]); }},
      {"cross_entropy", {{0, 4}}, [](auto& x) { return cross_entropy(x[0], Tensor({0}, Dtype::i32), {.average = Average::sum}); }},
      {"interpolate", {{0, 4, 4, 2}}, [](auto& x) { return interpolate(x[0], 8); }},
      {"grid_sample", {{0, 4, 4, 2}, {0, 2, 2, 2}}, [](auto& x) { return grid_sample(x[0], x[1]); }},
      {"fft", {{0, 4, 2}}, [](auto& x) { return fft(x[0]); }},
  };
  for (const OpCase& c : empty) {
    CAPTURE(c.name);
    std::vector<Tensor> values;
    for (const Shape& s : c.inputs) values.push_back(Tensor::ones(s));
    const Tensor y = c.run(values);
    const Run run = forward_and_backward(c, values, Tensor::ones(y.shape()));
    for (size_t k = 0; k < values.size(); k++) {
      CHECK(run.gradients[k].shape() == values[k].shape());
      for (double v : run.gradients[k].to_vector<double>()) CHECK(std::isfinite(v));
    }
    for (double v : y.to_vector<double>()) CHECK(std::isfinite(v));
  }
  CHECK(sum(Tensor::ones({0})).item() == 0);
  CHECK(std::isnan(mean(Tensor::ones({0})).item()));
}

TEST_CASE("ties: the first of equal values has the gradient, a sort keeps their order") {
  const Tensor x = leaf(Tensor::from<float>({4}, {2, 5, 5, 1}));
  backward(max(x));
  CHECK(gradient(x).to_vector<float>() == std::vector<float>{0, 1, 0, 0});
  CHECK(argmax(x).item() == 1);
  CHECK(sort(Tensor::from<float>({5}, {1, 0, 1, 0, 1})).second.to_vector<int>() == std::vector<int>{1, 3, 0, 2, 4});
  CHECK(topk(Tensor::from<float>({5}, {1, 0, 1, 0, 1}), 2).second.to_vector<int>() == std::vector<int>{0, 2});
  const Tensor image = leaf(Tensor::ones({1, 4, 4, 1}));
  backward(sum(max_pool(image)));
  CHECK(gradient(image).at({0, 0, 0, 0}) == 1);
  CHECK(sum(gradient(image)).item() == 4);
}

TEST_CASE("comparisons, one_hot and argmin") {
  const Tensor a = Tensor::from<float>({3}, {1, 2, NAN}), b = Tensor::from<float>({3}, {2, 2, 2});
  using Mask = std::vector<int>;
  CHECK((a < b).to_vector<int>() == Mask{1, 0, 0});
  CHECK((a <= b).to_vector<int>() == Mask{1, 1, 0});
  CHECK((a > b).to_vector<int>() == Mask{0, 0, 0});
  CHECK((a >= 2.0).to_vector<int>() == Mask{0, 1, 0});
  CHECK(equal(a, b).to_vector<int>() == Mask{0, 1, 0});
  CHECK(not_equal(a, b).to_vector<int>() == Mask{1, 0, 1});
  CHECK((a < b).dtype() == Dtype::u8);
  CHECK(one_hot(index_of({2}, {2, 0}), 3).to_vector<int>() == Mask{0, 0, 1, 1, 0, 0});
  CHECK(argmin(Tensor::from<float>({2, 3}, {3, 1, 2, 0, 5, -1})).to_vector<int>() == Mask{1, 2});
}

TEST_CASE("dropout: the share that is dropped, the mean that is kept, and the same mask backward") {
  set_seed(3);
  const Tensor x = leaf(Tensor::ones({200, 100}));
  const Tensor y = dropout(x, 0.3, true);
  const auto values = y.to_vector<double>();
  const auto dropped = static_cast<double>(std::count(values.begin(), values.end(), 0.0)) / 20000;
  CHECK(std::abs(dropped - 0.3) < 4 * std::sqrt(0.21 / 20000));  // four standard deviations
  for (double v : values) CHECK((v == 0 || v == doctest::Approx(1 / 0.7)));
  backward(sum(y));
  CHECK(same_bits(gradient(x), y.detach()));
  CHECK_FALSE(same_bits(dropout(x, 0.3, true).detach(), y.detach()));  // a new draw
  CHECK(same_bits(dropout(x, 0.3, false).detach(), x.detach()));
  set_seed(3);
  CHECK(same_bits(dropout(x, 0.3, true).detach(), y.detach()));
  const Tensor u = random_uniform({200, 100}, 3, 0);
  CHECK((y.at({0, 0}) == 0) == (u.at({0, 0}) < 0.3));
}

TEST_CASE("fused norm backward equals the composition of simple operations") {
  const Tensor x = leaf(random_normal({4, 3, 5, 6}, 1, 1, 3, 2, Dtype::f64)), scale = leaf(random_uniform({6}, 1, 2, 0.5, 2, Dtype::f64)),
               shift = leaf(random_normal({6}, 1, 3, 0, 1, Dtype::f64));
  const Tensor upstream = random_normal({4, 3, 5, 6}, 1, 4, 0, 1, Dtype::f64);
  for (const auto& f : std::vector<std::function<Tensor()>>{
           [&] { return batch_norm(x, scale, shift).y; }, [&] { return batch_norm(x, scale, shift, 1e-5, true).y; },
           [&] { return batch_norm(x, scale, shift, 1e-5, true, x * 0.5).y; }, [&] { return group_norm(x, 3, scale, shift); },
           [&] { return instance_norm(x, scale, shift); }, [&] { return layer_norm(x, scale, shift); }}) {
    const auto fused = grad(f(), {x, scale, shift}, false, upstream), composed = grad(f(), {x, scale, shift}, true, upstream);
    for (size_t k = 0; k < 3; k++) CHECK(difference(fused[k], composed[k].detach()) < 1e-11);
  }
}

TEST_CASE("batch norm and max pooling in one pass equal the two, whoever looks on") {
  for (const Shape& shape : {Shape{4, 6, 8, 5}, Shape{2, 7, 5, 16}, Shape{2, 4, 4, 5, 3}, Shape{3, 9, 4}}) {
    const Tensor x = random_normal(shape, 1, 1, 1, 2), gy = random_normal(shape, 1, 4);
    const Tensor scale = random_normal({shape.back()}, 1, 2), shift = random_normal({shape.back()}, 1, 3);
    const auto gradients = [&](int used, bool fused, bool hooked) {
      const std::vector<Tensor> in = leaves({x, scale, shift});
      const Extent window(2);
      Tensor y, pooled;
      if (fused) {
        const NormPoolResult r = batch_norm_max_pool(in[0], in[1], in[2], window, 1e-5, true, used != 2);
        y = r.y, pooled = r.pooled;
      } else {
        y = batch_norm(in[0], in[1], in[2], 1e-5, true).y, pooled = max_pool(y);
      }
      std::vector<Tensor> seen{pooled.detach(), used != 2 ? y.detach() : pooled.detach()};
      if (hooked)
        add_hook(y, [&](const Tensor& g) {
          seen.push_back(g.clone());
          return g;
        });
      const Tensor of_y = used != 2 ? sum(y * gy) : Tensor{}, of_pooled = used != 1 ? sum(square(pooled)) : Tensor{};
      backward(used == 1 ? of_y : used == 2 ? of_pooled : of_y + of_pooled);
      for (const Tensor& leaf : in) seen.push_back(gradient(leaf));
      return seen;
    };
    for (int used : {1, 2, 3})  // y, its maxima, both
      for (bool hooked : {false, true}) {
        if (hooked && used == 2) continue;
        const auto one = gradients(used, true, hooked), two = gradients(used, false, hooked);
        REQUIRE(one.size() == two.size());
        for (size_t k = 0; k < one.size(); k++) CHECK(difference(one[k], two[k]) < 1e-5);
      }
  }
}

TEST_CASE("a convolution that normalises what it reads has the bits of norm, relu and convolution one after the other") {
  for (const Shape& shape : {Shape{2, 32, 36, 16}, Shape{3, 17, 23, 20}, Shape{1, 9, 40, 64}, Shape{1, 5, 14, 18, 16}, Shape{4, 6, 6, 2}}) {
    CAPTURE(to_string(shape));
    const int64_t C = shape.back(), O = 24;
    const Tensor x = random_normal(shape, 1, 1, 1, 2), scale = random_normal({C}, 1, 2), shift = random_normal({C}, 1, 3);
    Shape kernel(shape.size() - 2, 3);
    kernel.insert(kernel.end(), {C, O});
    const Tensor w = random_normal(kernel, 1, 4);
    for (int wanted = 0; wanted < 2; wanted++) {  // all gradients; those of the norm alone
      const auto run = [&](bool fused) {
        std::vector<Tensor> in = leaves({x, scale, shift});
        in.push_back(wanted ? w : leaf(w));
        const NormResult r = fused ? batch_norm_conv(in[0], in[1], in[2], in[3], {.padding = 1}) : [&] {
          const NormResult n = batch_norm(in[0], in[1], in[2], 1e-5, true);
          return NormResult{conv(n.y, in[3], {}, {.padding = 1}), n.mean, n.rstd};
        }();
        backward(sum(square(r.y)));
        std::vector<Tensor> seen{r.y.detach(), r.mean, r.rstd};
        for (size_t k = 0; k < (wanted ? 3 : 4); k++) seen.push_back(gradient(in[k]));
        return seen;
      };
      const auto one = run(true), two = run(false);
      for (size_t k = 0; k < one.size(); k++) CHECK(same_bits(one[k], two[k]));
    }
  }
}

TEST_CASE("a convolution of two images joined along their channels has the bits of the join and the convolution") {
  struct Case {
    Shape a;
    int64_t more, padding;
  };
  for (const Case& c : {Case{{2, 32, 36, 16}, 16, 1}, Case{{3, 17, 23, 32}, 7, 1}, Case{{1, 9, 40, 64}, 16, 0},
                        Case{{1, 5, 14, 18, 16}, 24, 1}, Case{{2, 12, 12, 20}, 12, 1}, Case{{4, 3, 3, 16}, 16, 1}}) {
    CAPTURE(to_string(c.a));
    Shape b = c.a, kernel(c.a.size() - 2, 3);
    b.back() = c.more;
    kernel.insert(kernel.end(), {c.a.back() + c.more, 40});
    const Tensor x = random_normal(c.a, 1, 1), y = random_normal(b, 1, 2), w = random_normal(kernel, 1, 3);
    for (int unwanted = 0; unwanted < 4; unwanted++) {  // the input that wants no gradient; 3: all do
      const auto run = [&](bool fused) {
        std::vector<Tensor> in{x, y, w};
        for (int k = 0; k < 3; k++)
          if (k != unwanted) in[static_cast<size_t>(k)] = leaf(in[static_cast<size_t>(k)]);
        const ConvOptions o{.padding = c.padding};
        const Tensor r = fused ? concat_conv(in[0], in[1], in[2], o) : conv(concat({in[0], in[1]}, -1), in[2], {}, o);
        backward(sum(square(r)));
        std::vector<Tensor> seen{r.detach()};
        for (int k = 0; k < 3; k++)
          if (k != unwanted) seen.push_back(gradient(in[static_cast<size_t>(k)]));
        return seen;
      };
      const auto one = run(true), two = run(false);
      for (size_t k = 0; k < one.size(); k++) CHECK(same_bits(one[k], two[k]));
    }
  }
}

TEST_CASE("batch_norm tells the statistics it used") {
  const Tensor x = random_normal({5, 3, 3, 2}, 9, 1, 4, 3, Dtype::f64);
  const NormResult r = batch_norm(x, {}, {}, 1e-5);
  CHECK(difference(r.mean, mean(x, {0, 1, 2})) < 1e-12);
  CHECK(difference(r.rstd, 1.0 / sqrt(var(x, {0, 1, 2}) + 1e-5)) < 1e-12);
  CHECK(difference(batch_norm_eval(x, {}, {}, r.mean, var(x, {0, 1, 2}), 1e-5), r.y) < 1e-12);
}

TEST_CASE("adjoint pairs: <A x, y> = <x, A* y>") {
  const auto check = [](auto forward, auto adjoint, Shape xs, Shape ys) {
    const Tensor x = random_normal(xs, 2, 1, 0, 1, Dtype::f64), y = random_normal(ys, 2, 2, 0, 1, Dtype::f64);
    CHECK(sum(forward(x) * y).item() == doctest::Approx(sum(x * adjoint(y)).item()).epsilon(1e-12));
  };
  const Tensor w = random_normal({3, 2, 2, 3}, 2, 3, 0, 1, Dtype::f64), image = random_normal({2, 6, 5, 2}, 2, 4, 0, 1, Dtype::f64);
  const ConvOptions o{.stride = {2, 1}, .padding = {1, 0}};
  check([&](const Tensor& x) { return conv(x, w, {}, o); },
        [&](const Tensor& y) {
          return conv_input(y, w, {2, 6, 5, 2}, o);
        },
        {2, 6, 5, 2}, {2, 3, 4, 3});
  check([&](const Tensor& v) { return conv(image, v, {}, o); },
        [&](const Tensor& y) {
          return conv_weight(image, y, {3, 2, 2, 3}, o);
        },
        {3, 2, 2, 3}, {2, 3, 4, 3});
  check([](const Tensor& x) { return fft(x); }, [](const Tensor& y) { return ifft(y) * 6.0; }, {2, 6, 2}, {2, 6, 2});
  check([](const Tensor& x) { return cumsum(x, 0); }, [](const Tensor& y) { return cumsum(y, 0, true); }, {4, 3}, {4, 3});
  check([](const Tensor& x) { return broadcast_to(x, {4, 3}); }, [](const Tensor& y) { return sum_to(y, {3}); }, {3}, {4, 3});
}

namespace {

template <class E, class F>
std::string message(F f) {
  try {
    f();
  } catch (const E& e) { return e.what(); }
  return "no error";
}

}  // namespace

TEST_CASE("bad input: the op's name, all shapes, and what is wrong") {
  const Tensor a = Tensor::ones({2, 3}), b = Tensor::ones({4}), d = Tensor::ones({2, 3}, Dtype::f64), i = Tensor::zeros({2}, Dtype::i32);
  CHECK(message<ShapeError>([&] { a + b; }) == "[add] shapes (2, 3) and (4) do not broadcast");
  CHECK(message<DtypeError>([&] { a* d; }) == "[multiply] inputs (2, 3), (2, 3) have different dtypes: f32, f64; convert them with cast()");
  CHECK(message<DtypeError>([&] { exp(i); }) == "[exp] wants f32 or f64, got i32 of shape (2); convert it with cast()");
  CHECK(message<Error>([&] { a + Tensor{}; }) == "[add] an input is an empty handle; give a tensor");
  CHECK(message<Error>([&] { Tensor{} + a; }) == "[add] an input is an empty handle; give a tensor");
  CHECK(message<ShapeError>([&] {
          conv(Tensor::ones({8, 128, 128, 3}), Tensor::ones({3, 3, 1, 16}));
        }) == "[conv2d] input (8, 128, 128, 3), weight (3, 3, 1, 16): the input has 3 channels, the weight expects 1");
  CHECK(message<ShapeError>([&] {
          conv(Tensor::ones({1, 2, 2, 1}), Tensor::ones({3, 3, 1, 1}));
        }) == "[conv2d] input (1, 2, 2, 1), weight (3, 3, 1, 1): the kernel is larger than the padded input");
  CHECK(message<ShapeError>([&] { matmul(a, d.to(Dtype::f32)); }) == "[matmul] (2, 3) times (2, 3): the inner dimensions differ");
  CHECK(message<ShapeError>([&] { sum(a, {2}); }) == "[sum] axis 2 is outside of shape (2, 3)");
  CHECK(message<ShapeError>([&] { sum(a, {1, -1}); }) == "[sum] axes (1, -1) name a dimension of (2, 3) twice");
  CHECK(message<ShapeError>([&] { max(Tensor::ones({0})); }) == "[max] there is no value to choose from in (0)");
  CHECK(message<ShapeError>([&] { reshape(a, {4, 2}); }) == "[reshape] (2, 3) has 6 values, (4, 2) wants 8");
  CHECK(message<ShapeError>([&] { concat({a, b}, 0); }) == "[concat] shapes (2, 3), (4) differ outside of dimension 0");
  CHECK(message<ShapeError>([&] { take(a, index_of({1}, {2})); }) == "[take] index 2 at position 0 is outside of 0 … 1");
  CHECK(message<ShapeError>([&] { one_hot(index_of({2}, {0, 3}), 3); }) == "[one_hot] index 3 at position 1 is outside of 0 … 2");
  CHECK(message<ShapeError>([&] {
          cross_entropy(a, index_of({2}, {0, 3}));
        }) == "[cross_entropy] target 3 at position 1 is outside of 0 … 2");
  CHECK(message<ShapeError>([&] { slice(a, 1, 2, 5); }) == "[slice] 2 to 5 by 1 does not fit dimension 1 of (2, 3)");
  CHECK(message<ShapeError>([&] { max_pool(a); }) == "[max_pool] wants (N, T, C), (N, H, W, C) or (N, D, H, W, C), got (2, 3)");
  CHECK(message<ShapeError>([&] {
          pad(a, {{0, 0}, {3, 0}}, Padding::reflect);
        }) == "[pad] input (2, 3): reflecting wants margins smaller than dimension 1");
  CHECK(message<DtypeError>([&] { select(a, a, a); }) == "[select] the mask (2, 3) must be u8, got f32");
  CHECK(message<DtypeError>([&] { take(a, a); }) == "[take] the index (2, 3) must be i32, got f32");
  CHECK(message<Error>([&] { dropout(a, 1, true); }) == "[dropout] p must be in [0, 1), got 1.000000");
}

// A second device whose memory is the host's and that has no kernels.
TEST_CASE("what is on another device is refused, by the op's name, and never run elsewhere") {
  register_device(Device::cuda, {[](size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }, [](void* p) { std::free(p); },
                                 [](void* to, Device, const void* from, Device, size_t bytes) { std::memcpy(to, from, bytes); }});
  const Tensor host = Tensor::ones({2, 3}), far = host.to(Device::cuda), image = Tensor::ones({1, 4, 4, 2}).to(Device::cuda);
  CHECK(message<DeviceError>([&] { host + far; }) ==
        "[add] inputs (2, 3), (2, 3) are on different devices: cpu, cuda; move them with to_device()");
  CHECK(message<DeviceError>([&] {
          conv(image, Tensor::ones({3, 3, 2, 1}));
        }) == "[conv2d] inputs (1, 4, 4, 2), (3, 3, 2, 1) are on different devices: cuda, cpu; move them with to_device()");
  CHECK(message<DeviceError>([&] { take(far, index_of({1}, {0})); }) == "[take] the index (1) is on cpu, the input (2, 3) on cuda");
  CHECK(message<DeviceError>([&] {
          concat({host, far}, 0);
        }) == "[concat] tensors (2, 3), (2, 3) are on different devices; move them with to_device()");
  for (const auto& [name, f] :
       std::vector<std::pair<std::string, std::function<void()>>>{{"sort", [&] { sort(far); }},
                                                                  {"cumsum", [&] { cumsum(far); }},
                                                                  {"matmul", [&] { matmul(far, far, false, true); }},
                                                                  {"softmax", [&] { softmax(far); }},
                                                                  {"max_pool", [&] { max_pool(image); }},
                                                                  {"resample", [&] { interpolate(image, 8); }}})
    CHECK(message<DeviceError>(f) == "[" + name + "] has no CUDA kernel for this call; run on the CPU (--device cpu)");
  CHECK_THROWS_AS(exp(far), DeviceError);
  const Tensor x = leaf(host);
  backward(sum(to_device(to_device(x, Device::cuda), Device::cpu) * 3.0));
  CHECK(gradient(x).to_vector<float>() == std::vector<float>(6, 3));
}
