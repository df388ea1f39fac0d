// Recurrent layers on the CPU, forward and backward, over whole sequences. A step is a product of a few rows (the sequences) with all of
// the recurrent weights, 2 * N * H * gates * H FLOPs on 4 * gates * H^2 bytes: below some 8 sequences it is bound by the cache that the
// weights lie in (1 MB for an LSTM of 256), beyond that by multiply-adds.
//   fused       f32. The weights are copied once to panels as wide as a register tile and stay in the cache for all T steps; a chunk of a
//               step is one panel per gate, for the same hidden units, so that the gates' activations and the state are made while the
//               product is in the first-level cache. Backward, a chunk first adds dgates weight^T to its units' gradient, then takes them
//               through the gates of the step before: one barrier per step in both directions. Threads share the hidden units.
//   reference   loops over units, f32 and f64
#include <algorithm>
#include <cmath>

#include "tensor/cpu/activation.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/cpu/steps.h"
#include "tensor/kernels.h"

namespace sono::kernels {
namespace {

struct Sizes {
  int64_t N, T, H, G, width;  // width = G * H
  explicit Sizes(const Tensor& y, Cell cell) { N = y.dim(0), T = y.dim(1), H = y.dim(2), G = gates(cell), width = G * H; }
};

// The order of the steps, and which sequences take part in them.
struct Order {
  int64_t T;
  bool reverse;
  const std::vector<int64_t>& lengths;
  int64_t time(int64_t i) const { return reverse ? T - 1 - i : i; }
  bool running(int64_t n, int64_t i) const { return lengths.empty() || time(i) < lengths[static_cast<size_t>(n)]; }
  bool first(int64_t n, int64_t i) const { return i == 0 || !running(n, i - 1); }  // of a running one: its state before is the initial one
};

template <class T>
T* data(const Tensor& t, int64_t offset = 0) {
  return t ? t.data<T>() + offset : nullptr;
}

namespace fused {

using cpu::CellGradient, cpu::CellKind, cpu::CellStep, cpu::simd;

constexpr int64_t rows_of_chunk = 32, depth_of_block = 256;

int64_t units_of_chunk() { return 2 * simd().lanes; }
int64_t count_of(int64_t n, int64_t step) { return (n + step - 1) / step; }
// Rows of a state 2^k bytes apart would share lines of the cache.
int64_t padded(int64_t n) { return n + 16; }

// Asks for n values that will be read or written after the product: from step to step they lie far apart, no hardware foresees them.
void fetch(const float* p, int64_t n) {
  for (int64_t i = 0; p && i < n; i += 16) __builtin_prefetch(p + i, 1);
}

int64_t team(int64_t multiply_adds) { return multiply_adds >= 100'000 ? threads() : 1; }

// Values of a panel of `depth` rows: a line more, so that several can be written side by side.
int64_t size_of_panel(int64_t depth) { return depth * units_of_chunk() + 16; }

// weight as (units / chunk, gates) panels (H, chunk): one for each gate of each chunk of units, zeros beyond H.
Tensor forward_panels(const Tensor& weight, int64_t H, int64_t G) {
  const int64_t U = units_of_chunk(), chunks = count_of(H, U);
  const int64_t size = size_of_panel(H);
  const Tensor to = H % U ? Tensor::zeros({chunks, G, size}) : Tensor({chunks, G, size});
  parallel_for(G, 1, [&](int64_t g, int64_t) {
    simd().panels(weight.data<float>() + g * H, G * H, false, H, H, U, G * size, to.data<float>() + g * size);
  });
  return to;
}

// Its transpose as (units / chunk) panels (gates * H, chunk).
Tensor backward_panels(const Tensor& weight, int64_t H, int64_t width) {
  const int64_t U = units_of_chunk(), chunks = count_of(H, U);
  const Tensor to = H % U ? Tensor::zeros({chunks, size_of_panel(width)}) : Tensor({chunks, size_of_panel(width)});
  parallel_for(chunks, 1, [&](int64_t c, int64_t) {
    simd().panels(weight.data<float>() + c * U * width, width, true, width, std::min(U, H - c * U), U, width * U,
                  to.data<float>() + c * size_of_panel(width));
  });
  return to;
}

// y (rows, columns) = or += a (rows, depth) times a panel.
void product(const float* a, int64_t lda, const float* panel, int64_t rows, int64_t columns, int64_t depth, float* y, int64_t ldy,
             const float* bias, bool accumulate) {
  const int64_t U = units_of_chunk();
  for (int64_t k = 0; k < depth; k += depth_of_block)
    simd().tiles({cpu::Left::rows, a + k, lda, panel + k * U, U, rows, columns, std::min(depth_of_block, depth - k), y, ldy,
                  k ? nullptr : bias, accumulate || k > 0});
}

struct Forward {
  const RecurrentArgs& a;
  Sizes s;
  Order order;
  Tensor panels, bias, state, c;  // bias (G, padded H); state (2, N, padded H): h before and after a step; c (N, H)
  int64_t bias_step = 0;

  explicit Forward(const RecurrentArgs& a) : a(a), s(a.y, a.cell), order{s.T, a.reverse, a.lengths} {
    panels = a.packed ? a.packed : forward_panels(a.weight, s.H, s.G);
    const int64_t U = units_of_chunk();
    if (a.bias) {
      bias_step = count_of(s.H, U) * U, bias = Tensor::zeros({s.G, bias_step});
      for (int64_t g = 0; g < s.G; g++) std::copy_n(a.bias.data<float>() + g * s.H, s.H, bias.data<float>() + g * bias_step);
    }
    state = Tensor({2, s.N, padded(s.H)});
    for (int64_t n = 0; n < s.N; n++) std::copy_n(a.h0.data<float>() + n * s.H, s.H, h(0, n));
    if (a.c) a.c.copy_from(a.c0);
  }

  float* h(int64_t step, int64_t n) const { return state.data<float>() + (step % 2 * s.N + n) * padded(s.H); }

  // Units [u, u + columns) of sequence n at step i; r: what the product gave.
  void unit_step(int64_t i, int64_t n, int64_t u, int64_t columns, const float* r) const {
    const int64_t at = n * s.T + order.time(i);
    float *after = h(i + 1, n) + u, *y = a.y.data<float>() + at * s.H + u, *c = data<float>(a.c, n * s.H + u);
    if (!order.running(n, i)) {
      std::copy_n(h(i, n) + u, columns, after);
      std::fill_n(y, columns, 0.0f);
      return;
    }
    simd().cell(static_cast<CellKind>(a.cell),
                {a.x.data<float>() + at * s.width + u, r, h(i, n) + u, c, after, data<float>(a.kept, at * s.width + u),
                 data<float>(a.extra, at * s.H + u), columns, s.H, rows_of_chunk * units_of_chunk()});
    std::copy_n(after, columns, y);
  }

  void chunk(int64_t i, int64_t first, int64_t block) const {
    const int64_t U = units_of_chunk(), u = block * U, columns = std::min(U, s.H - u), rows = std::min(rows_of_chunk, s.N - first);
    float* r = cpu::scratch(1, s.G * rows_of_chunk * U);
    const float *x = data<float>(a.x), *kept = a.kept && !a.kept.shares_memory_with(a.x) ? data<float>(a.kept) : nullptr;
    const float *y = data<float>(a.y), *extra = data<float>(a.extra);
    for (int64_t n = first; n < first + rows; n++) {
      const int64_t at = n * s.T + order.time(i), gate = at * s.width + u, state = at * s.H + u;
      for (int64_t g = 0; g < s.G; g++) fetch(x + gate + g * s.H, columns), fetch(kept ? kept + gate + g * s.H : nullptr, columns);
      fetch(y + state, columns), fetch(extra ? extra + state : nullptr, columns);
    }
    for (int64_t g = 0; g < s.G; g++)
      product(h(i, first), padded(s.H), panels.data<float>() + (block * s.G + g) * size_of_panel(s.H), rows, columns, s.H,
              r + g * rows_of_chunk * U, U, data<float>(bias, g * bias_step + u), false);
    for (int64_t n = first; n < first + rows; n++) unit_step(i, n, u, columns, r + (n - first) * U);
  }

  void run() const {
    const int64_t blocks = count_of(s.H, units_of_chunk()), groups = count_of(s.N, rows_of_chunk);
    cpu::for_each_step(s.T, blocks * groups, team(s.N * s.H * s.width), s.N <= 4,
                       [&](int64_t i, int64_t c) { chunk(i, c / blocks * rows_of_chunk, c % blocks); });
    for (int64_t n = 0; n < s.N; n++) std::copy_n(h(s.T, n), s.H, a.h.data<float>() + n * s.H);
  }
};

bool fits(const RecurrentArgs& a) {
  const int64_t U = units_of_chunk(), H = a.y.dim(2);
  return a.y.dtype() == Dtype::f32 && (!a.packed || a.packed.shape() == Shape{count_of(H, U), gates(a.cell), size_of_panel(H)});
}
void run(const RecurrentArgs& a) {
  if (a.h.size()) Forward(a).run();
}
Tensor pack(const RecurrentArgs& a) { return forward_panels(a.weight, a.y.dim(2), gates(a.cell)); }

struct Backward {
  const RecurrentBackwardArgs& a;
  Sizes s;
  Order order;
  Tensor panels, gates;  // gates (2, N, padded width): the gradients of r of a step and of the one after it

  explicit Backward(const RecurrentBackwardArgs& a) : a(a), s(a.y, a.cell), order{s.T, a.reverse, a.lengths} {
    panels = backward_panels(a.weight, s.H, s.width);
    gates = Tensor({2, s.N, padded(s.width)});
    a.gh ? a.gh0.copy_from(a.gh) : a.gh0.fill(0);  // gh0 and gc0 carry the gradient of the state from step to step
    if (a.gc0) a.gc ? a.gc0.copy_from(a.gc) : a.gc0.fill(0);
  }

  float* gate(int64_t step, int64_t n) const { return gates.data<float>() + (step % 2 * s.N + n) * padded(s.width); }

  // What of step i's gradient goes to the state before it, beside what unit_step left there.
  void to_state(int64_t i, int64_t first, int64_t rows, int64_t block, int64_t u, int64_t columns) const {
    if (a.truncate && i && i % a.truncate == 0) {
      for (int64_t n = first; n < first + rows; n++) {
        std::fill_n(a.gh0.data<float>() + n * s.H + u, columns, 0.0f);
        if (a.gc0) std::fill_n(a.gc0.data<float>() + n * s.H + u, columns, 0.0f);
      }
      return;
    }
    product(gate(i, first), padded(s.width), panels.data<float>() + block * size_of_panel(s.width), rows, columns, s.width,
            a.gh0.data<float>() + first * s.H + u, s.H, nullptr, true);
  }

  void fetch_rows(int64_t i, int64_t first, int64_t rows, int64_t u, int64_t columns) const {
    const float *kept = data<float>(a.kept), *gx = data<float>(a.gx), *gy = data<float>(a.gy), *before = data<float>(a.before);
    const float *y = data<float>(a.y), *extra = data<float>(a.extra);
    for (int64_t n = first; n < first + rows; n++) {
      const int64_t at = n * s.T + order.time(i), gate = at * s.width + u, state = at * s.H + u;
      const int64_t previous = (n * s.T + order.time(std::max<int64_t>(0, i - 1))) * s.H + u;
      for (int64_t g = 0; g < s.G; g++) fetch(gx + gate + g * s.H, columns), fetch(kept ? kept + gate + g * s.H : nullptr, columns);
      fetch(gy ? gy + state : nullptr, columns), fetch(before + state, columns), fetch(y + previous, columns);
      fetch(extra ? extra + previous : nullptr, columns);
    }
  }

  void unit_step(int64_t i, int64_t n, int64_t u, int64_t columns) const {
    const int64_t at = n * s.T + order.time(i);
    float *gx = a.gx.data<float>() + at * s.width + u, *gr = gate(i, n) + u, *before = a.before.data<float>() + at * s.H + u;
    if (!order.running(n, i)) {
      for (int64_t g = 0; g < s.G; g++) std::fill_n(gx + g * s.H, columns, 0.0f), std::fill_n(gr + g * s.H, columns, 0.0f);
      std::fill_n(before, columns, 0.0f);
    } else {
      const int64_t previous = order.first(n, i) ? -1 : n * s.T + order.time(i - 1), state = n * s.H + u;
      const float* h = previous < 0 ? a.h0.data<float>() + state : a.y.data<float>() + previous * s.H + u;
      const float* c = !a.c0 ? h : previous < 0 ? a.c0.data<float>() + state : a.extra.data<float>() + previous * s.H + u;
      std::copy_n(h, columns, before);
      const float* gy = data<float>(a.gy, at * s.H + u);
      float g[64], *gh = a.gh0.data<float>() + state;
      for (int64_t j = 0; j < columns; j++) g[j] = gy ? gh[j] + gy[j] : gh[j];
      simd().cell_gradient(static_cast<CellKind>(a.cell),
                           {g, data<float>(a.kept, at * s.width + u), data<float>(a.extra, at * s.H + u), a.y.data<float>() + at * s.H + u,
                            c, data<float>(a.gc0, state), gh, gx, gr, columns, s.H});
    }
    if (a.gr)
      for (int64_t g = 0; g < s.G; g++) std::copy_n(gr + g * s.H, columns, a.gr.data<float>() + at * s.width + u + g * s.H);
  }

  // Step s.T - 1 - turn, after the product of the one before it in this order.
  void chunk(int64_t turn, int64_t first, int64_t block) const {
    const int64_t U = units_of_chunk(), u = block * U, columns = std::min(U, s.H - u), rows = std::min(rows_of_chunk, s.N - first);
    const int64_t i = s.T - 1 - turn;
    if (i >= 0) fetch_rows(i, first, rows, u, columns);
    if (turn > 0) to_state(i + 1, first, rows, block, u, columns);
    for (int64_t n = first; i >= 0 && n < first + rows; n++) unit_step(i, n, u, columns);
  }

  void run() const {
    const int64_t blocks = count_of(s.H, units_of_chunk()), groups = count_of(s.N, rows_of_chunk);
    cpu::for_each_step(s.T + 1, blocks * groups, team(s.N * s.H * s.width), false,
                       [&](int64_t turn, int64_t c) { chunk(turn, c / blocks * rows_of_chunk, c % blocks); });
  }
};

bool fits_backward(const RecurrentBackwardArgs& a) { return a.gx.dtype() == Dtype::f32; }
void run_backward(const RecurrentBackwardArgs& a) {
  if (a.gh0.size()) Backward(a).run();
}

}  // namespace fused

namespace reference {

template <class T>
T sigmoid(T v) {
  return activated(Activation::sigmoid, v);
}

// r (gates): the product's row for unit u of sequence n.
template <class T>
std::array<T, 4> recurrent_part(const RecurrentArgs& a, const Sizes& s, const T* h, int64_t u) {
  std::array<T, 4> r{};
  for (int64_t g = 0; g < s.G; g++) {
    T sum = a.bias ? a.bias.data<T>()[g * s.H + u] : T(0);
    for (int64_t k = 0; k < s.H; k++) sum += h[k] * a.weight.data<T>()[k * s.width + g * s.H + u];
    r[static_cast<size_t>(g)] = sum;
  }
  return r;
}

// A unit's new state; its gates to kept[g * H] and extra where they are wanted.
template <class T>
T unit(Cell cell, const T* p, int64_t H, const std::array<T, 4>& r, T h, T* c, T* kept, T* extra) {
  const auto sum = [&](int64_t g) { return p[g * H] + r[static_cast<size_t>(g)]; };
  const auto keep = [&](T v0, T v1, T v2, T v3, T other) {
    if (!kept) return;
    kept[0] = v0, kept[H] = v1, kept[2 * H] = v2, *extra = other;
    if (cell == Cell::lstm) kept[3 * H] = v3;
  };
  if (cell == Cell::lstm) {
    const T i = sigmoid(sum(0)), f = sigmoid(sum(1)), g = std::tanh(sum(2)), o = sigmoid(sum(3));
    *c = f * *c + i * g;
    keep(i, f, g, o, *c);
    return o * std::tanh(*c);
  }
  if (cell == Cell::gru) {
    const T reset = sigmoid(sum(0)), z = sigmoid(sum(1)), n = std::tanh(p[2 * H] + reset * r[2]);
    keep(reset, z, n, T(0), r[2]);
    return n + z * (h - n);
  }
  return activated(cell == Cell::tanh ? Activation::tanh : Activation::relu, sum(0));
}

template <class T>
void sequence(const RecurrentArgs& a, const Sizes& s, int64_t n) {
  const Order order{s.T, a.reverse, a.lengths};
  std::vector<T> h(a.h0.data<T>() + n * s.H, a.h0.data<T>() + (n + 1) * s.H), after = h;
  T* c = data<T>(a.c, n * s.H);
  for (int64_t i = 0; i < s.T; i++) {
    const int64_t at = n * s.T + order.time(i);
    for (int64_t u = 0; u < s.H; u++) {
      T& y = a.y.data<T>()[at * s.H + u];
      y = 0;
      if (order.running(n, i))
        y = after[static_cast<size_t>(u)] =
            unit<T>(a.cell, a.x.data<T>() + at * s.width + u, s.H, recurrent_part<T>(a, s, h.data(), u), h[static_cast<size_t>(u)],
                    c ? c + u : nullptr, data<T>(a.kept, at * s.width + u), data<T>(a.extra, at * s.H + u));
    }
    h = after;
  }
  std::copy(h.begin(), h.end(), a.h.data<T>() + n * s.H);
}

bool fits(const RecurrentArgs& a) { return !a.packed; }
void run(const RecurrentArgs& a) {
  if (a.c) a.c.copy_from(a.c0);
  const Sizes s(a.y, a.cell);
  visit_real("recurrent", a.y.dtype(), [&]<class T>() { parallel_for(s.N, 1, [&](int64_t n, int64_t) { sequence<T>(a, s, n); }); });
}

// The gradients of a unit's p and r (r[2] of a GRU differs) from dh; dc in place; returns what goes to h directly.
template <class T>
T unit_gradient(Cell cell, const T* kept, const T* extra, int64_t H, T y, T before, T dh, T* dc, std::array<T, 4>& p, T& r2) {
  if (cell == Cell::lstm) {
    const T i = kept[0], f = kept[H], g = kept[2 * H], o = kept[3 * H], t = std::tanh(*extra), d = *dc + dh * o * (1 - t * t);
    p = {d * g * i * (1 - i), d * before * f * (1 - f), d * i * (1 - g * g), dh * t * o * (1 - o)};
    *dc = d * f, r2 = p[2];
    return 0;
  }
  if (cell == Cell::gru) {
    const T r = kept[0], z = kept[H], n = kept[2 * H], dn = dh * (1 - z) * (1 - n * n);
    p = {dn * *extra * r * (1 - r), dh * (before - n) * z * (1 - z), dn, 0};
    r2 = dn * r;
    return dh * z;
  }
  p[0] = cell == Cell::relu ? (y > 0 ? dh : T(0)) : dh * (1 - y * y);
  return 0;
}

template <class T>
struct SequenceBackward {
  const RecurrentBackwardArgs& a;
  Sizes s;
  Order order;
  int64_t n;
  std::vector<T> r;  // the gradients of r of one step

