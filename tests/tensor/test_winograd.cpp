// Winograd convolutions beyond what test_conv.cpp runs of every entry: edges, volumes, several chunks and panels, rounding errors.
#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::ConvArgs, kernels::Kernel;

namespace {

ConvArgs make(const Shape& x, int64_t planes, int64_t O, std::array<int64_t, 3> padding, bool bias, int64_t stride = 1) {
  const auto out = [&](int64_t axis, int64_t kernel) { return (x[axis] + 2 * padding[axis - 1] - kernel) / stride + 1; };
  ConvArgs a{normal(x, 1), normal({planes, 3, 3, x[4], O}, 2), normal({x[0], out(1, planes), out(2, 3), out(3, 3), O}, 3), {}};
  a.geometry.padding = padding, a.geometry.stride = {1, stride, stride};
  if (bias) a.bias = normal({O}, 4);
  return a;
}

void check_all(const Shape& x, int64_t planes, int64_t O, std::array<int64_t, 3> padding, int64_t stride = 1) {
  ConvArgs a = make(x, planes, O, padding, true, stride);
  const std::string text = "x " + to_string(x) + " w " + to_string(a.w.shape()) + " y " + to_string(a.y.shape());
  const std::vector<const char*> entries =
      stride == 2 ? std::vector<const char*>{"winograd_stride2"} : std::vector<const char*>{"winograd4", "winograd2"};
  for (const char* entry : entries) {
    a.bias = normal({O}, 4);
    check_kernel(kernels::conv3d, a, {&ConvArgs::y}, text, {.only = entry});
    check_kernel(kernels::conv3d_weight, a, {&ConvArgs::w, &ConvArgs::bias}, text, {.only = entry});
    a.bias = {};
    check_kernel(kernels::conv3d_input, a, {&ConvArgs::x}, text, {.only = entry});
  }
}

// The largest difference of an entry's result to the sum in f64, relative to the largest value.
double error(const Kernel<ConvArgs>& kernel, const char* name, ConvArgs a, Tensor ConvArgs::*out) {
  ConvArgs exact{a.x.to(Dtype::f64), a.w.to(Dtype::f64), a.y.to(Dtype::f64), a.geometry};
  if (a.norm.mean) exact.norm = {a.norm.mean.to(Dtype::f64), a.norm.scale.to(Dtype::f64), a.norm.shift.to(Dtype::f64)};
  kernel.cpu.back().run(exact);
  for (const auto& entry : kernel.cpu)
    if (std::string(entry.name) == name) entry.run(a);
  const std::vector<double> got = (a.*out).to_vector<double>(), expected = (exact.*out).to_vector<double>();
  double largest = 0, difference = 0;
  for (size_t i = 0; i < got.size(); i++)
    largest = std::max(largest, std::abs(expected[i])), difference = std::max(difference, std::abs(got[i] - expected[i]));
  return difference / largest;
}

}  // namespace

TEST_CASE("winograd: edges, padding") {
  for (int64_t size : {1, 2, 3, 4, 5, 8, 14})
    for (int64_t padding : {0, 1, 2})
      if (size + 2 * padding >= 3) check_all({2, 1, size, size + 3, 8}, 1, 12, {0, padding, 2 - padding / 2});
}

TEST_CASE("winograd: channels in parts and panels") {
  for (int64_t C : {2, 5, 9, 12, 20, 24, 40})
    for (int64_t O : {3, 6, 10, 20, 28, 72}) check_all({1, 1, 6, 7, C}, 1, O, {0, 1, 1});
  check_all({1, 1, 9, 10, 150}, 1, 33, {0, 1, 1});
  check_all({1, 1, 6, 10, 33}, 1, 280, {0, 1, 1});
  check_all({1, 1, 5, 9, 200}, 1, 184, {0, 1, 1});
  check_all({1, 2, 5, 6, 72}, 2, 90, {1, 1, 1});
}

