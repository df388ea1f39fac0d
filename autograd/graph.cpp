#include "autograd/graph.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "autograd/ops.h"
#include "autograd/with_grad.h"
#include "tensor/kernels.h"
#include "tensor/random.h"

namespace sono {
namespace {

std::atomic<int64_t> next_id{0}, living{0};
thread_local bool on = true;           // recording
thread_local bool tracing = false;     // nodes are linked but keep nothing: a checkpoint's first run
thread_local Node* running = nullptr;  // whose vjp is being called
thread_local Observer* innermost = nullptr;
thread_local bool anomaly = false;
thread_local std::vector<Node::Body>* doomed = nullptr;  // bodies to free, while some ~Node of this thread is at it

// Sets a variable for a scope.
template <class T>
class Scope {
 public:
  Scope(T& variable, T value) : variable_(variable), before_(std::exchange(variable, value)) {}
  ~Scope() { variable_ = before_; }
  T before() const { return before_; }
  Scope(const Scope&) = delete;

 private:
  T& variable_;
  T before_;
};

std::string bracketed(const char* name) { return std::string("[").append(name).append("] "); }

}  // namespace

// ---- nodes -----------------------------------------------------------------------------------------------------------------------------

Node::Node(const char* n, const Tensor& value)
    : name(n), id(next_id.fetch_add(1, std::memory_order_relaxed)), shape(value.shape()), dtype(value.dtype()) {
  living.fetch_add(1, std::memory_order_relaxed);
}

// A body may hold the last handle on other nodes, theirs on others, and so on. The outermost ~Node frees them all from a list.
Node::~Node() {
  living.fetch_sub(1, std::memory_order_relaxed);
  if (body.links.empty() && body.hooks.empty()) return;
  if (doomed) {
    doomed->push_back(std::move(body));
    return;
  }
  std::vector<Body> list;
  Scope<std::vector<Body>*> scope(doomed, &list);
  list.push_back(std::move(body));
  while (!list.empty()) {
    const Body next = std::move(list.back());
    list.pop_back();
  }
}

int64_t live_nodes() { return living; }

Saved::Saved(const Tensor& value, const char* what) : value_(value), what_(what), version_(value.version()) {}

const Tensor& Saved::operator*() const {
  if (value_.version() != version_)
    throw Error(bracketed(running ? running->name : "backward") + "its " + what_ + " " + to_string(value_.shape()) +
                " was changed in place after it was saved for backward; change it after backward, or change a clone()");
  return value_;
}

Tensor SavedOutput::operator*() const { return running ? (*value_).with_node(running->shared_from_this()) : *value_; }

// ---- making graphs
// -----------------------------------------------------------------------------------------------------------------------

NoGrad::NoGrad(bool off) : before_(on) { on = on && !off; }
NoGrad::~NoGrad() { on = before_; }
WithGrad::WithGrad() : before_(on) { on = true; }
WithGrad::~WithGrad() { on = before_; }
bool recording() { return on; }

Tensor leaf(const Tensor& value) {
  if (value.dtype() != Dtype::f32 && value.dtype() != Dtype::f64) not_real("leaf", value.dtype());
  auto node = std::make_shared<Node>("leaf", value);
  node->leaf = true;
  return value.with_node(std::move(node));
}

namespace {

Tensor with_new_node(const char* name, const Tensor& y, Node::Body body) {
  if (body.links.empty()) return y.detach();
  auto node = std::make_shared<Node>(name, y);
  node->body = std::move(body);
  return y.with_node(std::move(node));
}

}  // namespace

Tensor differentiable(const char* name, const Tensor& y, std::vector<Edge> edges, LazyAttributes attributes) {
  if (observed()) {
    OpCall call{name, {}, y, attributes()};
    for (const Edge& e : edges) call.inputs.push_back(e.input);
    tell_observers(call);
  }
  if (!on) return y.node() ? y.detach() : y;
  Node::Body body;
  body.inputs = edges.size();
  for (size_t k = 0; k < edges.size(); k++)
    if (edges[k].input.node() && edges[k].vjp) body.links.push_back({edges[k].input.node(), tracing ? Vjp{} : std::move(edges[k].vjp), k});
  return with_new_node(name, y, std::move(body));
}

Tensor differentiable_jointly(const char* name, const Tensor& y, const std::vector<Tensor>& inputs, JointVjp vjp,
                              LazyAttributes attributes) {
  if (observed()) tell_observers({name, inputs, y, attributes()});
  if (!on) return y.node() ? y.detach() : y;
  Node::Body body;
  body.inputs = inputs.size();
  for (size_t k = 0; k < inputs.size(); k++)
    if (inputs[k].node()) body.links.push_back({inputs[k].node(), {}, k});
  if (!tracing) body.joint = std::move(vjp);
  return with_new_node(name, y, std::move(body));
}

std::pair<Tensor, Tensor> differentiable_pair(std::pair<const char*, const char*> names, const Tensor& first, const Tensor& second,
                                              const std::vector<Tensor>& inputs, PairVjp vjp, Vjp apart,
                                              std::pair<LazyAttributes, LazyAttributes> attributes) {
  const auto left = std::make_shared<Tensor>();  // the gradient of `second`, until `first` has its own
  const Tensor a = differentiable_jointly(
      names.first, first, inputs,
      [left, vjp = std::move(vjp)](const Tensor& g, const std::vector<bool>& wanted) { return vjp(g, std::exchange(*left, {}), wanted); },
      attributes.first);
  const Tensor b = differentiable(names.second, second, {{a, std::move(apart)}}, attributes.second);
  if (b.node() && !tracing) b.node()->body.links.front().leave = [left](const Tensor& g) { *left = g; };
  return {a, b};
}

// ---- differentiating
// ---------------------------------------------------------------------------------------------------------------------

namespace {

bool all_finite(const Tensor& t) {
  if (!t || (t.dtype() != Dtype::f32 && t.dtype() != Dtype::f64)) return true;
  const Tensor host = t.to(Device::cpu);
  return visit_real("anomaly", t.dtype(), [&]<class T> {
    return std::all_of(host.data<T>(), host.data<T>() + host.size(), [](T v) { return std::isfinite(v); });
  });
}

void add_in_place(const Tensor& sum, const Tensor& g) { kernels::map(elementwise::Add{}, sum, g, sum); }

// One walk from the loss towards its inputs. The pending node with the highest id has received all its gradients: everything that uses it
// came later. No recursion, so depth is free; gradients are added in the order of the ids, so the bits never change.
class Walk {
 public:
  bool create_graph = false, free_graph = false;
  bool stop_at_targets = false;  // what lies behind a target is not walked

