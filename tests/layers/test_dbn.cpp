// Deep belief networks and deep Boltzmann machines against the sums over all states that define them.
#include "layers/dbn.h"

#include <cstring>

#include "layers/dbm.h"
#include "tensor/parallel.h"
#include "tests/layers/check.h"

using namespace sono;
using namespace sono::tests;

namespace {

void randomise(Module& module, double deviation = 0.7) {
  module.to(Dtype::f64);
  uint64_t stream = 50;
  for (const auto& e : module.parameters())
    e.value->detach().copy_from(random_normal(e.value->shape(), 3, stream++, 0, deviation, Dtype::f64));
}

Tensor state_row(int64_t s, int64_t n) {
  Tensor row({1, n}, Dtype::f64);
  for (int64_t i = 0; i < n; i++) row.data<double>()[i] = static_cast<double>(s >> i & 1);
  return row;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

}  // namespace

TEST_CASE("dbn: the unrolled network gives the upward pass, the unrolled autoencoder the way up and down") {
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian}) {
    Dbn dbn({.widths = {6, 5, 4, 3}, .units = units, .learn_variance = units == VisibleUnits::gaussian});
    randomise(dbn, 0.5);
    dbn.tie();
    const Tensor v = random_uniform({7, 6}, 1, 1, 0, 1, Dtype::f64);
    const auto net = unroll(dbn, 2);
    const auto& head = dynamic_cast<const Linear&>((*net)[6]);
    CHECK(net->size() == 7);
    CHECK(distance((*net)(v), linear(dbn(v), head.weight, head.bias)) < 1e-6);  // weights pass through f32
    const Tensor back = (*unroll_autoencoder(dbn))(v);
    CHECK(distance(units == VisibleUnits::bernoulli ? sigmoid(back) : back, dbn.reconstruct(v)) < 1e-6);
    CHECK(unroll_autoencoder(dbn, true)->size() == unroll_autoencoder(dbn)->size() - 1);
    CHECK(distance(dbn.up(v, 1), dbn.rbms[0](v)) < 1e-12);
    CHECK(distance(dbn.below(dbn.up(v, 1), 0), dbn.rbms[0].visible_given_hidden(dbn.up(v, 1))) < 1e-12);  // tied
    CHECK(distance(dbn.down(dbn.up(v, 2), 2), dbn.below(dbn.below(dbn.up(v, 2), 1), 0)) < 1e-12);
  }
}

TEST_CASE("dbn: fantasies have the frequencies of the generative model, on any number of threads") {
  Dbn dbn({.widths = {3, 3, 2}});
  randomise(dbn, 0.8);
  // P(v) = sum over h of P(v | h) P_top(h), P_top(h) ∝ exp(-F(h)).
  double z = 0;
  Tensor expected = Tensor::zeros({3}, Dtype::f64);
  for (int64_t s = 0; s < 8; s++) {
    const double weight = std::exp(-dbn.top().free_energy(state_row(s, 3)).item());
    z += weight, expected = expected + reshape(dbn.below(state_row(s, 3), 0), {3}) * weight;
  }
  set_threads(1);
  const Tensor one = dbn.generate(20000, 50, {.seed = 3});
  set_threads(2);
  CHECK(same_bits(one, dbn.generate(20000, 50, {.seed = 3})));
  set_threads(0);
  CHECK(max(abs(mean(one, {0}) - expected / z)).item() < 4 * 0.5 / std::sqrt(20000.0));
  CHECK(dbn.generate(2, 1, {}, Tensor::ones({2, 3}, Dtype::f64)).shape() == Shape{2, 3});
  CHECK(contains(message([&] { dbn.generate(3, 1, {}, Tensor::ones({2, 3}, Dtype::f64)); }), "start must have 3 rows"));
  CHECK(contains(message([&] { dbn.up(Tensor::ones({2, 3}, Dtype::f64), 3); }), "there are 2 layers, not 3"));
  CHECK(contains(message([] { Dbn({.widths = {4}}); }), "one hidden layer or more"));
}

TEST_CASE("dbm: conditionals are ratios of exp(-E)") {
  Dbm dbm({.widths = {3, 3, 2, 2}});
  randomise(dbm);
  std::vector<Tensor> units{state_row(5, 3), state_row(3, 3), state_row(2, 2), state_row(1, 2)};
  const auto energy = [&] { return dbm.energy(units[0], {units.begin() + 1, units.end()}).item(); };
  for (int64_t l = 0; l < 4; l++) {
    const Tensor p = dbm.given_neighbours(units, l);
    for (int64_t i = 0; i < p.size(); i++) {
      double& unit = units[static_cast<size_t>(l)].data<double>()[i];
      const double before = unit;
      unit = 0;
      const double off = energy();
      unit = 1;
      const double odds = off - energy();
      unit = before;
      CHECK(std::log(p.at({0, i}) / (1 - p.at({0, i}))) == doctest::Approx(odds).epsilon(1e-9));
    }
  }
}

TEST_CASE("dbm: mean field is the best product of its kind, its bound lies below the sum over all states") {
  Dbm dbm({.widths = {4, 3, 3}, .iterations = 300});
  randomise(dbm);
  const Tensor v = state_row(6, 4);
  double total = 0;
  for (int64_t s = 0; s < 64; s++) total += std::exp(-dbm.energy(v, {state_row(s & 7, 3), state_row(s >> 3, 3)}).item());
  const std::vector<Tensor> mu = dbm.mean_field(v);
  const double bound = dbm.bound(v, mu).item();
  CHECK(bound <= std::log(total));
  CHECK(bound > std::log(total) - 1);
  for (size_t l = 0; l < 2; l++)
    for (int64_t i = 0; i < 3; i++)
      for (const double change : {-0.02, 0.02}) {
        std::vector<Tensor> other{mu[0].clone(), mu[1].clone()};
        other[l].data<double>()[i] = std::clamp(other[l].data<double>()[i] + change, 0.0, 1.0);
        CHECK(dbm.bound(v, other).item() <= bound + 1e-9);
      }
  CHECK(dbm.bound(v, {Tensor::ones({1, 3}, Dtype::f64), Tensor::zeros({1, 3}, Dtype::f64)}).item() ==
        doctest::Approx(-dbm.energy(v, {Tensor::ones({1, 3}, Dtype::f64), Tensor::zeros({1, 3}, Dtype::f64)}).item()));  // 0 log 0 = 0
  CHECK(contains(message([&] { dbm(v * 2.0); }), "[dbm] visible values must lie in [0, 1], got 2 at row 0"));
  CHECK(contains(message([] { Dbm({.widths = {4, 3}}); }), "two hidden layers or more"));
}

TEST_CASE("dbm: chains have the frequencies of the model, on any number of threads") {
  Dbm dbm({.widths = {3, 2, 2}});
  randomise(dbm);
  Tensor expected = Tensor::zeros({1, 3}, Dtype::f64);
  double z = 0;
  for (int64_t s = 0; s < 128; s++) {
    const Tensor v = state_row(s & 7, 3);
    const double weight = std::exp(-dbm.energy(v, {state_row(s >> 3 & 3, 2), state_row(s >> 5, 2)}).item());
    z += weight, expected = expected + v * weight;
  }
  set_threads(1);
  const Tensor one = dbm.generate(20000, 50, {.seed = 3});
  set_threads(2);
  CHECK(same_bits(one, dbm.generate(20000, 50, {.seed = 3})));
  set_threads(0);
  CHECK(max(abs(mean(one, {0}, true) - expected / z)).item() < 4 * 0.5 / std::sqrt(20000.0));
}
