#pragma once
// Pooling as modules, any number of spatial dimensions, channels last: x (N, …, C).
//
//   MaxPool pool{this, "pool", {.window = 3, .stride = 2, .padding = 1}};   // (8, 64, 64, 16) -> (8, 32, 32, 16)
#include "layers/module.h"

namespace sono {

class MaxPool : public Module {
 public:
  using Options = PoolOptions;
  explicit MaxPool(const Options& options = {}) : MaxPool(nullptr, "", options) {}
  MaxPool(Module* parent, std::string name, const Options& options = {}) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "MaxPool"; }
  std::string describe() const override;

 private:
  Options options_;
};

class AvgPool : public Module {
 public:
  using Options = PoolOptions;
  explicit AvgPool(const Options& options = {}) : AvgPool(nullptr, "", options) {}
  AvgPool(Module* parent, std::string name, const Options& options = {}) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "AvgPool"; }
  std::string describe() const override;

 private:
  Options options_;
};

// The mean over space: (N, …, C) -> (N, C) [Lin et al., ICLR 2014].
class GlobalAvgPool : public Module {
 public:
  using Module::Module;
  GlobalAvgPool() = default;
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "GlobalAvgPool"; }
};

struct AdaptivePoolOptions {
  Extent size = 1;
};

// To the given size, whatever the input's.
class AdaptiveAvgPool : public Module {
 public:
  using Options = AdaptivePoolOptions;
  explicit AdaptiveAvgPool(const Options& options) : AdaptiveAvgPool(nullptr, "", options) {}
  AdaptiveAvgPool(Module* parent, std::string name, const Options& options) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "AdaptiveAvgPool"; }
  std::string describe() const override;

 private:
  Options options_;
};

class AdaptiveMaxPool : public Module {
 public:
  using Options = AdaptivePoolOptions;
  explicit AdaptiveMaxPool(const Options& options) : AdaptiveMaxPool(nullptr, "", options) {}
  AdaptiveMaxPool(Module* parent, std::string name, const Options& options) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "AdaptiveMaxPool"; }
  std::string describe() const override;

 private:
  Options options_;
};

}  // namespace sono
