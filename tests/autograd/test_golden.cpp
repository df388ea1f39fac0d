// Values and gradients against PyTorch: golden_ops.py wrote the file.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "tensor/files.h"
#include "tests/autograd/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

using In = const std::vector<Tensor>&;
using Function = std::function<Tensor(In)>;

// The inputs, then the constants, as in golden_ops.py.
std::map<std::string, Function> functions() {
  using I = Interpolation;
  return {
      {"exp", [](In x) { return exp(x[0]); }},
      {"square", [](In x) { return square(x[0]); }},
      {"abs", [](In x) { return abs(x[0]); }},
      {"sin", [](In x) { return sin(x[0]); }},
      {"cos", [](In x) { return cos(x[0]); }},
      {"erf", [](In x) { return erf(x[0]); }},
      {"tanh", [](In x) { return tanh(x[0]); }},
      {"sigmoid", [](In x) { return sigmoid(x[0]); }},
      {"relu", [](In x) { return relu(x[0]); }},
      {"leaky_relu", [](In x) { return leaky_relu(x[0], 0.1); }},
      {"elu", [](In x) { return elu(x[0], 1.3); }},
      {"gelu", [](In x) { return gelu(x[0]); }},
      {"silu", [](In x) { return silu(x[0]); }},
      {"softplus", [](In x) { return softplus(x[0]); }},
      {"clamp", [](In x) { return clamp(x[0], -0.5, 0.8); }},
      {"log", [](In x) { return log(x[0]); }},
      {"log1p", [](In x) { return log1p(x[0]); }},
      {"sqrt", [](In x) { return sqrt(x[0]); }},
      {"pow_scalar", [](In x) { return pow(x[0], 2.5); }},
      {"reciprocal", [](In x) { return 3.0 / x[0]; }},
      {"divide", [](In x) { return x[0] / x[1]; }},
      {"pow", [](In x) { return pow(x[0], x[1]); }},
      {"maximum", [](In x) { return maximum(x[0], x[1]); }},
      {"minimum", [](In x) { return minimum(x[0], x[1]); }},
      {"prelu", [](In x) { return prelu(x[0], x[1]); }},
      {"bce_with_logits", [](In x) { return bce_with_logits(x[0], x[1]); }},
      {"sum",
       [](In x) {
         return sum(x[0], {0, 2});
       }},
      {"mean", [](In x) { return mean(x[0], {1}, true); }},
      {"var",
       [](In x) {
         return var(x[0], {0, 2}, false, true);
       }},
      {"max",
       [](In x) {
         return max(x[0], {0, 2});
       }},
      {"min", [](In x) { return min(x[0], {1}); }},
      {"logsumexp",
       [](In x) {
         return logsumexp(x[0], {1, 2});
       }},
      {"softmax", [](In x) { return softmax(x[0], 1); }},
      {"log_softmax", [](In x) { return log_softmax(x[0]); }},
      {"cumsum", [](In x) { return cumsum(x[0], 1); }},
      {"sort", [](In x) { return sort(x[0], -1, true).first; }},
      {"topk", [](In x) { return topk(x[0], 2, 0).first; }},
      {"permute",
       [](In x) {
         return permute(x[0], {2, 0, 3, 1});
       }},
      {"slice", [](In x) { return slice(x[0], 1, 1, 8, 3); }},
      {"concat", [](In x) { return concat(x, 1); }},
      {"stack", [](In x) { return stack(x, -1); }},
      {"pad",
       [](In x) {
         return pad(x[0], {{1, 3}, {2, 0}});
       }},
      {"pad_reflect",
       [](In x) {
         return pad(x[0], {{0, 0}, {1, 3}, {3, 2}, {0, 0}}, Padding::reflect);
       }},
      {"pad_edge",
       [](In x) {
         return pad(x[0], {{0, 0}, {1, 4}, {3, 2}, {0, 0}}, Padding::edge);
       }},
      {"flip",
       [](In x) {
         return flip(x[0], {0, 2});
       }},
      {"roll", [](In x) { return roll(x[0], 2, 1); }},
      {"take", [](In x) { return take(x[0], x[1]); }},
      {"gather", [](In x) { return gather(x[0], x[1], 1); }},
      {"scatter_add",
       [](In x) {
         return scatter_add(x[0], x[1], {3, 5}, 1);
       }},
      {"matmul", [](In x) { return matmul(x[0], x[1]); }},
      {"matmul_transposed", [](In x) { return matmul(x[0], x[1], true, true); }},
      {"linear", [](In x) { return linear(x[0], x[1], x[2]); }},
      {"conv1d", [](In x) { return conv(x[0], x[1], x[2], {.stride = 2, .padding = 1}); }},
      {"conv2d",
       [](In x) {
         return conv2d(x[0], x[1], x[2], {.stride = {2, 1}, .padding = {1, 0}});
       }},
      {"conv2d_dilated", [](In x) { return conv2d(x[0], x[1], {}, {.padding = 2, .dilation = 2}); }},
      {"conv2d_groups", [](In x) { return conv2d(x[0], x[1], x[2], {.padding = 1, .groups = 2}); }},
      {"conv3d",
       [](In x) {
         return conv(x[0], x[1], x[2], {.stride = {1, 2, 1}, .padding = {0, 1, 1}});
       }},
      {"conv_transpose1d", [](In x) { return conv_transpose(x[0], x[1], {}, {.stride = 3, .padding = 1}); }},
      {"conv_transpose2d", [](In x) { return conv_transpose(x[0], x[1], x[2], {.stride = 2, .padding = 1, .groups = 2}, 1); }},
      {"conv_transpose3d", [](In x) { return conv_transpose(x[0], x[1], x[2], {.stride = 2}); }},
      {"max_pool",
       [](In x) {
         return max_pool(x[0], {.window = {3, 2}, .stride = Extent(2), .padding = 1, .ceil = true});
       }},
      {"max_pool1d", [](In x) { return max_pool(x[0], {.window = 3, .stride = Extent(2)}); }},
      {"max_pool3d", [](In x) { return max_pool(x[0]); }},
      {"avg_pool", [](In x) { return avg_pool(x[0], {.window = 3, .stride = Extent(2), .padding = 1, .ceil = true}); }},
      {"avg_pool_inside", [](In x) { return avg_pool(x[0], {.window = 3, .stride = Extent(2), .padding = 1, .count_padding = false}); }},
      {"avg_pool_ceil",
       [](In x) {
         return avg_pool(x[0], {.window = {4, 3}, .stride = Extent{3, 2}, .padding = {2, 1}, .ceil = true});
       }},
      {"adaptive_avg_pool",
       [](In x) {
         return adaptive_avg_pool(x[0], {3, 2});
       }},
      {"adaptive_max_pool",
       [](In x) {
         return adaptive_max_pool(x[0], {3, 4});
       }},
      {"global_avg_pool", [](In x) { return global_avg_pool(x[0]); }},
      {"batch_norm", [](In x) { return batch_norm(x[0], x[1], x[2]).y; }},
      {"batch_norm_relu", [](In x) { return batch_norm(x[0], x[1], x[2], 1e-5, true).y; }},
      {"batch_norm_eval", [](In x) { return batch_norm_eval(x[0], x[1], x[2], x[3], x[4]); }},
      {"layer_norm", [](In x) { return layer_norm(x[0], x[1], x[2]); }},
      {"group_norm", [](In x) { return group_norm(x[0], 3, x[1], x[2]); }},
      {"instance_norm", [](In x) { return instance_norm(x[0], x[1], x[2]); }},
      {"local_response_norm", [](In x) { return local_response_norm(x[0], 5, 0.3, 0.75, 1.5); }},
      {"local_response_norm_even", [](In x) { return local_response_norm(x[0], 2, 0.3, 0.75, 1.5); }},
      {"cross_entropy", [](In x) { return cross_entropy(x[0], x[1], {.average = Average::none}); }},
      {"cross_entropy_mean", [](In x) { return cross_entropy(x[0], x[1], {.weight = x[2], .smoothing = 0.1}); }},
      {"cross_entropy_sum", [](In x) { return cross_entropy(x[0], x[1], {.weight = x[2], .average = Average::sum}); }},
      {"interpolate_nearest",
       [](In x) {
         return interpolate(x[0], {6, 7}, I::nearest);
       }},
      {"interpolate_linear",
       [](In x) {
         return interpolate(x[0], {7, 6});
       }},
      {"interpolate_down",
       [](In x) {
         return interpolate(x[0], {3, 4});
       }},
      {"interpolate_corners",
       [](In x) {
         return interpolate(x[0], {5, 9}, I::linear, true);
       }},
      {"interpolate1d", [](In x) { return interpolate(x[0], 8); }},
      {"interpolate3d",
       [](In x) {
         return interpolate(x[0], {3, 4, 5});
       }},
      {"grid_sample", [](In x) { return grid_sample(x[0], x[1]); }},
      {"grid_sample_corners", [](In x) { return grid_sample(x[0], x[1], I::linear, true); }},
      {"grid_sample_nearest", [](In x) { return grid_sample(x[0], x[1], I::nearest); }},
      {"grid_sample3d", [](In x) { return grid_sample(x[0], x[1]); }},
      {"affine_grid",
       [](In x) {
         return affine_grid(x[0], {2, 3, 4, 1});
       }},
      {"affine_grid3d",
       [](In x) {
         return affine_grid(x[0], {1, 2, 3, 4, 1}, true);
       }},
      {"fft", [](In x) { return fft(x[0]); }},
      {"ifft", [](In x) { return ifft(x[0]); }},
      {"rfft", [](In x) { return rfft(x[0]); }},
      {"irfft", [](In x) { return irfft(x[0], 8); }},
      {"irfft_odd", [](In x) { return irfft(x[0], 7); }},
      {"hilbert", [](In x) { return hilbert(x[0]); }},
      {"hilbert_odd", [](In x) { return hilbert(x[0]); }},
  };
}

}  // namespace

