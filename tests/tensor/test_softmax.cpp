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

}  // namespace

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
}

TEST_CASE("softmax of nothing") { check(0, 5, 3); }
