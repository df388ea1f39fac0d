#pragma once
// Whole networks that several systems share. They give logits.
//
//   UNet net({.in = 1, .out = 1, .widths = {16, 32, 64, 128}});
//   Tensor logits = net(images);   // (8, 128, 192, 1) -> (8, 128, 192, 1)
#include "layers/blocks.h"
#include "layers/linear.h"

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

}  // namespace sono
