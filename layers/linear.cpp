#include "layers/linear.h"

#include "layers/init.h"

namespace sono {

Linear::Linear(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)) {
  if (o.in < 1 || o.out < 1)
    throw ShapeError("[Linear] in and out must be at least 1, got " + std::to_string(o.in) + " and " + std::to_string(o.out));
  parameter("weight", weight, Tensor({o.in, o.out}), Layout::filters);
  if (o.bias) parameter("bias", bias, Tensor({o.out}));
  init::pytorch_default(weight, bias);
}

Tensor Linear::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return linear(x, weight, bias);
}

std::string Linear::describe() const {
  return std::to_string(weight.dim(0)) + " -> " + std::to_string(weight.dim(1)) + (bias ? "" : ", no bias");
}

Embedding::Embedding(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)) {
  if (o.count < 1 || o.out < 1)
    throw ShapeError("[Embedding] count and out must be at least 1, got " + std::to_string(o.count) + " and " + std::to_string(o.out));
  parameter("weight", weight, Tensor({o.count, o.out}));
  init::normal(weight, 0, 1);
}

Tensor Embedding::operator()(const Tensor& index) const {
  const Scope scope(*this);
  return embedding(weight, index);
}

std::string Embedding::describe() const { return std::to_string(weight.dim(0)) + " rows of " + std::to_string(weight.dim(1)); }

}  // namespace sono
