// Greedy pre-training, unrolling and fine-tuning: what each stage learns from, and that an interruption anywhere changes no bit.
#include "optim/pretrain.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "tests/folder.h"
#include "tests/message.h"

using namespace sono;
using namespace sono::tests;

namespace {

// Two bars in an 8 x 8 image, one across and one down, some values wrong; class: does the bar across lie in the upper half?
struct Set {
  Tensor x, y;
};
Set bars(int64_t n, uint64_t stream) {
  Random random(3, stream);
  Set set{Tensor::zeros({n, 64}), Tensor({n}, Dtype::i32)};
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = random.below(8), column = random.below(8);
    float* x = set.x.data<float>() + 64 * i;
    for (int64_t k = 0; k < 8; k++) x[8 * row + k] = x[8 * k + column] = 1;
    for (int64_t k = 0; k < 64; k++)
      if (random.chance(0.05)) x[k] = 1 - x[k];
    set.y.data<int32_t>()[i] = row < 4;
  }
  return set;
}

AutoencoderTraining training(int64_t epochs = 3) {
  return {.epochs = epochs,
          .batch = 32,
          .objective = {.corruption = {Noise::masking, 0.2}, .kl = 0.01},
          .optimizer =
              [](const Module& m) { return std::make_unique<Sgd>(m, SgdOptions{.rate = 0.02, .momentum_at = schedules::momentum(8)}); },
          .settings = "sgd 0.02"};
}

Stack stack_of(const AutoencoderTraining& how = training()) {
  set_seed(6);
  Stack stack;
  stack.add<AutoencoderLayer>(Autoencoder::Options{.widths = {64, 24}, .hidden = UnitType::sigmoid, .tied = true}, how);
  stack.add<AutoencoderLayer>(Autoencoder::Options{.widths = {24, 12}, .hidden = UnitType::sigmoid}, how);
  return stack;
}

StackedOptions options_for(const std::string& folder, bool resume = false) {
  return {.folder = folder,
          .resume = resume,
          .seed = 4,
          .fine_tune = {.epochs = 4,
                        .batch = 20,
                        .optimizer = [](const Module& m) { return std::make_unique<Adam>(m, AdamOptions{.rate = 3e-3}); }},
          .progress = ProgressStyle::off};
}

std::string bytes(const State& state) {
  std::string all;
  for (const auto& [name, t] : state) all.append(static_cast<const char*>(t.raw()), static_cast<size_t>(t.bytes()));
  return all;
}

struct Interrupted {};

// The whole of it, from scratch or from what is in the folder; thrown out of it at this step of the schedules (0: never). The weights.
std::string train(const std::string& folder, const Set& set, int64_t interrupt_at, int64_t* steps = nullptr) {
  int64_t step = 0;
  const Schedule watch = [&](int64_t) {
    if (++step == interrupt_at) throw Interrupted();
    return 1.0;
  };
  AutoencoderTraining how = training();
  how.schedule = watch;
  Stack stack = stack_of(how);
  DeepClassifier net(stack, {64}, {.classes = 2, .dropout = 0.2});
  StackedOptions options = options_for(folder, true);
  options.fine_tune.schedule = watch;
  train_stacked(stack, net, {.x = set.x, .y = set.y, .validation_x = set.x, .validation_y = set.y}, options);
  if (steps) *steps = step;
  return bytes(net.state());
}

}  // namespace

TEST_CASE("an interruption at any stage changes no bit of the result") {
  const Set set = bars(80, 1);  // stages of 3 epochs of 3 steps, then 4 epochs of 4 steps
  const Folder whole("pretrain_whole");
  int64_t steps = 0;
  const std::string wanted = train(whole.path, set, 0, &steps);
  CHECK(steps == 2 * 9 + 16);
  CHECK(std::filesystem::exists(whole / "stage1.safetensors"));
  CHECK(std::filesystem::exists(whole / "stage2.safetensors"));
  CHECK(std::filesystem::exists(whole / "model.safetensors"));
  for (const int64_t at : {1, 5, 9, 10, 14, 18, 19, 24, 34}) {
    const Folder folder("pretrain_part");
    CHECK_THROWS_AS(train(folder.path, set, at), Interrupted);
    CHECK(train(folder.path, set, 0) == wanted);
  }
  const Folder often("pretrain_often");  // again and again
  for (int k = 0; k < 8; k++) CHECK_THROWS_AS(train(often.path, set, 4), Interrupted);
  CHECK(train(often.path, set, 0) == wanted);
  CHECK(train(often.path, set, 0) == wanted);  // all is done: loaded
}

