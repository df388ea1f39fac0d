#include "layers/recurrent.h"

#include <cmath>

#include "layers/init.h"

namespace sono {
namespace {

constexpr const char* cell_kinds[] = {"RnnCell", "ReluRnnCell", "LstmCell", "GruCell"};
constexpr const char* layer_kinds[] = {"Rnn", "ReluRnn", "Lstm", "Gru"};

Tensor zeros_for(const Tensor& x, Shape shape) { return Tensor::zeros(std::move(shape), x.dtype(), x.device()); }

void initialise(const Recurrent::Weights& w, int64_t hidden) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  for (const Tensor* t : {&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh})
    if (*t) init::uniform(*t, -bound, bound);
}

}  // namespace

RecurrentCell::RecurrentCell(Module* parent, std::string name, Cell cell, const Options& o) : Module(parent, std::move(name)), cell_(cell) {
  if (o.in < 1 || o.hidden < 1)
    throw ShapeError(std::string("[") + kind() + "] in and hidden must be at least 1, got " + std::to_string(o.in) + " and " +
                     std::to_string(o.hidden));
  const int64_t width = gates(cell) * o.hidden;
  parameter("weight_ih", weight_ih, Tensor({o.in, width}), Layout::filters);
  parameter("weight_hh", weight_hh, Tensor({o.hidden, width}), Layout::filters);
  if (o.bias) parameter("bias_ih", bias_ih, Tensor({width})), parameter("bias_hh", bias_hh, Tensor({width}));
  initialise({weight_ih, weight_hh, bias_ih, bias_hh}, o.hidden);
}

RecurrentState RecurrentCell::operator()(const Tensor& x, const RecurrentState& before) const {
  const Scope scope(*this);
  if (x.rank() != 2 || x.dim(1) != weight_ih.dim(0))
    throw ShapeError(std::string("[") + kind() + "] expected (N, " + std::to_string(weight_ih.dim(0)) + "), got " + to_string(x.shape()));
  RecurrentState state = before;
  const Shape shape{x.dim(0), weight_hh.dim(0)};
  if (!state.h) state.h = zeros_for(x, shape);
  if (!state.c && cell_ == Cell::lstm) state.c = zeros_for(x, shape);
  if (state.h.shape() != shape || (state.c && state.c.shape() != shape))
    throw ShapeError(std::string("[") + kind() + "] the state must be " + to_string(shape) + ", got " + to_string(state.h.shape()));
  return step(cell_, linear(x, weight_ih, bias_ih), linear(state.h, weight_hh, bias_hh), state);
}

const char* RecurrentCell::kind() const { return cell_kinds[static_cast<int>(cell_)]; }
std::string RecurrentCell::describe() const { return std::to_string(weight_ih.dim(0)) + " -> " + std::to_string(weight_hh.dim(0)); }

Recurrent::Recurrent(Module* parent, std::string name, Cell cell, const Options& o)
    : Module(parent, std::move(name)), cell_(cell), options_(o) {
  const auto fail = [&](const std::string& why) { throw ShapeError(std::string("[") + kind() + "] " + why); };
  if (o.in < 1 || o.hidden < 1 || o.layers < 1) fail("in, hidden and layers must be at least 1");
  if (!(o.dropout >= 0 && o.dropout < 1)) fail("dropout must be in [0, 1), got " + std::to_string(o.dropout));
  const int64_t directions = o.bidirectional ? 2 : 1, width = gates(cell) * o.hidden;
  for (int64_t layer = 0; layer < o.layers; layer++)
    for (int64_t d = 0; d < directions; d++) {
      Weights& w = *weights_.emplace_back(std::make_unique<Weights>());
      const std::string end = "_l" + std::to_string(layer) + (d ? "_reverse" : "");
      parameter("weight_ih" + end, w.weight_ih, Tensor({layer ? o.hidden * directions : o.in, width}), Layout::filters);
      parameter("weight_hh" + end, w.weight_hh, Tensor({o.hidden, width}), Layout::filters);
      if (o.bias) parameter("bias_ih" + end, w.bias_ih, Tensor({width})), parameter("bias_hh" + end, w.bias_hh, Tensor({width}));
      initialise(w, o.hidden);
    }
}

