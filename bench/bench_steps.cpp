// Whole training steps (forward, loss, backward, Adam) of the zoo's networks on the shapes that the comparison with other frameworks uses.
//   bench_steps                 all of them, a table
//   bench_steps serve           reads "NAME THREADS" lines and answers with the milliseconds of one step: for bench/peers/steps.py
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>

#include "layers/loss.h"
#include "layers/networks.h"
#include "layers/recurrent.h"
#include "optim/optimizer.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;

namespace {

struct Work {  // one network with its optimiser and data; run() makes one step
  std::shared_ptr<Module> model;
  std::shared_ptr<Optimizer> adam;
  std::function<Tensor()> loss;
  void run() const {
    adam->zero_gradients();
    backward(loss());
    adam->step();
  }
};

Tensor classes(int64_t n) {
  Tensor labels({n}, Dtype::i32);
  for (int64_t i = 0; i < n; i++) labels.data<int32_t>()[i] = static_cast<int32_t>(i % 2);
  return labels;
}

template <class Net> Work work(std::shared_ptr<Net> net, std::function<Tensor(Net&)> loss) {
  return {net, std::make_shared<Adam>(*net, AdamOptions{.rate = 1e-3}), [net, loss] { return loss(*net); }};
}

// N = 8, 128 x 128 x 1.
Work unet() {
  const Tensor x = random_normal({8, 128, 128, 1}, 1, 0), y = (random_uniform({8, 128, 128, 1}, 1, 1) > 0.5).to(Dtype::f32);
  return work<UNet>(std::make_shared<UNet>(), [=](UNet& net) { return binary_cross_entropy(net(x), y); });
}

Work resnet_small() {
  const Tensor x = random_normal({8, 128, 128, 1}, 1, 0), labels = classes(8);
  return work<ResNetSmall>(std::make_shared<ResNetSmall>(), [=](ResNetSmall& net) { return cross_entropy(net(x), labels); });
}

const std::map<std::string, Work (*)()> works = {{"unet", unet}, {"resnet-small", resnet_small}};

double milliseconds(const Work& w) {
  const auto start = std::chrono::steady_clock::now();
  w.run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void serve() {
  std::map<std::string, Work> made;
  std::string name;
  int n;
  while (std::cin >> name >> n) {
    set_threads(n);
    if (!made.count(name)) made[name] = works.at(name)();
    std::cout << milliseconds(made.at(name)) << std::endl;
  }
}

void table() {
  for (const auto& [name, make] : works)
    for (const int n : {1, 2}) {
      set_threads(n);
      set_seed(1);
      const Work w = make();
      std::vector<double> times;
      for (int i = 0; i < 13; i++) times.push_back(milliseconds(w));
      times.erase(times.begin(), times.begin() + 2);  // warm-up
      std::sort(times.begin(), times.end());
      std::printf("step:%-14s %d threads  median %7.1f ms  min %7.1f ms  peak %.0f MiB\n", name.c_str(), n, times[5], times[0], static_cast<double>(memory_stats().peak) / 1048576);
    }
}

}  // namespace

int main(int argc, char** argv) {
  set_seed(1);
  if (argc > 1 && std::string(argv[1]) == "serve") serve();
  else table();
}
