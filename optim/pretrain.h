#pragma once
// Greedy layer-wise pre-training [Hinton et al., Neural Computation 2006; Bengio et al., NIPS 2006]: each layer learns, without labels,
// from the codes of the layer below; then the stack is unrolled into one network, which learns the task.
//
//   Stack stack;
//   stack.add<AutoencoderLayer>(Autoencoder::Options{.widths = {784, 500}, .hidden = UnitType::sigmoid, .tied = true},
//                               AutoencoderTraining{.epochs = 20, .objective = {.corruption = {Noise::masking, 0.25}}});
//   stack.add<AutoencoderLayer>(…{500, 250}…);
//   DeepClassifier net(stack, {784}, {.classes = 2});
//   Report report = train_stacked(stack, net, {.unlabelled = all, .x = x, .y = y}, {.folder = "run"});   // pre-trains, fine-tunes
//
// The folder has stage1.safetensors … (each layer, when it is done), stage1/ … (its training) and the fine-tuning's files as the Trainer
// leaves them. Killed at any moment and called again with resume, it gives bitwise the same weights.
#include "layers/autoencoder.h"
#include "optim/trainer.h"

namespace sono {

// Where and how one layer is trained.
struct Stage {
  std::string folder = {};  // of its own, made if needed; empty: nothing is written
  bool resume = false;      // go on with what is in there
  uint64_t seed = 1;        // order of the samples and noise
  ProgressStyle progress = ProgressStyle::automatic;
};

// A layer that can be trained by itself: an autoencoder, a restricted Boltzmann machine.
class Pretrainable {
 public:
  virtual ~Pretrainable() = default;
  virtual Module& module() = 0;                                    // its weights, as they are saved
  virtual std::string recipe() const = 0;                          // settings that must be the same on resuming
  virtual void pretrain(const Tensor& x, const Stage& stage) = 0;  // learns from x (N, …), bitwise the same after a kill and resumption
  virtual Tensor code(const Tensor& x) const = 0;                  // (N, …) -> what the next layer learns from; no graph, no noise

  // Adds modules to the end of a network, with copies of this layer's weights: from its input to its code, and from its code to what stands
  // before the units of its input (logits, if visible() is sigmoid).
  virtual void append_encoder(Sequential& net) const = 0;
  virtual void append_decoder(Sequential& net) const = 0;
  virtual UnitType visible() const = 0;
};

// Layers from the input upwards; owns them.
class Stack {
 public:
  template <class T, class... Args>
  T& add(Args&&... args) {
    auto layer = std::make_unique<T>(std::forward<Args>(args)...);
    T& t = *layer;
    layers_.push_back(std::move(layer));
    return t;
  }
  Pretrainable& add(std::unique_ptr<Pretrainable> layer) { return *layers_.emplace_back(std::move(layer)); }
  size_t size() const { return layers_.size(); }
  Pretrainable& operator[](size_t i) const { return *layers_.at(i); }
  Tensor code(const Tensor& x, size_t layers) const;  // after so many layers
  Tensor code(const Tensor& x) const { return code(x, size()); }

 private:
  std::vector<std::unique_ptr<Pretrainable>> layers_;
};

// Makes the optimiser of a stage; none: Adam with its defaults.
using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(const Module& model)>;

// ---- autoencoders as layers
// --------------------------------------------------------------------------------------------------------------------------------
struct AutoencoderTraining {
  int64_t epochs = 20, batch = 100;
  AutoencoderObjective objective = {};
  MakeOptimizer optimizer = {};
  Schedule schedule = {};     // of steps
  std::string settings = {};  // says what optimizer and schedule are, for the recipe
};

template <class Coder>
class CoderLayer : public Pretrainable {  // Coder: Autoencoder or ConvAutoencoder
 public:
  explicit CoderLayer(const typename Coder::Options& options, AutoencoderTraining training = {});
  Module& module() override { return coder; }
  std::string recipe() const override;
  void pretrain(const Tensor& x, const Stage& stage) override;
  Tensor code(const Tensor& x) const override;
  void append_encoder(Sequential& net) const override;
  void append_decoder(Sequential& net) const override;
  UnitType visible() const override { return coder.options().output; }

  Coder coder;

