#include <cstring>
#include <thread>

#include "tensor/cpu/bf16.h"
#include "tensor/precision.h"
#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::ConvArgs, kernels::ConvGeometry, kernels::MatmulArgs;

namespace {

uint32_t bits(float x) {
  uint32_t b;
  std::memcpy(&b, &x, 4);
  return b;
}
float value(uint32_t b) {
  float x;
  std::memcpy(&x, &b, 4);
  return x;
}

// The bf16 nearest to x by its definition: of the two neighbours the nearer one, of two as near the even one; beyond the largest comes
// infinity.
uint16_t model(float x) {
  const auto below = static_cast<uint16_t>(bits(x) >> 16);
  if (std::isnan(x)) return below | 0x40;
  if (std::isinf(x)) return below;
  const auto above = static_cast<uint16_t>(below + 1);
  const auto size = [](uint16_t b) { return b % 0x8000 == 0x7f80 ? 0x1p128 : std::abs(static_cast<double>(value(uint32_t{b} << 16))); };
  const double down = std::abs(static_cast<double>(x)) - size(below), up = size(above) - std::abs(static_cast<double>(x));
  return down < up || (down == up && below % 2 == 0) ? below : above;
}

// The tables of all instruction sets that the processor has, and the one with the dot product.
std::vector<const cpu::Bf16*> tables() {
  std::vector<const cpu::Bf16*> all;
  const cpu::Isa before = cpu::isa();
  for (cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::v3, cpu::Isa::v4}) {
    if (!cpu::has_isa(isa)) continue;
    cpu::set_isa(isa);
    all.push_back(&cpu::bf16_emulated());
    if (cpu::bf16().native) all.push_back(&cpu::bf16());
  }
  cpu::set_isa(before);
  return all;
}

// Operands that are bf16 already: the reference on them is what a product of bf16 must give.
void round_values(const Tensor& t) {
  for (int64_t i = 0; t && i < t.size(); i++) t.data<float>()[i] = value(uint32_t{model(t.data<float>()[i])} << 16);
}

const CheckOptions bf16_alone{.only = "bf16"};

MatmulArgs make_matmul(int64_t batch_a, int64_t batch_b, int64_t M, int64_t N, int64_t K, int transposes, bool bias) {
  const bool ta = transposes & 1, tb = transposes & 2;
  MatmulArgs a{ta ? normal({batch_a, K, M}, 1) : normal({batch_a, M, K}, 1), tb ? normal({batch_b, N, K}, 2) : normal({batch_b, K, N}, 2),
               normal({std::max(batch_a, batch_b), M, N}, 3), ta, tb};
  if (bias) a.bias = normal({N}, 4);
  return a;
}

void check(MatmulArgs a, const std::string& name = "") {
  round_values(a.a), round_values(a.b);
  check_kernel(kernels::matmul, a, {&MatmulArgs::y},
               to_string(a.a.shape()) + (a.transpose_a ? "^T" : "") + " x " + to_string(a.b.shape()) + (a.transpose_b ? "^T" : "") +
                   (a.bias ? " bias " : " ") + name,
               bf16_alone);
}

ConvArgs make_conv(const Shape& x, int64_t O, const Shape& kernel, const ConvGeometry& g, bool bias = true) {
  Shape y{x[0]};
  for (size_t k = 0; k < 3; k++) y.push_back((x[k + 1] + 2 * g.padding[k] - g.dilation[k] * (kernel[k] - 1) - 1) / g.stride[k] + 1);
  y.push_back(O);
  return {normal(x, 1), normal({kernel[0], kernel[1], kernel[2], x[4] / g.groups, O}, 2), normal(y, 3), g,
          bias ? normal({O}, 4) : Tensor{}};
}

void check(ConvArgs a) {
  round_values(a.x), round_values(a.w), round_values(a.y);
  const auto& g = a.geometry;
  const std::string name = "x " + to_string(a.x.shape()) + " w " + to_string(a.w.shape()) + " stride " + std::to_string(g.stride[2]) +
                           " padding " + std::to_string(g.padding[2]) + " dilation " + std::to_string(g.dilation[2]) + " groups " +
                           std::to_string(g.groups);
  const bool volume = a.x.dim(1) > 1;
  check_kernel(volume ? kernels::conv3d : kernels::conv2d, a, {&ConvArgs::y}, name, bf16_alone);
  check_kernel(volume ? kernels::conv3d_weight : kernels::conv2d_weight, a, {&ConvArgs::w, &ConvArgs::bias}, name, bf16_alone);
  a.bias = {};
  check_kernel(volume ? kernels::conv3d_input : kernels::conv2d_input, a, {&ConvArgs::x}, name, bf16_alone);
}

