#pragma once
// A static inference plan. One forward pass is watched (autograd/graph.h's Observer) and frozen into a list of kernel calls over one arena:
//
//   net.eval();
//   Plan plan = freeze([&](const Tensor& x) { return net(x); }, example);
//   const Tensor& y = plan(x);                        // y lies in the plan's own memory, until the next call
//   std::puts(plan.summary().table().c_str());
//
// What is gained over the eager pass: batch norms are folded into the convolution or matrix product beside them, biases and activations are
// done where the product is written, weights are packed once, chains of elementwise operations go through the cache once, joined tensors
// are written in place where memory allows, dead values give their memory to later ones, every implementation is chosen once, and nothing
// is allocated per call. Results agree with the eager pass up to rounding (folding changes its order), and do not depend on the threads.
//
// The function must depend on its inputs through operations alone: what it reads out of tensors, draws or decides is frozen as it was.
// Weights are frozen too; freeze again after training. The plan calls the function again for every new shape, so what the function uses
// must outlive it. A plan belongs to one thread at a time; another thread makes its own.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/graph.h"

namespace sono {

struct PlanOptions {
  bool measure = false;  // time every implementation that fits once and keep the fastest; otherwise their stated costs decide
  bool check = true;     // compare with the function on other values; an Error says so if they disagree
};

struct PlanStep {
  std::string what;  // "conv2d:winograd + relu"
  Shape output;
  int64_t flops;
};
struct PlanSummary {
  std::vector<PlanStep> steps;
  int64_t flops = 0, arena_bytes = 0, constant_bytes = 0;  // of one call; constants: weights as the kernels read them
  std::string table() const;
};

class Plan {
 public:
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
  // Error: an operation that cannot be frozen, by its name; a network in training mode; tensors that are not on the CPU.
  Plan(Function function, const std::vector<Tensor>& examples, const PlanOptions& options = {});
  ~Plan();
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;

  // Runs the plan for these shapes; the first call with new ones makes it. The last few are kept.
  const std::vector<Tensor>& operator()(const std::vector<Tensor>& inputs);
  const Tensor& operator()(const Tensor& x);  // of one input: its first output

  const std::vector<Tensor>& inputs() const;  // of the shapes used last: a caller who writes here and passes them on saves a copy
  PlanSummary summary() const;                // of the shapes used last
  size_t shapes() const;                      // for how many combinations of shapes there is a plan

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Plan freeze(const std::function<Tensor(const Tensor&)>& function, const Tensor& example, const PlanOptions& options = {});
Plan freeze(const Plan::Function& function, const std::vector<Tensor>& examples, const PlanOptions& options = {});

// Lets plans run an operation of your own: `run` computes it again from inputs and attributes as the observers saw them. It allocates its
// result; the plan copies it. Built-in operations need nothing.
using PlanRun = std::function<Tensor(const std::vector<Tensor>& inputs, const Attributes& attributes)>;
void register_plan_operation(const std::string& name, PlanRun run);

}  // namespace sono
