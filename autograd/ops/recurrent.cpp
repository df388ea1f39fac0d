// Recurrent layers: one op for a whole sequence, whose kernels go through all steps, forward and backward; the gradient of the gradient (and
// devices without these kernels) by the same equations in elementwise operations, step by step.
#include <algorithm>
#include <utility>

#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;

namespace {

constexpr const char* names[] = {"rnn", "rnn_relu", "lstm", "gru"};

RecurrentState lstm_step(const Tensor& a, const Tensor& c) {
  const std::vector<Tensor> g = split(a, 4, -1);
  const Tensor after = sigmoid(g[1]) * c + sigmoid(g[0]) * tanh(g[2]);
  return {sigmoid(g[3]) * tanh(after), after};
}

RecurrentState gru_step(const Tensor& projected, const Tensor& recurrent, const Tensor& h) {
  const std::vector<Tensor> p = split(projected, 3, -1), r = split(recurrent, 3, -1);
  const Tensor reset = sigmoid(p[0] + r[0]), update = sigmoid(p[1] + r[1]);
  const Tensor candidate = tanh(p[2] + reset * r[2]);
  return {candidate + update * (h - candidate), {}};
}

// For each step t < steps a mask (N, 1) of the sequences that are still running; an empty handle where all are.
std::vector<Tensor> running_masks(const std::vector<int64_t>& lengths, int64_t steps, Device device) {
  std::vector<Tensor> masks(static_cast<size_t>(steps));
  for (size_t t = 0; t < masks.size() && !lengths.empty(); t++) {
    std::vector<uint8_t> on;
    for (int64_t length : lengths) on.push_back(static_cast<int64_t>(t) < length);
    if (std::count(on.begin(), on.end(), 0)) masks[t] = Tensor::from({static_cast<int64_t>(on.size()), 1}, on).to(device);
  }
  return masks;
}

}  // namespace

RecurrentState step(Cell cell, const Tensor& projected, const Tensor& recurrent, const RecurrentState& before) {
  if (cell == Cell::lstm) return lstm_step(projected + recurrent, before.c);
  if (cell == Cell::gru) return gru_step(projected, recurrent, before.h);
  const Tensor a = projected + recurrent;
  return {cell == Cell::tanh ? tanh(a) : relu(a), {}};
}