  // Without targets: every path to every leaf, whose gradients are added up there. With: only what leads to a target.
  void run(const Tensor& loss, const Tensor& upstream, const std::vector<Node*>* targets) {
    if (targets) find_paths(loss.node().get(), *targets);
    const bool all = targets == nullptr;
    Scope<bool> record(on, create_graph);
    if (all || on_path_.count(loss.node().get())) add(loss.node(), upstream);
    while (!pending_.empty()) {
      auto [node, g] = std::move(pending_.extract(pending_.begin()).mapped());
      for (const Hook& hook : node->body.hooks)
        if (Tensor changed = hook(g)) g = check(*node, "hook", std::move(changed));
      const bool target = !all && targets_.count(node.get());
      if (target) arrived_[node.get()] = g;
      if (node->leaf && all) accumulate(*node, std::move(g));
      if (node->leaf || (target && stop_at_targets)) continue;
      check_usable(*node);
      pass_on(*node, g, all);
    }
  }

  Tensor arrived(const Node* node) const {
    const auto found = arrived_.find(node);
    return found == arrived_.end() ? Tensor{} : found->second;
  }

 private:
  struct Slot {
    std::shared_ptr<Node> node;
    Tensor gradient;
  };

  // Marks the nodes that lie between the loss and a target. Ids below the lowest target's cannot.
  void find_paths(Node* from, const std::vector<Node*>& targets) {
    targets_.insert(targets.begin(), targets.end());
    int64_t lowest = from->id;
    for (const Node* t : targets) lowest = std::min(lowest, t->id);
    std::unordered_set<Node*> seen{from};
    std::vector<Node*> nodes{from};
    for (size_t i = 0; i < nodes.size(); i++) {
      check_usable(*nodes[i]);
      if (!(stop_at_targets && targets_.count(nodes[i])))
        for (const Node::Link& l : nodes[i]->body.links)
          if (l.input->id >= lowest && seen.insert(l.input.get()).second) nodes.push_back(l.input.get());
    }
    std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->id < b->id; });
    for (Node* node : nodes) {
      const auto& links = node->body.links;
      if (targets_.count(node) ||
          std::any_of(links.begin(), links.end(), [&](const Node::Link& l) { return on_path_.count(l.input.get()) > 0; }))
        on_path_.insert(node);
    }
  }