TEST_CASE("values and gradients equal PyTorch's") {
  std::map<std::string, Tensor> golden;
  std::set<std::string> names;
  for (auto& [key, tensor] : read_safetensors(SONO_SOURCE_DIR "/tests/autograd/golden_ops.safetensors").tensors) {
    golden[key] = tensor;
    names.insert(key.substr(0, key.find('/')));
  }
  const auto all = functions();
  CHECK(names.size() == all.size());
  for (const std::string& name : names) {
    CAPTURE(name);
    REQUIRE(all.count(name) == 1);
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      std::vector<Tensor> x, inputs;
      for (int k = 0; golden.count(name + "/in" + std::to_string(k)); k++)
        x.push_back(leaf(copy_as(golden[name + "/in" + std::to_string(k)], dtype)));
      inputs = x;
      for (int k = 0; golden.count(name + "/const" + std::to_string(k)); k++) {
        const Tensor c = golden[name + "/const" + std::to_string(k)];
        inputs.push_back(c.dtype() == Dtype::i32 ? c : copy_as(c, dtype));
      }
      const double tolerance = dtype == Dtype::f64 ? 1e-9 : 1e-4;
      const Tensor y = all.at(name)(inputs);
      CHECK(difference(y.detach(), golden[name + "/out"]) < tolerance);
      const auto g = grad(y, x, false, copy_as(golden[name + "/upstream"], dtype));
      for (size_t k = 0; k < x.size(); k++) CHECK(difference(g[k], golden[name + "/grad" + std::to_string(k)]) < tolerance);
    }
  }
}
