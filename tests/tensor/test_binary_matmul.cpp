// Products of a left operand of 0 and 1: every entry against the product in f64.
#include "tensor/binary_matmul.h"

#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::BinaryMatmulArgs;

namespace {

Tensor binary(const Shape& shape) {
  const Tensor p = Tensor::full(shape, 0.4), a = guarded(shape, Dtype::f32);
  random_bernoulli(p, a, 5, static_cast<uint64_t>(shape[0]));
  return a;
}

BinaryMatmulArgs product(int64_t M, int64_t N, int64_t K, bool ta, bool tb) {
  return {binary(ta ? Shape{K, M} : Shape{M, K}), normal(tb ? Shape{N, K} : Shape{K, N}, 2), guarded({M, N}, Dtype::f32), ta, tb};
}

}  // namespace

TEST_CASE("binary matmul: odd sizes, transposes, bias, activations") {
  for (bool ta : {false, true})
    for (bool tb : {false, true})
      for (const auto& [M, N, K] : {std::tuple{33, 31, 7}, {100, 70, 53}, {40, 1, 32}, {32, 64, 1}, {7, 9, 11}, {121, 37, 100}}) {
        BinaryMatmulArgs a = product(M, N, K, ta, tb);
        const std::string repro = std::to_string(M) + " x " + std::to_string(N) + " x " + std::to_string(K) + (ta ? " a transposed" : "") +
                                  (tb ? " b transposed" : "");
        check_kernel(kernels::binary_matmul, a, {&BinaryMatmulArgs::y}, repro);
        a.bias = normal({N}, 3), a.activation = kernels::Activation::sigmoid;
        check_kernel(kernels::binary_matmul, a, {&BinaryMatmulArgs::y}, repro + ", bias, sigmoid");
      }
}

TEST_CASE("binary matmul: samples are those of random_uniform, and accumulated products are added") {
  const cpu::Isa before = cpu::isa();
  for (cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::v3, cpu::Isa::v4})
    for (int threads : {1, 3})
      for (const auto& entry : kernels::binary_matmul.cpu) {
        if (!cpu::has_isa(isa)) continue;
        cpu::set_isa(isa), set_threads(threads);
        BinaryMatmulArgs a = product(100, 63, 45, false, true);
        a.activation = kernels::Activation::sigmoid, a.sample = guarded({100, 63}, Dtype::f32), a.seed = 11, a.stream = 1ull << 40;
        entry.run(a);
        CHECK(guards_hold(a.sample));
        const Tensor u = random_uniform({100, 63}, a.seed, a.stream);
        for (int64_t i = 0; i < u.size(); i++) REQUIRE(a.sample.data<float>()[i] == (u.data<float>()[i] < a.y.data<float>()[i]));

        BinaryMatmulArgs once = product(100, 63, 45, true, false), twice = once;
        once.y = guarded({100, 63}, Dtype::f32), twice.y = normal({100, 63}, 9);
        const Tensor start = twice.y.clone();
        twice.accumulate = true;
        entry.run(once), entry.run(twice);
        CHECK(guards_hold(twice.y));
        for (int64_t i = 0; i < start.size(); i++)
          REQUIRE(std::abs(twice.y.data<float>()[i] - start.data<float>()[i] - once.y.data<float>()[i]) < 1e-4);
      }
  cpu::set_isa(before), set_threads(0);
}
