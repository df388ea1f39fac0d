#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::RecurrentArgs;
using kernels::RecurrentBackwardArgs;

namespace {

constexpr const char* names[] = {"tanh", "relu", "lstm", "gru"};

struct Case {
  Cell cell;
  int64_t N, T, H;
  std::vector<int64_t> lengths = {};
  bool reverse = false, bias = true;
  int64_t truncate = 0;
  std::string text() const {
    return std::string(names[static_cast<int>(cell)]) + " " + to_string(Shape{N, T, H}) + (reverse ? " reverse" : "") +
           (lengths.empty() ? "" : " lengths " + to_string(lengths)) + (truncate ? " truncate " + std::to_string(truncate) : "");
  }
};

RecurrentArgs forward(const Case& k, double deviation = 1) {
  const int64_t width = gates(k.cell) * k.H;
  const bool gated = k.cell == Cell::lstm || k.cell == Cell::gru, has_c = k.cell == Cell::lstm;
  const Shape all{k.N, k.T, k.H}, state{k.N, k.H};
  RecurrentArgs a;
  a.cell = k.cell, a.lengths = k.lengths, a.reverse = k.reverse;
  a.x = normal({k.N, k.T, width}, 1, 0, deviation), a.weight = normal({k.H, width}, 2, 0, 1 / std::sqrt(static_cast<double>(k.H)));
  if (k.bias) a.bias = normal({width}, 3);
  a.h0 = normal(state, 4), a.c0 = has_c ? normal(state, 5) : Tensor();
  a.y = guarded(all, Dtype::f32), a.h = guarded(state, Dtype::f32), a.c = has_c ? guarded(state, Dtype::f32) : Tensor();
  if (gated) a.kept = guarded(a.x.shape(), Dtype::f32), a.extra = guarded(all, Dtype::f32);
  return a;
}

RecurrentBackwardArgs backward(const Case& k) {
  const RecurrentArgs f = forward(k);
  kernels::recurrent.cpu.back().run(f);
  RecurrentBackwardArgs a;
  a.cell = k.cell, a.lengths = k.lengths, a.reverse = k.reverse, a.truncate = k.truncate;
  a.gy = normal(f.y.shape(), 6), a.gh = normal(f.h.shape(), 7), a.gc = f.c ? normal(f.c.shape(), 8) : Tensor();
  a.weight = f.weight, a.h0 = f.h0, a.c0 = f.c0, a.y = f.y, a.kept = f.kept, a.extra = f.extra;
  a.gx = guarded(f.x.shape(), Dtype::f32), a.gh0 = guarded(f.h0.shape(), Dtype::f32), a.before = guarded(f.y.shape(), Dtype::f32);
  if (f.c0) a.gc0 = guarded(f.c0.shape(), Dtype::f32);
  if (k.cell == Cell::gru) a.gr = guarded(f.x.shape(), Dtype::f32);
  return a;
}

void check(const Case& k) {
  check_kernel(kernels::recurrent, forward(k),
               {&RecurrentArgs::y, &RecurrentArgs::h, &RecurrentArgs::c, &RecurrentArgs::kept, &RecurrentArgs::extra}, k.text());
  check_kernel(kernels::recurrent_backward, backward(k),
               {&RecurrentBackwardArgs::gx, &RecurrentBackwardArgs::gh0, &RecurrentBackwardArgs::gc0, &RecurrentBackwardArgs::gr,
                &RecurrentBackwardArgs::before},
               k.text());
}

constexpr Cell cells[] = {Cell::tanh, Cell::relu, Cell::lstm, Cell::gru};

}  // namespace

TEST_CASE("recurrent: odd sizes, both directions") {
  for (Cell cell : cells)
    for (int64_t H : {1, 7, 15, 17, 33})
      for (int64_t N : {1, 3, 7}) check({cell, N, 4, H, {}, (N + H) % 4 == 0, H != 15});
}

TEST_CASE("recurrent: several chunks of units and of sequences, shared by threads") {
  for (Cell cell : cells) {
    check({cell, 8, 5, 130});
    check({cell, 70, 3, 40, {}, true});
  }
}

TEST_CASE("recurrent: lengths, none at all among them, and truncation") {
  for (Cell cell : cells)
    for (bool reverse : {false, true}) {
      check({cell, 4, 6, 20, {6, 0, 3, 1}, reverse});
      check({cell, 3, 7, 9, {2, 7, 5}, reverse, true, 3});
    }
}

TEST_CASE("recurrent: nothing to do") {
  for (Cell cell : cells) check({cell, 0, 3, 5});
  for (Cell cell : cells) check({cell, 2, 0, 5});
}

TEST_CASE("recurrent: NaN and infinity reach their sequence and no other") {
  for (Cell cell : cells) {
    RecurrentArgs a = forward({cell, 3, 4, 18});
    const int64_t row = a.x.dim(1) * a.x.dim(2);
    a.x.data<float>()[row + a.x.dim(2) + 3] = static_cast<float>(not_a_number);
    a.x.data<float>()[2 * row + 5] = static_cast<float>(infinite);
    check_kernel(kernels::recurrent, a, {&RecurrentArgs::y, &RecurrentArgs::h}, "NaN and infinity");
  }
}

TEST_CASE("recurrent: saturated gates") {
  for (Cell cell : cells)
    if (cell != Cell::relu)
      check_kernel(kernels::recurrent, forward({cell, 2, 3, 17}, 60), {&RecurrentArgs::y, &RecurrentArgs::h, &RecurrentArgs::kept}, "large x");
}

TEST_CASE("recurrent: without what backward wants, in place, and with packed weights: the same bits") {
  for (Cell cell : {Cell::lstm, Cell::gru}) {
    const RecurrentArgs a = forward({cell, 3, 5, 37});
    const auto& entry = kernels::recurrent.choose(a);
    entry.run(a);
    RecurrentArgs b = forward({cell, 3, 5, 37});
    b.kept = b.extra = Tensor(), b.packed = entry.pack(b);
    entry.run(b);
    CHECK(std::memcmp(a.y.raw(), b.y.raw(), static_cast<size_t>(a.y.bytes())) == 0);
    RecurrentArgs c = forward({cell, 3, 5, 37});
    c.kept = c.x;
    entry.run(c);
    CHECK(std::memcmp(a.kept.raw(), c.x.raw(), static_cast<size_t>(a.kept.bytes())) == 0);
  }
}

TEST_CASE("recurrent_backward: gradients that nobody gave are zeros") {
  for (Cell cell : cells) {
    RecurrentBackwardArgs a = backward({cell, 3, 4, 19});
    a.gy.fill(0), a.gc ? a.gc.fill(0) : void();
    RecurrentBackwardArgs b = a;
    b.gy = b.gc = Tensor(), b.gx = guarded(a.gx.shape(), Dtype::f32), b.gh0 = guarded(a.gh0.shape(), Dtype::f32);
    kernels::recurrent_backward(a);
    kernels::recurrent_backward(b);
    CHECK(std::memcmp(a.gx.raw(), b.gx.raw(), static_cast<size_t>(a.gx.bytes())) == 0);
    CHECK(std::memcmp(a.gh0.raw(), b.gh0.raw(), static_cast<size_t>(a.gh0.bytes())) == 0);
  }
}
