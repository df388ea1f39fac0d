// The gates of recurrent layers: activations and state of a few units of one sequence, right after the product that made them, while they
// are in the first-level cache. An LSTM's unit takes three sigmoids and two tanh, some 80 operations on vectors, against 2 * 4 H
// multiply-adds.
#include "tensor/cpu/simd/math.h"

namespace sono::cpu::SONO_ISA {
namespace {

template <int L>
void lstm(const CellStep& s, int64_t u) {
  using F = typename VectorOf<L>::Float;
  const auto a = [&](int k) { return load<F>(s.p + k * s.gate_step + u) + load<F>(s.r + k * s.recurrent_step + u); };
  const F i = gate<L>(a(0)), f = gate<L>(a(1)), g = tanh<L>(a(2)), o = gate<L>(a(3));
  const F c = f * load<F>(s.c + u) + i * g;
  store(s.c + u, c);
  store<F>(s.h + u, o * tanh<L>(c));
  if (!s.kept) return;
  float* kept = s.kept + u;
  store(kept, i), store(kept + s.gate_step, f), store(kept + 2 * s.gate_step, g), store(kept + 3 * s.gate_step, o);
  store(s.extra + u, c);
}

template <int L>
void gru(const CellStep& s, int64_t u) {
  using F = typename VectorOf<L>::Float;
  const float *p = s.p + u, *q = s.r + u;
  const F hidden = load<F>(q + 2 * s.recurrent_step);
  const F r = gate<L>(load<F>(p) + load<F>(q)), z = gate<L>(load<F>(p + s.gate_step) + load<F>(q + s.recurrent_step));
  const F n = tanh<L>(load<F>(p + 2 * s.gate_step) + r * hidden);
  store<F>(s.h + u, n + z * (load<F>(s.h_before + u) - n));
  if (!s.kept) return;
  float* kept = s.kept + u;
  store(kept, r), store(kept + s.gate_step, z), store(kept + 2 * s.gate_step, n);
  store(s.extra + u, hidden);
}

template <int L>
void simple(const CellStep& s, int64_t u, bool relu) {
  using F = typename VectorOf<L>::Float;
  const F a = load<F>(s.p + u) + load<F>(s.r + u);
  store<F>(s.h + u, relu ? (a < 0.0f ? F{} : a) : tanh<L>(a));
}

// With dh = g: do = dh tanh(c'), dc' += dh o (1 - tanh^2 c'), and so on through the sigmoids and tanh; dc = dc' f.
template <int L>
void lstm_gradient(const CellGradient& s, int64_t u) {
  using F = typename VectorOf<L>::Float;
  const float* kept = s.kept + u;
  const F i = load<F>(kept), f = load<F>(kept + s.gate_step), g = load<F>(kept + 2 * s.gate_step), o = load<F>(kept + 3 * s.gate_step);
  const F dh = load<F>(s.g + u), t = tanh<L>(load<F>(s.extra + u)), dc = load<F>(s.gc + u) + dh * o * (1.0f - t * t);
  const F d[4] = {dc * g * i * (1.0f - i), dc * load<F>(s.before + u) * f * (1.0f - f), dc * i * (1.0f - g * g), dh * t * o * (1.0f - o)};
  for (int k = 0; k < 4; k++) store(s.gx + k * s.gate_step + u, d[k]), store(s.gr + k * s.gate_step + u, d[k]);
  store<F>(s.gc + u, dc * f);
  store(s.gh + u, F{});
}

// h' = n + z (h - n), n = tanh(p_n + r q).
template <int L>
void gru_gradient(const CellGradient& s, int64_t u) {
  using F = typename VectorOf<L>::Float;
  const float* kept = s.kept + u;
  const F r = load<F>(kept), z = load<F>(kept + s.gate_step), n = load<F>(kept + 2 * s.gate_step), dh = load<F>(s.g + u);
  const F dn = dh * (1.0f - z) * (1.0f - n * n), dr = dn * load<F>(s.extra + u) * r * (1.0f - r);
  const F dz = dh * (load<F>(s.before + u) - n) * z * (1.0f - z);
  float *x = s.gx + u, *q = s.gr + u;
  store(x, dr), store(x + s.gate_step, dz), store(x + 2 * s.gate_step, dn);
  store(q, dr), store(q + s.gate_step, dz), store<F>(q + 2 * s.gate_step, dn * r);
  store<F>(s.gh + u, dh * z);
}

template <int L>
void simple_gradient(const CellGradient& s, int64_t u, bool relu) {
  using F = typename VectorOf<L>::Float;
  const F g = load<F>(s.g + u), y = load<F>(s.y + u), d = relu ? (y > 0.0f ? g : F{}) : g * (1.0f - y * y);
  store(s.gx + u, d), store(s.gr + u, d), store(s.gh + u, F{});
}

}  // namespace

void cell(CellKind kind, const CellStep& s) {
  for_each_vector(s.n, [&]<int L>(int64_t u) {
    kind == CellKind::lstm ? lstm<L>(s, u) : kind == CellKind::gru ? gru<L>(s, u) : simple<L>(s, u, kind == CellKind::relu);
  });
}

void cell_gradient(CellKind kind, const CellGradient& s) {
  for_each_vector(s.n, [&]<int L>(int64_t u) {
    kind == CellKind::lstm  ? lstm_gradient<L>(s, u)
    : kind == CellKind::gru ? gru_gradient<L>(s, u)
                            : simple_gradient<L>(s, u, kind == CellKind::relu);
  });
}

}  // namespace sono::cpu::SONO_ISA
