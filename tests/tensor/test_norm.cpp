#include <cmath>

#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::NormArgs, kernels::NormBackwardArgs, kernels::NormPoolArgs, kernels::NormPoolBackwardArgs;

namespace {

void check(std::array<int64_t, 4> view, bool affine, bool relu, double mean = 0, double tolerance = 1e-5,
           void (*change)(Tensor&) = nullptr) {
  const auto [A, L, G, K] = view;
  const std::string text = "view " + to_string(Shape(view.begin(), view.end())) + (affine ? " affine" : "") + (relu ? " relu" : "");
  NormArgs a;
  a.x = normal({A, L, G, K}, 1, mean, 2);
  if (change) change(a.x);
  if (affine) a.scale = normal({G * K}, 2), a.shift = normal({G * K}, 3);
  a.y = guarded({A, L, G, K}, Dtype::f32), a.mean = guarded({A * G}, Dtype::f32), a.rstd = guarded({A * G}, Dtype::f32);
  a.view = view, a.relu = relu;
  CheckOptions options{tolerance, ""};
  check_kernel(kernels::normalize, a, {&NormArgs::y, &NormArgs::mean, &NormArgs::rstd}, text, options);
  a.add = normal({A, L, G, K}, 7);
  check_kernel(kernels::normalize, a, {&NormArgs::y, &NormArgs::mean, &NormArgs::rstd}, text + " joined", options);
  a.mean = normal({A * G}, 4, mean), a.rstd = normal({A * G}, 5, 1, 0.1);
  check_kernel(kernels::normalize_given, a, {&NormArgs::y}, text, options);

  kernels::normalize(a);
  NormBackwardArgs b;
  b.gy = normal({A, L, G, K}, 6), b.x = a.x, b.y = a.y, b.scale = a.scale, b.shift = a.shift, b.mean = a.mean, b.rstd = a.rstd;
  b.gx = guarded({A, L, G, K}, Dtype::f32), b.gadd = guarded({A, L, G, K}, Dtype::f32);
  if (affine) b.gscale = guarded({G * K}, Dtype::f32), b.gshift = guarded({G * K}, Dtype::f32);
  b.view = view, b.relu = relu;
  check_kernel(kernels::normalize_backward, b,
               {&NormBackwardArgs::gx, &NormBackwardArgs::gscale, &NormBackwardArgs::gshift, &NormBackwardArgs::gadd}, text + " joined",
               options);
  b.y = b.gadd = {};
  check_kernel(kernels::normalize_backward, b, {&NormBackwardArgs::gx, &NormBackwardArgs::gscale, &NormBackwardArgs::gshift}, text,
               options);
}

void check_pool(const Shape& x, const std::array<int64_t, 3>& window, bool relu, void (*change)(Tensor&) = nullptr) {
  const int64_t C = x[4];
  const Shape pooled{x[0], x[1] / window[0], x[2] / window[1], x[3] / window[2], C};
  NormPoolArgs a;
  a.x = normal(x, 1, 1, 2), a.scale = normal({C}, 2), a.shift = normal({C}, 3);
  if (change) change(a.x);
  a.pooled = guarded(pooled, Dtype::f32), a.mean = guarded({C}, Dtype::f32), a.rstd = guarded({C}, Dtype::f32);
  a.window = window, a.relu = relu;
  for (bool with_y : {false, true}) {
    const std::string text =
        to_string(x) + " window " + to_string(Shape(window.begin(), window.end())) + (relu ? " relu" : "") + (with_y ? " with y" : "");
    a.y = with_y ? guarded(x, Dtype::f32) : Tensor{};
    check_kernel(kernels::normalize_pool, a, {&NormPoolArgs::y, &NormPoolArgs::pooled, &NormPoolArgs::mean, &NormPoolArgs::rstd}, text);
    kernels::normalize_pool(a);
    NormPoolBackwardArgs b;
    b.gy = with_y ? normal(x, 4) : Tensor{}, b.gpooled = normal(pooled, 5);
    b.x = a.x, b.scale = a.scale, b.shift = a.shift, b.mean = a.mean, b.rstd = a.rstd;
    b.gx = guarded(x, Dtype::f32), b.gscale = guarded({C}, Dtype::f32), b.gshift = guarded({C}, Dtype::f32);
    b.window = window, b.relu = relu;
    check_kernel(kernels::normalize_pool_backward, b,
                 {&NormPoolBackwardArgs::gx, &NormPoolBackwardArgs::gscale, &NormPoolBackwardArgs::gshift}, text);
  }
}

// Batch norm of (rows, C) without scale and shift.
NormArgs batch_norm_of(const Tensor& x) {
  NormArgs a;
  a.x = x, a.y = Tensor(x.shape()), a.mean = Tensor({x.dim(1)}), a.rstd = Tensor({x.dim(1)});
  a.view = {1, x.dim(0), x.dim(1), 1}, a.epsilon = 0;
  kernels::normalize(a);
  return a;
}

}  // namespace

