#pragma once
// Reverse-mode differentiation. A differentiable function computes its value, then says how a gradient flows back to each input:
//
//   Tensor cube(const Tensor& x) {
//     Tensor y = …;                                                             // kernels on x's values: no graph in here
//     return differentiable("cube", y, {{x, [=](const Tensor& g) { return g * x * x * 3.0; }}});
//   }
//
// The gradient is written with public operations, so it can itself be differentiated. An op that is linear in an input needs only its adjoint.
//   Tensor w = leaf(Tensor::ones({3}));                // wants a gradient
//   backward(sum(square(w)));  gradient(w);            // (2, 2, 2), added to what was there
//   std::vector<Tensor> g = grad(loss, {w}, true);     // the same as a value that can be differentiated again
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace sono {

using Vjp = std::function<Tensor(const Tensor& gradient)>;  // vector-Jacobian product: dL/dy -> dL/dx; an empty handle means zero
struct Edge { Tensor input; Vjp vjp; };                     // a null vjp: the input takes no part in differentiation, but observers see it

// A value kept for backward. Unpacking it checks that nobody has written to it since ("[conv2d] its weight was changed in place after it was saved …").
// Capture a Saved instead of the Tensor in every vjp that reads values.
class Saved {
 public:
  Saved() = default;
  Saved(const Tensor& value, const char* what);  // what: "input", "weight" …, for the message
  const Tensor& operator*() const;
  const Tensor* operator->() const { return &**this; }
 private:
  Tensor value_;
  const char* what_ = "";
  uint32_t version_ = 0;
};

using Hook = std::function<Tensor(const Tensor& gradient)>;  // sees a gradient as it arrives; returns it or another; an empty handle keeps it

struct Node {
  const char* name;
  int64_t id;                // rises: an output's id is above its inputs'
  std::vector<Edge> edges;   // none: a leaf
  Shape shape;
  Tensor gradient;           // leaves: what backward() has added up
  std::vector<Hook> hooks;
  Node(const char* name, Shape shape);
  ~Node();                   // frees the chain behind it one by one, however long
};
int64_t live_nodes();        // for leak checks in tests

// ---- making graphs -------------------------------------------------------------------------------------------------------------------
Tensor leaf(const Tensor& value);  // shares the memory of value and wants a gradient
inline bool wants_gradient(const Tensor& t) { return t.node() != nullptr; }

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>>;
using Attributes = std::vector<std::pair<const char*, Attribute>>;

// Records y = name(inputs). Without recording, or if no input wants a gradient, y is returned as it is. Tells the observers.
Tensor differentiable(const char* name, const Tensor& y, std::vector<Edge> edges, const std::function<Attributes()>& attributes = nullptr);

// For an op whose gradient needs its own output: make_edges is given y as a handle whose node is held weakly (no cycle).
class Output {  // unpack with *output: y with its node if the node still lives
 public:
  explicit Output(const Tensor& y) : value_(y) {}
  Tensor operator*() const;
 private:
  friend Tensor differentiable_with_output(const char*, const Tensor&, const std::function<std::vector<Edge>(const std::shared_ptr<Output>&)>&, const std::function<Attributes()>&);
  Tensor value_;
  std::weak_ptr<Node> node_;
};
Tensor differentiable_with_output(const char* name, const Tensor& y, const std::function<std::vector<Edge>(const std::shared_ptr<Output>&)>& make_edges,
                                  const std::function<Attributes()>& attributes = nullptr);

bool recording();  // false inside NoGrad
class NoGrad {     // no graph is built while one of these lives (this thread)
 public:
  explicit NoGrad(bool on = true);
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
 private:
  bool before_;
};

// ---- differentiating -------------------------------------------------------------------------------------------------------------------
// Adds dL/dleaf to gradient(leaf) for every leaf behind loss. loss holds one value unless its own upstream gradient is given.
void backward(const Tensor& loss, const Tensor& upstream = {});

// dL/dinput for each input (any tensor of the graph; zeros if L does not depend on it). With create_graph the results can be differentiated again.
std::vector<Tensor> grad(const Tensor& loss, const std::vector<Tensor>& inputs, bool create_graph = false, const Tensor& upstream = {});

Tensor gradient(const Tensor& leaf);                 // what backward() has added; an empty handle before the first
void set_gradient(const Tensor& leaf, Tensor value); // an empty handle clears it
void add_hook(const Tensor& t, Hook hook);           // t must want a gradient

// Runs f without keeping what its backward needs, and runs it again when backward comes by: memory for time. Random draws repeat.
Tensor checkpoint(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs);

// ---- watching ----------------------------------------------------------------------------------------------------------------------------
// Every op call tells the observers of its thread. Model summary, profiler, anomaly mode and export are observers of this one stream.
struct OpCall {
  const char* name;
  std::vector<Tensor> inputs;   // as in the edges
  const Tensor& output;
  Attributes attributes;
};
class Observer {  // watches while it lives
 public:
  explicit Observer(std::function<void(const OpCall&)> see);
  ~Observer();
  Observer(const Observer&) = delete;
 private:
  friend void tell_observers(const OpCall&);
  std::function<void(const OpCall&)> see_;
  Observer* outer_;
};
bool observed();
void tell_observers(const OpCall& call);

// While it lives, the first op whose value (or gradient) is NaN or infinite, from finite inputs, raises a NumericError that names it, forward and backward.
class AnomalyMode {
 public:
  AnomalyMode();
  ~AnomalyMode();
  AnomalyMode(const AnomalyMode&) = delete;
 private:
  Observer observer_;
  bool before_;
};

}  // namespace sono
