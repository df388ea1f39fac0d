// A dozen hot kernels and two training steps, each called once inside hot_call(): instructions.py counts its instructions under callgrind.
// Prints a line per call, in order: the name, and the entry that the kernel's list chose.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "layers/blocks.h"
#include "layers/recurrent.h"
#include "optim/optimizer.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;
namespace k = sono::kernels;  // names that autograd/ops.h has too are written k::…
using kernels::AdamArgs, kernels::ConvArgs, kernels::Kernel, kernels::MatmulArgs, kernels::NormArgs, kernels::NormBackwardArgs,
    kernels::OptimizerSlot;

extern "C" __attribute__((noinline)) void hot_call(const std::function<void()>& f) { f(); }

namespace {

// Twice: the first call allocates, and may set up what later ones reuse.
void count(const std::string& name, const char* entry, const std::function<void()>& f) {
  f();
  hot_call(f);
  std::printf("%s\t%s\n", name.c_str(), entry);
}

template <class Args>
void count(const Kernel<Args>& kernel, const std::string& shape, const Args& a) {
  const auto& entry = kernel.choose(a);
  count(std::string(kernel.name) + " " + shape, entry.name, [&] { entry.run(a); });
}

Tensor normal(Shape shape, uint64_t stream = 0) { return random_normal(std::move(shape), 1, stream); }

void convolution(int64_t depth, int64_t size, int64_t in, int64_t out, int64_t stride) {
  const int64_t kd = depth > 1 ? 3 : 1, pd = depth > 1 ? 1 : 0, half = (size - 1) / stride + 1;
  const ConvArgs a{normal({1, depth, size, size, in}, 1),
                   normal({kd, 3, 3, in, out}, 2),
                   normal({1, depth, half, half, out}, 3),
                   {{1, stride, stride}, {pd, 1, 1}}};
  const std::string shape = std::to_string(in) + "->" + std::to_string(out) + " " + std::to_string(size) + (depth > 1 ? "^3" : "^2") +
                            (stride > 1 ? " stride 2" : "");
  count(depth > 1 ? k::conv3d : k::conv2d, shape, a);
  if (in > 1) count(depth > 1 ? k::conv3d_input : k::conv2d_input, shape, a);
  count(depth > 1 ? k::conv3d_weight : k::conv2d_weight, shape, a);
}

void product(int64_t M, int64_t N, int64_t K, bool transpose_a, bool transpose_b) {
  const MatmulArgs a{transpose_a ? normal({K, M}, 1) : normal({M, K}, 1), transpose_b ? normal({N, K}, 2) : normal({K, N}, 2),
                     Tensor({1, M, N}), transpose_a, transpose_b};
  count(k::matmul,
        std::to_string(M) + "x" + std::to_string(N) + "x" + std::to_string(K) +
            (transpose_a   ? " A^T"
             : transpose_b ? " B^T"
                           : ""),
        a);
}

void norm() {
  const int64_t rows = 64 * 64, channels = 16;
  const Tensor x = normal({rows, channels}, 1), scale = Tensor::ones({channels}), shift = Tensor::zeros({channels});
  NormArgs a{x, scale, shift, Tensor::empty_like(x), Tensor({channels}), Tensor({channels}), {1, rows, channels, 1}};
  a.relu = true;
  count(k::normalize, "16 channels 64^2", a);
  NormBackwardArgs b;
  b.gy = normal(x.shape(), 2), b.x = x, b.scale = scale, b.shift = shift, b.mean = a.mean, b.rstd = a.rstd;
  b.gx = Tensor::empty_like(x), b.gscale = Tensor({channels}), b.gshift = Tensor({channels}), b.view = a.view;
  b.relu = true;
  count(k::normalize_backward, "16 channels 64^2", b);
}

void lstm() {
  const int64_t N = 4, T = 8, H = 64, width = 4 * H;
  kernels::RecurrentArgs a;
  a.x = normal({N, T, width}, 1), a.weight = normal({H, width}, 2), a.bias = normal({width}, 3), a.h0 = a.c0 = Tensor::zeros({N, H});
  a.y = Tensor({N, T, H}), a.h = Tensor({N, H}), a.c = Tensor({N, H}), a.kept = Tensor(a.x.shape()), a.extra = Tensor(a.y.shape());
  count(k::recurrent, "lstm 64, 8 steps", a);
  kernels::RecurrentBackwardArgs b;
  b.gy = normal(a.y.shape(), 4), b.weight = a.weight, b.h0 = a.h0, b.c0 = a.c0, b.y = a.y, b.kept = a.kept, b.extra = a.extra;
  b.gx = Tensor(a.x.shape()), b.gh0 = Tensor({N, H}), b.gc0 = Tensor({N, H}), b.before = Tensor(a.y.shape());
  count(k::recurrent_backward, "lstm 64, 8 steps", b);
}

void adam() {
  std::vector<OptimizerSlot> slots;
  for (int64_t n : {144, 2304, 16, 36864, 40000})
    slots.push_back({normal({n}, 1), normal({n}, 2), Tensor::zeros({n}), Tensor::zeros({n}), {}, 10});
  AdamArgs a;
  a.slots = slots;
  count(k::adam_step, "79k parameters", a);
}

void training_steps() {
  set_seed(1);
  Sequential net;
  net.append<ConvUnit>({.in = 1, .out = 16});
  net.append<MaxPool>(PoolOptions{});
  net.append<ConvUnit>({.in = 16, .out = 32});
  net.append<GlobalAvgPool>();
  Lstm lstm({.in = 64, .hidden = 64});
  Adam adam(net), other(lstm);
  const auto step = [](Optimizer& optimizer, const std::function<Tensor()>& y) {
    optimizer.zero_gradients();
    backward(mean(square(y())));
    optimizer.step();
  };
  const Tensor images = normal({2, 32, 32, 1}), sequences = normal({4, 16, 64});
  count("training step, two convolutions", "", [&] { step(adam, [&] { return net(images); }); });
  count("training step, LSTM", "", [&] { step(other, [&] { return lstm(sequences).y; }); });
}

}  // namespace

int main() {
  set_threads(1);
  convolution(1, 64, 1, 16, 1);   // a first layer
  convolution(1, 32, 16, 32, 1);  // one where Winograd pays
  convolution(1, 32, 64, 64, 1);
  convolution(1, 32, 16, 32, 2);
  convolution(1, 64, 32, 64, 2);  // Winograd on phases
  convolution(16, 16, 8, 16, 1);
  product(128, 128, 128, false, false);
  product(100, 500, 250, false, false);
  product(250, 500, 100, true, false);
  product(8, 256, 1024, false, true);
  norm();
  lstm();
  adam();
  training_steps();
}