 private:
  AutoencoderTraining training_;
};
using AutoencoderLayer = CoderLayer<Autoencoder>;
using ConvAutoencoderLayer = CoderLayer<ConvAutoencoder>;

// ---- pre-training alone
// ------------------------------------------------------------------------------------------------------------------------------------
struct PretrainOptions {
  std::string folder = {};  // empty: nothing is written
  bool resume = false;      // false: a folder that has a stage is refused
  uint64_t seed = 1;
  ProgressStyle progress = ProgressStyle::automatic;
  std::function<void(size_t stage)> on_stage = {};  // when stage 1 … is done
};
// Trains the layers in turn. Stages whose file is in the folder are loaded instead; FileError if it is of another recipe or of other data.
void pretrain(Stack& stack, const Tensor& x, const PretrainOptions& options = {});

// ---- networks made of stacks: their weights are those of the stack when they are made, or adopt it
// ---------------------------------------------------------------

// All encoders, then all decoders downwards, unrolled. x -> the reconstruction before its units, as Autoencoder.
// Paths: encoder.0.weight …, decoder.0.weight …
class DeepAutoencoder : public Module {
 public:
  explicit DeepAutoencoder(const Stack& stack) : DeepAutoencoder(nullptr, "", stack) {}
  DeepAutoencoder(Module* parent, std::string name, const Stack& stack);
  void adopt(const Stack& stack);  // the stack's weights as they are now
  Tensor operator()(const Tensor& x) const { return decode(encode(x)); }
  Tensor encode(const Tensor& x) const;
  Tensor decode(const Tensor& code) const;
  Tensor reconstruct(const Tensor& x) const { return apply(units_, (*this)(x)); }
  UnitType units() const { return units_; }
  const char* kind() const override { return "DeepAutoencoder"; }

  Sequential encoder, decoder;

 private:
  UnitType units_;
};

struct DeepClassifierOptions {
  int64_t classes = 2;
  int64_t side = 0;    // further features beside the code: (N, side), a lesion's size for example
  double dropout = 0;  // of the code
};

// All encoders and a linear layer: x (N, …) -> logits (N, classes); input: the shape of one case, x's without N. Paths: encoder.0.weight …,
// head.weight, head.bias.
class DeepClassifier : public Module {
 public:
  using Options = DeepClassifierOptions;
  DeepClassifier(const Stack& stack, const Shape& input, const Options& options) : DeepClassifier(nullptr, "", stack, input, options) {}
  DeepClassifier(Module* parent, std::string name, const Stack& stack, const Shape& input, const Options& options);
  void adopt(const Stack& stack);
  Tensor operator()(const Tensor& x, const Tensor& side = {}) const;
  Tensor features(const Tensor& x, const Tensor& side = {}) const;  // (N, code [+ side]): what the head sees
  const char* kind() const override { return "DeepClassifier"; }

  Sequential encoder;
  Dropout drop;
  Linear head;

 private:
  int64_t side_;
};

// ---- fine-tuning
// ---------------------------------------------------------------------------------------------------------------------------------------------
struct LabelledData {
  Tensor unlabelled = {};                                             // (M, …): for pre-training; empty: x
  Tensor x = {}, y = {};                                              // (N, …); (N) i32 classes
  Tensor side = {};                                                   // (N, side), if the classifier wants it
  Tensor validation_x = {}, validation_y = {}, validation_side = {};  // optional
};

struct FineTuneOptions {
  int64_t epochs = 50, batch = 50;
  MakeOptimizer optimizer = {};
  Schedule schedule = {};
  std::string settings = {};  // says what optimizer and schedule are, for the recipe
  int64_t patience = 0;       // epochs without better validation; 0: never stop early
  std::string freeze = {};    // pattern of parameters that stay as they are ("encoder.*": the head alone)
  CrossEntropyOptions loss = {};
};

struct StackedOptions {
  std::string folder = {};
  bool resume = false;
  uint64_t seed = 1;
  bool pretrain = true;  // false: straight to the fine-tuning, for comparison
  FineTuneOptions fine_tune = {};
  ProgressStyle progress = ProgressStyle::automatic;
  std::function<void(size_t stage)> on_stage = {};
  std::function<void(const EpochReport&)> on_epoch = {};  // of the fine-tuning
};

// Supervised training of the classifier as it is, by cross-entropy. The epoch with the best validation "accuracy" is kept; without
// validation data the one with the lowest training loss.
Report fine_tune(DeepClassifier& net, const LabelledData& data, const StackedOptions& options = {});

// Everything in one call: pre-trains the stack, gives its weights to the network, fine-tunes it.
Report train_stacked(Stack& stack, DeepClassifier& net, const LabelledData& data, const StackedOptions& options = {});

// The same without labels: pre-training, then the unrolled autoencoder learns to give x back (cross-entropy for
// sigmoid units, squared error for others; the epochs of options.fine_tune).
Report train_stacked(Stack& stack, DeepAutoencoder& net, const Tensor& x, const StackedOptions& options = {});

}  // namespace sono
