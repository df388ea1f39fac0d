// One forward pass, written down. Memory says who is who: everything that the pass makes is kept alive while it is watched, so a tensor
// that shares memory with a known value is that value, or a part of it; one that shares with none is a constant.
#include <algorithm>
#include <map>

#include "autograd/ops/common.h"
#include "autograd/plan/graph.h"

namespace sono::plan {

namespace {

class Tracer {
 public:
  Graph graph;

  Id add_buffer(const Tensor& t) {
    graph.buffers.push_back({t.dtype(), t.size()});
    know(t, graph.buffers.size() - 1, 0);
    return graph.buffers.size() - 1;
  }

  Id value_of(const Tensor& t) {
    if (!t) return none;
    if (const Known* k = find(t)) {
      const int64_t offset = k->offset + (address(t) - address(k->tensor)) / byte_size(t.dtype());
      graph.values.push_back({t.shape(), k->buffer, offset});
      return graph.values.size() - 1;
    }
    const auto [at, fresh] = constants_.try_emplace({t.raw(), t.size(), t.dtype()}, graph.buffers.size());
    if (fresh) graph.buffers.push_back({t.dtype(), t.size(), t.detach().view({t.size()})});
    graph.values.push_back({t.shape(), at->second});
    return graph.values.size() - 1;
  }

  void see(const OpCall& call) {
    kept_.push_back(call.output);
    if (find(call.output)) return;  // a view of what is known
    if (std::none_of(call.inputs.begin(), call.inputs.end(), [&](const Tensor& t) { return t && find(t); })) return;  // a constant
    Call c{call.name, {}, none, call.attributes};
    for (const Tensor& t : call.inputs) c.inputs.push_back(value_of(t));
    if (view(c, call.output)) return;
    const Id buffer = add_buffer(call.output);
    graph.values.push_back({call.output.shape(), buffer});
    c.output = graph.values.size() - 1;
    graph.calls.push_back(std::move(c));
  }

 private:
  struct Known {
    Tensor tensor;
    Id buffer;
    int64_t offset;
  };

  static const char* address(const Tensor& t) { return static_cast<const char*>(t.raw()); }
  void know(const Tensor& t, Id buffer, int64_t offset) { known_.insert_or_assign(address(t), Known{t.detach(), buffer, offset}); }
  const Known* find(const Tensor& t) const {
    auto at = known_.upper_bound(address(t));
    if (at == known_.begin()) return nullptr;
    return (--at)->second.tensor.shares_memory_with(t) ? &at->second : nullptr;
  }

  // Copies that turn out to be views, as of a slice behind dimensions of 1, are not made.
  bool view(const Call& c, const Tensor& y) {
    const Value& x = graph.values[c.inputs[0]];
    if (c.inputs.size() != 1 || y.dtype() != graph.buffers[x.buffer].dtype) return false;
    int64_t offset = 0;
    if (c.name == "slice") {
      const auto axis = static_cast<size_t>(integer(c.attributes, "axis"));
      if (integer(c.attributes, "step", 1) != 1 || ops::block_at(x.shape, static_cast<int64_t>(axis)).outer != 1) return false;
      offset = integer(c.attributes, "first") * ops::block_at(x.shape, static_cast<int64_t>(axis)).inner;
    } else if (c.name == "permute") {
      int64_t last = -1;
      for (const int64_t from : integers(c.attributes, "order")) {
        const int64_t d = ops::axis_of("permute", from, x.shape);
        if (x.shape[static_cast<size_t>(d)] == 1) continue;
        if (d < last) return false;
        last = d;
      }
    } else if ((c.name != "pad" && c.name != "crop" && c.name != "broadcast_to" && c.name != "sum_to") || y.size() != count(x.shape)) {
      return false;
    }
    know(y, x.buffer, x.offset + offset);
    return true;
  }

  std::map<const char*, Known> known_;
  std::map<std::tuple<const void*, int64_t, Dtype>, Id> constants_;
  std::vector<Tensor> kept_;
};

}  // namespace

Graph trace(const Plan::Function& f, const std::vector<Tensor>& examples) {
  Tracer tracer;
  for (const Tensor& x : examples) {
    tracer.add_buffer(x);
    tracer.graph.inputs.push_back(tracer.value_of(x));
  }
  std::vector<Tensor> results;
  {
    const NoGrad values;
    const Observer observer([&](const OpCall& call) { tracer.see(call); });
    results = f(examples);
  }
  for (const Tensor& y : results) {
    if (!y) throw Error("[plan] the function returned an empty handle");
    tracer.graph.outputs.push_back(tracer.value_of(y));
  }
  Graph& g = tracer.graph;
  for (const auto* ends : {&g.inputs, &g.outputs})
    for (const Id v : *ends) g.buffers[g.values[v].buffer].fixed = true;
  return std::move(g);
}

// ---- the graph -------------------------------------------------------------------------------------------------------------------------

std::vector<Id> Call::reads() const {
  std::vector<Id> all;
  for (const Id v : inputs)
    if (v != none) all.push_back(v);
  Id made = output;
  for (const Call& next : then) {
    for (const Id v : next.inputs)
      if (v != made) all.push_back(v);
    made = next.output;
  }
  return all;
}

Tensor Graph::tensor(Id value) const {
  const Value& v = values[value];
  return buffers[v.buffer].constant.rows(v.offset, v.offset + count(v.shape)).view(v.shape);
}

Id Graph::add_constant(const Tensor& t) {
  buffers.push_back({t.dtype(), t.size(), t.view({t.size()})});
  values.push_back({t.shape(), buffers.size() - 1});
  return values.size() - 1;
}

bool Graph::whole(Id value) const { return values[value].offset == 0 && count(values[value].shape) == buffers[values[value].buffer].size; }

std::vector<int> Graph::reads_of_buffers() const {
  std::vector<int> reads(buffers.size(), 0);
  for (const Call& c : calls)
    for (const Id v : c.reads()) reads[values[v].buffer]++;
  for (const Id v : outputs) reads[values[v].buffer]++;
  return reads;
}

void Graph::merge(Id buffer, Id into, int64_t offset) {
  for (Value& v : values)
    if (v.buffer == buffer) v.buffer = into, v.offset += offset;
  buffers[into].fixed |= buffers[buffer].fixed;
}

namespace {

template <class T>
const T* find(const Attributes& attributes, const char* name) {
  for (const auto& [key, value] : attributes)
    if (std::string_view(key) == name) return std::get_if<T>(&value);
  return nullptr;
}

}  // namespace

int64_t integer(const Attributes& attributes, const char* name, int64_t missing) {
  const auto* value = find<int64_t>(attributes, name);
  return value ? *value : missing;
}
double real(const Attributes& attributes, const char* name, double missing) {
  const auto* value = find<double>(attributes, name);
  return value ? *value : missing;
}
std::vector<int64_t> integers(const Attributes& attributes, const char* name) {
  const auto* value = find<std::vector<int64_t>>(attributes, name);
  return value ? *value : std::vector<int64_t>{};
}
std::string text(const Attributes& attributes, const char* name) {
  const auto* value = find<std::string>(attributes, name);
  return value ? *value : std::string();
}

}  // namespace sono::plan
