// The same numbers as PyTorch's: every layer, every loss, and ten steps of training for each kind of network.
#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/linear.h"
#include "layers/loss.h"
#include "layers/networks.h"
#include "layers/norm.h"
#include "layers/pool.h"
#include "layers/pytorch.h"
#include "layers/recurrent.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

using Function = std::function<Tensor(const Tensor&)>;

// Forward, all gradients of the first step, ten losses of gradient descent, running statistics, evaluation.
void train_like_pytorch(const std::string& name, Module& net, Dtype dtype, double tolerance, const Function& forward,
                        const std::function<Tensor(const Tensor& y, const Tensor& target)>& loss_of) {
  const Golden golden(name);
  CAPTURE(name);
  CAPTURE(std::string(to_string(dtype)));
  net.to(dtype);
  net.load(golden.under("weights."));
  const Tensor x = golden["input"].to(dtype);
  const double rate = golden["rate"].item();
  for (int step = 0; step < 10; step++) {
    CAPTURE(step);
    net.zero_gradients();
    const Tensor y = forward(x), loss = loss_of(y, golden["target"]);
    backward(loss);
    CHECK(loss.item() == doctest::Approx(golden["losses"].at({step})).epsilon(tolerance));
    if (step == 0) {
      CHECK(distance(y, golden["output"]) < tolerance);
      for (const auto& [path, value] : net.parameters()) {
        CAPTURE(path);
        CHECK(distance(gradient(*value), golden["gradients." + path]) < tolerance);
      }
    }
    const NoGrad plain;
    for (const auto& [path, value] : net.parameters()) value->copy_from(value->detach() - gradient(*value) * rate);
  }
  for (const auto& [path, value] : net.buffers()) CHECK(distance(*value, golden["buffers." + path]) < tolerance);
  net.eval();
  CHECK(distance(forward(x), golden["evaluated"]) < tolerance);
}

struct Precision {
  Dtype dtype;
  double tolerance;
};
constexpr Precision precisions[] = {{Dtype::f64, 1e-9}, {Dtype::f32, 1e-4}};

template <class Layer>
struct Classifier : Module {
  Layer rnn{this, "rnn", {.in = 5, .hidden = 4, .layers = 2, .bidirectional = true}};
  Linear fc{this, "fc", {.in = 8, .out = 3}};
  Tensor operator()(const Tensor& x) const { return fc(last(rnn(x, {.lengths = {7, 4, 1}}).state.h, 2)); }
};

template <class Layer>
void check_classifier(const std::string& name) {
  for (const auto& [dtype, tolerance] : precisions) {
    Classifier<Layer> net;
    train_like_pytorch(name, net, dtype, tolerance, std::cref(net), [](const Tensor& y, const Tensor& t) { return cross_entropy(y, t); });
  }
}

// One layer of layers.safetensors: output, running statistics, gradients of the parameters and of the input.
template <class Layer>
void check_layer(const Golden& golden, const std::string& name, Layer&& layer) {
  CAPTURE(name);
  layer.to(Dtype::f64);
  State weights = golden.under(name + ".weights.");
  for (const auto& [path, value] : layer.buffers()) weights.emplace_back(path, *value);
  layer.load(weights);
  const Tensor x = leaf(golden[name + ".input"]), y = layer(x);
  CHECK(distance(y, golden[name + ".output"]) < 1e-10);
  backward(sum(y * golden[name + ".upstream"]));
  CHECK(distance(gradient(x), golden[name + ".input_gradient"]) < 1e-9);
  for (const auto& [path, value] : layer.parameters()) {
    CAPTURE(path);
    CHECK(distance(gradient(*value), golden[name + ".gradients." + path]) < 1e-9);
  }
  for (const auto& [path, value] : layer.buffers()) CHECK(distance(*value, golden[name + ".buffers." + path]) < 1e-10);
}

}  // namespace

