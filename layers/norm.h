#pragma once
// Normalisation, any number of spatial dimensions, channels last: y = (x - mean) / sqrt(variance + epsilon) * weight + bias.
// They differ in what mean and variance are taken over:
//   BatchNorm     each channel over batch and space [Ioffe and Szegedy, ICML 2015]; running statistics in eval()
//   InstanceNorm  each channel of each image over space [Ulyanov et al. 2016]
//   GroupNorm     each group of channels of each image [Wu and He, ECCV 2018]
//   LayerNorm     the channels of each position [Ba et al. 2016]
//
//   BatchNorm norm{this, "norm", {.channels = 16, .relu = true}};   // relu in the same pass
//   Tensor half = norm.pooled(conv(x), 2).second;                   // and 2x2 max pooling
#include "layers/conv.h"

namespace sono {

struct BatchNormOptions {
  int64_t channels;
  double epsilon = 1e-5;
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch, with the unbiased variance of the batch
  bool affine = true;     // with weight and bias
  bool relu = false;      // y = max(0, …)
};

// Buffers running_mean and running_var (channels); inside checkpoint() they move twice, as it runs twice. ShapeError in training if a
// channel has a single value: its variance is not known.
class BatchNorm : public Module {
 public:
  using Options = BatchNormOptions;
  explicit BatchNorm(const Options& options) : BatchNorm(nullptr, "", options) {}
  BatchNorm(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const { return joined(x, {}); }
  // The norm of x plus another tensor like it, and then the relu, in one pass: the end of a residual block. None: an empty handle.
  Tensor joined(const Tensor& x, const Tensor& add) const;
  // max_pool of the norm over windows side by side, in one pass; with y, the norm itself too, else it is an empty handle.
  std::pair<Tensor, Tensor> pooled(const Tensor& x, const Extent& window, bool with_y = false) const;  // y, its maxima
  // next(relu(norm(x))): in training, where `next` has no bias and the norm is affine and has a relu, in one operation that neither writes
  // nor keeps what lies between.
  Tensor before(const Conv& next, const Tensor& x) const;
  const char* kind() const override { return "BatchNorm"; }
  std::string describe() const override;

  Tensor weight, bias, running_mean, running_var;

 private:
  int64_t check(const Tensor& x) const;
  void follow(const Tensor& mean, const Tensor& rstd, int64_t values) const;
  Options options_;
};

struct LayerNormOptions {
  int64_t channels;
  double epsilon = 1e-5;
  bool affine = true;
};
class LayerNorm : public Module {
 public:
  using Options = LayerNormOptions;
  explicit LayerNorm(const Options& options) : LayerNorm(nullptr, "", options) {}
  LayerNorm(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "LayerNorm"; }
  std::string describe() const override;

  Tensor weight, bias;

 private:
  Options options_;
};

struct GroupNormOptions {
  int64_t groups, channels;
  double epsilon = 1e-5;
  bool affine = true;
};
class GroupNorm : public Module {
 public:
  using Options = GroupNormOptions;
  explicit GroupNorm(const Options& options) : GroupNorm(nullptr, "", options) {}
  GroupNorm(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "GroupNorm"; }
  std::string describe() const override;

  Tensor weight, bias;

 private:
  Options options_;
};

struct InstanceNormOptions {
  int64_t channels;
  double epsilon = 1e-5;
  bool affine = false;
};
class InstanceNorm : public Module {
 public:
  using Options = InstanceNormOptions;
  explicit InstanceNorm(const Options& options) : InstanceNorm(nullptr, "", options) {}
  InstanceNorm(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "InstanceNorm"; }
  std::string describe() const override;

  Tensor weight, bias;

 private:
  Options options_;
};

// x / (k + alpha / size * sum of x^2 over `size` neighbouring channels)^beta [Krizhevsky et al., NIPS 2012].
struct LocalResponseNormOptions {
  int64_t size = 5;
  double alpha = 1e-4, beta = 0.75, k = 1;
};
class LocalResponseNorm : public Module {
 public:
  using Options = LocalResponseNormOptions;
  explicit LocalResponseNorm(const Options& options = {}) : LocalResponseNorm(nullptr, "", options) {}
  LocalResponseNorm(Module* parent, std::string name, const Options& options = {}) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "LocalResponseNorm"; }
  std::string describe() const override;

 private:
  Options options_;
};

}  // namespace sono
