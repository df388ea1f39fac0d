#pragma once
// What a plan is made of before it has memory: calls on values that lie in buffers. Every buffer has one writer; views are values on the
// buffer of what they view.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "autograd/plan.h"
#include "tensor/kernels.h"

namespace sono::plan {

using Id = size_t;
constexpr Id none = static_cast<Id>(-1);  // an optional operand that was not given

struct Buffer {
  Dtype dtype;
  int64_t size;          // values
  Tensor constant = {};  // set: its values are known, it has no place in the arena
  bool fixed = false;    // an input or an output: nothing else may use its memory
};
struct Value {
  Shape shape;
  Id buffer;
  int64_t offset = 0;
};
struct Call {
  std::string name;
  std::vector<Id> inputs;  // values
  Id output = none;
  Attributes attributes = {};
  kernels::Activation activation = kernels::Activation::none;  // on the result, in the same pass
  std::vector<Call> then = {};                                 // elementwise calls that go on with the result, block by block
  std::vector<int64_t> first = {};  // concat: where each input begins along the axis; transposed convolution: among the channels of output

  std::vector<Id> reads() const;  // values, those of `then` that are not made here included
  Id result() const { return then.empty() ? output : then.back().output; }
};

struct Graph {
  std::vector<Buffer> buffers;
  std::vector<Value> values;
  std::vector<Call> calls;
  std::vector<Id> inputs, outputs;  // values

  bool constant(Id value) const { return static_cast<bool>(buffers[values[value].buffer].constant); }
  Tensor tensor(Id value) const;  // of a constant
  Id add_constant(const Tensor& t);
  bool whole(Id value) const;  // it covers its buffer
  const Shape& shape(Id value) const { return values[value].shape; }
  Dtype dtype(Id value) const { return buffers[values[value].buffer].dtype; }
  std::vector<int> reads_of_buffers() const;           // by buffer: how many calls and outputs read it
  void merge(Id buffer, Id into, int64_t offset = 0);  // the values of one buffer now lie in another
};

// Runs f once and writes down what its results depend on. Examples have been copied: f sees memory that nobody else has.
Graph trace(const Plan::Function& f, const std::vector<Tensor>& examples);

void remove_dead_calls(Graph& g);
// Rewrites that keep the results up to rounding: norms folded, biases and activations absorbed, chains of maps joined, concatenations and
// elementwise results put where their operands are.
void simplify(Graph& g);

bool writes_windows(const Graph& g, const Call& c);  // a transposed convolution that kernels::up_conv does

// An attribute, or what it is if the call does not have it.
int64_t integer(const Attributes& attributes, const char* name, int64_t missing = 0);
double real(const Attributes& attributes, const char* name, double missing = 0);
std::vector<int64_t> integers(const Attributes& attributes, const char* name);
std::string text(const Attributes& attributes, const char* name);

// One elementwise operation, found by the name that observers see.
struct MapOp {
  kernels::MapFunction function = nullptr;
  std::shared_ptr<const void> op = {};
  const char* name = "";
};
MapOp map_of(const Call& call);  // a null function: it is none
bool is_map(const Call& call);

// ---- with memory -----------------------------------------------------------------------------------------------------------------------
struct Step {
  std::string what;
  Shape output;
  int64_t flops = 0;
  std::function<void()> run;
};
struct Program {
  std::vector<Tensor> inputs, outputs;
  std::vector<Step> steps;
  std::vector<Tensor> memory;  // arenas and constants: steps may know addresses alone
  int64_t arena_bytes = 0, constant_bytes = 0;
};
// Where each buffer lies in the arena of its dtype: its first value, by buffer (constants: -1), and how many values the arenas hold.
struct Places {
  std::vector<int64_t> first;
  int64_t values[4] = {};  // by dtype
};
Places place(const Graph& g);
Program lower(const Graph& g, const PlanOptions& options);

PlanRun rerun_of(const Call& call);  // operations without a lowering of their own; empty: unknown

}  // namespace sono::plan