// |got - exact| <= 2^-8 * the sum of |products|, the stated bound for operands that are no bf16.
template <class Args>
void check_bound(const kernels::Kernel<Args>& kernel, Args a, Tensor Args::*output, std::vector<Tensor Args::*> operands) {
  Args exact = a, sizes = a;
  for (auto* args : {&exact, &sizes})
    for (Tensor* t : tensors(*args))
      if (*t) *t = t->to(Dtype::f64);
  for (auto operand : operands) {
    Tensor& t = sizes.*operand;
    t = t.clone();
    for (int64_t i = 0; i < t.size(); i++) t.template data<double>()[i] = std::abs(t.template data<double>()[i]);
  }
  kernel.cpu.back().run(exact);
  kernel.cpu.back().run(sizes);
  kernel(a);
  double worst = 0;
  for (int64_t i = 0; i < (a.*output).size(); i++) {
    const double got = static_cast<double>((a.*output).template data<float>()[i]), want = (exact.*output).template data<double>()[i];
    worst = std::max(worst, std::abs(got - want) / (sizes.*output).template data<double>()[i]);
  }
  CHECK_MESSAGE(worst < 0x1.01p-8, kernel.name);
  CHECK_MESSAGE(worst > 0x1p-14, kernel.name);  // operands were rounded
}

}  // namespace

