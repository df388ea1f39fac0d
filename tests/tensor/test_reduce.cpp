#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::ReduceArgs, kernels::Reduction;

namespace {

const char* names[] = {"sum", "mean", "max", "min", "argmax", "argmin"};

void check(int64_t outer, int64_t n, int64_t inner, void (*change)(Tensor&) = nullptr, double mean = 0.3) {
  Tensor x = normal({outer, n, inner}, 1, mean);
  if (change) change(x);
  for (int kind = 0; kind < 6; kind++) {
    if (n == 0 && kind >= 2) continue;
    ReduceArgs a{x, guarded({outer, inner}, kind >= 4 ? Dtype::i32 : Dtype::f32), outer, n, inner, static_cast<Reduction>(kind)};
    check_kernel(kernels::reduce, a, {&ReduceArgs::y}, names[kind] + (" of " + to_string(x.shape())));
  }
}

}  // namespace

TEST_CASE("reductions: odd sizes") {
  for (int64_t outer : {1, 7})
    for (int64_t n : {1, 2, 15, 33, 200})
      for (int64_t inner : {1, 3, 7, 16, 17, 33}) check(outer, n, inner);
}

TEST_CASE("reductions: several chunks") {
  check(1, 100003, 1);
  check(2, 70000, 1);
  check(1, 9001, 5);
  check(1, 5000, 16);
  check(3, 600, 100);
  check(3000, 9, 1);
}

TEST_CASE("sums of many values of one sign keep their digits") {
  const int64_t n = 1 << 22;
  const Tensor x = Tensor::full({n}, 0.1f), y({1, 1});
  kernels::reduce({x, y, 1, n, 1, Reduction::sum});
  CHECK(y.item() == doctest::Approx(n * static_cast<double>(0.1f)).epsilon(2e-7));
  const Tensor columns({1, 4});
  kernels::reduce({x, columns, 1, n / 4, 4, Reduction::mean});
  CHECK(columns.at({0, 3}) == doctest::Approx(static_cast<double>(0.1f)).epsilon(2e-6));
}

TEST_CASE("reductions: NaN wins, the first of equals is taken, infinities count") {
  const auto spoil = [](Tensor& x) {
    x.data<float>()[x.size() / 2] = static_cast<float>(not_a_number);
    x.data<float>()[x.size() / 2 + 1] = static_cast<float>(not_a_number);
    x.data<float>()[0] = static_cast<float>(infinite);
    x.data<float>()[x.size() - 1] = static_cast<float>(-infinite);
  };
  check(3, 100, 1, spoil);
  check(1, 40000, 1, spoil);
  check(3, 10, 17, spoil);
  for (int64_t n : {2, 10, 16, 20, 64}) check(37, n, 1), check(37, n, 1, spoil);
  const auto equal = [](Tensor& x) { x.fill(1); };
  for (int64_t n : {2, 10, 16, 20, 64}) check(37, n, 1, equal);
  check(2, 50, 1, equal);
  check(2, 50, 5, equal);
  check(1, 40000, 1, equal);
}

TEST_CASE("reductions of nothing: 0 and NaN") {
  check(3, 0, 4);
  check(0, 5, 4);
}