namespace {

// The steps one by one. Everything that does not depend on the state is one product before them.
SequenceResult composed(Cell cell, const Tensor& x, const RecurrentWeights& w, RecurrentState state, const SequenceOptions& o) {
  const std::vector<Tensor> projected = unstack(linear(permute(x, {1, 0, 2}), w.weight_ih, w.bias_ih));
  const std::vector<Tensor> running = running_masks(o.lengths, x.dim(1), x.device());
  const int64_t steps = x.dim(1);
  const Tensor zero = Tensor::scalar(0, x.dtype(), x.device());
  std::vector<Tensor> y(projected.size());
  for (int64_t i = 0; i < steps; i++) {
    if (o.truncate && i && i % o.truncate == 0) state = state.detach();
    const size_t t = static_cast<size_t>(o.reverse ? steps - 1 - i : i);
    RecurrentState after = step(cell, projected[t], linear(state.h, w.weight_hh, w.bias_hh), state);
    y[t] = after.h;
    if (const Tensor& mask = running[t]) {
      after.h = select(mask, after.h, state.h);
      if (after.c) after.c = select(mask, after.c, state.c);
      y[t] = select(mask, after.h, zero);
    }
    state = after;
  }
  return {permute(stack(y), {1, 0, 2}), state};
}

// y, h and c of N sequences as the rows of one value: (N * T + N + N, H), without c (N * T + N, H).
Tensor joined(const SequenceResult& r) {
  std::vector<Tensor> parts{reshape(r.y, {-1, r.y.dim(2)}), r.state.h};
  if (r.state.c) parts.push_back(r.state.c);
  return concat(parts, 0);
}
SequenceResult parted(const Tensor& rows, int64_t N, int64_t T, bool has_c) {
  const Tensor y = reshape(slice(rows, 0, 0, N * T), {N, T, rows.dim(1)}), h = slice(rows, 0, N * T, N * T + N);
  return {y, {h, has_c ? slice(rows, 0, N * T + N, N * T + 2 * N) : Tensor()}};
}

enum Input : size_t { input, weight_ih, weight_hh, bias_ih, bias_hh, state_h, state_c, inputs };

void check(Cell cell, const Tensor& x, const RecurrentWeights& w, const RecurrentState& before, const SequenceOptions& o) {
  const char* name = names[static_cast<int>(cell)];
  check_same(name, {&x, &w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh, &before.h, &before.c});
  check_given(name, {&w.weight_ih, &w.weight_hh});
  const auto fail = [&](const std::string& why) {
    throw ShapeError(bracketed(name) + "input " + to_string(x.shape()) + ", weights " + shapes({&w.weight_ih, &w.weight_hh}) + ": " + why);
  };
  if (x.rank() != 3 || w.weight_ih.rank() != 2 || w.weight_hh.rank() != 2 || w.weight_ih.dim(0) != x.dim(2) ||
      w.weight_hh.dim(1) != gates(cell) * w.weight_hh.dim(0) || w.weight_ih.dim(1) != w.weight_hh.dim(1))
    fail("expected (N, T, in), (in, " + std::to_string(gates(cell)) + " * H) and (H, " + std::to_string(gates(cell)) + " * H)");
  for (const Tensor* b : {&w.bias_ih, &w.bias_hh})
    if (*b && b->shape() != Shape{w.weight_hh.dim(1)}) fail("a bias is " + to_string(b->shape()));
  for (const Tensor* t : {&before.h, &before.c})
    if (*t && t->shape() != Shape{x.dim(0), w.weight_hh.dim(0)}) fail("the state before is " + to_string(t->shape()));
  if (!o.lengths.empty() && static_cast<int64_t>(o.lengths.size()) != x.dim(0)) fail(std::to_string(o.lengths.size()) + " lengths");
  for (int64_t length : o.lengths)
    if (length < 0 || length > x.dim(1)) fail("a length of " + std::to_string(length));
  if (o.truncate < 0) fail("truncate must not be negative");
}

// What the kernels make and backward reads.
struct Values {
  Tensor rows, kept, extra;  // rows: y, h, c as in joined()
  Tensor y, h, c;            // parts of rows
};

Values run_forward(Cell cell, const std::vector<Tensor>& in, const SequenceOptions& o, bool keep) {
  const Tensor& x = in[input];
  const int64_t N = x.dim(0), T = x.dim(1), H = in[weight_hh].dim(0), width = in[weight_hh].dim(1), all = N * T;
  const bool has_c = cell == Cell::lstm, has_gates = keep && (has_c || cell == Cell::gru);
  Values v;
  v.rows = Tensor({all + (has_c ? 2 : 1) * N, H}, x.dtype(), x.device());
  v.y = v.rows.rows(0, all).view({N, T, H}), v.h = v.rows.rows(all, all + N), v.c = has_c ? v.rows.rows(all + N, all + 2 * N) : Tensor();
  const Tensor projected({N, T, width}, x.dtype(), x.device());
  kernels::matmul({x.view({1, all, x.dim(2)}), in[weight_ih].view({1, x.dim(2), width}), projected.view({1, all, width}), false, false,
                   in[bias_ih]});
  if (has_gates) v.kept = projected, v.extra = Tensor({N, T, H}, x.dtype(), x.device());
  kernels::recurrent({cell, projected, in[weight_hh], in[bias_hh], in[state_h], in[state_c], v.y, v.h, v.c, v.kept, v.extra, o.lengths,
                      o.reverse});
  return v;
}

kernels::MatmulArgs product(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  return {a, b, Tensor({a.dim(transpose_a ? 1 : 0), b.dim(transpose_b ? 0 : 1)}, a.dtype(), a.device()), transpose_a, transpose_b};
}
Tensor run_product(const kernels::MatmulArgs& a) {
  kernels::matmul(a);
  return a.y;
}

// The gradients of both weights, x^T g and before^T g: where g is the same, it is packed once for both.
void weight_gradients(const Tensor& x, const Tensor& before, const Tensor& g, Tensor& ih, Tensor& hh) {
  kernels::MatmulArgs a = product(x, g, true, false), b = product(before, g, true, false);
  const auto &entry = kernels::matmul.choose(a), &other = kernels::matmul.choose(b);
  if (&entry == &other && entry.pack) a.packed = b.packed = entry.pack(a);
  entry.run(a), other.run(b);
  ih = a.y, hh = b.y;
}

std::vector<Tensor> run_backward(Cell cell, const std::vector<Tensor>& in, const Values& v, const SequenceOptions& o, const Tensor& g,
                                 const std::vector<bool>& wanted) {
  const NoGrad values;
  const int64_t N = v.y.dim(0), T = v.y.dim(1), H = v.y.dim(2), all = N * T, width = in[weight_hh].dim(1);
  const Tensor gx({N, T, width}, g.dtype(), g.device()), before = Tensor::empty_like(v.y), gr = cell == Cell::gru ? Tensor::empty_like(gx) : Tensor();
  std::vector<Tensor> parts(inputs);
  parts[state_h] = Tensor::empty_like(in[state_h]);
  if (in[state_c]) parts[state_c] = Tensor::empty_like(in[state_c]);
  kernels::recurrent_backward({cell, g.rows(0, all).view({N, T, H}), g.rows(all, all + N), v.c ? g.rows(all + N, all + 2 * N) : Tensor(),
                               in[weight_hh], in[state_h], in[state_c], v.y, v.kept, v.extra, gx, parts[state_h], parts[state_c], gr, before,
                               o.lengths, o.reverse, o.truncate});
  const Tensor rows = gx.view({all, width}), recurrent_rows = gr ? gr.view({all, width}) : rows;
  const Tensor x = in[input].view({all, in[input].dim(2)});
  const Tensor states = before.view({all, H});
  if (wanted[input]) parts[input] = run_product(product(rows, in[weight_ih], false, true)).view(in[input].shape());
  if (wanted[weight_ih] && wanted[weight_hh] && !gr)
    weight_gradients(x, states, rows, parts[weight_ih], parts[weight_hh]);
  else {
    if (wanted[weight_ih]) parts[weight_ih] = run_product(product(x, rows, true, false));
    if (wanted[weight_hh]) parts[weight_hh] = run_product(product(states, recurrent_rows, true, false));
  }
  if (wanted[bias_ih]) parts[bias_ih] = sum(rows, {0});
  if (wanted[bias_hh]) parts[bias_hh] = gr || !parts[bias_ih] ? sum(recurrent_rows, {0}) : parts[bias_ih].clone();
  return parts;
}

}  // namespace