TEST_CASE("bf16: rounding is that of the definition, to the bit") {
  std::vector<float> x;
  for (uint32_t sign : {0u, 0x80000000u})
    for (uint32_t high : {0u, 1u, 0x7fu, 0x80u, 0x81u, 0x3f80u, 0x3f81u, 0x4049u, 0x7f7eu, 0x7f7fu, 0x7f80u, 0x7fc0u, 0x7fffu})
      for (uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
        x.push_back(value(sign | high << 16 | low));  // ties, denormals, NaN
  Random random(3, "bf16");
  for (int i = 0; i < 100000; i++) x.push_back(value(random.bits()));
  const auto n = static_cast<int64_t>(x.size());
  for (const cpu::Bf16* table : tables()) {
    std::vector<uint16_t> single(n), both(2 * n), one(2 * n);
    table->round(x.data(), n, single.data());
    table->pairs(x.data(), x.data(), n, both.data());
    table->pairs(x.data(), nullptr, n, one.data());
    int wrong = 0;
    for (int64_t i = 0; i < n; i++) {
      const uint16_t expected = model(x[i]);
      wrong +=
          single[i] != expected || both[2 * i] != expected || both[2 * i + 1] != expected || one[2 * i] != expected || one[2 * i + 1] != 0;
    }
    CHECK_MESSAGE(wrong == 0, table->name);
    for (int64_t length = 0; length < 40; length++) {  // tails: nothing behind the end is written
      std::vector<uint16_t> some(2 * length + 1, 0xdead);
      table->round(x.data() + length, length, some.data());
      CHECK(some[length] == 0xdead);
      table->pairs(x.data() + length, x.data(), length, some.data());
      CHECK(some[2 * length] == 0xdead);
      for (int64_t i = 0; i < length; i++) CHECK((some[2 * i] == model(x[length + i]) && some[2 * i + 1] == model(x[i])));
    }
  }
}

TEST_CASE("bf16: products have the same bits on every instruction set, emulated or not") {
  constexpr int64_t rows = 29, depth = 37, width = 32;
  Random random(4, "bf16");
  std::vector<uint16_t> x(3 * rows * depth), w(3 * (depth + 1) * width, 0);
  for (auto& v : x) v = model(static_cast<float>(random.normal()));
  for (int64_t i = 0; i < static_cast<int64_t>(w.size()); i++)
    if (i % 2 == 0 || i / (2 * width) % ((depth + 1) / 2) != depth / 2) w[i] = model(static_cast<float>(random.normal()));
  const uint16_t* xs[] = {x.data(), x.data() + rows * depth, x.data() + 2 * rows * depth};
  const uint16_t* ws[] = {w.data(), w.data() + (depth + 1) * width, w.data() + 2 * (depth + 1) * width};
  for (int64_t columns : {1, 2, 4, 7, 8}) {  // of all tables' widths
    std::vector<float> first;
    for (const cpu::Bf16* table : tables()) {
      std::vector<float> y(rows * columns, 1.0f);
      table->product({xs, ws, 3, depth, rows, columns, depth, width, y.data(), columns, nullptr, true});
      if (first.empty()) first = y;
      CHECK_MESSAGE(std::memcmp(first.data(), y.data(), y.size() * 4) == 0, table->name);
    }
  }
}

TEST_CASE("bf16 matmul: odd sizes, transposes, bias, batches") {
  const PrecisionScope scope(Precision::bf16);
  for (int64_t M : {1, 7, 17, 33})
    for (int64_t N : {1, 7, 15, 17, 31, 33})
      for (int64_t K : {1, 2, 15, 33})
        for (int transposes : {0, 1, 2, 3}) check(make_matmul(1, 1, M, N, K, transposes, (M + N + K) % 2));
  for (int transposes : {0, 1, 2, 3}) {
    check(make_matmul(1, 1, 230, 150, 700, transposes, true));
    check(make_matmul(3, 3, 5, 17, 9, transposes, true));
    check(make_matmul(1, 3, 5, 17, 9, transposes, false));
    check(make_matmul(3, 1, 40, 33, 20, transposes, false));
  }
  check(make_matmul(1, 1, 5, 300, 1024, 0, true));
  check(make_matmul(1, 1, 3, 5, 0, 0, true));
  check(make_matmul(1, 1, 0, 5, 4, 0, false));
  check(make_matmul(1, 1, 3, 0, 4, 3, false));
}

TEST_CASE("bf16 matmul: activations; packed weights give the same bits") {
  const PrecisionScope scope(Precision::bf16);
  for (const auto activation : {kernels::Activation::relu, kernels::Activation::sigmoid, kernels::Activation::tanh}) {
    MatmulArgs a = make_matmul(1, 1, 33, 150, 20, 2, true);
    a.activation = activation;
    check(a, "activation");
    const Tensor y = a.y.clone();
    kernels::matmul(a);
    y.copy_from(a.y);
    a.packed = kernels::matmul.choose(a).pack(a);
    a.y.fill(not_a_number);
    kernels::matmul(a);
    CHECK(std::memcmp(a.y.raw(), y.raw(), y.bytes()) == 0);
  }
}

TEST_CASE("bf16 matmul: NaN and infinity reach their row and column and nothing else") {
  const PrecisionScope scope(Precision::bf16);
  for (int64_t K : {17, 18})
    for (int transposes : {0, 1, 2, 3}) {
      const MatmulArgs a = make_matmul(1, 1, 20, 40, K, transposes, false);
      a.a.data<float>()[7] = static_cast<float>(not_a_number);
      a.b.data<float>()[a.b.size() - 1] = static_cast<float>(infinite);
      check(a, "not finite");
    }
}

TEST_CASE("bf16 convolutions: odd channels and images") {
  const PrecisionScope scope(Precision::bf16);
  for (int64_t C : {1, 7, 16, 33})
    for (int64_t O : {1, 15, 17, 33, 40}) check(make_conv({1, 1, 5, 9, C}, O, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}));
  for (int64_t size : {1, 7, 17, 31}) check(make_conv({2, 1, size, 32 - size, 16}, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}));
  check(make_conv({3, 1, 48, 48, 8}, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}));  // several chunks
}

TEST_CASE("bf16 convolutions: strides, padding, dilation, kernels, groups") {
  const PrecisionScope scope(Precision::bf16);
  for (int64_t stride : {1, 2, 3})
    for (int64_t padding : {0, 1, 3})
      for (int64_t dilation : {1, 2})
        for (int64_t kernel : {1, 2, 3})
          for (int64_t C : {1, 5})
            check(make_conv({1, 1, 8, 11, C}, 18, {1, kernel, 3}, {{1, stride, stride}, {0, padding, padding}, {1, dilation, dilation}}));
  for (int64_t C : {3, 16}) {
    check(make_conv({2, 1, 10, 14, C}, 5, {1, 2, 2}, {{1, 2, 2}}));  // windows side by side
    check(make_conv({2, 1, 5, 7, C}, 33, {1, 1, 1}, {}));
  }
  check(make_conv({1, 1, 17, 13, 3}, 16, {1, 7, 7}, {{1, 2, 2}, {0, 3, 3}}, false));
  for (int64_t groups : {2, 3, 6})
    for (int64_t kernel : {1, 3}) check(make_conv({2, 1, 7, 9, 6}, 12, {1, kernel, kernel}, {{1, 2, 1}, {0, 1, 1}, {1, 1, 1}, groups}));
  check(make_conv({1, 1, 7, 9, 32}, 72, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, {1, 2, 2}, 2}));
  check(make_conv({0, 1, 5, 5, 3}, 4, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}));
}

