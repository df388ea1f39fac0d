#include <cstring>

#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::ConvArgs, kernels::ConvGeometry, kernels::Kernel;

namespace {

struct ConvCase {
  int64_t N, D, H, W, C, O;
  std::array<int64_t, 3> kernel;
  ConvGeometry geometry = {};
  bool bias = false;
};

std::string text(const std::array<int64_t, 3>& v) { return std::to_string(v[0]) + "," + std::to_string(v[1]) + "," + std::to_string(v[2]); }
std::string text(const ConvCase& c) {
  return "x (" + std::to_string(c.N) + ", " + std::to_string(c.D) + ", " + std::to_string(c.H) + ", " + std::to_string(c.W) + ", " +
         std::to_string(c.C) + ") O " + std::to_string(c.O) + " kernel " + text(c.kernel) + " stride " + text(c.geometry.stride) +
         " padding " + text(c.geometry.padding) + " dilation " + text(c.geometry.dilation) + " groups " +
         std::to_string(c.geometry.groups) + (c.bias ? " bias" : "");
}

// Random tensors of a case; false if the kernel does not fit into the padded image.
bool make(const ConvCase& c, ConvArgs& a) {
  const int64_t in[3] = {c.D, c.H, c.W};
  int64_t out[3];
  for (int k = 0; k < 3; k++) {
    const int64_t extent = in[k] + 2 * c.geometry.padding[k] - c.geometry.dilation[k] * (c.kernel[k] - 1) - 1;
    if (extent < 0) return false;
    out[k] = extent / c.geometry.stride[k] + 1;
  }
  a.x = normal({c.N, c.D, c.H, c.W, c.C}, 1);
  a.w = normal({c.kernel[0], c.kernel[1], c.kernel[2], c.C / c.geometry.groups, c.O}, 2);
  a.y = normal({c.N, out[0], out[1], out[2], c.O}, 3);
  a.geometry = c.geometry;
  if (c.bias) a.bias = normal({c.O}, 4);
  return true;
}

void check_all(const ConvCase& c, void (*change)(ConvArgs&) = nullptr) {
  ConvArgs a;
  if (!make(c, a)) return;
  if (change) change(a);
  const bool volume = c.D > 1 || c.kernel[0] > 1;
  check_kernel(volume ? kernels::conv3d : kernels::conv2d, a, {&ConvArgs::y}, text(c));
  check_kernel(volume ? kernels::conv3d_weight : kernels::conv2d_weight, a, {&ConvArgs::w, &ConvArgs::bias}, text(c));
  a.bias = {};
  check_kernel(volume ? kernels::conv3d_input : kernels::conv2d_input, a, {&ConvArgs::x}, text(c));
}

}  // namespace

TEST_CASE("conv2d and its adjoints: odd channels") {
  for (int64_t C : {1, 7, 15, 17, 31, 33})
    for (int64_t O : {1, 7, 15, 17, 31, 33}) check_all({1, 1, 5, 9, C, O, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, C % 2 == 1 && O != 7});
}