TEST_CASE("norm with pooling beyond the cache: the same values as norm, then pooling, and as with a gradient of zeros") {
  const int64_t C = 16;
  const Tensor x = random_normal({8, 1, 256, 256, C}, 1, 1), ones = Tensor::ones({C}), zeros = Tensor::zeros({C});
  NormPoolArgs a;
  a.x = x, a.y = Tensor::empty_like(x), a.pooled = Tensor({8, 1, 128, 128, C}), a.scale = ones, a.shift = zeros;
  a.mean = Tensor({C}), a.rstd = Tensor({C}), a.window = {1, 2, 2}, a.relu = true;
  kernels::normalize_pool(a);
  const Tensor y = Tensor::empty_like(x), pooled = Tensor::empty_like(a.pooled);
  NormArgs given{x, ones, zeros, y, a.mean, a.rstd, {1, x.size() / C, C, 1}};
  given.relu = true;
  kernels::normalize_given(given);
  kernels::max_pool({y, pooled, {}, a.window, a.window});
  CHECK(difference(a.y, y, 0, true) == "");
  CHECK(difference(a.pooled, pooled, 0, true) == "");
  NormPoolBackwardArgs b;
  b.x = x, b.scale = ones, b.shift = zeros, b.mean = a.mean, b.rstd = a.rstd, b.gpooled = random_normal(pooled.shape(), 1, 2);
  b.gx = a.y, b.gscale = Tensor({C}), b.gshift = Tensor({C}), b.window = a.window, b.relu = true;
  kernels::normalize_pool_backward(b);
  b.gy = b.gx = Tensor::zeros_like(x);
  kernels::normalize_pool_backward(b);
  CHECK(difference(a.y, b.gx, 0, true) == "");
}

TEST_CASE("batch norm: known values, and outputs of mean 0 and variance 1") {
  const NormArgs a = batch_norm_of(Tensor::from<float>({4, 2}, {1, -3, 3, -3, 1, 5, 3, 5}));
  CHECK(difference(a.mean, Tensor::from<double>({2}, {2, 1}), 1e-6, false) == "");
  CHECK(difference(a.rstd, Tensor::from<double>({2}, {1, 0.25}), 1e-6, false) == "");
  CHECK(difference(a.y, Tensor::from<double>({4, 2}, {-1, -1, 1, -1, -1, 1, 1, 1}), 1e-6, false) == "");
  const Tensor y = batch_norm_of(normal({501, 19}, 1, 5, 3)).y;
  for (int64_t c = 0; c < 19; c++) {
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < 501; r++) {
      const double v = static_cast<double>(y.data<float>()[r * 19 + c]);
      sum += v, squares += v * v;
    }
    CHECK(std::abs(sum / 501) < 1e-5);
    CHECK(squares / 501 == doctest::Approx(1).epsilon(1e-4));
  }
}

TEST_CASE("batch norm: odd channels and rows") {
  for (int64_t C : {1, 3, 7, 15, 16, 17, 31, 33, 64})
    for (int64_t rows : {5, 7, 33, 130}) check({1, rows, C, 1}, C % 2 == 1 || rows > 100, rows % 2 == 1);
}

TEST_CASE("batch norm of several blocks") {
  check({1, 5000, 16, 1}, true, true);
  check({1, 9001, 5, 1}, true, false);
  check({1, 2000, 40, 1}, true, true);
  check({1, 70001, 1, 1}, true, true);
}

TEST_CASE("batch norm and max pooling in one: channels, windows, what they leave over") {
  for (int64_t C : {1, 7, 15, 16, 17, 31, 33}) check_pool({2, 1, 6, 8, C}, {1, 2, 2}, C % 2 == 1);
  check_pool({2, 1, 7, 9, 16}, {1, 2, 2}, true);
  check_pool({3, 1, 9, 7, 5}, {1, 3, 2}, true);
  check_pool({2, 4, 6, 6, 8}, {2, 2, 2}, true);
  check_pool({2, 5, 7, 3, 9}, {2, 2, 2}, true);
  check_pool({1, 1, 1, 11, 4}, {1, 1, 3}, false);
  check_pool({1, 1, 5, 5, 3}, {1, 5, 5}, true);
  check_pool({4, 1, 50, 34, 40}, {1, 2, 2}, true);
}

TEST_CASE("batch norm and max pooling in one: NaN and infinity spoil their own channel and no other") {
  check_pool({2, 1, 6, 6, 16}, {1, 2, 2}, true, [](Tensor& x) {
    x.data<float>()[3] = static_cast<float>(not_a_number);
    x.data<float>()[16 * 20 + 5] = static_cast<float>(infinite);
  });
}

TEST_CASE("instance, group and layer norm") {
  check({3, 77, 16, 1}, true, false);
  check({3, 50, 5, 1}, false, false);
  check({2, 49, 4, 8}, true, true);
  check({2, 1200, 3, 5}, true, false);
  for (int64_t K : {7, 16, 33, 300}) check({13, 1, 1, K}, true, K % 2 == 0);
  check({5, 1, 3, 12}, true, false);
  check({500, 1, 1, 96}, true, true);
}

TEST_CASE("normalisation keeps its digits when the mean is large") {
  check({1, 40000, 16, 1}, true, false, 1000, 2e-4);
  check({7, 1, 1, 256}, true, false, 1000, 2e-4);
}

TEST_CASE("normalisation: NaN and infinity spoil their own channel and no other") {
  for (bool relu : {false, true})
    check({1, 60, 16, 1}, true, relu, 0, 1e-5, [](Tensor& x) {
      x.data<float>()[3] = static_cast<float>(not_a_number);
      x.data<float>()[16 * 40 + 5] = static_cast<float>(infinite);
    });
}
