#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::MatmulArgs;

namespace {

void check(int64_t batch_a, int64_t batch_b, int64_t M, int64_t N, int64_t K, bool ta, bool tb, bool bias,
           void (*change)(MatmulArgs&) = nullptr) {
  MatmulArgs a{ta ? normal({batch_a, K, M}, 1) : normal({batch_a, M, K}, 1), tb ? normal({batch_b, N, K}, 2) : normal({batch_b, K, N}, 2),
               normal({std::max(batch_a, batch_b), M, N}, 3), ta, tb};
  if (bias) a.bias = normal({N}, 4);
  if (change) change(a);
  check_kernel(kernels::matmul, a, {&MatmulArgs::y},
               to_string(a.a.shape()) + (ta ? "^T" : "") + " x " + to_string(a.b.shape()) + (tb ? "^T" : "") + (bias ? " bias" : ""));
}

}  // namespace

TEST_CASE("matmul: odd sizes, transposes, bias") {
  for (int64_t M : {1, 7, 17, 33})
    for (int64_t N : {1, 7, 15, 17, 31, 33})
      for (int64_t K : {1, 15, 33})
        for (int transposes : {0, 1, 2, 3}) check(1, 1, M, N, K, transposes & 1, transposes & 2, (M + N + K) % 2);
}

TEST_CASE("matmul: several blocks in each direction") {
  for (int transposes : {0, 1, 2, 3}) check(1, 1, 230, 150, 300, transposes & 1, transposes & 2, true);
  check(1, 1, 110, 129, 512, false, false, false);
  check(1, 1, 5, 300, 600, false, true, true);
}

TEST_CASE("matmul: batches, and one matrix for the whole batch") {
  for (int transposes : {0, 1, 2, 3}) {
    check(3, 3, 5, 17, 9, transposes & 1, transposes & 2, true);
    check(1, 3, 5, 17, 9, transposes & 1, transposes & 2, false);
    check(3, 1, 40, 33, 20, transposes & 1, transposes & 2, false);
  }
}

TEST_CASE("matmul: two-dimensional handles") {
  MatmulArgs a{normal({6, 5}, 1), normal({5, 7}, 2), normal({6, 7}, 3)};
  check_kernel(kernels::matmul, a, {&MatmulArgs::y}, "(6, 5) x (5, 7)");
}

TEST_CASE("matmul: nothing to sum, nothing to write") {
  check(1, 1, 3, 5, 0, false, false, true);
  check(1, 1, 0, 5, 4, false, false, false);
  check(1, 1, 3, 0, 4, true, true, false);
}

TEST_CASE("matmul: NaN and infinity reach their row and column and nothing else") {
  for (int transposes : {0, 1, 2, 3})
    check(1, 1, 20, 40, 18, transposes & 1, transposes & 2, false, [](MatmulArgs& a) {
      a.a.data<float>()[7] = static_cast<float>(not_a_number);
      a.b.data<float>()[a.b.size() - 1] = static_cast<float>(infinite);
    });
}
