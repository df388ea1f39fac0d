#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;
using namespace sono::elementwise;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

Tensor inputs_for(const Domain& d, const Shape& shape, uint64_t stream) {
  Tensor x = random_uniform(shape, 5, stream, d.low, d.high, Dtype::f32);
  const float specials[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), 0.0f, -0.0f};
  if (x.rank() == 1)
    for (int64_t i = 0; i < 5 && i < x.size(); i++) x.data<float>()[x.size() - 1 - i] = specials[i];
  return x;
}

// Equal up to a few ulp, or equally NaN or infinite.
void check_close(const char* name, float got, double wanted, int64_t i) {
  CAPTURE(std::string(name));
  CAPTURE(i);
  if (std::isnan(wanted)) {
    REQUIRE(std::isnan(got));
  } else if (std::isinf(static_cast<float>(wanted))) {
    REQUIRE(static_cast<double>(got) == wanted);
  } else {
    REQUIRE(std::abs(got - wanted) <= 2e-6 * std::max(1.0, std::abs(wanted)));
  }
}

template <class Op>
void check_unary(int64_t n) {
  const Op op;
  const Tensor x = inputs_for(Op::domain, {n}, 1), g = random_normal({n}, 5, 2);
  Tensor y = Tensor::full({n}, NAN), dx = Tensor::full({n}, NAN);
  kernels::map(op, x, y);
  constexpr bool of_output = keeps_output<Op>;
  kernels::map_vjp(op, g, of_output ? y : x, dx);
  for (int64_t i = 0; i < n; i++) {
    const double v = x.data<float>()[i], value = op.template f<double>(v), upstream = g.data<float>()[i];
    check_close(Op::name, y.data<float>()[i], value, i);
    if constexpr (of_output)
      check_close(Op::name, dx.data<float>()[i], op.template vjp_of_output<double>(upstream, y.data<float>()[i]), i);
    else
      check_close(Op::name, dx.data<float>()[i], op.template vjp<double>(upstream, v), i);
  }
}

template <class Op>
void check_binary(const Shape& a_shape, const Shape& b_shape) {
  const Op op;
  const Shape shape = kernels::broadcast_shape("test", a_shape, b_shape);
  const Tensor a = inputs_for(Op::domain, a_shape, 1), b = random_uniform(b_shape, 5, 2, Op::domain.low, Op::domain.high);
  Tensor y = Tensor::full(shape, NAN), left = y.clone(), right = y.clone();
  const Tensor g = random_normal(shape, 5, 3);
  kernels::map(op, a, b, y);
  kernels::map_vjp_left(op, g, a, b, left);
  kernels::map_vjp_right(op, g, a, b, right);
  const auto index = [&](const Shape& s, int64_t i) {  // of the operand's element under output element i
    int64_t at = 0, step = 1;
    for (size_t k = shape.size(), m = s.size(); k-- > 0; i /= shape[k])
      if (m > 0) {
        m--;
        at += (s[m] == 1 ? 0 : i % shape[k]) * step;
        step *= s[m];
      }
    return at;
  };
  for (int64_t i = 0; i < y.size(); i++) {
    const double u = a.data<float>()[index(a_shape, i)], v = b.data<float>()[index(b_shape, i)], upstream = g.data<float>()[i];
    check_close(Op::name, y.data<float>()[i], op.template f<double>(u, v), i);
    check_close(Op::name, left.data<float>()[i], op.template vjp_left<double>(upstream, u, v), i);
    check_close(Op::name, right.data<float>()[i], op.template vjp_right<double>(upstream, u, v), i);
  }
}

// Largest distance to the f64 value in units of the f32 spacing there, infinite where f32 is NaN or leaves [low, high].
template <class Op>
double worst_ulp(double from, double to, double low, double high) {
  constexpr int64_t n = 200'003;
  const Tensor x = random_uniform({n}, 7, 1, from, to);
  Tensor y({n});
  kernels::map(Op{}, x, y);
  double worst = 0;
  for (int64_t i = 0; i < n; i++) {
    const double wanted = Op{}.template f<double>(x.data<float>()[i]), got = y.data<float>()[i];
    const float near = std::abs(static_cast<float>(wanted));
    if (!(got >= low && got <= high)) return inf;
    worst = std::max(worst, std::abs(got - wanted) / (std::nextafter(near, std::numeric_limits<float>::infinity()) - near));
  }
  return worst;
}

bool same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

// Every value of a map has the bits that it has alone.
template <class Op>
void check_alone() {
  const Tensor x = inputs_for(Op::domain, {53}, 1), g = random_normal({53}, 5, 2);
  Tensor y({53}), dx({53}), one({1}), gradient({1});
  kernels::map(Op{}, x, y);
  kernels::map_vjp(Op{}, g, x, dx);
  for (int64_t i = 0; i < 53; i++) {
    CAPTURE(std::string(Op::name));
    CAPTURE(x.data<float>()[i]);
    kernels::map(Op{}, x.rows(i, i + 1), one);
    kernels::map_vjp(Op{}, g.rows(i, i + 1), x.rows(i, i + 1), gradient);
    REQUIRE(same(*one.data<float>(), y.data<float>()[i]));
    REQUIRE(same(*gradient.data<float>(), dx.data<float>()[i]));
  }
}

template <class... Ops, class F>
void for_each_op(std::tuple<Ops...>*, F f) {
  (f.template operator()<Ops>(), ...);
}

