#pragma once
// Units: elementwise functions as modules (for Sequential), units with parameters, reshaping, and dropout.
//
//   Sequential net;
//   net.append<Linear>({.in = 64, .out = 32});
//   net.append<Maxout>({.pieces = 2});   // (N, 32) -> (N, 16)
#include "layers/module.h"

namespace sono {

Tensor softmax_over_channels(const Tensor& x);  // softmax over the last axis
Tensor flatten(const Tensor& x);                // (N, …) -> (N, everything else)

// A function of no parameters as a module. Name: text as a template's argument.
struct Name {
  char text[16] = {};
  consteval Name(const char* s) {
    for (int i = 0; s[i]; i++) text[i] = s[i];
  }
};
template <Name name, Tensor (*function)(const Tensor&)>
class Unit : public Module {
 public:
  using Module::Module;
  Unit() = default;
  Tensor operator()(const Tensor& x) const {
    const Scope scope(*this);
    return function(x);
  }
  const char* kind() const override { return name.text; }
};
using Relu = Unit<"Relu", relu>;
using Gelu = Unit<"Gelu", gelu>;
using Silu = Unit<"Silu", silu>;
using Tanh = Unit<"Tanh", tanh>;
using Sigmoid = Unit<"Sigmoid", sigmoid>;
using Softplus = Unit<"Softplus", softplus>;
using Softmax = Unit<"Softmax", softmax_over_channels>;
using Flatten = Unit<"Flatten", flatten>;

// Units by name, for networks whose options choose them.
enum class UnitType : uint8_t { linear, sigmoid, tanh, relu };
Tensor apply(UnitType units, const Tensor& x);
const char* to_string(UnitType units);  // "sigmoid"

struct LeakyReluOptions {
  double slope = 0.01;
};
class LeakyRelu : public Module {  // x for x > 0, slope x below
 public:
  using Options = LeakyReluOptions;
  explicit LeakyRelu(const Options& options = {}) : LeakyRelu(nullptr, "", options) {}
  LeakyRelu(Module* parent, std::string name, const Options& options = {}) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "LeakyRelu"; }
  std::string describe() const override;

 private:
  Options options_;
};

struct EluOptions {
  double alpha = 1;
};
class Elu : public Module {  // x for x > 0, alpha (exp(x) - 1) below
 public:
  using Options = EluOptions;
  explicit Elu(const Options& options = {}) : Elu(nullptr, "", options) {}
  Elu(Module* parent, std::string name, const Options& options = {}) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "Elu"; }
  std::string describe() const override;

 private:
  Options options_;
};

struct PReluOptions {
  int64_t channels = 1;  // 1: one slope for all
  double slope = 0.25;   // at first
};
class PRelu : public Module {  // x for x > 0, weight x below; weight (channels) is learnt [He et al., ICCV 2015]
 public:
  using Options = PReluOptions;
  explicit PRelu(const Options& options = {}) : PRelu(nullptr, "", options) {}
  PRelu(Module* parent, std::string name, const Options& options = {});
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "PRelu"; }
  std::string describe() const override;

  Tensor weight;
};

// y[…, c] = max over p of x[…, c * pieces + p]: after a Linear or Conv with pieces times the channels it is the maxout layer
// [Goodfellow et al., ICML 2013]. x (…, C * pieces) -> (…, C); ShapeError if pieces does not divide the channels.
Tensor maxout(const Tensor& x, int64_t pieces);
struct MaxoutOptions {
  int64_t pieces = 2;
};
class Maxout : public Module {
 public:
  using Options = MaxoutOptions;
  explicit Maxout(const Options& options = {}) : Maxout(nullptr, "", options) {}
  Maxout(Module* parent, std::string name, const Options& options = {}) : Module(parent, std::move(name)), options_(options) {}
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "Maxout"; }
  std::string describe() const override;

 private:
  Options options_;
};

// In training each value is zero with probability p, the others are divided by 1 - p [Srivastava et al., JMLR 2014]. In eval() nothing
// happens.
struct DropoutOptions {
  double p = 0.5;
};
class Dropout : public Module {
 public:
  using Options = DropoutOptions;
  explicit Dropout(const Options& options = {}) : Dropout(nullptr, "", options) {}
  Dropout(Module* parent, std::string name, const Options& options = {});
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "Dropout"; }
  std::string describe() const override;

 private:
  Options options_;
};

}  // namespace sono
