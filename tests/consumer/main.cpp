// The library in 20 lines (README shows the same): a network learns to tell bright discs from dark ones.
#include <cstdio>

#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/linear.h"
#include "optim/optimizer.h"
#include "tensor/random.h"

using namespace sono;

struct Net : Module {
  Conv2d conv{this, "conv", {.in = 1, .out = 8, .kernel = 3, .padding = 1}};
  Linear head{this, "head", {.in = 8, .out = 2}};
  Tensor operator()(const Tensor& x) { return head(global_avg_pool(relu(conv(x)))); }
};

int main() {
  set_seed(1);
  Net net;
  Adam adam(net, {.rate = 0.05});
  const Tensor labels = Tensor::from<int32_t>({4}, {0, 1, 0, 1});
  const Tensor images = random_normal({4, 16, 16, 1}, 7, 0) + labels.to(Dtype::f32).view({4, 1, 1, 1});  // class 1 is brighter
  double loss = 0;
  for (int step = 0; step < 100; step++) {
    adam.zero_gradients();
    const Tensor l = cross_entropy(net(images), labels);
    backward(l);
    adam.step();
    loss = l.item();
  }
  std::printf("loss %.4f\n", loss);
  return loss < 0.1 ? 0 : 1;
}
