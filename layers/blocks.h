#pragma once
// What networks for images are built of; x (N, H, W, C). Convolutions before a batch norm have no bias (the norm's shift is one), and the
// norm's ReLU, the join of a residual block and the max pooling after a norm are done in the norm's pass.
//
//   ResidualBlock block{this, "block", {.in = 16, .out = 32, .stride = 2}};   // (8, 64, 64, 16) -> (8, 32, 32, 32)
#include "layers/conv.h"
#include "layers/norm.h"
#include "layers/pool.h"
#include "layers/sequential.h"

namespace sono {

struct ConvUnitOptions {
  int64_t in, out;
  Extent kernel = 3, stride = 1, padding = 1;
  bool norm = true;
  std::optional<Extent> pool = {};  // a max pool of this window at the end
};

// relu(norm(conv(x))): parameters conv and bn. Without the norm: relu(conv(x) + bias).
//
//   for (auto [in, out] : …) net.append<ConvUnit>({.in = in, .out = out, .pool = 2});   // a small CNN's trunk
class ConvUnit : public Module {
 public:
  using Options = ConvUnitOptions;
  explicit ConvUnit(const Options& options) : ConvUnit(nullptr, "", options) {}
  ConvUnit(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "ConvUnit"; }

  Conv2d conv;

 private:
  std::unique_ptr<BatchNorm> norm_;
  std::optional<Extent> pool_;
};

struct ResidualBlockOptions {
  int64_t in, out, stride = 1;
};

// relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), 3x3; the shortcut is x, or where the shapes differ downsample: a 1x1 convolution
// with the stride, and a norm [He et al., CVPR 2016, the basic block with projection]. Names as torchvision's.
class ResidualBlock : public Module {
 public:
  using Options = ResidualBlockOptions;
  explicit ResidualBlock(const Options& options) : ResidualBlock(nullptr, "", options) {}
  ResidualBlock(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "ResidualBlock"; }

  Conv2d conv1;
  BatchNorm bn1;
  Conv2d conv2;
  BatchNorm bn2;

 private:
  std::unique_ptr<Sequential> downsample_;
};

struct InceptionOptions {
  int64_t in;
  int64_t one;                  // channels of the 1x1 branch
  int64_t reduce_three, three;  // 1x1 before, and 3x3
  int64_t reduce_five, five;    // 1x1 before, and 5x5
  int64_t pool;                 // 1x1 after a 3x3 max pool
  bool norm = true;             // the paper of 2014 has none
};

// Four branches side by side: (N, H, W, in) -> (N, H, W, one + three + five + pool) [Szegedy et al., CVPR 2015].
class Inception : public Module {
 public:
  using Options = InceptionOptions;
  explicit Inception(const Options& options) : Inception(nullptr, "", options) {}
  Inception(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "Inception"; }

  ConvUnit branch1;
  Sequential branch2, branch3, branch4;
};

struct DoubleConvOptions {
  int64_t in, out;
};

// Twice a 3x3 convolution, norm and ReLU; the size stays [Ronneberger et al., MICCAI 2015, with padding and norms].
class DoubleConv : public Module {
 public:
  using Options = DoubleConvOptions;
  explicit DoubleConv(const Options& options) : DoubleConv(nullptr, "", options) {}
  DoubleConv(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  Tensor joined(Tensor a, Tensor b) const;                       // of a and b joined along their channels
  std::pair<Tensor, Tensor> with_pooled(const Tensor& x) const;  // y, and its 2x2 max pool: a level of a U-Net and the way down from it
  const char* kind() const override { return "DoubleConv"; }

  Conv2d conv1;
  BatchNorm norm1;
  Conv2d conv2;
  BatchNorm norm2;
};

struct UpBlockOptions {
  int64_t in, skip, out;
};

// The way up of a U-Net: a transposed 2x2 convolution doubles x to `out` channels, fit() brings it to the skip's size, DoubleConv joins
// them.
class UpBlock : public Module {
 public:
  using Options = UpBlockOptions;
  explicit UpBlock(const Options& options) : UpBlock(nullptr, "", options) {}
  UpBlock(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x, Tensor skip) const;  // a skip that is moved in is given back before the convolutions
  const char* kind() const override { return "UpBlock"; }

  ConvTranspose2d up;
  DoubleConv conv;
};

// x (N, H, W, C) at another height and width: zeros are added, or rows and columns cut off, at the end of each.
Tensor fit(const Tensor& x, int64_t height, int64_t width);

}  // namespace sono