const Recurrent::Weights& Recurrent::weights(int64_t layer, bool reverse) const {
  return *weights_.at(static_cast<size_t>(options_.bidirectional ? 2 * layer + reverse : layer));
}

void Recurrent::check(const Tensor& x, const RecurrentCall& call) const {
  const auto fail = [&](const std::string& why) { throw ShapeError(std::string("[") + kind() + "] " + why); };
  if (x.rank() != 3 || x.dim(2) != options_.in || x.dim(1) < 1)
    fail("expected (N, T, " + std::to_string(options_.in) + "), got " + to_string(x.shape()));
  if (!call.lengths.empty() && static_cast<int64_t>(call.lengths.size()) != x.dim(0))
    fail("input " + to_string(x.shape()) + " has " + std::to_string(x.dim(0)) + " sequences, got " + std::to_string(call.lengths.size()) +
         " lengths");
  for (int64_t length : call.lengths)
    if (length < 0 || length > x.dim(1))
      fail("a sequence of length " + std::to_string(length) + " does not fit in input " + to_string(x.shape()));
  const Shape shape{static_cast<int64_t>(weights_.size()), x.dim(0), options_.hidden};
  for (const Tensor* t : {&call.initial.h, &call.initial.c})
    if (*t && t->shape() != shape) fail("the initial state must be " + to_string(shape) + ", got " + to_string(t->shape()));
  if (call.truncate < 0) fail("truncate must not be negative");
}

std::vector<RecurrentState> Recurrent::initial_states(const RecurrentCall& call) const {
  std::vector<RecurrentState> all(weights_.size());
  const std::vector<Tensor> h = call.initial.h ? unstack(call.initial.h) : std::vector<Tensor>();
  const std::vector<Tensor> c = call.initial.c && cell_ == Cell::lstm ? unstack(call.initial.c) : std::vector<Tensor>();
  for (size_t i = 0; i < all.size(); i++) {
    if (!h.empty()) all[i].h = h[i];
    if (!c.empty()) all[i].c = c[i];
  }
  return all;
}

RecurrentResult Recurrent::operator()(const Tensor& x, const RecurrentCall& call) const {
  const Scope scope(*this);
  check(x, call);
  const std::vector<RecurrentState> initial = initial_states(call);
  const size_t directions = options_.bidirectional ? 2 : 1;
  std::vector<Tensor> h, c;
  Tensor y = x;
  for (size_t first = 0; first < weights_.size(); first += directions) {
    if (first && options_.dropout > 0) y = dropout(y, options_.dropout, training());
    std::vector<Tensor> sides;
    for (size_t d = 0; d < directions; d++) {
      const SequenceResult r = recurrent(cell_, y, *weights_[first + d], initial[first + d],
                                         {.lengths = call.lengths, .reverse = d == 1, .truncate = call.truncate});
      sides.push_back(r.y);
      h.push_back(r.state.h);
      if (r.state.c) c.push_back(r.state.c);
    }
    y = directions == 2 ? concat(sides, -1) : sides[0];
  }
  return {y, {stack(h), c.empty() ? Tensor() : stack(c)}};
}

const char* Recurrent::kind() const { return layer_kinds[static_cast<int>(cell_)]; }

std::string Recurrent::describe() const {
  std::string text = std::to_string(options_.in) + " -> " + std::to_string(options_.hidden);
  if (options_.layers > 1) text += ", " + std::to_string(options_.layers) + " layers";
  return text + (options_.bidirectional ? ", both directions" : "");
}

Tensor last(const Tensor& h, int64_t directions) {
  if (h.rank() != 3 || directions < 1 || h.dim(0) % directions)
    throw ShapeError("[last] a state (layers * directions, N, hidden) with " + std::to_string(directions) +
                     " directions was expected, got " + to_string(h.shape()));
  const Tensor top = slice(h, 0, h.dim(0) - directions, h.dim(0));  // (directions, N, hidden)
  return reshape(permute(top, {1, 0, 2}), {h.dim(1), directions * h.dim(2)});
}

}  // namespace sono
