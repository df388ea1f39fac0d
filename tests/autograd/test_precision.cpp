#include <doctest/doctest.h>

#include "tensor/precision.h"
#include "tests/autograd/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

// f's value and all gradients in bf16 differ from those in f32, by little: two products lie one behind the other.
template <class F>
void check_bf16(const char* name, const std::vector<Tensor>& values, F f) {
  const auto all = [&](Precision p) {
    const PrecisionScope scope(p);
    const std::vector<Tensor> inputs = leaves(values);
    const Tensor y = f(inputs);
    std::vector<Tensor> results = grad(mean(square(y)), inputs);
    results.push_back(y.detach());
    return results;
  };
  const std::vector<Tensor> exact = all(Precision::f32), rounded = all(Precision::bf16);
  for (size_t i = 0; i < exact.size(); i++) {
    const double error = norm({rounded[i].to(Dtype::f64) - exact[i].to(Dtype::f64)}) / norm({exact[i]});
    CHECK_MESSAGE(error < 0.01, name << " " << i);
    CHECK_MESSAGE(error > 1e-6, name << " " << i);
    CHECK(rounded[i].dtype() == Dtype::f32);
  }
}

}  // namespace

TEST_CASE("bf16: values and gradients of convolutions and linear layers are those of f32 within 1 per cent of their norm") {
  const auto normal = [](Shape shape, uint64_t stream) { return random_normal(std::move(shape), 5, stream); };
  check_bf16("conv2d", {normal({2, 12, 10, 8}, 1), normal({3, 3, 8, 16}, 2), normal({16}, 3)},
             [](const auto& v) { return conv2d(v[0], v[1], v[2], {.padding = 1}); });
  check_bf16("conv2d with a stride", {normal({2, 12, 10, 6}, 1), normal({3, 3, 3, 10}, 2), normal({10}, 3)},
             [](const auto& v) { return conv2d(v[0], v[1], v[2], {.stride = 2, .padding = 1, .groups = 2}); });
  check_bf16("conv_transpose", {normal({1, 5, 6, 8}, 1), normal({2, 2, 4, 8}, 2)},
             [](const auto& v) { return conv_transpose(v[0], v[1], {}, {.stride = 2}); });
  check_bf16("linear", {normal({9, 70}, 1), normal({70, 33}, 2), normal({33}, 3)}, [](const auto& v) { return linear(v[0], v[1], v[2]); });
  check_bf16("matmul", {normal({3, 9, 20}, 1), normal({3, 20, 7}, 2)}, [](const auto& v) { return matmul(v[0], v[1]); });
}
