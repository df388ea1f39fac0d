#pragma once
// Reverse-mode differentiation. A differentiable function computes its value, then says how a gradient flows back to each input. This is
// the way every operation of the project is made, and the way to make your own:
//
//   Tensor cube(const Tensor& x) {
//     Tensor y = …;                                                             // kernels on x's values: no graph in here
//     return differentiable("cube", y, {{x, [x = Saved(x, "input")](const Tensor& g) { return g * *x * *x * 3.0; }}});
//   }
//
// The gradient is written with public operations, so it can itself be differentiated. What it reads is captured as a Saved (an input) or a
// SavedOutput (the result): these notice if somebody wrote to the values in between. An op that is linear in an input keeps nothing.
//
//   Tensor w = leaf(Tensor::ones({3}));                // wants a gradient
//   backward(sum(square(w)));  gradient(w);            // (2, 2, 2), added to what was there
//   std::vector<Tensor> g = grad(loss, {w}, true);     // the same as a value that can be differentiated again
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace sono {

using Vjp = std::function<Tensor(const Tensor& gradient)>;  // vector-Jacobian product: dL/dy -> dL/dx; an empty handle means zero
struct Edge {
  Tensor input;
  Vjp vjp;
};  // a null vjp: the input takes no part in differentiation, but observers see it

// All inputs' gradients at once, for an op whose kernel makes several in one pass. wanted[k]: input k wants one; the others stay empty.
using JointVjp = std::function<std::vector<Tensor>(const Tensor& gradient, const std::vector<bool>& wanted)>;

// A value kept for backward. Reading it checks that nobody has written to it since ("[conv] its weight (3, 3, 1, 8) was changed in place
// …").
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& value, const char* what = "input");  // what: for the message
  const Tensor& operator*() const;
  const Tensor* operator->() const { return &**this; }

 private:
  Tensor value_;
  const char* what_ = "";
  uint32_t version_ = 0;
};

// The op's own output, kept for backward without owning its node (that would be a cycle). Read it only inside the vjp of that op: there it
// has its node again.
class SavedOutput {
 public:
  explicit SavedOutput(const Tensor& y) : value_(y.detach(), "output") {}
  Tensor operator*() const;

 private:
  Saved value_;
};

// Sees a gradient as it arrives; returns it or another; an empty handle keeps it.
using Hook = std::function<Tensor(const Tensor& gradient)>;

struct Node : std::enable_shared_from_this<Node> {
  struct Link {
    std::shared_ptr<Node> input;
    Vjp vjp;
    size_t position;                                         // among the op's inputs
    std::function<void(const Tensor& gradient)> leave = {};  // instead of vjp, if only the input's own backward wants to know
  };
  struct Body {  // what backward() frees as soon as it has been used
    std::vector<Link> links;
    JointVjp joint;     // instead of the links' vjps
    size_t inputs = 0;  // how many the op has, those without a gradient included
    std::vector<Hook> hooks;
  };
  const char* name;
  int64_t id;  // rises: an output's id is above its inputs'
  bool leaf = false, freed = false;
  Shape shape;
  Dtype dtype;
  Body body;
  Tensor gradient;  // leaves: what backward() has added up
  Node(const char* name, const Tensor& value);
  ~Node();  // frees the chain behind it one by one, however long
};
int64_t live_nodes();  // for leak checks in tests

// ---- making graphs -------------------------------------------------------------------------------------------------------------------
Tensor leaf(const Tensor& value);  // shares the memory of value and wants a gradient; f32 or f64
inline bool wants_gradient(const Tensor& t) { return t.node() != nullptr; }

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>>;
using Attributes = std::vector<std::pair<const char*, Attribute>>;

// Borrows a function that lists an op's attributes; it runs only if somebody observes.
class LazyAttributes {
 public:
  LazyAttributes() = default;
  template <class F>
  LazyAttributes(const F& f) : object_(&f), call_([](const void* o) -> Attributes { return (*static_cast<const F*>(o))(); }) {}
  Attributes operator()() const { return call_ ? call_(object_) : Attributes{}; }