TEST_CASE("winograd: volumes") {
  for (int64_t planes : {1, 2, 3})
    for (int64_t depth : {1, 2, 5})
      for (int64_t padding = 0; padding < planes; padding++)
        if (depth + 2 * padding >= planes) check_all({2, depth, 5, 9, 6}, planes, 17, {padding, 1, 1});
  check_all({1, 37, 9, 11, 3}, 3, 5, {1, 1, 1});
}

TEST_CASE("winograd: many tiles") {
  check_all({3, 1, 60, 50, 16}, 1, 16, {0, 1, 1});
  check_all({2, 1, 40, 44, 40}, 1, 48, {0, 1, 1});
  check_all({2, 7, 22, 30, 8}, 3, 16, {1, 1, 1});
}

// Weights' gradients with more sums than a cache holds: several groups, within an image and across images.
TEST_CASE("winograd: many channels and tiles") {
  check_all({2, 1, 40, 44, 72}, 1, 96, {0, 1, 1});
  check_all({3, 5, 18, 26, 20}, 3, 40, {1, 1, 1});
  check_all({2, 4, 20, 23, 40}, 2, 56, {0, 1, 1});
  check_all({3, 1, 45, 50, 48}, 1, 96, {0, 1, 1}, 2);
}

TEST_CASE("winograd: stride 2") {
  for (int64_t size : {1, 2, 3, 4, 7, 8, 16, 17, 18})
    for (int64_t padding : {0, 1, 2})
      if (size + 2 * padding >= 3) {
        check_all({2, 1, size, size + 3, 8}, 1, 12, {0, padding, padding}, 2);
        check_all({1, 1, size + 2, size, 5}, 1, 20, {0, 2 - padding, padding}, 2);
      }
  for (int64_t C : {2, 9, 20, 40})
    for (int64_t O : {3, 10, 28, 72}) check_all({1, 1, 12, 14, C}, 1, O, {0, 1, 1}, 2);
  check_all({3, 1, 60, 50, 16}, 1, 32, {0, 1, 1}, 2);
  check_all({2, 1, 37, 44, 40}, 1, 48, {0, 1, 1}, 2);
  check_all({8, 1, 16, 16, 64}, 1, 128, {0, 1, 1}, 2);
  check_all({1, 1, 15, 22, 20}, 1, 130, {0, 1, 1}, 2);
  check_all({1, 1, 9, 17, 150}, 1, 280, {0, 1, 1}, 2);
}

TEST_CASE("winograd: an input norm, with zeros around the image") {
  for (auto [depth, size, C, O, padding] :
       {std::array<int64_t, 5>{1, 11, 16, 16, 1}, {1, 30, 20, 8, 2}, {1, 7, 64, 40, 0}, {4, 9, 12, 20, 1}}) {
    ConvArgs a = make({2, depth, size, size + 2, C}, depth > 1 ? 3 : 1, O, {depth > 1 ? 1 : 0, padding, padding}, false);
    a.norm = {random_normal({C}, 1, 7), random_normal({C}, 1, 8), random_normal({C}, 1, 9, 1)};
    for (const char* name : {"winograd4", "winograd2"}) {
      CHECK(error(kernels::conv2d, name, a, &ConvArgs::y) < 2e-5);
      CHECK(error(kernels::conv2d_weight, name, a, &ConvArgs::w) < 2e-5);
    }
  }
}

// Direct sums in f32 are within 1e-6 of the largest value here.
TEST_CASE("winograd: rounding errors") {
  for (auto [size, C, O] : {std::array<int64_t, 3>{32, 16, 16}, {16, 64, 64}, {16, 128, 32}}) {
    const auto check = [&](const char* name, double bound, int64_t stride = 1) {
      const ConvArgs a = make({2, 1, size, size, C}, 1, O, {0, 1, 1}, false, stride);
      CHECK(error(kernels::conv2d, name, a, &ConvArgs::y) < bound);
      CHECK(error(kernels::conv2d_input, name, a, &ConvArgs::x) < bound);
      CHECK(error(kernels::conv2d_weight, name, a, &ConvArgs::w) < bound);
    };
    check("winograd4", 1e-5);
    check("winograd2", 2e-6);
    check("winograd_stride2", 1e-5, 2);
  }
}
