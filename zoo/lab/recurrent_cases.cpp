// Recurrent layers over whole sequences: those of the comparison with other frameworks, one sequence alone, a small GRU.
#include "zoo/lab/add_case.h"

namespace sono::lab {
namespace {

using kernels::RecurrentArgs, kernels::RecurrentBackwardArgs;

struct Layer {
  Cell cell;
  int64_t N, T, H;
  int64_t width() const { return gates(cell) * H; }
  std::string name() const {
    constexpr const char* names[] = {"tanh", "relu", "lstm", "gru"};
    return std::string(names[static_cast<int>(cell)]) + " " + text(H) + " hidden, " + text(T) + " steps N" + text(N);
  }
  double flops() const { return 2 * number(N * T) * number(H * width()); }
};

RecurrentArgs forward_args(const Layer& l) {
  RecurrentArgs a;
  a.cell = l.cell;
  a.x = normal({l.N, l.T, l.width()}, 1), a.weight = random_normal({l.H, l.width()}, 1, 2, 0, 0.05), a.bias = Tensor::zeros({l.width()});
  a.h0 = Tensor::zeros({l.N, l.H}), a.y = Tensor({l.N, l.T, l.H}), a.h = Tensor({l.N, l.H});
  if (l.cell == Cell::lstm) a.c0 = Tensor::zeros({l.N, l.H}), a.c = Tensor({l.N, l.H});
  a.kept = Tensor(a.x.shape()), a.extra = Tensor(a.y.shape());
  return a;
}

RecurrentBackwardArgs backward_args(const Layer& l) {
  const RecurrentArgs f = forward_args(l);
  kernels::recurrent(f);
  RecurrentBackwardArgs a;
  a.cell = l.cell, a.gy = normal(f.y.shape(), 3), a.weight = f.weight, a.h0 = f.h0, a.c0 = f.c0, a.y = f.y, a.kept = f.kept,
  a.extra = f.extra;
  a.gx = Tensor(f.x.shape()), a.gh0 = Tensor(f.h0.shape()), a.before = Tensor(f.y.shape());
  if (l.cell == Cell::lstm) a.gc0 = Tensor(f.c0.shape());
  if (l.cell == Cell::gru) a.gr = Tensor(f.x.shape());
  return a;
}

}  // namespace

void add_recurrent_cases(std::vector<Case>& cases) {
  for (const Layer& l : {Layer{Cell::lstm, 8, 64, 256}, {Cell::lstm, 1, 64, 256}, {Cell::gru, 32, 64, 64}}) {
    const double gate_values = number(l.N * l.T * l.width()), states = number(l.N * l.T * l.H), weights = number(l.H * l.width());
    add(cases, kernels::recurrent, l.name(), {l.flops(), 4 * (2 * gate_values + 2 * states + weights)}, [l] { return forward_args(l); });
    add(cases, kernels::recurrent_backward, l.name(), {l.flops(), 4 * (2 * gate_values + 4 * states + weights)},
        [l] { return backward_args(l); });
  }
}

}  // namespace sono::lab
