#include <cmath>

#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::SoftmaxArgs;

namespace {

void check(int64_t outer, int64_t n, int64_t inner, double deviation = 1, void (*change)(Tensor&) = nullptr) {
  Tensor x = normal({outer, n, inner}, 1, 0, deviation);
  if (change) change(x);
  for (bool log : {false, true}) {
    SoftmaxArgs a{x, guarded(x.shape(), Dtype::f32), outer, n, inner, log};
    check_kernel(kernels::softmax, a, {&SoftmaxArgs::y}, (log ? "log " : "") + to_string(x.shape()), {2e-6, ""});
  }
}

Tensor softmax_of(const Tensor& x, bool log = false) {  // over the columns of (rows, n)
  const Tensor y({x.dim(0), x.dim(1)});
  kernels::softmax(SoftmaxArgs{x, y, x.dim(0), x.dim(1), 1, log});
  return y;
}

double row_sum(const Tensor& y, int64_t row) {
  double sum = 0;
  for (int64_t i = 0; i < y.dim(1); i++) sum += static_cast<double>(y.data<float>()[row * y.dim(1) + i]);
  return sum;
}

}  // namespace

TEST_CASE("softmax: known values, rows that sum to 1, the same for logits all shifted alike") {
  const Tensor x = Tensor::from<float>({1, 3}, {0.0f, std::log(2.0f), std::log(5.0f)});
  const Tensor p = softmax_of(x), l = softmax_of(x, true), expected = Tensor::from<double>({1, 3}, {0.125, 0.25, 0.625});
  CHECK(difference(p, expected, 1e-6, false) == "");
  for (int64_t i = 0; i < 3; i++) CHECK(l.data<float>()[i] == doctest::Approx(std::log(expected.data<double>()[i])).epsilon(1e-6));
  const Tensor logits = normal({9, 37}, 1, 0, 3), moved = logits.clone();
  for (int64_t i = 0; i < moved.size(); i++) moved.data<float>()[i] += 16;
  const Tensor y = softmax_of(logits);
  for (int64_t row = 0; row < 9; row++) CHECK(row_sum(y, row) == doctest::Approx(1).epsilon(1e-5));
  CHECK(difference(softmax_of(moved), y.to(Dtype::f64), 1e-5, false) == "");
}

TEST_CASE("softmax and log-softmax: odd sizes, both directions") {
  for (int64_t outer : {1, 7, 33, 70})
    for (int64_t n : {1, 2, 7, 17, 33, 64, 65, 300})
      for (int64_t inner : {1, 3, 17}) check(outer, n, inner);
  check(3000, 4, 1);
  check(1, 5000, 1);
  check(2, 5, 300);
}

TEST_CASE("softmax: large values do not overflow, equal ones share") {
  check(20, 10, 1, 500);
  check(20, 100, 1, 500);
  check(2, 10, 20, 500);
  check(5, 7, 1, 1, [](Tensor& x) { x.fill(88); });
  const Tensor alike = softmax_of(Tensor::full({2, 7}, 88));
  for (int64_t i = 0; i < alike.size(); i++) CHECK(alike.data<float>()[i] == doctest::Approx(1.0 / 7).epsilon(1e-6));
}

TEST_CASE("softmax: NaN spoils its row alone; minus infinity has no weight") {
  const auto spoil = [](Tensor& x) {
    x.data<float>()[1] = static_cast<float>(not_a_number);
    x.data<float>()[x.size() - 1] = static_cast<float>(-infinite);
  };
  check(5, 9, 1, 1, spoil);
  check(5, 99, 1, 1, spoil);
  check(5, 9, 11, 1, spoil);
  const auto all = [](Tensor& x) { x.fill(-infinite); };
  check(3, 5, 1, 1, all);
  check(3, 70, 1, 1, all);
  const Tensor x = normal({3, 9}, 1);
  x.data<float>()[1] = static_cast<float>(not_a_number), x.data<float>()[26] = static_cast<float>(-infinite);
  const Tensor y = softmax_of(x);
  CHECK(std::isnan(row_sum(y, 0)));
  CHECK(row_sum(y, 1) == doctest::Approx(1).epsilon(1e-5));
  CHECK(row_sum(y, 2) == doctest::Approx(1).epsilon(1e-5));
  CHECK(y.data<float>()[26] == 0);
}

TEST_CASE("softmax of nothing") {
  check(0, 5, 3);
  CHECK(softmax_of(Tensor({0, 5})).size() == 0);
}
