// Networks on the CUDA device learn as on the CPU: same losses, same gradients, in every thread order.
#include "cuda/device.h"
#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "layers/pool.h"
#include "layers/sequential.h"
#include "optim/optimizer.h"
#include "tests/cuda/compare.h"

using namespace sono;
using namespace sono::tests;

// A CUDA build on a machine without a GPU has nothing to run these on.
TEST_SUITE_BEGIN("device" * doctest::skip(!cuda::why_unavailable().empty()));

namespace {

template <class Activation>
std::unique_ptr<Sequential> lenet() {
  auto net = std::make_unique<Sequential>();
  net->append<Conv2d>({.in = 1, .out = 6, .kernel = 5, .padding = 2});
  net->append<Activation>();
  net->append<MaxPool>(PoolOptions{});
  net->append<Conv2d>({.in = 6, .out = 16, .kernel = 5});
  net->append<Activation>();
  net->append<MaxPool>(PoolOptions{});
  net->append<Flatten>();
  net->append<Linear>({.in = 16 * 3 * 3, .out = 40});
  net->append<Activation>();
  net->append<Linear>({.in = 40, .out = 3});
  return net;
}

struct Course {
  std::vector<double> losses;
  std::vector<Tensor> gradients, weights;
};  // gradients of the first step

// A few steps from the same weights on the same batch.
template <class MakeNet, class MakeOptimizer>
Course train(Device device, int steps, MakeNet make_net, MakeOptimizer make_optimizer) {
  set_seed(3);
  const auto net = make_net();
  net->to(device);
  const auto optimizer = make_optimizer(*net);
  const Tensor x = values({6, 20, 20, 1}, 1).to(device), target = Tensor::from<int32_t>({6}, {0, 1, 2, 2, 1, 0}).to(device);
  Course course;
  for (int step = 0; step < steps; step++) {
    optimizer->zero_gradients();
    const Tensor loss = cross_entropy((*net)(x), target);
    course.losses.push_back(loss.item());
    backward(loss);
    if (step == 0)
      for (const auto& [path, value] : net->parameters()) course.gradients.push_back(gradient(*value).to(Device::cpu));
    optimizer->step();
  }
  for (const auto& [path, value] : net->parameters()) course.weights.push_back(value->detach().to(Device::cpu));
  return course;
}

void check_same_course(const Course& cpu, const Course& cuda) {
  REQUIRE(cpu.losses.size() == cuda.losses.size());
  for (size_t i = 0; i < cpu.losses.size(); i++) CHECK(std::abs(cpu.losses[i] - cuda.losses[i]) < 1e-4);
  for (size_t i = 0; i < cpu.gradients.size(); i++) CHECK(difference(cuda.gradients[i], cpu.gradients[i]) < 1e-4);
  CHECK(cpu.losses.back() < cpu.losses.front());
}

template <class MakeNet, class MakeOptimizer>
void check_training(int steps, MakeNet make_net, MakeOptimizer make_optimizer) {
  cuda::start();
  const Course cpu = train(Device::cpu, steps, make_net, make_optimizer);
  std::vector<Tensor> weights;
  in_every_order([&](const std::string& order) {
    CAPTURE(order);
    const Course cuda = train(Device::cuda, steps, make_net, make_optimizer);
    check_same_course(cpu, cuda);
    if (weights.empty()) weights = cuda.weights;
    for (size_t i = 0; i < weights.size(); i++) CHECK(same_bits(cuda.weights[i], weights[i]));
  });
}

}  // namespace

TEST_CASE("LeNet with ReLU and momentum") {
  check_training(4, lenet<Relu>,
                 [](Module& net) { return std::make_unique<Sgd>(net, SgdOptions{.rate = 0.05, .momentum = 0.9, .weight_decay = 5e-4}); });
}

TEST_CASE("LeNet with tanh and Nesterov's momentum") {
  check_training(4, lenet<Tanh>,
                 [](Module& net) { return std::make_unique<Sgd>(net, SgdOptions{.rate = 0.02, .momentum = 0.9, .nesterov = true}); });
}

TEST_SUITE_END();