  // Through the gates of unit u at step i; dh and dc of the state after it become what goes to the state before it directly.
  void through_gates(int64_t i, int64_t u, T& dh, T* dc) {
    const int64_t at = n * s.T + order.time(i), previous = order.first(n, i) ? -1 : n * s.T + order.time(i - 1);
    const auto state = [&](const Tensor& start, const Tensor& later) {
      return previous < 0 ? start.data<T>()[n * s.H + u] : later.data<T>()[previous * s.H + u];
    };
    const T h = state(a.h0, a.y), before = a.cell == Cell::lstm ? state(a.c0, a.extra) : h, y = a.y.data<T>()[at * s.H + u];
    a.before.data<T>()[at * s.H + u] = h;
    std::array<T, 4> p{};
    T r2 = 0;
    if (a.gy) dh += a.gy.data<T>()[at * s.H + u];
    dh = unit_gradient<T>(a.cell, data<T>(a.kept, at * s.width + u), data<T>(a.extra, at * s.H + u), s.H, y, before, dh, dc, p, r2);
    for (int64_t g = 0; g < s.G; g++) {
      const auto gate = static_cast<size_t>(g);
      a.gx.data<T>()[at * s.width + g * s.H + u] = p[gate];
      r[gate * static_cast<size_t>(s.H) + static_cast<size_t>(u)] = g == 2 ? r2 : p[gate];
    }
  }

