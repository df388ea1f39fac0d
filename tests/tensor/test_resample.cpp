#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::AdaptiveMaxArgs;
using kernels::ResampleArgs;
using kernels::Resampling;

TEST_CASE("resample and its adjoint: guards, NaN outputs, threads, <A x, y> = <x, A* y>") {
  const std::vector<std::pair<Shape, Shape>> shapes{
      {{1, 1, 1, 7, 1}, {1, 1, 1, 3, 1}},     {{2, 1, 5, 7, 3}, {2, 1, 13, 4, 3}},
      {{1, 3, 4, 5, 17}, {1, 5, 1, 9, 17}},   {{2, 1, 33, 31, 4}, {2, 1, 66, 62, 4}},
      {{2, 1, 15, 17, 1}, {2, 1, 30, 34, 1}}, {{1, 1, 40, 33, 2}, {1, 1, 7, 33, 2}},  // one axis stays
      {{3, 4, 9, 5, 33}, {3, 1, 1, 1, 33}}};                                          // the mean over space
  for (const auto& [xs, ys] : shapes)
    for (Resampling mode : {Resampling::nearest, Resampling::linear, Resampling::linear_corners, Resampling::average}) {
      const std::string repro = to_string(xs) + " to " + to_string(ys) + " mode " + std::to_string(static_cast<int>(mode));
      const Tensor x = normal(xs, 1), y = normal(ys, 2);
      check_kernel(kernels::resample, ResampleArgs{x, y, mode}, {&ResampleArgs::y}, repro);
      check_kernel(kernels::resample_adjoint, ResampleArgs{x, y, mode}, {&ResampleArgs::x}, repro);
      const Tensor x64 = x.to(Dtype::f64), y64 = y.to(Dtype::f64), ax = Tensor::empty_like(y64), ay = Tensor::empty_like(x64);
      kernels::resample({x64, ax, mode});
      kernels::resample_adjoint({ay, y64, mode});
      double left = 0, right = 0;
      for (int64_t i = 0; i < y64.size(); i++) left += ax.data<double>()[i] * y64.data<double>()[i];
      for (int64_t i = 0; i < x64.size(); i++) right += x64.data<double>()[i] * ay.data<double>()[i];
      CHECK(left == doctest::Approx(right).epsilon(1e-12));
    }
}

TEST_CASE("resampling a constant gives the constant; a ramp stays a ramp inside") {
  const Tensor x = Tensor::arange(8, Dtype::f64).view({1, 1, 1, 8, 1}), y({1, 1, 1, 16, 1}, Dtype::f64);
  kernels::resample({x, y, Resampling::linear});
  for (int64_t i = 1; i < 15; i++) CHECK(y.at({0, 0, 0, i, 0}) == doctest::Approx((static_cast<double>(i) + 0.5) / 2 - 0.5));
  const Tensor ones = Tensor::full({1, 2, 3, 4, 1}, 5), bigger({1, 5, 2, 7, 1});
  for (Resampling mode : {Resampling::nearest, Resampling::linear, Resampling::linear_corners, Resampling::average}) {
    kernels::resample({ones, bigger, mode});
    for (float v : bigger.to_vector<float>()) CHECK(v == doctest::Approx(5));
  }
}

TEST_CASE("a NaN reaches those who read it, no others") {
  const Tensor x = normal({1, 1, 6, 7, 5}, 1);
  x.data<float>()[(2 * 7 + 3) * 5 + 1] = NAN, x.data<float>()[3] = INFINITY;
  for (Resampling mode : {Resampling::nearest, Resampling::linear, Resampling::linear_corners, Resampling::average})
    for (const Shape& ys : {Shape{1, 1, 12, 14, 5}, Shape{1, 1, 3, 4, 5}})
      check_kernel(kernels::resample, ResampleArgs{x, normal(ys, 2), mode}, {&ResampleArgs::y}, "NaN to " + to_string(ys));
}

TEST_CASE("grid_sample and its gradients: guards, NaN outputs, threads") {
  for (const auto& [xs, out] : std::vector<std::pair<Shape, Shape>>{{{1, 1, 7, 5, 1}, {1, 3, 3}},
                                                                    {{2, 1, 17, 31, 3}, {1, 33, 15}},
                                                                    {{9, 1, 8, 8, 17}, {1, 7, 11}},
                                                                    {{1, 1, 1, 1, 4}, {1, 2, 2}},
                                                                    {{2, 5, 7, 3, 33}, {3, 4, 5}},
                                                                    {{1, 4, 4, 4, 1}, {0, 4, 5}}})
    for (bool nearest : {false, true})
      for (bool corners : {false, true}) {
        const int64_t dims = xs[1] > 1 ? 3 : 2;
        const Tensor x = normal(xs, 1), gy = normal({xs[0], out[0], out[1], out[2], xs[4]}, 2);
        Tensor grid = guarded(random_uniform({xs[0], out[0], out[1], out[2], dims}, 7, 3, -1.3, 1.3));  // some lie outside
        if (grid.size()) grid.data<float>()[0] = NAN;
        const std::string repro =
            to_string(xs) + " at " + to_string(grid.shape()) + (nearest ? " nearest" : "") + (corners ? " corners" : "");
        check_kernel(kernels::grid_sample, kernels::GridSampleArgs{x, grid, gy, nearest, corners}, {&kernels::GridSampleArgs::y}, repro);
        using Backward = kernels::GridSampleBackwardArgs;
        check_kernel(kernels::grid_sample_backward, Backward{x, grid, gy, x, grid, nearest, corners}, {&Backward::gx, &Backward::ggrid},
                     repro);
        check_kernel(kernels::grid_sample_backward, Backward{x, grid, gy, x, {}, nearest, corners}, {&Backward::gx}, repro);
      }
}

TEST_CASE("grid_sample: the identity grid gives the image, far away and NaN coordinates give zero") {
  const Tensor x = normal({1, 1, 5, 4, 3}, 1), y = guarded({1, 1, 5, 4, 3}, Dtype::f32), grid({1, 1, 5, 4, 2});
  for (int64_t i = 0; i < 5; i++)
    for (int64_t j = 0; j < 4; j++) {
      grid.data<float>()[(i * 4 + j) * 2] = static_cast<float>(2 * j + 1) / 4 - 1;
      grid.data<float>()[(i * 4 + j) * 2 + 1] = static_cast<float>(2 * i + 1) / 5 - 1;
    }
  for (bool nearest : {false, true}) {
    kernels::grid_sample({x, grid, y, nearest, false});
    CHECK(difference(y, x, 1e-6, false) == "");
  }
  CHECK(guards_hold(y));
  for (float far : {1e30f, -1e30f, -5.0f, NAN, INFINITY}) {
    grid.data<float>()[0] = far;
    const Tensor gx = guarded(x.shape(), Dtype::f32), ggrid = guarded(grid.shape(), Dtype::f32);
    kernels::grid_sample({x, grid, y, false, false});
    kernels::grid_sample_backward({x, grid, y, gx, ggrid, false, false});
    for (int64_t c = 0; c < 3; c++) CHECK(y.at({0, 0, 0, 0, c}) == 0);
    CHECK(ggrid.at({0, 0, 0, 0, 0}) == 0);
    CHECK(guards_hold(gx));
    CHECK(guards_hold(ggrid));
  }
}
