// The static plan against the eager pass of whole networks.
#include "autograd/plan.h"

#include <doctest/doctest.h>

#include "layers/activation.h"
#include "layers/networks.h"
#include "tensor/random.h"
#include "tests/layers/check.h"

using namespace sono;

namespace {

Tensor noise(Shape shape, uint64_t stream = 1) { return random_normal(std::move(shape), 5, stream); }

// Norms with statistics and slopes that are not 1 and 0, so that folding shows.
void shake(Module& net) {
  uint64_t stream = 100;
  for (const auto& entries : {net.parameters(), net.buffers()})
    for (const Module::Entry& e : entries) {
      const bool variance = e.path.find("running_var") != std::string::npos;
      const Tensor u = random_uniform(e.value->shape(), 9, stream++);
      for (int64_t i = 0; i < u.size(); i++) {
        float& v = e.value->data<float>()[i];
        v = variance ? 0.5f + u.data<float>()[i] : v + 0.2f * (u.data<float>()[i] - 0.5f);
      }
    }
  net.eval();
}

double apart(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 1e-30, difference = 0;
  for (int64_t i = 0; i < a.size(); i++) {
    const double x = static_cast<double>(a.data<float>()[i]), y = static_cast<double>(b.data<float>()[i]);
    largest = std::max(largest, std::abs(y)), difference = std::max(difference, std::abs(x - y));
  }
  return difference / largest;
}

// Freezes a network for one shape and compares it on all of them. Returns the number of steps for the first.
template <class Net>
size_t check_plan(Net& net, const std::vector<Shape>& shapes) {
  shake(net);
  Plan plan = freeze([&](const Tensor& x) { return net(x); }, noise(shapes[0]));
  const size_t steps = plan.summary().steps.size();
  const NoGrad values;
  for (const Shape& s : shapes) {
    CAPTURE(to_string(s));
    const Tensor x = noise(s, 7);
    CHECK(apart(plan(x), net(x)) < 1e-5);
  }
  return steps;
}

}  // namespace

TEST_CASE("plan of a U-Net: only pools and joins beside the convolutions; odd sizes") {
  UNet net({.in = 1, .out = 2, .widths = {16, 32, 64}});
  CHECK(check_plan(net, {{1, 48, 64, 1}, {1, 37, 51, 1}, {2, 33, 32, 1}}) == 10 + 1 + 2 + 2 + 2);
}

TEST_CASE("plan of a small ResNet: norms and shortcuts") {
  ResNetSmall net({.in = 1, .classes = 3, .widths = {16, 32, 64}, .blocks = 2});
  // stem; 6 blocks of 2 convolutions, 2 of them with a projection, and one addition with its ReLU; mean, fc
  CHECK(check_plan(net, {{1, 64, 64, 1}, {1, 45, 31, 1}}) == 1 + 12 + 2 + 6 + 2);
}

TEST_CASE("plans of plain classifiers in 2D and 3D") {
  Cnn flat({.widths = {16, 32, 32}}), deep({.widths = {8, 16}, .dimensions = 3});
  CHECK(check_plan(flat, {{1, 64, 48, 1}, {3, 17, 23, 1}}) == 3 + 3 + 2);
  CHECK(check_plan(deep, {{1, 16, 12, 20, 1}, {2, 9, 11, 7, 1}}) == 2 + 2 + 2);
}

TEST_CASE("plan of SonoNet, and its class maps") {
  SonoNet net({.features = 8});
  CHECK(check_plan(net, {{1, 56, 72, 1}}) == 13 + 4 + 2 + 1);
  const NoGrad values;
  CHECK(net.class_maps(noise({1, 56, 72, 1})).shape() == Shape{1, 3, 4, 14});
  const auto parameters = SonoNet().parameters();
  CHECK(parameters.front().path == "features.0.0.weight");
  CHECK(parameters.back().path == "adaptation.4.bias");
}

TEST_CASE("plans of an autoencoder and of recurrent networks") {
  Autoencoder coder({.widths = {49, 30, 12}});
  CHECK(check_plan(coder, {{1, 49}, {7, 49}}) == 4);
  LstmClassifier sequence({.in = 12, .hidden = 16, .layers = 2});
  check_plan(sequence, {{1, 9, 12}, {3, 5, 12}});
  struct Both : Module {
    Gru gru{this, "gru", {.in = 6, .hidden = 8, .layers = 2, .bidirectional = true}};
    Tensor operator()(const Tensor& x) const { return gru(x, {.lengths = {5, 3}}).y; }
  } gru;
  check_plan(gru, {{2, 5, 6}});
}

TEST_CASE("plans of Inception blocks, of a LeNet and of dropout in eval") {
  Inception block({.in = 8, .one = 4, .reduce_three = 6, .three = 8, .reduce_five = 2, .five = 4, .pool = 4});
  CHECK(check_plan(block, {{1, 14, 15, 8}}) == 6 + 1 + 1);
  Sequential lenet;
  lenet.append<Conv2d>({.in = 1, .out = 6, .kernel = 5});
  lenet.append<Tanh>();
  lenet.append<AvgPool>();
  lenet.append<Conv2d>({.in = 6, .out = 16, .kernel = 5});
  lenet.append<Tanh>();
  lenet.append<AvgPool>();
  lenet.append<Flatten>();
  lenet.append<Dropout>();
  lenet.append<Linear>({.in = 16 * 5 * 5, .out = 84});
  lenet.append<Sigmoid>();
  lenet.append<Linear>({.in = 84, .out = 10});
  lenet.append<Softmax>();
  CHECK(check_plan(lenet, {{1, 32, 32, 1}, {5, 32, 32, 1}}) == 7);
}