  static void check_usable(const Node& node) {
    if (node.freed) throw Error("[backward] this graph has been used and freed; compute the loss again");
    if (!node.leaf && !node.body.joint && !node.body.links.front().vjp)
      throw Error("[checkpoint] the function of a checkpoint cannot differentiate inside itself");
  }

  static Tensor check(const Node& receiver, const char* giver, Tensor g) {
    if (g.shape() != receiver.shape)
      throw ShapeError(bracketed(giver) + "its backward gave a gradient " + to_string(g.shape()) + " for an input " +
                       to_string(receiver.shape) + " made by " + receiver.name);
    if (g.dtype() != receiver.dtype)
      throw DtypeError(bracketed(giver) + "its backward gave a gradient of " + to_string(g.dtype()) + " for an input of " +
                       to_string(receiver.dtype) + " made by " + receiver.name);
    return g;
  }

  void add(const std::shared_ptr<Node>& node, Tensor g) {
    const auto [at, first] = pending_.try_emplace(node->id, Slot{node, g});
    if (first) return;
    Tensor& sum = at->second.gradient;
    if (!sum)
      sum = std::move(g);
    else if (create_graph)
      sum = sum + g;
    else if (sum.sole_owner())
      add_in_place(sum, g);
    else if (g.sole_owner())
      add_in_place(g, sum), sum = std::move(g);
    else
      sum = sum + g;
  }

  void pass_on(Node& node, const Tensor& g, bool all) {
    Scope<Node*> scope(running, &node);
    const auto wanted = [&](const Node::Link& l) { return all || on_path_.count(l.input.get()) > 0; };
    const bool suspicious = anomaly && all_finite(g);
    const auto give = [&](const Node::Link& l, Tensor&& part) {
      if (!part) return;
      if (suspicious && !all_finite(part))
        throw NumericError(bracketed(node.name) + "its backward made the first NaN or infinity, in the gradient " +
                           to_string(part.shape()) + " of its input " + std::to_string(l.position));
      add(l.input, check(*l.input, node.name, std::move(part)));
    };
    if (node.body.joint) {
      std::vector<bool> wants(node.body.inputs, false);
      for (const Node::Link& l : node.body.links) wants[l.position] = wanted(l);
      std::vector<Tensor> parts = node.body.joint(g, wants);
      parts.resize(node.body.inputs);
      for (const Node::Link& l : node.body.links)
        if (wanted(l)) give(l, std::move(parts[l.position]));
    } else {
      for (const Node::Link& l : node.body.links) {
        if (!wanted(l)) continue;
        if (l.leave && all && !create_graph && l.input->body.hooks.empty())
          l.leave(g), pending_.try_emplace(l.input->id, Slot{l.input, {}});
        else
          give(l, l.vjp(g));
      }
    }
    if (free_graph) {
      node.freed = true;
      const Node::Body used = std::exchange(node.body, {});
    }
  }

  // A leaf's gradient belongs to it alone, so that optimisers may write to it.
  static void accumulate(Node& leaf, Tensor g) {
    if (!leaf.gradient)
      leaf.gradient = g.sole_owner() ? std::move(g) : g.clone();
    else if (leaf.gradient.sole_owner())
      add_in_place(leaf.gradient, g);
    else
      leaf.gradient = leaf.gradient + g;
  }

  std::map<int64_t, Slot, std::greater<>> pending_;
  std::unordered_set<const Node*> targets_, on_path_;
  std::unordered_map<const Node*, Tensor> arrived_;
};

