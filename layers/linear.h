#pragma once
// y = x w + b, and rows of a table.
//
//   Linear head{this, "head", {.in = 128, .out = 2}};
//   Tensor logits = head(features);   // (N, 128) -> (N, 2)
#include "layers/module.h"

namespace sono {

struct LinearOptions {
  int64_t in, out;
  bool bias = true;
};

// weight (in, out), bias (out). x (…, in) -> (…, out). PyTorch's default initialisation.
class Linear : public Module {
 public:
  using Options = LinearOptions;
  explicit Linear(const Options& options) : Linear(nullptr, "", options) {}
  Linear(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "Linear"; }
  std::string describe() const override;

  Tensor weight, bias;
};

struct EmbeddingOptions {
  int64_t count, out;
};

// weight (count, out), standard normal at first. index (…) i32 of 0 … count-1 -> (…, out).
class Embedding : public Module {
 public:
  using Options = EmbeddingOptions;
  explicit Embedding(const Options& options) : Embedding(nullptr, "", options) {}
  Embedding(Module* parent, std::string name, const Options& options);
  Tensor operator()(const Tensor& index) const;
  const char* kind() const override { return "Embedding"; }
  std::string describe() const override;

  Tensor weight;
};

}  // namespace sono