 private:
  const void* object_ = nullptr;
  Attributes (*call_)(const void*) = nullptr;
};

// Records y = name(inputs) and tells the observers. Without recording, or if no input wants a gradient, y is returned as it is.
Tensor differentiable(const char* name, const Tensor& y, std::vector<Edge> edges, LazyAttributes attributes = {});
Tensor differentiable_jointly(const char* name, const Tensor& y, const std::vector<Tensor>& inputs, JointVjp vjp,
                              LazyAttributes attributes = {});

// Two outputs of one op, whose gradients its kernel takes together: an empty handle if nothing flowed back into one of them. apart(g): the
// gradient of `first` that follows from one of `second` alone, for those who look at it (hooks, grad(), create_graph). Observers see
// `first` being made of the inputs, and `second` of `first`.
using PairVjp = std::function<std::vector<Tensor>(const Tensor& first, const Tensor& second, const std::vector<bool>& wanted)>;
std::pair<Tensor, Tensor> differentiable_pair(std::pair<const char*, const char*> names, const Tensor& first, const Tensor& second,
                                              const std::vector<Tensor>& inputs, PairVjp vjp, Vjp apart,
                                              std::pair<LazyAttributes, LazyAttributes> attributes = {});

bool recording();  // false inside NoGrad
class NoGrad {     // no graph is built while one of these lives (this thread)
 public:
  explicit NoGrad(bool on = true);
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;

 private:
  bool before_;
};
template <class... Ts>
bool will_record(const Ts&... inputs) {
  return recording() && (wants_gradient(inputs) || ...);
}

// ---- differentiating -------------------------------------------------------------------------------------------------------------------
// Adds dL/dleaf to gradient(leaf) for every leaf behind loss. loss holds one value unless its own upstream gradient is given. What the
// graph kept is freed on the way, unless keep_graph; an Error says so if the graph is used again.
void backward(const Tensor& loss, const Tensor& upstream = {}, bool keep_graph = false);

// dL/dinput for each input (any tensor of the graph; zeros if L does not depend on it). With create_graph the results can be differentiated
// again. Only the paths to the inputs are walked. free_graph: the graph is not needed any more.
std::vector<Tensor> grad(const Tensor& loss, const std::vector<Tensor>& inputs, bool create_graph = false, const Tensor& upstream = {},
                         bool free_graph = false);

// The gradients of y for the inputs it was made of, as if they did not depend on each other: how an op with a fused kernel gets the
// gradient of its gradient from a composition of simpler ones. wanted as in JointVjp. Differentiable if recording.
std::vector<Tensor> partial_gradients(const Tensor& y, const std::vector<Tensor>& inputs, const std::vector<bool>& wanted,
                                      const Tensor& upstream);

Tensor gradient(const Tensor& leaf);                  // what backward() has added; an empty handle before the first
void set_gradient(const Tensor& leaf, Tensor value);  // an empty handle clears it
void add_hook(const Tensor& t, Hook hook);            // t must want a gradient

// Runs f without keeping what its backward needs, and runs it again when backward comes by: memory for time. Random draws repeat. Weights
// that f captures get their gradients too.
Tensor checkpoint(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs);

// ---- watching
// ---------------------------------------------------------------------------------------------------------------------------- Every op
// call tells the observers of its thread. Model summary, profiler, anomaly mode and export are observers of this one stream.
struct OpCall {
  const char* name;
  std::vector<Tensor> inputs;  // as in the edges
  const Tensor& output;
  Attributes attributes;
};
class Observer {  // watches while it lives; the innermost hears first
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

// While it lives, the first op whose value (or gradient) is NaN or infinite, from finite inputs, raises a NumericError that names it,
// forward and backward.
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