TEST_CASE("one and two threads give the same bits") {
  const Set set = bars(200, 1);
  const int before = threads();
  std::string results[2];
  for (const int count : {1, 2}) {
    set_threads(count);
    Stack stack = stack_of();
    DeepClassifier net(stack, {64}, {.classes = 2});
    train_stacked(stack, net, {.x = set.x, .y = set.y}, options_for(""));
    results[count - 1] = bytes(net.state());
  }
  set_threads(before);
  CHECK(results[0] == results[1]);
}

TEST_CASE("each layer learns from the code of the layer below") {
  struct Spy : Pretrainable {  // doubles what it sees
    explicit Spy(int64_t size) : layer({.in = size, .out = size, .bias = true}) {}
    Module& module() override { return layer; }
    std::string recipe() const override { return "spy"; }
    void pretrain(const Tensor& x, const Stage& stage) override {
      seen = x, seed = stage.seed;
      layer.weight.detach().copy_from(one_hot(Tensor::arange(x.dim(1), Dtype::i32), x.dim(1)) * 2.0);
      layer.bias.detach().fill(0);
    }
    Tensor code(const Tensor& x) const override {
      const NoGrad plain;
      return layer(x);
    }
    void append_encoder(Sequential& net) const override { net.append<Linear>({.in = 5, .out = 5}).load(layer.state()); }
    void append_decoder(Sequential& net) const override { append_encoder(net); }
    UnitType visible() const override { return UnitType::linear; }
    Linear layer;
    Tensor seen;
    uint64_t seed = 0;
  };
  Stack stack;
  const Spy &one = stack.add<Spy>(5), &two = stack.add<Spy>(5), &three = stack.add<Spy>(5);
  const Tensor x = random_normal({7, 5}, 1, 1);
  std::vector<size_t> stages;
  pretrain(stack, x, {.progress = ProgressStyle::off, .on_stage = [&](size_t stage) { stages.push_back(stage); }});
  CHECK(max(abs(one.seen - x)).item() == 0);
  CHECK(max(abs(two.seen - x * 2.0)).item() == 0);
  CHECK(max(abs(three.seen - x * 4.0)).item() == 0);
  CHECK(one.seed != two.seed);
  CHECK(stages == std::vector<size_t>{1, 2, 3});
  CHECK(max(abs(stack.code(x) - x * 8.0)).item() == 0);
  DeepAutoencoder net(stack);
  CHECK(max(abs(net(x) - x * 64.0)).item() < 1e-4);
}

TEST_CASE("unrolled networks are the stack's encoders and decoders") {
  Stack stack = stack_of();
  const Set set = bars(10, 1);
  DeepAutoencoder coder(stack);
  DeepClassifier net(stack, {64}, {.classes = 3});
  pretrain(stack, set.x, {.progress = ProgressStyle::off});
  const auto &one = dynamic_cast<AutoencoderLayer&>(stack[0]).coder, &two = dynamic_cast<AutoencoderLayer&>(stack[1]).coder;
  const Tensor code = two.encode(one.encode(set.x)), back = one.decode(two.reconstruct(one.encode(set.x)));
  CHECK(max(abs(net.features(set.x) - code)).item() > 1e-3);  // as it was before
  net.adopt(stack), coder.adopt(stack);
  CHECK(max(abs(net.features(set.x) - code)).item() < 1e-6);
  CHECK(max(abs(stack.code(set.x) - code)).item() < 1e-6);
  CHECK(max(abs(coder.encode(set.x) - code)).item() < 1e-6);
  CHECK(max(abs(coder(set.x) - back)).item() < 1e-5);
  CHECK(max(abs(coder.reconstruct(set.x) - sigmoid(back))).item() < 1e-5);
  CHECK(net.parameters()[0].path == "encoder.0.weight");
  CHECK(net.parameters()[4].path == "head.weight");
}

TEST_CASE("pre-trained and fine-tuned, a classifier is right on held-out images; frozen parts stay as they are") {
  const Set train = bars(300, 1), held = bars(300, 2);
  Stack stack = stack_of(training(20));
  DeepClassifier net(stack, {64}, {.classes = 2});
  StackedOptions options = options_for("");
  options.fine_tune.epochs = 30;
  const Report report = train_stacked(stack, net, {.x = train.x, .y = train.y, .validation_x = held.x, .validation_y = held.y}, options);
  CHECK(report.best > 0.9);
  {
    const EvalMode eval(net);
    CHECK(mean(equal(argmax(net(held.x)).to(Dtype::f64), held.y.to(Dtype::f64)).to(Dtype::f64)).item() == doctest::Approx(report.best));
  }

  const std::string encoder = bytes(net.encoder.state()), head = bytes(net.head.state());
  options.fine_tune.freeze = "encoder.*";
  options.fine_tune.epochs = 1;
  fine_tune(net, {.x = train.x, .y = train.y}, options);
  CHECK(bytes(net.encoder.state()) == encoder);
  CHECK(bytes(net.head.state()) != head);
}

