// Adaptive deconvolutional networks: pooling with switches, ISTA against the conditions of its minimum, filters that are found again.
#include "layers/deconvolutional.h"

#include <cstring>

#include "tensor/parallel.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

// Images that are sums of few shifted copies of two filters of norm 1: a bar across and a diagonal.
Tensor images(int64_t n, uint64_t stream, Dtype dtype = Dtype::f32) {
  Random random(5, stream);
  const Tensor y = Tensor::zeros({n, 16, 16, 1}, Dtype::f64);
  for (int64_t i = 0; i < n; i++)
    for (int k = 0; k < 6; k++) {
      const int64_t row = 2 + random.below(12), column = 2 + random.below(12);
      const double value = random.chance(0.5) ? 1 : -1;
      for (int64_t t = -2; t <= 2; t++) y.data<double>()[256 * i + 16 * (row + (k % 2 ? t : 0)) + column + t] += value / std::sqrt(5);
    }
  return y.to(dtype);
}

double relative_error(const DeconvolutionalNetwork& net, const Tensor& y, int64_t layers) {
  return sum(square(net.reconstruct(net.infer(y, layers)) - y)).item() / sum(square(y)).item();
}

}  // namespace

TEST_CASE("3D pooling keeps the largest magnitude and its place; unpooling is the adjoint") {
  const Tensor z = normal({2, 5, 4, 3}, 1);  // windows at the edges are smaller
  const Pooled pooled = max_pool_3d(z, 2, 2);
  CHECK(pooled.values.shape() == Shape{2, 3, 2, 2});
  for (int64_t n = 0; n < 2; n++)
    for (int64_t i = 0; i < 3; i++)
      for (int64_t j = 0; j < 2; j++)
        for (int64_t k = 0; k < 2; k++) {
          double best = 0;
          for (int64_t a = 2 * i; a < std::min<int64_t>(2 * i + 2, 5); a++)
            for (int64_t b = 2 * j; b < 2 * j + 2; b++)
              for (int64_t c = 2 * k; c < std::min<int64_t>(2 * k + 2, 3); c++)
                if (std::abs(z.at({n, a, b, c})) > std::abs(best)) best = z.at({n, a, b, c});
          CHECK(pooled.values.at({n, i, j, k}) == best);
        }
  const Tensor p = normal(pooled.values.shape(), 2), other = normal(z.shape(), 3);
  CHECK(sum(unpool_at(p, pooled.switches) * other).item() ==
        doctest::Approx(sum(p * pool_at(other, pooled.switches)).item()).epsilon(1e-12));
  CHECK(distance(pool_at(unpool_at(p, pooled.switches), pooled.switches), p) == 0);
  CHECK(max_pool_3d(Tensor::ones({1, 2, 2, 2}), 2, 2).switches.index.to_vector<int32_t>() == std::vector<int32_t>{0});  // ties: the first
  const Tensor leafed = leaf(z);
  CHECK(gradient_error([&] { return sum(square(pool_at(leafed, pooled.switches)) * p); }, {leafed}) < 1e-8);
}

TEST_CASE("soft threshold") {
  const Tensor z = Tensor::from<double>({5}, {-2, -0.3, 0, 0.5, 3}), wanted = Tensor::from<double>({5}, {-1.5, 0, 0, 0, 2.5});
  CHECK(distance(soft_threshold(z, Tensor::full({}, 0.5, Dtype::f64)), wanted) < 1e-15);
}

TEST_CASE("a step of ISTA never raises the objective, in any layer") {
  set_seed(3);
  for (const double lambda : {0.5, 20.0}) {
    DeconvolutionalNetwork net({.layers = {{.maps = 6, .kernel = 5, .lambda = lambda}, {.maps = 8, .kernel = 3, .lambda = lambda}},
                                .steps = 40,
                                .refresh_switches = false});
    net.to(Dtype::f64);
    for (const auto& maps : net.infer(images(5, 1, Dtype::f64))) {
      CHECK(maps.objective.size() == 41);
      for (size_t t = 1; t < maps.objective.size(); t++)
        for (int64_t n = 0; n < 5; n++) CHECK(maps.objective[t].at({n}) <= maps.objective[t - 1].at({n}) * (1 + 1e-12));
      CHECK(sum(maps.objective.back()).item() < 0.9 * sum(maps.objective.front()).item());
    }
  }
}

