#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;

namespace {

struct Loss {
  Tensor y, row_weight, log_sum, gx;
};

Loss run(const Tensor& x, const Tensor& target, const Tensor& weight, double smoothing) {
  const int64_t rows = x.dim(0);
  Loss l{guarded({rows}, x.dtype()), guarded({rows}, x.dtype()), guarded({rows}, x.dtype()), guarded(x.shape(), x.dtype())};
  kernels::cross_entropy({x, target, weight, l.y, l.row_weight, l.log_sum, 2, smoothing});
  kernels::cross_entropy_backward({x, target, weight, l.log_sum, Tensor::ones({rows}, x.dtype()), l.gx, 2, smoothing});
  return l;
}

}  // namespace

TEST_CASE("cross-entropy by its definition, guards, f32 and f64, large logits, threads") {
  for (int64_t classes : {3, 4, 17, 131}) {
    const int64_t rows = classes > 100 ? 600 : 3000;
    Random random(1);
    Tensor x({rows, classes}, Dtype::f64), target({rows}, Dtype::i32), weight({classes}, Dtype::f64);
    for (int64_t i = 0; i < x.size(); i++) x.data<double>()[i] = static_cast<float>(random.normal() * (i % 5 == 0 ? 300 : 3));
    for (int64_t r = 0; r < rows; r++) target.data<int32_t>()[r] = static_cast<int32_t>(random.below(classes));
    for (int64_t c = 0; c < classes; c++) weight.data<double>()[c] = static_cast<float>(random.uniform(0.5, 2));
    for (double smoothing : {0.0, 0.1}) {
      set_threads(1);
      const Loss wide = run(x, target, weight, smoothing), narrow = run(x.to(Dtype::f32), target, weight.to(Dtype::f32), smoothing);
      set_threads(3);
      const Loss again = run(x.to(Dtype::f32), target, weight.to(Dtype::f32), smoothing);
      set_threads(0);
      CHECK(std::memcmp(narrow.y.raw(), again.y.raw(), static_cast<size_t>(narrow.y.bytes())) == 0);
      CHECK(std::memcmp(narrow.gx.raw(), again.gx.raw(), static_cast<size_t>(narrow.gx.bytes())) == 0);
      for (const Tensor& t : {wide.y, wide.row_weight, wide.log_sum, wide.gx, narrow.y, narrow.gx}) CHECK(guards_hold(t));
      CHECK(difference(narrow.y, wide.y, 1e-5, false) == "");
      CHECK(difference(narrow.gx, wide.gx, 5e-5, false) == "");  // log_sum is rounded to f32: half an ulp of 300
      for (int64_t r = 0; r < 50; r++) {
        const auto t = static_cast<int64_t>(target.at({r}));
        double largest = -infinite, sum = 0, expected = 0;
        for (int64_t c = 0; c < classes; c++) largest = std::max(largest, x.at({r, c}));
        for (int64_t c = 0; c < classes; c++) sum += std::exp(x.at({r, c}) - largest);
        for (int64_t c = 0; c < classes; c++)
          expected -= (x.at({r, c}) - largest - std::log(sum)) * weight.at({c}) *
                      ((c == t ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes));
        CHECK(wide.y.at({r}) == doctest::Approx(t == 2 ? 0 : expected).epsilon(1e-12));
        CHECK(wide.row_weight.at({r}) == (t == 2 ? 0 : weight.at({t})));
      }
    }
  }
}

TEST_CASE("cross-entropy: every entry, instruction set and number of threads") {
  for (int64_t classes : {1, 2, 3, 7, 16, 33, 64, 65, 1003})
    for (int64_t rows : {0, 1, 7, 33, 2500}) {
      if (classes * rows > 200'000) continue;
      kernels::CrossEntropyArgs a;
      a.x = normal({rows, classes}, 1, 0, 4), a.target = Tensor({rows}, Dtype::i32);
      for (int64_t r = 0; r < rows; r++) a.target.data<int32_t>()[r] = static_cast<int32_t>(r % 5 == 3 ? -100 : r * 7 % classes);
      if (rows > 1) a.x.data<float>()[classes] = static_cast<float>(classes % 2 ? not_a_number : -infinite);
      const bool one = classes == 1;  // its gradient is 0, exactly: nothing to measure a rounding error of weights by
      if (classes % 2 && !one) a.weight = guarded(random_uniform({classes}, 7, 2, 0.5, 2));
      a.y = guarded({rows}, Dtype::f32), a.row_weight = guarded({rows}, Dtype::f32), a.log_sum = guarded({rows}, Dtype::f32);
      a.smoothing = rows % 3 || one ? 0 : 0.1;
      using A = kernels::CrossEntropyArgs;
      using B = kernels::CrossEntropyBackwardArgs;
      const std::string text = std::to_string(rows) + " rows of " + std::to_string(classes);
      check_kernel(kernels::cross_entropy, a, {&A::y, &A::row_weight, &A::log_sum}, text);
      kernels::cross_entropy(a);
      check_kernel(kernels::cross_entropy_backward,
                   B{a.x, a.target, a.weight, a.log_sum, normal({rows}, 3), guarded(a.x.shape(), Dtype::f32), a.ignore, a.smoothing},
                   {&B::gx}, text);
    }
}

TEST_CASE("sums over logits: every entry, instruction set and number of threads") {
  using A = kernels::LogitSumsArgs;
  using B = kernels::LogitSumsBackwardArgs;
  for (const Shape& shape : {Shape{2, 5, 1}, Shape{1, 20011, 1}, Shape{3, 77, 2}, Shape{2, 1300, 7}, Shape{1, 3, 300}, Shape{0, 4, 2}})
    for (bool squared : {false, true}) {
      const Tensor x = normal(shape, 1, 0, 20), t = guarded(random_uniform(shape, 7, 2));
      if (x.size() > 4) x.data<float>()[1] = 200, x.data<float>()[3] = -200;
      const Shape sums{shape[0], shape[2], 4};
      check_kernel(kernels::logit_sums, A{x, t, guarded(sums, Dtype::f32), squared}, {&A::y}, to_string(shape));
      check_kernel(kernels::logit_sums_backward, B{x, t, normal(sums, 3), guarded(shape, Dtype::f32), squared}, {&B::gx}, to_string(shape));
    }
}

TEST_CASE("dropout draws as random_uniform does, by every entry, instruction set and number of threads") {
  for (int64_t n : {1, 3, 4, 5, 33, 63, 64, 65, 40001}) {
    const Tensor x = normal({n}, 1, 5), u = random_uniform({n}, 9, 4);
    check_kernel(kernels::dropout, kernels::DropoutArgs{x, x, 0.4, 9, 4}, {&kernels::DropoutArgs::y}, std::to_string(n));
    const Tensor y({n});
    kernels::dropout({x, y, 0.4, 9, 4});
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) {
      const float expected = u.data<float>()[i] < 0.4f ? 0 : x.data<float>()[i] / 0.6f;
      wrong += std::abs(y.data<float>()[i] - expected) > 1e-5f * std::abs(expected);
    }
    CHECK(wrong == 0);
  }
}