TEST_CASE("a deep autoencoder is better after fine-tuning than the stack it came from; convolutional stacks unroll too") {
  const Set set = bars(200, 1), held = bars(100, 2);
  Stack stack = stack_of(training(30));
  DeepAutoencoder coder(stack);
  StackedOptions options = options_for("");
  options.fine_tune.epochs = 80;
  train_stacked(stack, coder, set.x, options);
  const auto error = [&](const DeepAutoencoder& net) { return mean(square(net.reconstruct(held.x) - held.x)).item(); };
  MESSAGE("held-out error per value: stack ", error(DeepAutoencoder(stack)), ", fine-tuned ", error(coder));
  CHECK(error(coder) < 0.8 * error(DeepAutoencoder(stack)));

  set_seed(2);
  Stack maps;
  maps.add<ConvAutoencoderLayer>(ConvAutoencoder::Options{.widths = {1, 4}, .tied = true}, AutoencoderTraining{.epochs = 2});
  maps.add<ConvAutoencoderLayer>(ConvAutoencoder::Options{.widths = {4, 6}, .output = UnitType::relu}, AutoencoderTraining{.epochs = 2});
  DeepClassifier net(maps, {8, 8, 1}, {.classes = 2, .side = 2});
  const Tensor images = set.x.view({200, 8, 8, 1}), side = random_normal({200, 2}, 1, 1);
  train_stacked(maps, net, {.x = images, .y = set.y, .side = side}, options_for(""));
  CHECK(net.head.weight.shape() == Shape{2 * 2 * 6 + 2, 2});
  CHECK(net(images, side).shape() == Shape{200, 2});
  CHECK(contains(message([&] { net(images); }), "expected side features (200, 2), got none"));
}

TEST_CASE("a folder of other settings or data, and bad input, are refused in one line") {
  const Set set = bars(40, 1);
  const Folder folder("pretrain_refused");
  Stack stack = stack_of();
  pretrain(stack, set.x, {.folder = folder.path, .progress = ProgressStyle::off});
  const auto again = [&](Stack& s, const Tensor& x, bool resume) {
    return message([&] { pretrain(s, x, {.folder = folder.path, .resume = resume, .progress = ProgressStyle::off}); });
  };
  CHECK(contains(again(stack, set.x, false), "already holds a pre-training"));
  CHECK(again(stack, set.x, true) == "");
  CHECK(contains(again(stack, bars(40, 2).x, true), "was trained otherwise"));
  AutoencoderTraining other = training();
  other.objective.kl = 0.02;
  Stack changed = stack_of(other);
  CHECK(contains(again(changed, set.x, true), "was trained otherwise"));

  Stack none;
  CHECK(contains(message([&] { pretrain(none, set.x); }), "the stack has no layers"));
  CHECK(contains(message([&] { pretrain(stack, Tensor::full({4, 64}, NAN)); }), "NaN or infinite"));
  CHECK(contains(message([&] { pretrain(stack, set.x * 2.0, {.progress = ProgressStyle::off}); }), "needs values in [0, 1]"));
  DeepClassifier net(stack, {64}, {.classes = 2});
  CHECK(contains(message([&] { fine_tune(net, {.x = set.x, .y = (set.y.to(Dtype::f64) + 5.0).to(Dtype::i32)}); }), "label"));
  CHECK(contains(message([&] { fine_tune(net, {.x = set.x, .y = set.y.rows(0, 3)}); }), "training labels must be (40) i32"));
  CHECK(
      contains(message([&] { fine_tune(net, {.x = set.x, .y = set.y}, {.fine_tune = {.freeze = "nothing.*"}}); }), "no parameter matches"));
}

TEST_CASE("momentum that rises after some steps") {
  const Schedule m = schedules::momentum(3);
  CHECK(m(0) == 0.5);
  CHECK(m(2) == 0.5);
  CHECK(m(3) == 0.9);
  const Tensor w = leaf(Tensor::full({1}, 1, Dtype::f64));
  Sgd sgd(NamedTensors{{"w", w}}, {.rate = 0.1, .momentum_at = schedules::momentum(2, 0.25, 0.75)});
  double weight = 1, velocity = 0;
  for (int t = 0; t < 5; t++) {
    sgd.zero_gradients();
    backward(sum(square(w)));
    sgd.step();
    velocity = t == 0 ? 2 * weight : (t < 2 ? 0.25 : 0.75) * velocity + 2 * weight;
    weight -= 0.1 * velocity;
    CHECK(w.item() == doctest::Approx(weight).epsilon(1e-14));
  }
  CHECK(contains(message([&] { Sgd(NamedTensors{{"w", w}}, {.momentum = 0.9, .sutskever = true, .momentum_at = m}); }), "choose one"));
  CHECK(contains(message([] { schedules::momentum(5, 0.5, 1); }), "below 1"));
}