Tensor first_gradient(const char* name, const Tensor& loss, const Tensor& upstream) {
  if (!loss.node()) throw Error(bracketed(name) + "the loss does not depend on any tensor that wants a gradient; make one with leaf()");
  if (!upstream) {
    if (loss.size() != 1)
      throw ShapeError(bracketed(name) + "the loss must hold one value or come with its upstream gradient, got " + to_string(loss.shape()));
    return Tensor::full(loss.shape(), 1, loss.dtype(), loss.device());
  }
  if (upstream.shape() != loss.shape())
    throw ShapeError(bracketed(name) + "upstream gradient " + to_string(upstream.shape()) + " for a loss " + to_string(loss.shape()));
  if (upstream.dtype() != loss.dtype())
    throw DtypeError(bracketed(name) + "upstream gradient of " + to_string(upstream.dtype()) + " for a loss of " + to_string(loss.dtype()));
  if (upstream.device() != loss.device())
    throw DeviceError(bracketed(name) + "upstream gradient on " + to_string(upstream.device()) + " for a loss on " +
                      to_string(loss.device()));
  return upstream;
}

}  // namespace

void backward(const Tensor& loss, const Tensor& upstream, bool keep_graph) {
  Walk walk;
  walk.free_graph = !keep_graph;
  walk.run(loss, first_gradient("backward", loss, upstream), nullptr);
}

std::vector<Tensor> grad(const Tensor& loss, const std::vector<Tensor>& inputs, bool create_graph, const Tensor& upstream,
                         bool free_graph) {
  std::vector<Node*> targets;
  for (size_t k = 0; k < inputs.size(); k++) {
    if (!inputs[k].node())
      throw Error("[grad] input " + std::to_string(k) + " " + to_string(inputs[k].shape()) +
                  " does not want a gradient; make it with leaf()");
    targets.push_back(inputs[k].node().get());
  }
  Walk walk;
  walk.create_graph = create_graph;
  walk.free_graph = free_graph;
  walk.run(loss, first_gradient("grad", loss, upstream), &targets);
  std::vector<Tensor> gradients;
  for (const Tensor& input : inputs) {
    gradients.push_back(walk.arrived(input.node().get()));
    if (!gradients.back()) gradients.back() = Tensor::zeros_like(input);
  }
  return gradients;
}

std::vector<Tensor> partial_gradients(const Tensor& y, const std::vector<Tensor>& inputs, const std::vector<bool>& wanted,
                                      const Tensor& upstream) {
  std::vector<Node*> targets;
  for (size_t k = 0; k < inputs.size(); k++)
    if (wanted[k]) targets.push_back(inputs[k].node().get());
  Walk walk;
  walk.create_graph = on;
  walk.stop_at_targets = true;
  if (y.node()) walk.run(y, upstream, &targets);
  std::vector<Tensor> gradients(inputs.size());
  for (size_t k = 0; k < inputs.size(); k++)
    if (wanted[k]) gradients[k] = walk.arrived(inputs[k].node().get());
  return gradients;
}

Tensor gradient(const Tensor& leaf) { return leaf.node() ? leaf.node()->gradient : Tensor{}; }

void set_gradient(const Tensor& leaf, Tensor value) {
  if (!leaf.node() || !leaf.node()->leaf) throw Error("[set_gradient] only a leaf keeps a gradient; make one with leaf()");
  if (value && (value.shape() != leaf.shape() || value.dtype() != leaf.dtype()))
    throw ShapeError("[set_gradient] gradient " + to_string(value.shape()) + " of " + to_string(value.dtype()) + " for a leaf " +
                     to_string(leaf.shape()) + " of " + to_string(leaf.dtype()));
  leaf.node()->gradient = value.detach();
}

void add_hook(const Tensor& t, Hook hook) {
  if (!t.node()) throw Error("[add_hook] the tensor " + to_string(t.shape()) + " does not want a gradient; make it with leaf()");
  t.node()->body.hooks.push_back(std::move(hook));
}

// ---- checkpoint
// --------------------------------------------------------------------------------------------------------------------------

