#include "autograd/plan.h"

#include <algorithm>
#include <cmath>
#include <list>

#include "autograd/plan/graph.h"

namespace sono {

namespace {

using Inputs = std::vector<Tensor>;

bool same(const Inputs& a, const Inputs& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const Tensor& x, const Tensor& y) {
           return x && x.shape() == y.shape() && x.dtype() == y.dtype() && x.device() == y.device();
         });
}

// Other values of the same kind: each moved a little, by an amount that looks random.
Tensor moved(const Tensor& x) {
  const Tensor y = x.clone();
  if (x.dtype() != Dtype::f32 && x.dtype() != Dtype::f64) return y;
  visit_real("plan", x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < y.size(); i++) {
      const auto hash = static_cast<uint32_t>(i + 1) * 2654435761u;
      T& v = y.data<T>()[i];
      v = v * static_cast<T>(0.9) + static_cast<T>(hash >> 8) * static_cast<T>(0.1 / (1 << 24));
    }
  });
  return y;
}

// The largest difference, in units of the largest value. Infinite where only one of the two is a number.
double difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double largest = 1e-30, apart = 0;
  for (size_t i = 0; i < x.size(); i++) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) {
      if (std::isfinite(x[i]) != std::isfinite(y[i])) return INFINITY;
      continue;
    }
    largest = std::max({largest, std::abs(x[i]), std::abs(y[i])}), apart = std::max(apart, std::abs(x[i] - y[i]));
  }
  return apart / largest;
}

void check_inputs(const Inputs& inputs) {
  for (const Tensor& x : inputs) {
    if (!x) throw Error("[plan] an input is an empty handle; give a tensor");
    if (x.device() != Device::cpu)
      throw DeviceError("[plan] input " + to_string(x.shape()) + " is on " + to_string(x.device()) + "; plans run on the CPU");
  }
}

}  // namespace

struct Plan::State {
  Function function;
  PlanOptions options;
  std::list<plan::Program> programs;  // the one used last is first
  Inputs one{Tensor{}};               // a single input as a list
  static constexpr size_t most = 8;

  plan::Program& current() { return programs.front(); }

  plan::Program& program_for(const Inputs& inputs) {
    for (auto p = programs.begin(); p != programs.end(); ++p)
      if (same(inputs, p->inputs)) {
        programs.splice(programs.begin(), programs, p);
        return current();
      }
    check_inputs(inputs);
    make(inputs);
    return current();
  }

  void make(const Inputs& inputs) {
    Inputs examples;
    for (const Tensor& x : inputs) examples.push_back(x.clone());
    plan::Graph g = plan::trace(function, examples);
    plan::simplify(g);
    programs.push_front(plan::lower(g, options));
    if (programs.size() > most) programs.pop_back();
    if (!options.check) return;
    try {
      check(examples);
    } catch (...) {
      programs.pop_front();
      throw;
    }
  }

  void check(const Inputs& examples) {
    Inputs others;
    for (const Tensor& x : examples) others.push_back(moved(x));
    Inputs expected;
    {
      const NoGrad values;
      expected = function(others);
    }
    const Inputs& got = run(others);
    for (size_t k = 0; k < got.size(); k++) {
      const bool real = got[k].dtype() == Dtype::f32 || got[k].dtype() == Dtype::f64;
      if (real && !(difference(got[k], expected.at(k)) < 1e-3))
        throw Error("[plan] output " + std::to_string(k) + " " + to_string(got[k].shape()) +
                    " is not what the function gives for other values: it must depend on its inputs through operations alone");
    }
  }

  const Inputs& run(const Inputs& inputs) {
    plan::Program& p = program_for(inputs);
    for (size_t k = 0; k < inputs.size(); k++)
      if (inputs[k].raw() != p.inputs[k].raw()) p.inputs[k].copy_from(inputs[k]);
    for (const plan::Step& step : p.steps) step.run();
    return p.outputs;
  }
};

Plan::Plan(Function function, const std::vector<Tensor>& examples, const PlanOptions& options) : state_(std::make_unique<State>()) {
  state_->function = std::move(function), state_->options = options;
  check_inputs(examples);
  state_->make(examples);
}
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;

const std::vector<Tensor>& Plan::operator()(const std::vector<Tensor>& inputs) { return state_->run(inputs); }

const Tensor& Plan::operator()(const Tensor& x) {
  state_->one[0] = x;
  const std::vector<Tensor>& outputs = state_->run(state_->one);
  state_->one[0] = {};
  return outputs.at(0);
}

const std::vector<Tensor>& Plan::inputs() const { return state_->current().inputs; }
size_t Plan::shapes() const { return state_->programs.size(); }

PlanSummary Plan::summary() const {
  const plan::Program& p = state_->current();
  PlanSummary s;
  for (const plan::Step& step : p.steps) {
    s.steps.push_back({step.what, step.output, step.flops});
    s.flops += step.flops;
  }
  s.arena_bytes = p.arena_bytes, s.constant_bytes = p.constant_bytes;
  return s;
}

std::string PlanSummary::table() const {
  const auto padded = [](std::string s, size_t width) { return s.append(width > s.size() ? width - s.size() : 0, ' '); };
  const auto number = [](double v, const char* unit) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.3g %s", v, unit);
    return std::string(buffer);
  };
  size_t width = 0, shape_width = 0;
  for (const PlanStep& s : steps) width = std::max(width, s.what.size()), shape_width = std::max(shape_width, to_string(s.output).size());
  std::string all;
  for (const PlanStep& s : steps)
    all += padded(s.what, width + 2) + padded(to_string(s.output), shape_width + 2) + number(static_cast<double>(s.flops) / 1e6, "MFLOP\n");
  return all + number(static_cast<double>(flops) / 1e6, "MFLOP in ") + std::to_string(steps.size()) + " steps; arena " +
         number(static_cast<double>(arena_bytes) / 1024, "KiB, constants ") + number(static_cast<double>(constant_bytes) / 1024, "KiB\n");
}

Plan freeze(const std::function<Tensor(const Tensor&)>& function, const Tensor& example, const PlanOptions& options) {
  return Plan([function](const std::vector<Tensor>& x) { return std::vector<Tensor>{function(x.at(0))}; }, {example}, options);
}
Plan freeze(const Plan::Function& function, const std::vector<Tensor>& examples, const PlanOptions& options) {
  return Plan(function, examples, options);
}

}  // namespace sono