  void step(int64_t i, T* dh, T* dc) {
    const int64_t at = n * s.T + order.time(i);
    if (order.running(n, i)) {
      for (int64_t u = 0; u < s.H; u++) through_gates(i, u, dh[u], dc ? dc + u : nullptr);
      for (int64_t u = 0; u < s.H; u++)
        for (int64_t k = 0; k < s.width; k++) dh[u] += r[static_cast<size_t>(k)] * a.weight.data<T>()[u * s.width + k];
    } else {
      std::fill(r.begin(), r.end(), T(0));
      std::fill_n(a.gx.data<T>() + at * s.width, s.width, T(0));
      std::fill_n(a.before.data<T>() + at * s.H, s.H, T(0));
    }
    if (a.gr) std::copy(r.begin(), r.end(), a.gr.data<T>() + at * s.width);
    if (!a.truncate || i == 0 || i % a.truncate) return;
    std::fill_n(dh, s.H, T(0));
    if (dc) std::fill_n(dc, s.H, T(0));
  }
};

bool fits_backward(const RecurrentBackwardArgs&) { return true; }
void run_backward(const RecurrentBackwardArgs& a) {
  const Sizes s(a.y, a.cell);
  a.gh ? a.gh0.copy_from(a.gh) : a.gh0.fill(0);
  if (a.gc0) a.gc ? a.gc0.copy_from(a.gc) : a.gc0.fill(0);
  visit_real("recurrent_backward", a.gx.dtype(), [&]<class T>() {
    parallel_for(s.N, 1, [&](int64_t n, int64_t) {
      SequenceBackward<T> sequence{a, s, {s.T, a.reverse, a.lengths}, n, std::vector<T>(static_cast<size_t>(s.width))};
      for (int64_t i = s.T - 1; i >= 0; i--) sequence.step(i, a.gh0.data<T>() + n * s.H, data<T>(a.gc0, n * s.H));
    });
  });
}

}  // namespace reference

constexpr Implementation<RecurrentArgs> forward[] = {{"fused", fused::fits, fused::run, nullptr, fused::pack},
                                                     {"reference", reference::fits, reference::run}};
constexpr Implementation<RecurrentBackwardArgs> backward[] = {{"fused", fused::fits_backward, fused::run_backward},
                                                              {"reference", reference::fits_backward, reference::run_backward}};

}  // namespace

Kernel<RecurrentArgs> recurrent{"recurrent", forward, {}};
Kernel<RecurrentBackwardArgs> recurrent_backward{"recurrent_backward", backward, {}};

}  // namespace sono::kernels
