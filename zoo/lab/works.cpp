#include "zoo/lab/works.h"

#include <map>
#include <memory>

#include "autograd/plan.h"
#include "layers/loss.h"
#include "layers/networks.h"
#include "layers/summary.h"
#include "optim/clip.h"
#include "optim/contrastive_divergence.h"
#include "optim/ema.h"
#include "tensor/random.h"
#include "zoo/lab/cases.h"

namespace sono::lab {
namespace {

using Net = std::function<Tensor(const Tensor&)>;
using Loss = std::function<Tensor(const Tensor&)>;

struct Network {
  std::shared_ptr<Module> module;
  Net call;
};
template <class T>
Network network(std::shared_ptr<T> net) {
  return {net, [net = net.get()](const Tensor& x) { return (*net)(x); }};
}

Loss classes() {
  return [](const Tensor& logits) {
    Tensor labels({logits.dim(0)}, Dtype::i32);
    for (int64_t i = 0; i < labels.size(); i++) labels.data<int32_t>()[i] = static_cast<int32_t>(i % 2);
    return cross_entropy(logits, labels);
  };
}
Loss binary(const Shape& shape) {
  return [y = (random_uniform(shape, 1, 1) > 0.5).to(Dtype::f32)](const Tensor& logits) { return binary_cross_entropy(logits, y); };
}
std::function<Loss()> overlap(const Shape& shape) {
  return
      [=] { return [y = (random_uniform(shape, 1, 1) > 0.5).to(Dtype::f32)](const Tensor& logits) { return dice_bce_loss(logits, y); }; };
}

struct Recipe {
  std::function<Network()> make;
  Shape input;
  std::function<Loss()> loss = {};  // empty: inference
  int64_t steps = 0;                // of an LSTM: its operations are counted by formula
  bool trainer = false;             // a step as the systems' trainer does it
};

const std::map<std::string, Recipe>& recipes() {
  static const auto cnn = [] { return network(std::make_shared<Cnn>()); };
  static const auto unet = [] { return network(std::make_shared<UNet>()); };
  static const auto resnet = [] { return network(std::make_shared<ResNetSmall>()); };
  static const auto cnn3d = [] { return network(std::make_shared<Cnn>(CnnOptions{.widths = {8, 16, 32}, .dimensions = 3})); };
  static const auto lstm = [] { return network(std::make_shared<LstmClassifier>()); };
  static const auto deep_unet = [] { return network(std::make_shared<UNet>(UNetOptions{.widths = {16, 32, 64, 128, 256}})); };
  static const std::map<std::string, Recipe> all = {
      {"step:cnn", {cnn, {8, 128, 128, 1}, classes}},
      {"step:unet",
       {unet,
        {8, 128, 128, 1},
        [] {
          return binary({8, 128, 128, 1});
        }}},
      {"step:resnet-small", {resnet, {8, 128, 128, 1}, classes}},
      {"step:cnn3d", {cnn3d, {2, 64, 64, 64, 1}, classes}},
      {"step:lstm", {lstm, {8, 64, 128}, classes, 64}},
      {"step:autoencoder",
       {[] { return network(std::make_shared<Autoencoder>()); },
        {100, 784},
        [] {
          return binary({100, 784});
        }}},
      {"infer:cnn", {cnn, {1, 128, 128, 1}}},
      {"infer:unet", {unet, {1, 128, 128, 1}}},
      {"infer:unet-256", {unet, {1, 256, 256, 1}}},
      {"infer:resnet-small", {resnet, {1, 128, 128, 1}}},
      {"infer:sononet-16", {[] { return network(std::make_shared<SonoNet>()); }, {1, 224, 288, 1}}},
      {"infer:cnn3d", {cnn3d, {1, 64, 64, 64, 1}}},
      {"infer:lstm", {lstm, {1, 64, 128}, {}, 64}},
      {"train:unet", {deep_unet, {8, 128, 128, 1}, overlap({8, 128, 128, 1}), 0, true}},
      {"train:unet-hc", {unet, {8, 128, 192, 1}, overlap({8, 128, 192, 1}), 0, true}},
  };
  return all;
}

// Convolutions and matrix products of a forward pass and, for a step, their gradients: those of the weights always, those of the input
// where it wants one.
double count_flops(const Recipe& r, const Network& net, const Tensor& x) {
  const double factor = r.loss ? 3 : 1;
  if (r.steps) {  // in 128, hidden 256, four gates; nobody wants the gradient of x
    const double n = static_cast<double>(r.input[0]), all = n * static_cast<double>(r.steps) * 2 * 4 * 256;
    return factor * (all * (128 + 256) + n * 2 * 256 * 2) - (r.loss ? all * 128 : 0);
  }
  double sum = 0;
  const Observer observer([&](const OpCall& call) {
    const std::string name = call.name;
    if (call.inputs.size() < 2 || (name.rfind("conv", 0) && name != "linear" && name != "matmul")) return;  // "linear" is a map's name too
    sum += static_cast<double>(flops(call)) * (factor - (r.loss && !wants_gradient(call.inputs[0]) ? 1 : 0));
  });
  net.call(x);
  return sum;
}

// The model as it predicts: in eval(), frozen into a plan.
std::function<void()> frozen(const Network& net, const Tensor& x) {
  net.module->eval();
  const auto plan = std::make_shared<Plan>(freeze(net.call, x));
  return [net, x, plan] { (*plan)(x); };
}

std::function<void()> step(const Network& net, const Tensor& x, const Loss& loss) {
  const auto adam = std::make_shared<Adam>(*net.module, AdamOptions{.rate = 1e-3});
  return [=] {
    adam->zero_gradients();
    backward(loss(net.call(x)));
    adam->step();
  };
}

// AdamW without decay of biases, clipped gradients, averaged weights; the loss is read.
std::function<void()> trainer_step(const Network& net, const Tensor& x, const Loss& loss) {
  const auto adam = std::make_shared<AdamW>(
      *net.module, AdamOptions{.rate = 1e-3, .weight_decay = 1e-4, .groups = {{.pattern = "*.bias", .weight_decay = 0}}});
  const auto average = std::make_shared<Ema>(*net.module, 0.99);
  return [=] {
    adam->step([&] {
      adam->zero_gradients();
      const Tensor value = loss(net.call(x));
      const double read = value.item();
      backward(value);
      clip_norm(adam->parameters(), 5);
      return read;
    });
    average->update();
  };
}

// An epoch of contrastive divergence: v W twice, h W^T, and the product of the statistics, which is as long as two of them.
Work boltzmann_epoch(bool binary) {
  constexpr int64_t visible = 784, hidden = 500, batch = 100, batches = 100;
  const auto rbm = std::make_shared<Rbm>(RbmOptions{.visible = visible, .hidden = hidden});
  const LearningRule rule{.rate = 0.01, .momentum = 0, .final_momentum = 0, .weight_decay = 0};
  const auto cd = std::make_shared<ContrastiveDivergence>(*rbm, ContrastiveDivergenceOptions{.rule = rule, .sample_visible = true});
  Tensor data = random_uniform({batch * batches, visible}, 1, 0);
  if (binary) data = bernoulli(data, {.seed = 1, .stream = 1});
  Work w;
  for (const Module::Entry& e : rbm->parameters()) w.parameters += e.value->size();
  w.flops = 5.0 * 2 * visible * hidden * batch * batches;
  w.run = [rbm, cd, data] {
    for (int64_t i = 0; i < batches; i++) cd->learn(data.rows(i * batch, (i + 1) * batch));
  };
  return w;
}

const std::map<std::string, bool> boltzmann_works{{"rbm:cd1", false}, {"rbm:cd1-binary", true}};

}  // namespace

const std::vector<std::string>& work_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [name, recipe] : recipes()) list.push_back(name);
    for (const auto& [name, binary] : boltzmann_works) list.push_back(name);
    return list;
  }();
  return names;
}

Work make_work(const std::string& name) {
  set_seed(1);
  if (const auto found = boltzmann_works.find(name); found != boltzmann_works.end()) return boltzmann_epoch(found->second);
  const auto found = recipes().find(name);
  if (found == recipes().end()) throw Error("[bench] there is no work '" + name + "'");
  const Recipe& r = found->second;
  const Network net = r.make();
  const Tensor x = random_normal(r.input, 1, 0);
  Work w;
  for (const Module::Entry& e : net.module->parameters()) w.parameters += e.value->size();
  w.flops = count_flops(r, net, x);
  w.run = !r.loss ? frozen(net, x) : r.trainer ? trainer_step(net, x, r.loss()) : step(net, x, r.loss());
  return w;
}

void add_network_cases(std::vector<Case>& cases) {
  for (const std::string& name : work_names())
    cases.push_back({name, name, "", "", 0, 0, false, false, [name] {
                       const Work w = make_work(name);
                       return Prepared{w.run, false, w.flops};
                     }});
}

}  // namespace sono::lab
