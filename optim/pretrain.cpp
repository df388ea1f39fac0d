#include "optim/pretrain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "layers/loss.h"
#include "optim/batches.h"
#include "optim/checksum.h"
#include "tensor/random.h"

namespace sono {
namespace {

using Json = nlohmann::ordered_json;

void check_samples(const char* name, const Tensor& x) {
  if (!x || x.rank() < 2 || x.dim(0) < 1)
    throw ShapeError(std::string("[") + name + "] expected samples (N, …), at least one, got " + (x ? to_string(x.shape()) : "none"));
  if (!std::isfinite(sum(abs(x.detach())).item()))
    throw NumericError(std::string("[") + name + "] the samples have NaN or infinite values");
}

std::unique_ptr<Optimizer> optimizer_for(const MakeOptimizer& make, const Module& model) {
  return make ? make(model) : std::make_unique<Adam>(model);
}

// f(x) for many samples, a part at a time, without graph.
Tensor in_parts(const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
  constexpr int64_t part = 512;
  const NoGrad plain;
  std::vector<Tensor> all;
  for (int64_t i = 0; i < x.dim(0); i += part) all.push_back(f(x.detach().rows(i, std::min(x.dim(0), i + part))));
  return all.size() == 1 ? all[0] : concat(all, 0);
}

void check_stack(const char* name, const Stack& stack) {
  if (stack.size() == 0) throw Error(std::string("[") + name + "] the stack has no layers");
}

}  // namespace

Tensor Stack::code(const Tensor& x, size_t layers) const {
  Tensor code = x;
  for (size_t i = 0; i < layers; i++) code = (*this)[i].code(code);
  return code;
}

// ---- autoencoders as layers
// --------------------------------------------------------------------------------------------------------------
template <class Coder>
CoderLayer<Coder>::CoderLayer(const typename Coder::Options& options, AutoencoderTraining training)
    : coder(options), training_(std::move(training)) {
  if (training_.epochs < 1 || training_.batch < 1)
    throw Error("[pretrain] epochs and batch must be at least 1, got " + std::to_string(training_.epochs) + " and " +
                std::to_string(training_.batch));
}

template <class Coder>
std::string CoderLayer<Coder>::recipe() const {
  const auto& o = training_.objective;
  return Json{{"layer", coder.kind()},
              {"shape", coder.describe()},
              {"hidden", to_string(coder.options().hidden)},
              {"output", to_string(coder.options().output)},
              {"code", to_string(coder.options().code.value_or(coder.options().hidden))},
              {"batch", training_.batch},
              {"noise", to_string(o.corruption.noise)},
              {"amount", o.corruption.amount},
              {"low", o.corruption.low},
              {"high", o.corruption.high},
              {"reconstruction", static_cast<int>(o.reconstruction)},
              {"kl", o.kl},
              {"kl_target", o.kl_target},
              {"l1", o.l1},
              {"contractive", o.contractive},
              {"settings", training_.settings}}
      .dump();
}

template <class Coder>
void CoderLayer<Coder>::pretrain(const Tensor& x, const Stage& stage) {
  check_samples("pretrain", x);
  struct Batch {
    Tensor x;
    NoiseKey key;
  };
  const auto optimizer = optimizer_for(training_.optimizer, coder);
  const int64_t n = x.dim(0), size = training_.batch, batches = batches_of(n, size);
  Trainer trainer(coder, *optimizer,
                  {.epochs = training_.epochs,
                   .folder = stage.folder,
                   .resume = stage.resume,
                   .schedule = training_.schedule,
                   .restore_best = false,
                   .progress = stage.progress,
                   .recipe = recipe()});
  const auto key = [seed = stage.seed](int64_t epoch, int64_t index) {
    return NoiseKey{seed, Random(seed, "corruption", static_cast<uint64_t>(epoch), static_cast<uint64_t>(index)).stream()};
  };
  trainer.fit(Task<Batch>{.batches = [=](int64_t) { return batches; },
                          .make_batch =
                              [&](int64_t epoch, int64_t index) {
                                return Batch{take(x.detach(), batch_of(n, size, stage.seed, "pretrain", epoch, index)), key(epoch, index)};
                              },
                          .loss = [&](const Batch& b) { return autoencoder_loss(coder, b.x, training_.objective, b.key); },
                          .size = [](const Batch& b) { return b.x.dim(0); }});
}

template <class Coder>
Tensor CoderLayer<Coder>::code(const Tensor& x) const {
  return in_parts(x, [&](const Tensor& part) { return coder.encode(part); });
}

template <class Coder>
void CoderLayer<Coder>::append_encoder(Sequential& net) const {
  coder.append_encoder(net);
}
template <class Coder>
void CoderLayer<Coder>::append_decoder(Sequential& net) const {
  coder.append_decoder(net);
}
template class CoderLayer<Autoencoder>;
template class CoderLayer<ConvAutoencoder>;

// ---- pre-training
// ------------------------------------------------------------------------------------------------------------------------
namespace {

// What a finished stage must have been made of, to be taken: its settings, its data, the seed.
std::string stage_recipe(const Pretrainable& layer, const Tensor& x, uint64_t seed) {
  const Tensor host = x.detach().to(Device::cpu);
  char crc[16];
  std::snprintf(crc, sizeof crc, "%08x", crc32c({static_cast<const char*>(host.raw()), static_cast<size_t>(host.bytes())}));
  return Json{{"layer", layer.recipe()}, {"data", to_string(x.shape()) + " " + crc}, {"seed", seed}}.dump();
}

// stageK.safetensors: the layer's weights; in its notes the recipe and the random state after it.
void save_stage(const std::string& path, Pretrainable& layer, const std::string& recipe) {
  const uint64_t stream = next_stream();
  set_next_stream(stream);  // asking moves it on
  save_weights(path, layer.module(),
               {{"recipe", recipe}, {"seed", std::to_string(global_seed())}, {"next_stream", std::to_string(stream)}});
}

void load_stage(const std::string& path, Pretrainable& layer, const std::string& recipe) {
  const WeightsFile file = read_weights(path);
  const auto note = [&](const char* key) {
    const auto found = file.notes.find(key);
    if (found == file.notes.end()) throw FileError(path + ": is no finished stage: its metadata lacks '" + key + "'");
    return found->second;
  };
  if (note("recipe") != recipe)
    throw FileError(path + ": was trained otherwise: " + note("recipe") + " there, " + recipe +
                    " here; resume with the same settings and data, or start in a new folder");
  load_weights(path, layer.module());
  set_seed(std::stoull(note("seed")));
  set_next_stream(std::stoull(note("next_stream")));
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw FileError(folder + ": cannot be made: " + error.message());
}

}  // namespace

void pretrain(Stack& stack, const Tensor& x, const PretrainOptions& o) {
  check_stack("pretrain", stack);
  check_samples("pretrain", x);
  if (!o.folder.empty()) make_folder(o.folder);
  Tensor code = x.detach();
  for (size_t i = 0; i < stack.size(); i++) {
    const std::string name = o.folder.empty() ? "" : o.folder + "/stage" + std::to_string(i + 1), file = name + ".safetensors";
    const uint64_t seed = Random(o.seed, "stage", i).stream();
    const std::string recipe = stage_recipe(stack[i], code, seed);
    const bool done = !name.empty() && std::filesystem::exists(file);
    if (done && !o.resume)
      throw FileError(o.folder + ": already holds a pre-training (stage" + std::to_string(i + 1) +
                      ".safetensors); resume it, or choose another folder");
    if (done) {
      load_stage(file, stack[i], recipe);
    } else {
      stack[i].pretrain(code, {.folder = name, .resume = o.resume, .seed = seed, .progress = o.progress});
      if (!name.empty()) save_stage(file, stack[i], recipe);
    }
    if (o.on_stage) o.on_stage(i + 1);
    if (i + 1 < stack.size()) code = stack[i].code(code);
  }
}

// ---- networks made of stacks
// -------------------------------------------------------------------------------------------------------------
namespace {

void append_encoders(Sequential& net, const Stack& stack) {
  for (size_t i = 0; i < stack.size(); i++) stack[i].append_encoder(net);
}
void append_decoders(Sequential& net, const Stack& stack) {
  for (size_t i = stack.size(); i-- > 0;) {
    stack[i].append_decoder(net);
    if (i > 0) append_units(net, stack[i].visible());
  }
}

// The weights of modules made afresh; making them draws random numbers, which are given back.
State fresh_weights(const std::function<void(Sequential&)>& append) {
  const uint64_t stream = next_stream();
  Sequential fresh;
  append(fresh);
  set_next_stream(stream);
  return fresh.state();
}

}  // namespace

DeepAutoencoder::DeepAutoencoder(Module* parent, std::string name, const Stack& stack)
    : Module(parent, std::move(name)), encoder(this, "encoder"), decoder(this, "decoder") {
  check_stack("DeepAutoencoder", stack);
  append_encoders(encoder, stack);
  append_decoders(decoder, stack);
  units_ = stack[0].visible();
}

void DeepAutoencoder::adopt(const Stack& stack) {
  encoder.load(fresh_weights([&](Sequential& net) { append_encoders(net, stack); }));
  decoder.load(fresh_weights([&](Sequential& net) { append_decoders(net, stack); }));
}

Tensor DeepAutoencoder::encode(const Tensor& x) const {
  const Scope scope(*this);
  return encoder(x);
}
Tensor DeepAutoencoder::decode(const Tensor& code) const {
  const Scope scope(*this);
  return decoder(code);
}

namespace {

// Values of the code of one case.
int64_t code_size(const Stack& stack, const Shape& input) {
  check_stack("DeepClassifier", stack);
  Shape one = input;
  one.insert(one.begin(), 1);
  return stack.code(Tensor::zeros(one)).size();
}

}  // namespace

DeepClassifier::DeepClassifier(Module* parent, std::string name, const Stack& stack, const Shape& input, const Options& o)
    : Module(parent, std::move(name)),
      encoder(this, "encoder"),
      drop(this, "drop", {.p = o.dropout}),
      head(this, "head", {.in = code_size(stack, input) + o.side, .out = o.classes}),
      side_(o.side) {
  append_encoders(encoder, stack);
}

void DeepClassifier::adopt(const Stack& stack) {
  encoder.load(fresh_weights([&](Sequential& net) { append_encoders(net, stack); }));
}

Tensor DeepClassifier::features(const Tensor& x, const Tensor& side) const {
  const Tensor code = flatten(encoder(x));
  if (!side && side_ == 0) return code;
  if (!side || side.shape() != Shape{x.dim(0), side_})
    throw ShapeError("[DeepClassifier] expected side features (" + std::to_string(x.dim(0)) + ", " + std::to_string(side_) + "), got " +
                     (side ? to_string(side.shape()) : "none"));
  return concat({code, side}, 1);
}

Tensor DeepClassifier::operator()(const Tensor& x, const Tensor& side) const {
  const Scope scope(*this);
  return head(drop(features(x, side)));
}

// ---- fine-tuning
// -------------------------------------------------------------------------------------------------------------------------
namespace {

struct Cases {
  Tensor x, y, side;
};
Cases some_of(const Cases& all, const Tensor& index) {
  return {take(all.x.detach(), index), take(all.y, index), all.side ? take(all.side.detach(), index) : Tensor()};
}

void check_cases(const char* which, const Cases& c, int64_t classes) {
  check_samples("fine_tune", c.x);
  if (!c.y || c.y.dtype() != Dtype::i32 || c.y.shape() != Shape{c.x.dim(0)})
    throw ShapeError(std::string("[fine_tune] ") + which + " labels must be (" + std::to_string(c.x.dim(0)) + ") i32, got " +
                     (c.y ? to_string(c.y.shape()) + " " + to_string(c.y.dtype()) : "none"));
  for (const int32_t label : c.y.to_vector<int32_t>())
    if (label < 0 || label >= classes)
      throw Error(std::string("[fine_tune] ") + which + " label " + std::to_string(label) + " is outside 0 to " +
                  std::to_string(classes - 1));
}

// Accuracy and mean cross-entropy, in parts.
Scores score(const DeepClassifier& net, const Cases& all, const CrossEntropyOptions& loss) {
  constexpr int64_t part = 512;
  const int64_t n = all.x.dim(0);
  double right = 0, total = 0;
  for (int64_t i = 0; i < n; i += part) {
    const int64_t last = std::min(n, i + part);
    const Tensor logits = net(all.x.rows(i, last), all.side ? all.side.rows(i, last) : Tensor()), y = all.y.rows(i, last);
    right += sum(equal(argmax(logits).to(Dtype::f64), y.to(Dtype::f64)).to(Dtype::f64)).item();
    total += cross_entropy(logits, y, {.weight = loss.weight, .smoothing = loss.smoothing, .average = Average::sum}).item();
  }
  return {{"accuracy", right / static_cast<double>(n)}, {"loss", total / static_cast<double>(n)}};
}

TrainerOptions trainer_options(const StackedOptions& o, const std::string& recipe) {
  return {.epochs = o.fine_tune.epochs,
          .folder = o.folder,
          .resume = o.resume,
          .schedule = o.fine_tune.schedule,
          .patience = o.fine_tune.patience,
          .progress = o.progress,
          .recipe = recipe,
          .on_epoch = o.on_epoch};
}

std::string recipe_of(const StackedOptions& o, int64_t samples) {
  return Json{{"samples", samples},     {"batch", o.fine_tune.batch},   {"seed", o.seed},
              {"pretrain", o.pretrain}, {"freeze", o.fine_tune.freeze}, {"settings", o.fine_tune.settings}}
      .dump();
}

void check_options(const FineTuneOptions& o) {
  if (o.epochs < 1 || o.batch < 1)
    throw Error("[fine_tune] epochs and batch must be at least 1, got " + std::to_string(o.epochs) + " and " + std::to_string(o.batch));
}

PretrainOptions pretrain_options(const StackedOptions& o) {
  return {.folder = o.folder, .resume = o.resume, .seed = o.seed, .progress = o.progress, .on_stage = o.on_stage};
}

}  // namespace

Report fine_tune(DeepClassifier& net, const LabelledData& data, const StackedOptions& o) {
  check_options(o.fine_tune);
  const Cases train{data.x, data.y, data.side}, held{data.validation_x, data.validation_y, data.validation_side};
  check_cases("training", train, net.head.weight.dim(1));
  if (held.x) check_cases("validation", held, net.head.weight.dim(1));
  if (!o.fine_tune.freeze.empty() && net.freeze(o.fine_tune.freeze) == 0)
    throw Error("[fine_tune] no parameter matches the pattern '" + o.fine_tune.freeze + "' to freeze");
  const auto optimizer = optimizer_for(o.fine_tune.optimizer, net);
  const int64_t n = data.x.dim(0), size = o.fine_tune.batch, batches = batches_of(n, size);
  TrainerOptions options = trainer_options(o, recipe_of(o, n));
  if (held.x) options.monitor = "accuracy";
  Trainer trainer(net, *optimizer, options);
  Task<Cases> task{
      .batches = [=](int64_t) { return batches; },
      .make_batch = [&](int64_t epoch, int64_t index) { return some_of(train, batch_of(n, size, o.seed, "fine_tune", epoch, index)); },
      .loss = [&](const Cases& b) { return cross_entropy(net(b.x, b.side), b.y, o.fine_tune.loss); },
      .size = [](const Cases& b) { return b.x.dim(0); }};
  if (held.x) task.validate = [&] { return score(net, held, o.fine_tune.loss); };
  return trainer.fit(task);
}

Report train_stacked(Stack& stack, DeepClassifier& net, const LabelledData& data, const StackedOptions& o) {
  check_options(o.fine_tune);
  if (o.pretrain) {
    pretrain(stack, data.unlabelled ? data.unlabelled : data.x, pretrain_options(o));
    net.adopt(stack);
  }
  return fine_tune(net, data, o);
}

Report train_stacked(Stack& stack, DeepAutoencoder& net, const Tensor& x, const StackedOptions& o) {
  check_options(o.fine_tune);
  check_samples("train_stacked", x);
  if (o.pretrain) {
    pretrain(stack, x, pretrain_options(o));
    net.adopt(stack);
  }
  const auto optimizer = optimizer_for(o.fine_tune.optimizer, net);
  const int64_t n = x.dim(0), size = o.fine_tune.batch, batches = batches_of(n, size);
  Trainer trainer(net, *optimizer, trainer_options(o, recipe_of(o, n)));
  return trainer.fit(Task<Tensor>{
      .batches = [=](int64_t) { return batches; },
      .make_batch = [&](int64_t epoch, int64_t index) { return take(x.detach(), batch_of(n, size, o.seed, "fine_tune", epoch, index)); },
      .loss = [&](const Tensor& b) { return reconstruction_loss(net(b), b, net.units()); },
      .size = [](const Tensor& b) { return b.dim(0); }});
}

}  // namespace sono
