#pragma once
// L-BFGS [Liu and Nocedal, Mathematical Programming 45, 1989]: a quasi-Newton method for smooth problems whose loss and gradient are
// computed on all data at once. The direction is -H g with H from the last `history` pairs (step s, change of gradient y) by the two-loop
// recursion; the step length satisfies the strong Wolfe conditions [Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6].
// Semantics as torch.optim.LBFGS.
//
//   Lbfgs optimizer(model);
//   optimizer.step([&] { optimizer.zero_gradients(); Tensor l = loss(); backward(l); return l.item(); });   // up to max_iterations
//   directions
#include "optim/optimizer.h"

namespace sono {

struct LbfgsOptions {
  double rate = 1;                   // the first length tried for each direction
  int64_t max_iterations = 20;       // directions per step()
  int64_t max_evaluations = 0;       // calls of f per step(); 0: 5/4 of max_iterations
  double gradient_tolerance = 1e-7;  // stop below this largest |gradient|
  double change_tolerance = 1e-9;    // stop below this change of the loss or of a weight
  int64_t history = 100;
  bool strong_wolfe = true;  // false: the length is `rate` and no line search is made
};

class Lbfgs : public Optimizer {
 public:
  explicit Lbfgs(Parameters parameters, LbfgsOptions options = {});
  const char* kind() const override { return "lbfgs"; }
  void step() override;                                    // an Error: the loss is needed as a function
  double step(const std::function<double()>& f) override;  // returns the loss before the step
  NamedTensors state() const override;
  void load_state(const NamedTensors& state) override;

 private:
  struct Point {
    double length, loss, slope;
    Tensor gradient;
  };  // on the line weights + length * direction; slope = gradient . direction
  struct Pair {
    Tensor s, y;
    double rho;
  };  // rho = 1 / (s . y)

  std::vector<std::string> state_names() const override { return {}; }
  void update(std::span<const kernels::OptimizerSlot>, double, double) override {}

  std::vector<Module::Entry> active() const;  // parameters that want a gradient
  Tensor flat_gradient() const;
  Tensor flat_weights() const;
  void set_weights(const Tensor& flat) const;
  void find_direction(const Tensor& gradient);
  Point line_search(const std::function<Point(double)>& at, const Point& start, double length, int64_t& evaluations) const;
  Point zoom(const std::function<Point(double)>& at, const Point& start, Point low, Point high, int64_t tries, int64_t& evaluations) const;

  LbfgsOptions options_;
  int64_t iterations_ = 0;         // of all steps
  std::deque<Pair> pairs_;         // oldest first
  Tensor direction_, before_;      // the last direction, and the gradient where it began
  double length_ = 0, scale_ = 1;  // of the last step; the initial H is scale * identity
};

}  // namespace sono