SequenceResult recurrent(Cell cell, const Tensor& x, const RecurrentWeights& w, const RecurrentState& before, const SequenceOptions& o) {
  check(cell, x, w, before, o);
  const bool has_c = cell == Cell::lstm;
  const int64_t N = x.dim(0), T = x.dim(1);
  const auto given = [&](const Tensor& t) { return t ? t : Tensor::zeros({N, w.weight_hh.dim(0)}, x.dtype(), x.device()); };
  const RecurrentState start{given(before.h), has_c ? given(before.c) : Tensor()};
  if (x.device() != Device::cpu && kernels::recurrent.cuda.empty()) return composed(cell, x, w, start, o);

  std::vector<Tensor> in{x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, start.h, start.c}, plain;
  for (const Tensor& t : in) plain.push_back(t.detach());
  const bool keep = recording() && std::any_of(in.begin(), in.end(), [](const Tensor& t) { return wants_gradient(t); });
  const Values v = run_forward(cell, plain, o, keep);
  std::vector<Saved> saved;
  constexpr const char* what[] = {"input", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "state h", "state c"};
  for (size_t k = 0; keep && k < in.size(); k++) saved.push_back(in[k] ? Saved(in[k], what[k]) : Saved());
  const auto back = [=](const Tensor& g, const std::vector<bool>& wanted) -> std::vector<Tensor> {
    std::vector<Tensor> now;
    bool again = wants_gradient(g);
    for (const Saved& s : saved) now.push_back(*s), again = again || wants_gradient(now.back());
    if (!recording() || !again) return run_backward(cell, now, v, o, g, wanted);
    const Tensor rows = joined(composed(cell, now[input], {now[weight_ih], now[weight_hh], now[bias_ih], now[bias_hh]},
                                        {now[state_h], now[state_c]}, o));
    return partial_gradients(rows, now, wanted, g);
  };
  const auto attributes = [&] {
    return Attributes{{"reverse", int64_t{o.reverse}}, {"truncate", o.truncate}, {"lengths", o.lengths}};
  };
  return parted(differentiable_jointly(names[static_cast<int>(cell)], v.rows, in, back, attributes), N, T, has_c);
}

// An op with many outputs: each step hands its gradient to a shared table and nothing else (a one-value token) to a node before all steps;
// the engine reaches that node after them, and its gradient is the table, stacked. Steps that had no gradient are zeros there.
std::vector<Tensor> unstack(const Tensor& x) {
  if (x.rank() < 1) throw ShapeError("[unstack] a value of shape () has no first dimension");
  const size_t n = static_cast<size_t>(x.dim(0));
  const Shape shape(x.shape().begin() + 1, x.shape().end());
  const auto piece = [&](size_t t) { return x.detach().rows(static_cast<int64_t>(t), static_cast<int64_t>(t) + 1).view(shape); };
  const auto table = std::make_shared<std::vector<Tensor>>(n);
  const Dtype dtype = x.dtype();
  const Device device = x.device();
  const Tensor token =
      differentiable("unstack", Tensor::zeros({}, dtype, device), {{x, [=](const Tensor&) {
                                                                      std::vector<Tensor> gradients(n);
                                                                      for (size_t t = 0; t < n; t++)
                                                                        gradients[t] = (*table)[t] ? std::exchange((*table)[t], {})
                                                                                                   : Tensor::zeros(shape, dtype, device);
                                                                      return stack(gradients);
                                                                    }}});
  std::vector<Tensor> pieces;
  for (size_t t = 0; t < n; t++)
    pieces.push_back(differentiable("step", piece(t), {{token, [=](const Tensor& g) {
                                                          (*table)[t] = g;
                                                          return Tensor::zeros({}, dtype, device);
                                                        }}}));
  return pieces;
}

}  // namespace sono
