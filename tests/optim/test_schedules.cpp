// Schedules against PyTorch's values; golden_optim.py made them.
#include <doctest/doctest.h>

#include <cmath>

#include "optim/schedule.h"

using namespace sono;

namespace {
Tensor golden(const std::string& name) {
  static const TensorFile file = read_safetensors(SONO_SOURCE_DIR "/tests/optim/golden_optim.safetensors");
  for (const auto& [key, t] : file.tensors)
    if (key == name) return t;
  throw Error("no golden values " + name);
}
}  // namespace

TEST_CASE("schedules give PyTorch's factors") {
  const std::vector<std::pair<const char*, Schedule>> all{
      {"step", schedules::step(7, 0.3)},
      {"multi_step", schedules::multi_step({3, 11, 12}, 0.5)},
      {"exponential", schedules::exponential(0.9)},
      {"poly", schedules::poly(20, 0.9)},
      {"cosine", schedules::cosine(24, 0.1)},
      {"one_cycle", schedules::one_cycle(25)},
      {"warm_cosine", schedules::warm_up(5, schedules::cosine(19), 0.25)},
  };
  for (const auto& [name, schedule] : all) {
    const std::vector<double> expected = golden(std::string("schedule/") + name).to_vector<double>();
    REQUIRE(expected.size() == 24);
    for (size_t t = 0; t < expected.size(); t++) {
      CAPTURE(name);
      CAPTURE(t);
      CHECK(schedule(static_cast<int64_t>(t)) == doctest::Approx(expected[t]).epsilon(1e-9));
    }
  }
}

TEST_CASE("schedules stay at their end when training goes on") {
  CHECK(schedules::cosine(10, 0.2)(10) == doctest::Approx(0.2));
  CHECK(schedules::cosine(10, 0.2)(1000) == doctest::Approx(0.2));
  CHECK(schedules::poly(10)(1000) == 0);
  CHECK(schedules::one_cycle(10)(1000) == doctest::Approx(1 / 25e4));
  CHECK(schedules::warm_up(4)(0) == 0);
  CHECK(schedules::warm_up(4)(3) == doctest::Approx(0.75));
  CHECK(schedules::warm_up(4)(4) == 1);
  CHECK(schedules::warm_up(0)(0) == 1);
  CHECK_THROWS_WITH_AS(schedules::cosine(0), "[cosine] wants a positive number of steps, got 0", Error);
  CHECK_THROWS_AS(schedules::step(-1), Error);
}

TEST_CASE("plateau lowers the rate when PyTorch's does") {
  const std::vector<double> scores = golden("plateau/scores").to_vector<double>();
  const auto check = [&](const char* name, const PlateauOptions& options) {
    const std::vector<double> expected = golden(name).to_vector<double>();
    Plateau whole(options), first(options), second(options);
    for (size_t i = 0; i < scores.size(); i++) {
      CAPTURE(name);
      CAPTURE(i);
      CHECK(whole.see(scores[i]) == doctest::Approx(expected[i]).epsilon(1e-12));
      if (i == 20) second.load_state(first.state());
      CHECK((i < 20 ? first : second).see(scores[i]) == whole.factor());
    }
    CHECK(whole.factor() < 1);
  };
  check("plateau/min", {.factor = 0.5, .lowest = 0.02, .patience = 2, .cooldown = 1});
  check("plateau/max", {.maximise = true, .factor = 0.7, .patience = 3});
  Plateau plateau;
  CHECK_THROWS_AS(plateau.load_state(Tensor::zeros({3}, Dtype::f64)), ShapeError);
}