TEST_CASE("U-Net trains as in PyTorch") {
  for (const auto& [dtype, tolerance] : precisions) {
    UNet net({.widths = {4, 8}});
    train_like_pytorch("unet", net, dtype, tolerance, std::cref(net),
                       [](const Tensor& y, const Tensor& t) { return binary_cross_entropy(y, t); });
  }
}

TEST_CASE("the small ResNet trains as in PyTorch") {
  for (const auto& [dtype, tolerance] : precisions) {
    ResNetSmall net({.widths = {4, 6, 8}});
    train_like_pytorch("resnet_small", net, dtype, tolerance, std::cref(net),
                       [](const Tensor& y, const Tensor& t) { return cross_entropy(y, t); });
  }
}

TEST_CASE("bidirectional stacked recurrent classifiers over sequences of different lengths train as in PyTorch") {
  check_classifier<Rnn>("rnn");
  check_classifier<Gru>("gru");
  check_classifier<Lstm>("lstm");
}

TEST_CASE("layers compute what PyTorch's do") {
  const Golden golden("layers");
  check_layer(golden, "conv1d", Conv1d({.in = 4, .out = 6, .stride = 2, .padding = 2, .dilation = 2, .groups = 2}));
  check_layer(golden, "conv2d", Conv2d({.in = 3, .out = 4, .kernel = {3, 5}, .stride = {2, 1}, .padding = {1, 2}}));
  check_layer(golden, "conv3d", Conv3d({.in = 2, .out = 3, .padding = 1, .bias = false}));
  check_layer(golden, "conv_transpose1d", ConvTranspose1d({.in = 3, .out = 2, .kernel = 3, .padding = 1, .output_padding = 1}));
  check_layer(golden, "conv_transpose2d", ConvTranspose2d({.in = 4, .out = 6, .kernel = 3, .padding = 1, .groups = 2}));
  check_layer(golden, "conv_transpose3d", ConvTranspose3d({.in = 2, .out = 2}));
  check_layer(golden, "linear", Linear({.in = 5, .out = 3}));
  check_layer(golden, "batch_norm", BatchNorm({.channels = 3}));
  check_layer(golden, "group_norm", GroupNorm({.groups = 2, .channels = 6}));
  check_layer(golden, "instance_norm", InstanceNorm({.channels = 3, .affine = true}));
  check_layer(golden, "layer_norm", LayerNorm({.channels = 6}));
  check_layer(golden, "local_response_norm", LocalResponseNorm({.size = 3, .alpha = 0.5, .beta = 0.6, .k = 1.5}));
  check_layer(golden, "prelu", PRelu({.channels = 3}));
  check_layer(golden, "max_pool", MaxPool({.window = 3, .stride = 2, .padding = 1}));
  check_layer(golden, "avg_pool", AvgPool({.window = 3, .stride = 2, .padding = 1}));
  check_layer(golden, "adaptive_avg_pool", AdaptiveAvgPool({.size = {3, 2}}));
  check_layer(golden, "adaptive_max_pool", AdaptiveMaxPool({.size = {3, 2}}));
}

TEST_CASE("initial and final states of an LSTM, and their gradients, are PyTorch's") {
  const Golden golden("layers");
  Lstm lstm({.in = 3, .hidden = 4});
  lstm.to(Dtype::f64);
  lstm.load(golden.under("states.weights."));
  const Tensor x = leaf(golden["states.input"]), h = leaf(golden["states.h"]), c = leaf(golden["states.c"]);
  const auto [y, end] = lstm(x, {.initial = {h, c}});
  CHECK(distance(y, golden["states.output"]) < 1e-10);
  CHECK(distance(end.h, golden["states.end_h"]) < 1e-10);
  CHECK(distance(end.c, golden["states.end_c"]) < 1e-10);
  backward(sum(y * golden["states.upstream"]) + sum(end.h * h.detach()) + sum(end.c * c.detach()));
  CHECK(distance(gradient(x), golden["states.input_gradient"]) < 1e-9);
  CHECK(distance(gradient(h), golden["states.h_gradient"]) < 1e-9);
  CHECK(distance(gradient(c), golden["states.c_gradient"]) < 1e-9);
}