template <class F>
void on_every_isa(F f) {
  const cpu::Isa before = cpu::isa();
  for (const cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::v3, cpu::Isa::v4})
    if (cpu::has_isa(isa)) {
      CAPTURE(std::string(cpu::to_string(isa)));
      cpu::set_isa(isa);
      f();
    }
  cpu::set_isa(before);
}

}  // namespace

TEST_CASE("unary maps and their gradients agree with f64 on every instruction set, NaN and infinity included") {
  on_every_isa([] {
    for (const int64_t n : {1, 7, 15, 17, 31, 33, 1000}) for_each_op(static_cast<Unary*>(nullptr), [n]<class Op> { check_unary<Op>(n); });
  });
}

TEST_CASE("exp, log, tanh, sigmoid and gelu stay within a few ulp of f64 on every instruction set") {
  on_every_isa([] {
    CHECK(worst_ulp<Exp>(-87, 88.7, 0, inf) < 2);
    CHECK(worst_ulp<Exp>(-104, -87, 0, 1e-37) < 2);  // down to the denormals
    CHECK(worst_ulp<Exp>(-1, 1, 0, 3) < 2);
    CHECK(worst_ulp<Log>(1e-6, 0.9, -15, 0) < 2);
    CHECK(worst_ulp<Log>(0.9, 1.1, -1, 1) < 2);
    CHECK(worst_ulp<Log>(1.1, 3e38, 0, 89) < 2);
    CHECK(worst_ulp<Log>(1e-45, 1e-37, -104, 0) < 2);
    CHECK(worst_ulp<Tanh>(-10, 10, -1, 1) < 4);
    CHECK(worst_ulp<Tanh>(-0.5, 0.5, -1, 1) < 4);
    CHECK(worst_ulp<Sigmoid>(-80, 80, 0, 1) < 4);
    CHECK(worst_ulp<Sigmoid>(-2, 2, 0, 1) < 4);
    const Tensor x = random_uniform({200'003}, 7, 1, -12, 12);
    Tensor y(x.shape());
    kernels::map(Gelu{}, x, y);
    double worst = 0;
    for (int64_t i = 0; i < x.size(); i++) {
      const double v = x.data<float>()[i];
      const double error = std::abs(y.data<float>()[i] - Gelu{}.f<double>(v)) / std::abs(v);
      if (!(error <= worst)) worst = error;  // NaN stays
    }
    CHECK(worst < 3.5e-7);
  });
}

TEST_CASE("a value of a map does not depend on where it lies, bit for bit, on every instruction set") {
  on_every_isa([] { for_each_op(static_cast<Unary*>(nullptr), []<class Op> { check_alone<Op>(); }); });
  Tensor y({3, 20});
  kernels::map(Tanh{}, Tensor::from<float>({3, 1}, {0.3f, -2, 5}), y);
  for (int64_t i = 0; i < 60; i++) CHECK(y.data<float>()[i] == y.data<float>()[i / 20 * 20]);
}

TEST_CASE("binary maps broadcast, with gradients, on every instruction set") {
  on_every_isa([] {
    for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{33}, {33}},
                                                                   {{5, 17}, {17}},
                                                                   {{5, 17}, {5, 1}},
                                                                   {{17}, {3, 17}},
                                                                   {{2, 1, 7}, {4, 1}},
                                                                   {{2, 3, 1, 5}, {1, 3, 4, 1}},
                                                                   {{}, {6}},
                                                                   {{9}, {}}})
      for_each_op(static_cast<Binary*>(nullptr), [&]<class Op> { check_binary<Op>(a, b); });
  });
}

TEST_CASE("comparisons and select") {
  const Tensor a = Tensor::from<float>({4}, {1, 2, NAN, 4}), b = Tensor::from<float>({4}, {2, 2, 2, 2});
  Tensor y({4}, Dtype::u8);
  kernels::compare(Less{}, a, b, y);
  CHECK(y.to_vector<int32_t>() == std::vector<int32_t>{1, 0, 0, 0});
  kernels::compare(NotEqual{}, a, b, y);
  CHECK(y.to_vector<int32_t>() == std::vector<int32_t>{1, 0, 1, 1});
  Tensor z({4});
  kernels::select(y, b, Tensor::scalar(-1), z);
  CHECK(z.to_vector<float>() == std::vector<float>{2, -1, 2, 2});
  CHECK_THROWS_AS(kernels::select(b, b, b, z), DtypeError);
  CHECK_THROWS_AS(kernels::broadcast_shape("add", {2, 3}, {2, 4}), ShapeError);
}

TEST_CASE("maps are the same, bit for bit, with 1, 2, 3 and 8 threads, and write nothing outside") {
  const Tensor x = random_normal({7, 12'345}, 1, 1), row = random_normal({12'345}, 1, 2);
  Tensor first;
  for (const int t : {1, 2, 3, 8}) {
    set_threads(t);
    Tensor guarded = Tensor::full({9, 12'345}, 77);
    kernels::map(Multiply{}, x, row, guarded.rows(1, 8));
    if (!first) first = guarded;
    CHECK(first.to_vector<float>() == guarded.to_vector<float>());
    for (int64_t i = 0; i < 12'345; i++) REQUIRE((guarded.at({0, i}) == 77 && guarded.at({8, i}) == 77));
  }
  set_threads(0);
  Tensor empty({0, 3});
  CHECK_NOTHROW(kernels::map(Exp{}, Tensor({0, 3}), empty));
}
