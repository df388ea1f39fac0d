#pragma once
// Whole networks that several systems share. They give logits.
//
//   UNet net({.in = 1, .out = 1, .widths = {16, 32, 64, 128}});
//   Tensor logits = net(images);   // (8, 128, 192, 1) -> (8, 128, 192, 1)
#include "layers/autoencoder.h"
#include "layers/blocks.h"
#include "layers/linear.h"
#include "layers/recurrent.h"

namespace sono {

struct UNetOptions {
  int64_t in = 1, out = 1;
  std::vector<int64_t> widths = {16, 32, 64, 128};  // channels, finest level first
};

// [Ronneberger et al., MICCAI 2015] with padded convolutions and batch norm. Each level down is a 2x2 max pool and a DoubleConv, each level
// up an UpBlock with the skip of its size; head is a 1x1 convolution. x (N, H, W, in) -> (N, H, W, out) for any H, W >= 2^(levels - 1).
// Paths: encoder.0.conv1.weight …, decoder.0 (the deepest) …, head.
class UNet : public Module {
 public:
  using Options = UNetOptions;
  explicit UNet(const Options& options = {}) : UNet(nullptr, "", options) {}
  UNet(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  std::vector<Tensor> encode(const Tensor& x) const;  // one tensor per level, finest first
  const char* kind() const override { return "UNet"; }

  ModuleList<DoubleConv> encoder;
  ModuleList<UpBlock> decoder;
  Conv2d head;
};

struct ResNetSmallOptions {
  int64_t in = 1, classes = 2;
  std::vector<int64_t> widths = {16, 32, 64, 128};  // of the stages; the first keeps the stem's size, each further one halves it
  int64_t blocks = 1;                               // per stage
};

// A small residual network [He et al., CVPR 2016]: 3x3 stem of stride 2, stages layer1, layer2 … of ResidualBlocks, mean over space, fc.
// x (N, H, W, in) -> (N, classes). Names as torchvision's: conv1, bn1, layer1.0.conv1 …, fc.
class ResNetSmall : public Module {
 public:
  using Options = ResNetSmallOptions;
  explicit ResNetSmall(const Options& options = {}) : ResNetSmall(nullptr, "", options) {}
  ResNetSmall(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const { return logits(features(x)); }
  Tensor features(const Tensor& x) const;  // (N, H', W', C): the last stage, for maps of what the network looked at
  Tensor logits(const Tensor& features) const;
  const char* kind() const override { return "ResNetSmall"; }

  Conv2d conv1;
  BatchNorm bn1;
  std::vector<std::unique_ptr<Sequential>> stages;
  Linear fc;

 private:
  std::vector<std::unique_ptr<Sequential>> build(const Options& options);
};

struct CnnOptions {
  int64_t in = 1, classes = 2;
  std::vector<int64_t> widths = {16, 32, 64, 64};
  int64_t dimensions = 2;  // 3: volumes
};

// The plain classifier: for each width a 3x3 convolution, batch norm, ReLU and a 2x2 max pool; then the mean over space and fc.
// x (N, H, W, in) or (N, D, H, W, in) -> (N, classes); every size at least 2^widths. Paths: blocks.0.conv.weight, blocks.0.bn.weight …, fc.
class Cnn : public Module {
 public:
  using Options = CnnOptions;
  explicit Cnn(const Options& options = {}) : Cnn(nullptr, "", options) {}
  Cnn(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "Cnn"; }

  struct Block : Module {
    struct Options {
      int64_t in, out, dimensions;
    };
    Block(Module* parent, std::string name, const Options& options);
    Tensor operator()(const Tensor& x) const;
    Conv conv;
    BatchNorm bn;
  };
  ModuleList<Block> blocks;
  Linear fc;
};

struct LstmClassifierOptions {
  int64_t in = 128, hidden = 256, layers = 1, classes = 2;
};

// An LSTM over x (N, T, in) and fc on where it ended: (N, classes). Paths: lstm.weight_ih_l0 …, fc.
class LstmClassifier : public Module {
 public:
  using Options = LstmClassifierOptions;
  explicit LstmClassifier(const Options& options = {}) : LstmClassifier(nullptr, "", options) {}
  LstmClassifier(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "LstmClassifier"; }

  Lstm lstm;
  Linear fc;
};

struct SonoNetOptions {
  int64_t in = 1, classes = 14;
  int64_t features = 16;  // of the first level: SonoNet-16, -32, -64
};

// Fetal standard planes in real time [Baumgartner et al., TMI 2017]: 2, 2, 3, 3, 3 convolutions 3x3 of n, 2n, 4n, 8n, 8n channels with
// batch norm and ReLU, 2x2 max pools between the levels; adaptation: 1x1 to 4n, 1x1 to the classes; their maps are averaged over space. x
// (N, H, W, in), in the paper 224 x 288 -> (N, classes). Paths as in the authors' PyTorch port: features.0.0.weight, features.0.1.weight …,
// adaptation.0.weight, adaptation.1.weight, adaptation.3.weight …
class SonoNet : public Module {
 public:
  using Options = SonoNetOptions;
  explicit SonoNet(const Options& options = {}) : SonoNet(nullptr, "", options) {}
  SonoNet(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const { return global_avg_pool(class_maps(x)); }
  Tensor class_maps(const Tensor& x) const;  // (N, H / 16, W / 16, classes): where each plane's structures lie
  const char* kind() const override { return "SonoNet"; }

  Sequential features, adaptation;
};

}  // namespace sono