TEST_CASE("losses and their gradients are PyTorch's") {
  const Golden golden("losses");
  const Tensor &t = golden["targets"], &classes = golden["classes"];
  const std::vector<std::pair<std::string, Function>> losses{
      {"bce", [&](const Tensor& z) { return binary_cross_entropy(z, t); }},
      {"bce_weighted",
       [&](const Tensor& z) { return binary_cross_entropy(z, t, {.weight = golden["pixel"], .pos_weight = golden["positive"]}); }},
      {"mse", [&](const Tensor& z) { return mse_loss(z, golden["other"]); }},
      {"l1", [&](const Tensor& z) { return l1_loss(z, golden["other"]); }},
      {"huber", [&](const Tensor& z) { return huber_loss(z, golden["other"], 0.7); }},
      {"smooth_l1", [&](const Tensor& z) { return smooth_l1_loss(z, golden["other"], 0.5); }},
      {"kl", [&](const Tensor& s) { return kl_loss(log_softmax(s), golden["q"]); }},
      {"focal", [&](const Tensor& z) { return focal_loss(z, t); }},
      {"focal_classes", [&](const Tensor& s) { return focal_cross_entropy(s, classes, 1.5, golden["class_weight"]); }},
      {"cross_entropy",
       [&](const Tensor& s) {
         return cross_entropy(s, classes, {.weight = golden["class_weight"].to(s.dtype()), .ignore = 3, .smoothing = 0.1});
       }},
      {"pixel_map", [&](const Tensor& s) { return weighted_cross_entropy(s, classes, golden["maps"]); }},
      {"dice", [&](const Tensor& z) { return dice_loss(sigmoid(z), t); }},
      {"dice_squared", [&](const Tensor& z) { return dice_loss(sigmoid(z), t, {.smooth = 0.1, .squared = true}); }},
      {"dice_skip", [&](const Tensor& z) { return dice_loss(sigmoid(z), t, {.empty = EmptyMask::skip}); }},
      {"tversky", [&](const Tensor& z) { return tversky_loss(sigmoid(z), t); }},
      {"focal_tversky", [&](const Tensor& z) { return tversky_loss(sigmoid(z), t, {.gamma = 4.0 / 3}); }},
      {"dice_bce", [&](const Tensor& z) { return dice_bce_loss(z, t, {.bce_weight = 0.5}); }},
      {"dice_ce", [&](const Tensor& s) { return dice_ce_loss(s, classes); }},
  };
  for (const auto& [name, f] : losses)
    for (const auto& [dtype, tolerance] : precisions) {
      CAPTURE(name);
      CAPTURE(std::string(to_string(dtype)));
      const Tensor& expected = golden["gradient." + name];
      const Tensor x = leaf(golden[expected.dim(-1) == 4 ? "scores" : "logits"].to(dtype)), loss = f(x);
      CHECK(loss.item() == doctest::Approx(golden["loss." + name].item()).epsilon(tolerance));
      backward(loss);
      CHECK(distance(gradient(x), expected) < tolerance);
    }
}

TEST_CASE("weights go to PyTorch's layouts and back") {
  const Golden golden("unet");
  UNet net({.widths = {4, 8}});
  net.to(Dtype::f64);
  State pytorch = golden.under("pytorch.");
  pytorch.emplace_back("encoder.0.norm1.num_batches_tracked", Tensor::scalar(3));
  net.load(state_from_pytorch(net, pytorch));
  for (const auto& [path, value] : net.state()) {
    CAPTURE(path);
    CHECK(distance(value, golden["weights." + path]) == 0);
  }
  for (const auto& [path, value] : state_to_pytorch(net)) {
    CAPTURE(path);
    CHECK(distance(value, golden["pytorch." + path]) == 0);
  }
  CHECK(contains(message([&] { state_from_pytorch(net, {{"head.weight", Tensor::zeros({4})}}); }), "head.weight is (4) in the file"));
}