TEST_CASE("many steps reach the minimum: the conditions of the lasso hold") {
  set_seed(3);
  const double lambda = 5;
  DeconvolutionalNetwork net({.layers = {{.maps = 4, .kernel = 3, .lambda = lambda}}, .steps = 3000, .refresh_switches = false});
  net.to(Dtype::f64);
  const Tensor y = images(1, 2, Dtype::f64);
  const auto maps = net.infer(y);
  const Tensor z = maps[0].z,
               slope = conv_input(net.reconstruct(maps) - y, net.layers[0].weight.detach(), z.shape(), {.padding = 1}) * lambda;
  double worst = 0;
  int64_t used = 0;
  for (int64_t i = 0; i < z.size(); i++) {
    const double v = z.data<double>()[i], g = slope.data<double>()[i];
    worst = std::max(worst, v != 0 ? std::abs(g + (v > 0 ? 1 : -1)) : std::abs(g) - 1);
    used += v != 0;
  }
  CHECK(worst < 1e-3);
  CHECK(used > 5);
  CHECK(used < z.size() / 4);  // sparse
}

TEST_CASE("filters that are learnt explain held-out images better than random ones, and have norm 1") {
  set_seed(1);
  DeconvolutionalNetwork net({.layers = {{.maps = 4, .kernel = 5, .lambda = 10}}, .steps = 15, .refresh_switches = false});
  const Tensor y = images(24, 1), held = images(12, 2);
  const auto objective = [&] { return sum(net.infer(held)[0].objective.back()).item() / 12; };
  const double random = objective();
  const std::vector<double> epochs = net.learn(y, {.epochs = 12});
  MESSAGE("held-out objective: random filters ", random, ", learnt ", objective());
  CHECK(epochs.size() == 12);
  CHECK(epochs.back() < 0.8 * epochs.front());
  CHECK(objective() < 0.8 * random);
  const Tensor norms = sum(square(net.layers[0].weight), {0, 1, 3});
  CHECK(distance(norms, Tensor::ones({4})) < 1e-5);
}

TEST_CASE("two layers with switches that follow: sizes, reconstruction, batches, two threads") {
  const Tensor y = images(9, 1);
  std::vector<std::vector<float>> weights;
  const int before = threads();
  for (const int count : {1, 2}) {
    set_threads(count);
    set_seed(1);
    DeconvolutionalNetwork net({.layers = {{.maps = 5, .kernel = 5, .lambda = 10}, {.maps = 8, .kernel = 3, .lambda = 10}}});
    std::vector<int64_t> seen;
    net.learn(y, {.epochs = 3, .batch = 4, .on_epoch = [&](int64_t layer, int64_t epoch, double) { seen.push_back(10 * layer + epoch); }});
    CHECK(seen == std::vector<int64_t>{1, 2, 3, 11, 12, 13});
    const auto maps = net.infer(y);
    CHECK(maps[0].z.shape() == Shape{9, 16, 16, 5});
    CHECK(maps[0].pooled.shape() == Shape{9, 8, 8, 3});
    CHECK(maps[1].z.shape() == Shape{9, 8, 8, 8});
    CHECK(maps[1].pooled.shape() == Shape{9, 4, 4, 4});
    CHECK(distance(unpool_at(maps[0].pooled, maps[0].switches), maps[0].z) == 0);  // one value per window is left
    CHECK(relative_error(net, y, 1) < 0.5);
    CHECK(relative_error(net, y, 2) < 0.9);
    weights.push_back(net.layers[0].weight.to_vector<float>());
    weights.push_back(net.layers[1].weight.to_vector<float>());
  }
  set_threads(before);
  CHECK(weights[0] == weights[2]);
  CHECK(weights[1] == weights[3]);
}

TEST_CASE("deconvolutional networks refuse what they cannot use") {
  DeconvolutionalNetwork net({.layers = {{.maps = 2, .kernel = 3}}});
  CHECK(message([&] { net.infer(Tensor::ones({1, 8, 8, 3})); }) == "[deconvolutional] expected images (N, H, W, 1), got (1, 8, 8, 3)");
  CHECK(contains(message([&] { net.infer(Tensor::full({1, 8, 8, 1}, NAN)); }), "NaN or infinite"));
  CHECK(contains(message([&] { net.infer(Tensor::ones({1, 8, 8, 1}, Dtype::f64)); }), "images are f64"));
  CHECK(contains(message([&] { net.infer(Tensor::ones({1, 8, 8, 1}), 2); }), "has 1 layers, asked for 2"));
  CHECK(contains(message([&] { net.learn(Tensor::ones({2, 8, 8, 1})); }), "the same value everywhere"));
  CHECK(contains(message([] { DeconvolutionalNetwork({.layers = {{.maps = 2, .kernel = 4}}}); }), "odd kernel"));
}
