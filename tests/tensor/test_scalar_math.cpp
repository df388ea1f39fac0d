#include <doctest/doctest.h>

#include <initializer_list>

#include <cmath>
#include <limits>

#include "tensor/scalar_math.h"

using namespace sono;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity(), not_a_number = std::numeric_limits<float>::quiet_NaN();

// Largest distance to the f64 value in units of the f32 spacing there.
template <class F, class G>
double worst_ulp(F f, G exact, double low, double high) {
  double worst = 0;
  for (int i = 0; i <= 400'000; i++) {
    const float x = static_cast<float>(low + (high - low) * i / 400'000);
    const double e = exact(static_cast<double>(x));
    const float rounded = static_cast<float>(e);
    const double spacing = std::nextafter(std::abs(rounded), inf) - std::abs(rounded);
    worst = std::max(worst, std::abs(static_cast<double>(f(x)) - e) / spacing);
  }
  return worst;
}

}  // namespace

TEST_CASE("float functions stay within a few ulp of f64") {
  CHECK(worst_ulp([](float x) { return math::exp(x); }, [](double x) { return std::exp(x); }, -103, 88.7) < 2);
  CHECK(worst_ulp([](float x) { return math::log(x); }, [](double x) { return std::log(x); }, 1.1, 1e6) < 2);
  CHECK(worst_ulp([](float x) { return math::log(x); }, [](double x) { return std::log(x); }, 1e-6, 0.9) < 2);
  CHECK(worst_ulp([](float x) { return math::log1p(x); }, [](double x) { return std::log1p(x); }, -0.99, 50) < 4);
  CHECK(worst_ulp([](float x) { return math::expm1(x); }, [](double x) { return std::expm1(x); }, -20, 80) < 4);
  CHECK(worst_ulp([](float x) { return math::tanh(x); }, [](double x) { return std::tanh(x); }, -10, 10) < 3);
  CHECK(worst_ulp([](float x) { return math::erf(x); }, [](double x) { return std::erf(x); }, -5, 5) < 4);
  for (double x = -12; x < 12; x += 1e-4) {
    const auto value = static_cast<float>(x);
    REQUIRE(std::abs(math::normal_below(value) - math::normal_below(static_cast<double>(value))) < 2.5e-7);
  }
  for (double range : {1.0, 100.0, 4e6}) {
    CHECK(worst_ulp([](float x) { return math::sin(x); }, [](double x) { return std::sin(x); }, -range, range) < 2);
    CHECK(worst_ulp([](float x) { return math::cos(x); }, [](double x) { return std::cos(x); }, -range, range) < 2);
  }
}

TEST_CASE("NaN, infinity, zero and denormals keep their meaning") {
  CHECK(std::isnan(math::exp(not_a_number)));
  CHECK(math::exp(inf) == inf);
  CHECK(math::exp(-inf) == 0);
  CHECK(math::exp(200.0f) == inf);
  CHECK(math::exp(-200.0f) == 0);
  CHECK(math::exp(-100.0f) > 0);  // a denormal
  CHECK(math::log(0.0f) == -inf);
  CHECK(math::log(inf) == inf);
  CHECK(std::isnan(math::log(-1.0f)));
  CHECK(std::isnan(math::log(not_a_number)));
  CHECK(math::log(1e-40f) == doctest::Approx(std::log(static_cast<double>(1e-40f))).epsilon(1e-6));
  CHECK(math::log1p(-1.0f) == -inf);
  CHECK(math::log1p(inf) == inf);
  CHECK(math::log1p(1e-20f) == 1e-20f);
  CHECK(std::isnan(math::log1p(-2.0f)));
  CHECK(math::expm1(-inf) == -1);
  CHECK(math::expm1(inf) == inf);
  CHECK(math::tanh(inf) == 1);
  CHECK(math::tanh(-inf) == -1);
  CHECK(std::isnan(math::tanh(not_a_number)));
  CHECK(math::erf(inf) == 1);
  CHECK(math::erf(-inf) == -1);
  CHECK(std::isnan(math::erf(not_a_number)));
  CHECK(math::normal_below(inf) == 1);
  CHECK(math::normal_below(-inf) == 0);
  CHECK(std::isnan(math::normal_below(not_a_number)));
  CHECK(std::signbit(math::tanh(-0.0f)));
  CHECK(std::signbit(math::sin(-0.0f)));
  CHECK(math::sin(1e-40f) == 1e-40f);
  CHECK(math::cos(0.0f) == 1);
  for (float x : {inf, -inf, not_a_number}) {
    CHECK(std::isnan(math::sin(x)));
    CHECK(std::isnan(math::cos(x)));
  }
  for (float x = 1e7f; x < 1e38f; x *= 3) CHECK(std::abs(math::sin(x)) + std::abs(math::cos(x)) <= 2);
}