TEST_CASE("conv2d and its adjoints: common channels, odd images") {
  for (int64_t size : {1, 7, 15, 17, 31, 33})
    for (auto [C, O] : {std::array<int64_t, 2>{1, 16}, {16, 16}, {16, 32}, {64, 24}, {3, 8}})
      check_all({2, 1, size, 34 - size, C, O, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
}

TEST_CASE("conv2d and its adjoints: strides, padding, dilation, kernels") {
  for (int64_t stride : {1, 2, 3})
    for (int64_t padding : {0, 1, 2, 3})
      for (int64_t dilation : {1, 2})
        for (int64_t kernel : {1, 2, 3, 5})
          check_all({1, 1, 8, 11, 5, 18, {1, kernel, 3}, {{1, stride, stride}, {0, padding, padding}, {1, dilation, dilation}}, true});
  check_all({2, 1, 9, 9, 4, 6, {1, 3, 2}, {{1, 2, 3}, {0, 3, 1}, {1, 1, 2}}, true});
  check_all({1, 1, 16, 16, 16, 32, {1, 2, 2}, {{1, 2, 2}}, true});
  check_all({2, 1, 10, 14, 16, 5, {1, 2, 2}, {{1, 2, 2}}, true});
  check_all({1, 4, 6, 15, 5, 3, {2, 3, 3}, {{2, 2, 3}}, true});
  check_all({1, 1, 6, 15, 5, 3, {1, 1, 3}, {{1, 1, 3}}, true});
  check_all({2, 1, 9, 12, 16, 2, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
  check_all({1, 1, 17, 13, 3, 16, {1, 7, 7}, {{1, 2, 2}, {0, 3, 3}}});
}

TEST_CASE("conv2d and its adjoints: few channels, kernel rows of 3, 5 and 7 taps") {
  for (int64_t C : {1, 2, 3})
    for (int64_t O : {1, 4, 6, 8, 16, 17, 24})
      for (int64_t width : {1, 3, 4, 10, 15, 27}) check_all({2, 1, 9, width, C, O, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
  for (int64_t kernel : {3, 5, 7})
    for (int64_t stride : {1, 2})
      for (int64_t size : {7, 11, 24, 33})
        check_all({2, 1, size, 40 - size, 1, 7, {1, kernel, kernel}, {{1, stride, stride}, {0, kernel / 2, kernel / 2}}, true});
  check_all({1, 1, 14, 23, 3, 32, {1, 3, 3}, {{1, 2, 2}, {0, 1, 1}}, true});
  for (int64_t O : {1, 3, 5, 17}) {  // rows of y shorter than a vector
    check_all({1, 1, 9, 1, 1, O, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
    check_all({2, 3, 9, 2, 1, O, {3, 3, 3}, {{1, 1, 1}, {1, 1, 1}}, true});
  }
  check_all({1, 1, 20, 23, 1, 16, {1, 2, 3}, {{1, 3, 1}, {0, 2, 0}, {1, 2, 1}}, true});
  check_all({2, 9, 10, 12, 1, 8, {3, 3, 3}, {{1, 1, 1}, {1, 1, 1}}, true});
  check_all({1, 9, 10, 15, 1, 8, {3, 5, 5}, {{2, 2, 2}, {1, 2, 2}}, true});
  for (int64_t O : {4, 8})  // half a vector of 8 and of 16 lanes: pixels in pairs
    for (int64_t kernel : {3, 5, 7})
      for (int64_t width : {2, 6, 8, 20, 22, 46}) check_all({1, 3, 9, width, 1, O, {3, 3, kernel}, {{1, 1, 1}, {1, 1, kernel / 2}}, true});
}

TEST_CASE("convolution with an activation, and with packed weights") {
  for (auto activation : {kernels::Activation::relu, kernels::Activation::sigmoid, kernels::Activation::tanh})
    for (auto [C, O] : {std::array<int64_t, 2>{1, 6}, {3, 16}, {5, 1}, {16, 32}})
      for (int64_t stride : {1, 2}) {
        ConvArgs a;
        make({2, 1, 9, 11, C, O, {1, 3, 3}, {{1, stride, stride}, {0, 1, 1}}, true}, a);
        a.activation = activation;
        a.x.data<float>()[a.x.size() / 2] = static_cast<float>(not_a_number);
        check_kernel(kernels::conv2d, a, {&ConvArgs::y}, "activation " + std::to_string(static_cast<int>(activation)));
      }
  const auto check_packed = [](const Kernel<ConvArgs>& kernel, const ConvCase& c) {
    for (const auto& entry : kernel.cpu) {
      ConvArgs a;
      make(c, a);
      if (!entry.pack || !entry.fits(a)) continue;
      const auto out = &kernel == &kernels::conv2d ? &ConvArgs::y : &ConvArgs::x;
      entry.run(a);
      const Tensor expected = guarded(a.*out);
      a.packed = entry.pack(a);
      (a.*out).fill(not_a_number);
      entry.run(a);
      CHECK_MESSAGE(difference(a.*out, expected, 0, false) == "", kernel.name, ":", entry.name, " packed");
    }
  };
  for (auto [C, O] : {std::array<int64_t, 2>{1, 6}, {7, 17}, {32, 32}, {16, 1}})
    for (int64_t groups : {1, 2})
      for (int64_t stride : {1, 2})
        for (const auto* kernel : {&kernels::conv2d, &kernels::conv2d_input})
          if (C % groups == 0 && O % groups == 0)
            check_packed(*kernel, {2, 1, 9, 11, C, O, {1, 3, 3}, {{1, stride, stride}, {0, 1, 1}, {1, 1, 1}, groups}});
}

TEST_CASE("conv2d and its adjoints: groups") {
  for (int64_t groups : {2, 3, 6})
    for (int64_t stride : {1, 2})
      for (int64_t kernel : {1, 3})
        check_all({2, 1, 7, 9, 6, 12, {1, kernel, kernel}, {{1, stride, stride}, {0, kernel / 2, kernel / 2}, {1, 1, 1}, groups}, true});
  check_all({1, 1, 7, 9, 33, 33, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 33}, true});
  check_all({1, 1, 7, 9, 32, 64, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, {1, 2, 2}, 2}, true});
}

TEST_CASE("conv2d and its adjoints: depthwise") {
  for (int64_t C : {2, 7, 16, 33})
    for (int64_t kernel : {1, 3, 5})
      for (int64_t stride : {1, 2, 3})
        check_all({2, 1, 9, 14, C, C, {1, kernel, kernel}, {{1, stride, stride}, {0, kernel / 2, kernel / 2}, {1, 1, 1}, C}, true});
  check_all({1, 1, 3, 2, 8, 8, {1, 3, 5}, {{1, 1, 2}, {0, 2, 3}, {1, 1, 2}, 8}, true});
  check_all({1, 4, 5, 19, 4, 4, {3, 3, 3}, {{1, 2, 1}, {1, 1, 1}, {1, 1, 1}, 4}, true});
  check_all({3, 1, 50, 64, 8, 8, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 8}, true});
}

TEST_CASE("conv3d and its adjoints") {
  for (int64_t stride : {1, 2})
    for (int64_t padding : {0, 1})
      for (auto [C, O] : {std::array<int64_t, 2>{1, 8}, {8, 16}, {3, 5}})
        check_all({2, 5, 6, 7, C, O, {3, 3, 3}, {{stride, stride, stride}, {padding, padding, padding}}, true});
  check_all({1, 4, 6, 6, 6, 4, {2, 2, 2}, {{2, 2, 2}}, true});
  check_all({1, 6, 7, 9, 4, 8, {3, 2, 3}, {{1, 2, 3}, {2, 0, 1}, {2, 3, 1}, 2}, true});
  check_all({1, 1, 6, 6, 4, 4, {3, 3, 3}, {{1, 1, 1}, {1, 1, 1}}});
}

TEST_CASE("convolution of many pixels: several chunks of the weight's gradient") {
  check_all({3, 1, 64, 48, 8, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
  check_all({2, 1, 80, 70, 1, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
  check_all({2, 1, 80, 70, 16, 1, {1, 1, 1}, {}, true});
}

// Where a padding's zero meets a weight that is not finite the product may or may not be left out, so padded cases have them inside only.
TEST_CASE("convolution: NaN and infinity reach what reads them and nothing else") {
  for (int64_t C : {3, 16})
    for (int64_t stride : {1, 2}) {
      check_all({1, 1, 18, 18, C, 16, {1, 3, 3}, {{1, stride, stride}}, true}, [](ConvArgs& a) {
        a.x.data<float>()[5] = static_cast<float>(not_a_number);
        a.x.data<float>()[a.x.size() - 1] = static_cast<float>(infinite);
        a.y.data<float>()[7] = static_cast<float>(-infinite);
      });
      check_all({1, 1, 18, 18, C, 16, {1, 3, 3}, {{1, stride, stride}, {0, 1, 1}}, true}, [](ConvArgs& a) {
        a.x.data<float>()[(7 * 18 + 9) * a.x.dim(4)] = static_cast<float>(not_a_number);
        a.y.data<float>()[(3 * a.y.dim(3) + 4) * 16 + 2] = static_cast<float>(infinite);
      });
    }
}

TEST_CASE("convolution: a NaN of the weights reaches every pixel of its output channel") {
  for (int64_t C : {3, 16}) {
    ConvArgs a;
    make({1, 1, 9, 9, C, 16, {1, 3, 3}}, a);
    a.w.data<float>()[3] = static_cast<float>(not_a_number);
    check_kernel(kernels::conv2d, a, {&ConvArgs::y}, "NaN weight");
  }
}

TEST_CASE("convolution of an empty batch: nothing is written, weights get no gradient") {
  check_all({0, 1, 5, 5, 3, 4, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
  check_all({0, 1, 5, 5, 16, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
  check_all({0, 1, 5, 5, 64, 64, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, true});
}

TEST_CASE("transposed convolution with windows side by side, among other channels") {
  for (int64_t C : {1, 7, 16, 33})
    for (int64_t O : {1, 7, 15, 16, 17, 31, 33, 64})
      for (const std::array<int64_t, 3> kernel : {std::array<int64_t, 3>{1, 2, 2}, {2, 2, 2}, {1, 3, 1}}) {
        const int64_t D = kernel[0], H = 3, W = C % 2 ? 5 : 17, before = O % 3, channels = before + O + C % 3;
        kernels::UpConvArgs a{normal({2, D, H, W, C}, 1), normal({kernel[0], kernel[1], kernel[2], O, C}, 2),
                              guarded({2, D * kernel[0], H * kernel[1], W * kernel[2], channels}, Dtype::f32), before};
        if (C != 7) a.bias = normal({O}, 3);
        if (O % 2) a.activation = kernels::Activation::relu;
        const std::string repro = "C " + std::to_string(C) + " O " + std::to_string(O) + " kernel " + text(kernel);
        check_kernel(kernels::up_conv, a, {&kernels::UpConvArgs::y}, repro);
        const auto& entry = kernels::up_conv.choose(a);
        kernels::UpConvArgs b = a;
        b.packed = entry.pack(a), b.w = normal(a.w.shape(), 9), b.y = a.y.clone();  // w itself is not read
        entry.run(a), entry.run(b);
        CHECK_MESSAGE(std::memcmp(a.y.raw(), b.y.raw(), static_cast<size_t>(a.y.bytes())) == 0, repro, " packed");
      }
}
