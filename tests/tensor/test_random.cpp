#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sono;

// The known answers that come with the paper's Random123 library.
TEST_CASE("Philox4x32-10 gives the published answers") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("tensors of random numbers do not depend on the number of threads") {
  set_threads(1);
  const Tensor one = random_normal({100'003}, 7, 3), uniform = random_uniform({100'003}, 7, 3, -1, 1, Dtype::f64);
  set_threads(3);
  CHECK(one.to_vector<float>() == random_normal({100'003}, 7, 3).to_vector<float>());
  CHECK(uniform.to_vector<double>() == random_uniform({100'003}, 7, 3, -1, 1, Dtype::f64).to_vector<double>());
  set_threads(0);
  CHECK(one.to_vector<float>() != random_normal({100'003}, 8, 3).to_vector<float>());
  CHECK(one.to_vector<float>() != random_normal({100'003}, 7, 4).to_vector<float>());
}

namespace {
struct Moments {
  double mean = 0, variance = 0;
};
template <class F>
Moments moments(int n, F draw) {
  double s = 0, q = 0;
  for (int i = 0; i < n; i++) {
    const double x = draw();
    s += x, q += x * x;
  }
  return {s / n, q / n - s / n * (s / n)};
}
}  // namespace

TEST_CASE("distributions have their mean and variance within five standard errors") {
  constexpr int n = 200'000;
  const double e = 5 / std::sqrt(n);
  Random r(11);
  Moments m = moments(n, [&] { return r.uniform(); });
  CHECK(std::abs(m.mean - 0.5) < e * std::sqrt(1. / 12));
  CHECK(std::abs(m.variance - 1. / 12) < e * 0.1);
  m = moments(n, [&] { return r.normal(); });
  CHECK(std::abs(m.mean) < e);
  CHECK(std::abs(m.variance - 1) < e * std::sqrt(2.));
  for (const double k : {0.5, 1.0, 4.0}) {
    m = moments(n, [&] { return r.gamma(k); });
    CHECK(std::abs(m.mean - k) < e * std::sqrt(k));
    CHECK(std::abs(m.variance - k) < e * k * std::sqrt(2 + 6 / k));
  }
  for (const double k : {0.3, 5.0, 80.0}) {
    m = moments(n, [&] { return static_cast<double>(r.poisson(k)); });
    CHECK(std::abs(m.mean - k) < e * std::sqrt(k));
    CHECK(std::abs(m.variance - k) < e * k * std::sqrt(2 + 1 / k));
  }
  m = moments(n, [&] { return static_cast<double>(r.below(7)); });
  CHECK(std::abs(m.mean - 3) < e * 2);
  CHECK(std::abs(m.variance - 4) < e * 4);
  CHECK_THROWS_AS(r.below(0), Error);
}

TEST_CASE("streams are named, independent and can be taken up again") {
  Random a(1, "augment", 3, 4), b(1, "augment", 3, 4), c(1, "augment", 4, 3), d(1, "shuffle", 3, 4);
  const uint32_t first = a.bits();
  CHECK(first == b.bits());
  CHECK(std::set<uint32_t>{first, c.bits(), d.bits()}.size() == 3);
  a.skip_to(0);
  CHECK(a.bits() == first);
  std::vector<int64_t> order = Random(5).permutation(1000);
  CHECK(order != Random(6).permutation(1000));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; i++) REQUIRE(order[static_cast<size_t>(i)] == i);
  set_seed(9);
  CHECK(next_stream() == 0);
  CHECK(next_stream() == 1);
  set_next_stream(0);
  CHECK(next_stream() == 0);
}

TEST_CASE("bits in bulk are those drawn one by one, and the stream goes on behind them") {
  Random one(7, 3), many(7, 3);
  for (int64_t n : {0, 1, 3, 5, 127, 128, 129, 1000, 6}) {
    std::vector<uint32_t> words(static_cast<size_t>(n));
    many.bits(words.data(), n);
    for (const uint32_t w : words) CHECK(w == one.bits());
  }
  CHECK(many.bits() == one.bits());
}

TEST_CASE("random words and symmetric filters are the same to the bit on every instruction set") {
  const Tensor x = random_normal({400}, 1, 2);
  const cpu::Isa before = cpu::isa();
  const float w[] = {0.5f, 0.3f, -0.2f, 0.1f, 0.05f};
  for (cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::v3, cpu::Isa::v4}) {
    if (!cpu::has_isa(isa)) continue;
    cpu::set_isa(isa);
    uint32_t words[4][philox_lanes];
    philox_blocks(words, (uint64_t{1} << 32) - 5, 7, 9);
    for (uint64_t k = 0; k < philox_lanes; k++) {
      const uint64_t counter = (uint64_t{1} << 32) - 5 + k;
      const auto block = philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 7, 0}, {9, 0});
      for (size_t i = 0; i < 4; i++) CHECK(words[i][k] == block[i]);
    }
    for (int64_t n : {0, 1, 7, 31, 32, 101})
      for (int64_t step : {1, 3, 30}) {
        std::vector<float> y(static_cast<size_t>(n));
        cpu::simd().symmetric_filter(x.data<float>() + 125, step, w, 4, n, y.data());
        for (int64_t i = 0; i < n; i++) {
          const float* c = x.data<float>() + 125 + i;
          volatile float sum = w[0] * c[0];  // volatile: rounded at each step
          for (int64_t k = 1; k < 5; k++) {
            volatile float term = w[k] * (c[-k * step] + c[k * step]);
            sum = sum + term;
          }
          CHECK(y[static_cast<size_t>(i)] == sum);
        }
      }
  }
  cpu::set_isa(before);
}
