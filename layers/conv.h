#pragma once
// Convolutions and transposed convolutions over 1 to 3 spatial dimensions, channels last.
//
//   Conv2d conv{this, "conv", {.in = 1, .out = 16, .kernel = 3, .padding = 1}};
//   Tensor y = conv(x);   // (8, 128, 128, 1) -> (8, 128, 128, 16)
#include "layers/module.h"

namespace sono {

struct ConvLayout {
  int64_t in, out;
  Extent kernel = 3, stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

// y = conv(x, weight) + bias. weight (k…, in / groups, out). Output size floor((size + 2 padding - dilation (kernel - 1) - 1) / stride)
// + 1. PyTorch's default initialisation. ShapeError: options that do not fit each other, or x with other channels.
class Conv : public Module {
 public:
  using Options = ConvLayout;
  Conv(Module* parent, std::string name, int64_t dimensions, const Options& options);
  Tensor operator()(const Tensor& x) const;
  Tensor joined(const Tensor& a, const Tensor& b) const;  // of a and b joined along their channels; without the copy where there is no bias
  const char* kind() const override;
  std::string describe() const override;
  const ConvOptions& options() const { return options_; }

  Tensor weight, bias;

 private:
  Options layout_;
  ConvOptions options_;
  int64_t dimensions_;
};

struct Conv1d : Conv {  // x (N, T, C)
  explicit Conv1d(const Options& o) : Conv(nullptr, "", 1, o) {}
  Conv1d(Module* parent, std::string name, const Options& o) : Conv(parent, std::move(name), 1, o) {}
};
struct Conv2d : Conv {  // x (N, H, W, C)
  explicit Conv2d(const Options& o) : Conv(nullptr, "", 2, o) {}
  Conv2d(Module* parent, std::string name, const Options& o) : Conv(parent, std::move(name), 2, o) {}
};
struct Conv3d : Conv {  // x (N, D, H, W, C)
  explicit Conv3d(const Options& o) : Conv(nullptr, "", 3, o) {}
  Conv3d(Module* parent, std::string name, const Options& o) : Conv(parent, std::move(name), 3, o) {}
};

struct ConvTransposeLayout {
  int64_t in, out;
  Extent kernel = 2, stride = 2, padding = 0, output_padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

// The adjoint of Conv with the same options. weight (k…, out / groups, in).
// Output size (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
class ConvTranspose : public Module {
 public:
  using Options = ConvTransposeLayout;
  ConvTranspose(Module* parent, std::string name, int64_t dimensions, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override;
  std::string describe() const override;

  Tensor weight, bias;

 private:
  Options layout_;
  ConvOptions options_;
  int64_t dimensions_;
};

struct ConvTranspose1d : ConvTranspose {
  explicit ConvTranspose1d(const Options& o) : ConvTranspose(nullptr, "", 1, o) {}
  ConvTranspose1d(Module* parent, std::string name, const Options& o) : ConvTranspose(parent, std::move(name), 1, o) {}
};
struct ConvTranspose2d : ConvTranspose {
  explicit ConvTranspose2d(const Options& o) : ConvTranspose(nullptr, "", 2, o) {}
  ConvTranspose2d(Module* parent, std::string name, const Options& o) : ConvTranspose(parent, std::move(name), 2, o) {}
};
struct ConvTranspose3d : ConvTranspose {
  explicit ConvTranspose3d(const Options& o) : ConvTranspose(nullptr, "", 3, o) {}
  ConvTranspose3d(Module* parent, std::string name, const Options& o) : ConvTranspose(parent, std::move(name), 3, o) {}
};

}  // namespace sono