namespace {

// The nodes made before `first_id` that y was made of: f's inputs and whatever else it captured.
std::vector<std::shared_ptr<Node>> outside_nodes(const Tensor& y, int64_t first_id) {
  std::map<int64_t, std::shared_ptr<Node>> outside;
  std::unordered_set<Node*> seen;
  std::vector<Node*> inside{y.node().get()};
  while (!inside.empty()) {
    const Node* node = inside.back();
    inside.pop_back();
    for (const Node::Link& l : node->body.links) {
      if (l.input->id < first_id)
        outside.emplace(l.input->id, l.input);
      else if (seen.insert(l.input.get()).second)
        inside.push_back(l.input.get());
    }
  }
  std::vector<std::shared_ptr<Node>> nodes;
  for (auto& [id, node] : outside) nodes.push_back(std::move(node));
  return nodes;
}

// Random streams as they were, for a scope.
class Replay {
 public:
  explicit Replay(uint64_t stream) : now_(next_stream()) { set_next_stream(stream); }
  ~Replay() { set_next_stream(now_); }
  Replay(const Replay&) = delete;

 private:
  uint64_t now_;
};

}  // namespace

Tensor checkpoint(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs) {
  if (!on) return f(inputs);
  const uint64_t stream = next_stream();
  set_next_stream(stream);
  const int64_t first_id = next_id;
  Tensor y;
  {
    Scope<bool> keep_nothing(tracing, true);
    y = f(inputs);
  }
  if (!y.node() || y.node()->id < first_id) return y;

  Node::Body body;
  std::vector<Node*> targets;
  for (const auto& node : outside_nodes(y, first_id)) {
    body.links.push_back({node, {}, body.inputs++});
    targets.push_back(node.get());
  }
  if (tracing) return with_new_node("checkpoint", y, std::move(body));
  std::vector<Saved> saved;
  for (const Tensor& x : inputs) saved.emplace_back(x, "input");
  body.joint = [f, saved, stream, targets](const Tensor& g, const std::vector<bool>& wanted) {
    const bool create_graph = on;
    std::vector<Tensor> values;
    for (const Saved& s : saved) values.push_back(*s);
    Tensor again;
    {
      Replay replay(stream);
      Scope<bool> record(on, true);
      Scope<Node*> forward(running, nullptr);
      again = f(values);
    }
    std::vector<Node*> some;
    for (size_t k = 0; k < targets.size(); k++)
      if (wanted[k]) some.push_back(targets[k]);
    Walk walk;
    walk.create_graph = create_graph;
    walk.free_graph = !create_graph;
    walk.stop_at_targets = true;
    walk.run(again, g, &some);
    std::vector<Tensor> parts(targets.size());
    for (size_t k = 0; k < targets.size(); k++)
      if (wanted[k]) parts[k] = walk.arrived(targets[k]);
    return parts;
  };
  return with_new_node("checkpoint", y, std::move(body));
}

// ---- watching
// ----------------------------------------------------------------------------------------------------------------------------

Observer::Observer(std::function<void(const OpCall&)> see) : see_(std::move(see)), outer_(innermost) { innermost = this; }
Observer::~Observer() { innermost = outer_; }
bool observed() { return innermost != nullptr; }

void tell_observers(const OpCall& call) {
  Scope<Observer*> unobserved(innermost, nullptr);  // what an observer computes is not told again
  for (Observer* o = unobserved.before(); o; o = o->outer_) o->see_(call);
}

AnomalyMode::AnomalyMode()
    : observer_([](const OpCall& call) {
        if (running || all_finite(call.output)) return;  // inside a vjp the walk checks the whole
        if (!std::all_of(call.inputs.begin(), call.inputs.end(), all_finite)) return;
        std::string shapes;
        for (const Tensor& t : call.inputs) shapes += (shapes.empty() ? "" : ", ") + (t ? to_string(t.shape()) : "none");
        throw NumericError(bracketed(call.name) + "made the first NaN or infinity, in its output " + to_string(call.output.shape()) +
                           " from finite inputs " + shapes);
      }),
      before_(std::exchange(anomaly, true)) {}
AnomalyMode::~AnomalyMode() { anomaly = before_; }

}  // namespace sono
