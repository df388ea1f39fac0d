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
  check(1, 1, 110, 129, 1100, false, false, false);
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

TEST_CASE("matmul: one row, one column") {
  for (int transposes : {0, 1, 2, 3})
    for (int64_t K : {1, 7, 33, 300}) {
      check(1, 1, 1, 130, K, transposes & 1, transposes & 2, K % 2);
      check(1, 1, 130, 1, K, transposes & 1, transposes & 2, K % 2);
      check(1, 1, 1, 1, K, transposes & 1, transposes & 2, true);
    }
}

TEST_CASE("matmul: slivers of A where its rows are 4 KiB apart") {
  for (bool transposed : {false, true}) check(1, 1, 1024, 140, 35, true, transposed, true);
  for (int transposes : {0, 1, 2, 3}) check(1, 1, 75, 140, 1030, transposes & 1, transposes & 2, true);
}

TEST_CASE("matmul: a few rows") {
  for (int64_t M : {2, 3, 8})
    for (int64_t N : {96, 100, 123, 140}) check(1, 1, M, N, 250, false, false, true);
}

TEST_CASE("matmul: a few rows times the rows of B") {
  for (int64_t M : {2, 5, 8, 12})
    for (int64_t N : {1, 2, 27, 100})
      for (int64_t K : {256, 301}) check(1, 1, M, N, K, false, true, M % 2);
  check(1, 1, 9, 60, 300, false, true, true, [](MatmulArgs& a) { a.activation = kernels::Activation::tanh; });
}

TEST_CASE("matmul: activations") {
  for (kernels::Activation activation : {kernels::Activation::relu, kernels::Activation::sigmoid, kernels::Activation::tanh})
    for (int64_t M : {1, 20, 100}) {
      MatmulArgs a{normal({M, 300}, 1), normal({300, 37}, 2, 0, 0.05), normal({M, 37}, 3)};
      a.bias = normal({37}, 4), a.activation = activation;
      a.a.data<float>()[5] = static_cast<float>(not_a_number);
      check_kernel(kernels::matmul, a, {&MatmulArgs::y}, "activation " + std::to_string(static_cast<int>(activation)));
    }
}

TEST_CASE("matmul: a packed operand gives the same bits") {
  for (bool transposed : {false, true})
    for (int64_t N : {5, 16, 50}) {
      MatmulArgs a{normal({30, 40}, 1), normal(transposed ? Shape{N, 40} : Shape{40, N}, 2), normal({30, N}, 3), false, transposed};
      MatmulArgs b = a;
      const auto& entry = kernels::matmul.choose(a);
      b.packed = entry.pack(a), b.b = normal(a.b.shape(), 9), b.y = normal({30, N}, 5);  // b itself is not read
      entry.run(a);
      entry.run(b);
      CHECK(std::memcmp(a.y.raw(), b.y.raw(), static_cast<size_t>(a.y.bytes())) == 0);
    }
}

TEST_CASE("matmul: samples are those of random_uniform, with any entry, instruction set and number of threads") {
  const cpu::Isa before = cpu::isa();
  for (cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::v3, cpu::Isa::v4})
    for (int threads : {1, 3}) {
      if (!cpu::has_isa(isa)) continue;
      cpu::set_isa(isa), set_threads(threads);
      for (int64_t N : {1, 63, 500})
        for (const auto& entry : kernels::matmul.cpu) {
          MatmulArgs a{normal({100, 20}, 1), normal({20, N}, 2), normal({100, N}, 3)};
          a.activation = kernels::Activation::sigmoid, a.sample = guarded({100, N}, Dtype::f32), a.seed = 11, a.stream = 1ull << 40;
          if (!entry.fits(a)) continue;
          entry.run(a);
          CHECK(guards_hold(a.sample));
          const Tensor u = random_uniform({100, N}, a.seed, a.stream);
          for (int64_t i = 0; i < u.size(); i++) REQUIRE(a.sample.data<float>()[i] == (u.data<float>()[i] < a.y.data<float>()[i]));
        }
    }
  cpu::set_isa(before), set_threads(0);
}