TEST_CASE("bf16 convolutions: volumes") {
  const PrecisionScope scope(Precision::bf16);
  for (int64_t stride : {1, 2}) check(make_conv({2, 5, 6, 7, 3}, 5, {3, 3, 3}, {{stride, stride, stride}, {1, 1, 1}}));
  check(make_conv({1, 6, 7, 9, 4}, 8, {3, 2, 3}, {{1, 2, 3}, {2, 0, 1}, {2, 3, 1}, 2}));
}

TEST_CASE("bf16 convolutions: NaN and infinity reach what reads them and nothing else") {
  const PrecisionScope scope(Precision::bf16);
  for (int64_t C : {3, 16})
    for (int64_t stride : {1, 2}) {
      const ConvArgs a = make_conv({1, 1, 18, 18, C}, 16, {1, 3, 3}, {{1, stride, stride}});
      a.x.data<float>()[5] = static_cast<float>(not_a_number);
      a.x.data<float>()[a.x.size() - 1] = static_cast<float>(infinite);
      a.y.data<float>()[7] = static_cast<float>(-infinite);
      check(a);
    }
}

TEST_CASE("bf16 convolutions: activations; packed weights give the same bits") {
  const PrecisionScope scope(Precision::bf16);
  for (int64_t groups : {1, 2}) {
    ConvArgs a = make_conv({1, 1, 7, 9, 6}, 10, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, {1, 1, 1}, groups});
    a.activation = kernels::Activation::relu;
    round_values(a.x), round_values(a.w);
    check_kernel(kernels::conv2d, a, {&ConvArgs::y}, "relu", bf16_alone);
    for (const auto* kernel : {&kernels::conv2d, &kernels::conv2d_input}) {
      Tensor ConvArgs::*out = kernel == &kernels::conv2d ? &ConvArgs::y : &ConvArgs::x;
      ConvArgs b = a;
      if (out == &ConvArgs::x) b.bias = {}, b.activation = kernels::Activation::none;
      (*kernel)(b);
      const Tensor first = (b.*out).clone();
      b.packed = kernel->choose(b).pack(b);
      (b.*out).fill(not_a_number);
      (*kernel)(b);
      CHECK(std::memcmp((b.*out).raw(), first.raw(), first.bytes()) == 0);
    }
  }
}

TEST_CASE("bf16: operands in f32 are off by what rounding them may cost") {
  const PrecisionScope scope(Precision::bf16);
  check_bound(kernels::matmul, make_matmul(1, 1, 40, 50, 300, 2, false), &MatmulArgs::y, {&MatmulArgs::a, &MatmulArgs::b});
  const ConvArgs a = make_conv({2, 1, 16, 16, 16}, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}}, false);
  check_bound(kernels::conv2d, a, &ConvArgs::y, {&ConvArgs::x, &ConvArgs::w});
  check_bound(kernels::conv2d_input, a, &ConvArgs::x, {&ConvArgs::y, &ConvArgs::w});
  check_bound(kernels::conv2d_weight, a, &ConvArgs::w, {&ConvArgs::x, &ConvArgs::y});
}

TEST_CASE("precision: set, scoped, named; it decides which entry runs") {
  const Precision before = precision();
  const MatmulArgs a = make_matmul(1, 1, 3, 4, 5, 0, false);
  {
    const PrecisionScope outer(Precision::bf16);
    CHECK(precision() == Precision::bf16);
    CHECK(std::string(kernels::matmul.choose(a).name) == "bf16");
    {
      const PrecisionScope inner(Precision::f32);
      CHECK(precision() == Precision::f32);
      CHECK(std::string(kernels::matmul.choose(a).name) != "bf16");
    }
    CHECK(precision() == Precision::bf16);
    std::thread([before] { CHECK(precision() == before); }).join();  // a scope is its thread's own
    MatmulArgs wide = a;
    for (Tensor* t : {&wide.a, &wide.b, &wide.y}) *t = t->to(Dtype::f64);
    CHECK(std::string(kernels::matmul.choose(wide).name) != "bf16");
  }
  CHECK(precision() == before);
  set_precision(Precision::bf16);
  CHECK(precision() == Precision::bf16);
  set_precision(before);
  CHECK(precision_named("bf16") == Precision::bf16);
  CHECK(precision_named(to_string(Precision::f32)) == Precision::f32);
  CHECK_THROWS_WITH_AS(precision_named("half"), "unknown precision 'half'; known are f32 and bf16", Error);
}
