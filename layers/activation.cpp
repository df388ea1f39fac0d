#include "layers/activation.h"

#include <sstream>

namespace sono {
namespace {

std::string named(const char* what, double value) {
  std::ostringstream text;
  text << what << " " << value;
  return text.str();
}

}  // namespace

Tensor softmax_over_channels(const Tensor& x) { return softmax(x); }

Tensor flatten(const Tensor& x) {
  if (x.rank() < 1) throw ShapeError("[flatten] expected (N, …), got a value of shape ()");
  return reshape(x, {x.dim(0), x.dim(0) ? x.size() / x.dim(0) : 0});
}

Tensor apply(UnitType units, const Tensor& x) {
  switch (units) {
    case UnitType::sigmoid:
      return sigmoid(x);
    case UnitType::tanh:
      return tanh(x);
    case UnitType::relu:
      return relu(x);
    case UnitType::linear:
      break;
  }
  return x;
}

const char* to_string(UnitType units) {
  constexpr const char* names[] = {"linear", "sigmoid", "tanh", "relu"};
  return names[static_cast<size_t>(units)];
}

Tensor LeakyRelu::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return leaky_relu(x, options_.slope);
}
std::string LeakyRelu::describe() const { return named("slope", options_.slope); }

Tensor Elu::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return elu(x, options_.alpha);
}
std::string Elu::describe() const { return named("alpha", options_.alpha); }

PRelu::PRelu(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)) {
  if (o.channels < 1) throw ShapeError("[PRelu] channels must be at least 1, got " + std::to_string(o.channels));
  parameter("weight", weight, Tensor::full({o.channels}, o.slope));
}

Tensor PRelu::operator()(const Tensor& x) const {
  const Scope scope(*this);
  if (weight.size() != 1 && (x.rank() < 1 || x.dim(-1) != weight.size()))
    throw ShapeError("[PRelu] expected (…, " + std::to_string(weight.size()) + "), got " + to_string(x.shape()));
  return prelu(x, weight);
}
std::string PRelu::describe() const { return std::to_string(weight.size()) + (weight.size() == 1 ? " slope" : " slopes"); }

Tensor maxout(const Tensor& x, int64_t pieces) {
  if (pieces < 1 || x.rank() < 1 || x.dim(-1) % pieces)
    throw ShapeError("[maxout] " + std::to_string(pieces) + " pieces do not divide the channels of " + to_string(x.shape()));
  Shape shape = x.shape();
  shape.back() /= pieces;
  shape.push_back(pieces);
  return max(reshape(x, shape), {-1});
}

Tensor Maxout::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return maxout(x, options_.pieces);
}
std::string Maxout::describe() const { return std::to_string(options_.pieces) + " pieces"; }

Dropout::Dropout(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  if (!(o.p >= 0 && o.p < 1)) throw Error("[Dropout] p must be in [0, 1), got " + std::to_string(o.p));
}

Tensor Dropout::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return dropout(x, options_.p, training());
}
std::string Dropout::describe() const { return named("p", options_.p); }

}  // namespace sono
