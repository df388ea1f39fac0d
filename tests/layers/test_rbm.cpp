// Restricted, convolutional and gated Boltzmann machines against the sums over all states that define them.
#include "layers/rbm.h"

#include "layers/conv_rbm.h"
#include "layers/gated_rbm.h"
#include "tensor/parallel.h"
#include "tests/layers/check.h"

#include <cstring>

using namespace sono;
using namespace sono::tests;

namespace {

// State s of n binary units as a row.
Tensor state_row(int64_t s, int64_t n) {
  Tensor row({1, n}, Dtype::f64);
  for (int64_t i = 0; i < n; i++) row.data<double>()[i] = static_cast<double>(s >> i & 1);
  return row;
}

void randomise(Module& module, double deviation = 0.7) {
  module.to(Dtype::f64);
  uint64_t stream = 50;
  for (const auto& e : module.parameters())
    e.value->detach().copy_from(random_normal(e.value->shape(), 3, stream++, 0, deviation, Dtype::f64));
  for (const auto& e : module.buffers()) e.value->detach().copy_from(random_normal(e.value->shape(), 3, stream++, 0, 0.3, Dtype::f64));
}

double logit(double p) { return std::log(p / (1 - p)); }

// log P(unit = 1) - log P(unit = 0) by energies, when `unit` of `units` alone changes.
double log_odds(const std::function<double()>& energy, double& unit) {
  unit = 0;
  const double off = energy();
  unit = 1;
  return off - energy();
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

}  // namespace

TEST_CASE("rbm: the free energy is minus the log of the sum over all hidden states") {
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian}) {
    Rbm rbm({.visible = 4, .hidden = 5, .units = units});
    randomise(rbm);
    const Tensor v = units == VisibleUnits::bernoulli ? random_uniform({3, 4}, 1, 1, 0, 1, Dtype::f64) : normal({3, 4}, 1);
    for (int64_t r = 0; r < 3; r++) {
      double sum = 0;
      for (int64_t s = 0; s < 32; s++) sum += std::exp(-rbm.energy(v.rows(r, r + 1), state_row(s, 5)).item());
      CHECK(rbm.free_energy(v).at({r}) == doctest::Approx(-std::log(sum)).epsilon(1e-12));
    }
  }
}

TEST_CASE("rbm: conditionals are ratios of exp(-E)") {
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian}) {
    Rbm rbm({.visible = 4, .hidden = 5, .units = units, .learn_variance = units == VisibleUnits::gaussian});
    randomise(rbm);
    const Tensor v = state_row(6, 4), h = state_row(19, 5), p = rbm.hidden_given_visible(v), q = rbm.visible_given_hidden(h);
    for (int64_t j = 0; j < 5; j++) {
      const Tensor any = h.clone();
      CHECK(logit(p.at({0, j})) ==
            doctest::Approx(log_odds([&] { return rbm.energy(v, any).item(); }, any.data<double>()[j])).epsilon(1e-9));
    }
    if (units == VisibleUnits::bernoulli) {
      for (int64_t i = 0; i < 4; i++) {
        const Tensor any = v.clone();
        CHECK(logit(q.at({0, i})) ==
              doctest::Approx(log_odds([&] { return rbm.energy(any, h).item(); }, any.data<double>()[i])).epsilon(1e-9));
      }
    } else {  // E is a parabola in v: its lowest point is the mean, its curvature one over the variance
      const Tensor at = leaf(q.detach().clone()), g = grad(sum(rbm.energy(at, h)), {at})[0];
      CHECK(max(abs(g)).item() < 1e-12);
      const Tensor step = leaf(q.detach() + 1.0), curvature = grad(sum(rbm.energy(step, h)), {step})[0];
      CHECK(distance(curvature, reshape(1.0 / square(rbm.deviation().detach()), {1, 4})) < 1e-12);
    }
  }
}

TEST_CASE("rbm: gradients of the free energy, finite differences") {
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian}) {
    Rbm rbm({.visible = 4, .hidden = 3, .units = units, .learn_variance = units == VisibleUnits::gaussian});
    randomise(rbm);
    const Tensor v = leaf(random_uniform({3, 4}, 1, 1, 0.1, 0.9, Dtype::f64)), weights = normal({3}, 8);
    CHECK(gradient_error([&] { return sum(rbm.free_energy(v) * weights); }, leaves(rbm, {v})) < 1e-7);
  }
}

TEST_CASE("rbm: draws have the right frequencies and do not depend on threads") {
  Rbm rbm({.visible = 9, .hidden = 21, .deviation = 0.5});
  const int64_t n = 20000;
  const Tensor v = broadcast_to((random_uniform({1, 9}, 1, 1) > 0.5).to(Dtype::f32), {n, 9});
  const Draw draw{.seed = 5, .stream = 2};
  set_threads(1);
  const Rbm::Units one = rbm.sample_hidden(v, draw);
  const Rbm::Units chain = rbm.gibbs(v, 3, draw);
  set_threads(2);
  CHECK(same_bits(one.sample, rbm.sample_hidden(v, draw).sample));
  CHECK(same_bits(chain.sample, rbm.gibbs(v, 3, draw).sample));
  set_threads(0);
  CHECK(distance(one.mean, rbm.hidden_given_visible(v)) < 1e-6);
  for (int64_t j = 0; j < 21; j++) {
    const double p = one.mean.at({0, j}), found = mean(slice(one.sample, 1, j, j + 1)).item();
    CHECK(std::abs(found - p) < 4 * std::sqrt(p * (1 - p) / static_cast<double>(n)));
  }
  CHECK(!same_bits(one.sample, rbm.sample_hidden(v, draw.of("another")).sample));
  CHECK(!same_bits(one.sample, rbm.sample_hidden(v, {.seed = 6, .stream = 2}).sample));

  Rbm gaussian({.visible = 9, .hidden = 4, .units = VisibleUnits::gaussian, .deviation = 0.5});
  gaussian.log_deviation.fill(std::log(2.0));
  const Rbm::Units drawn = gaussian.sample_visible(Tensor::ones({n, 4}), draw);
  CHECK(max(abs(mean(drawn.sample - drawn.mean, {0}))).item() < 4 * 2 / std::sqrt(static_cast<double>(n)));
  CHECK(max(abs(var(drawn.sample, {0}) / 4.0 - 1.0)).item() < 4 * std::sqrt(2.0 / static_cast<double>(n)));
}

TEST_CASE("rbm: visible biases and deviations from data") {
  const Tensor x = random_uniform({500, 3}, 1, 1);
  Rbm binary({.visible = 3, .hidden = 2});
  binary.fit_visible(x);
  CHECK(distance(binary.visible_given_hidden(Tensor::zeros({1, 2})), mean(x, {0}, true)) < 1e-6);
  binary.fit_visible(Tensor::zeros({10, 3}));
  CHECK(sigmoid(binary.visible_bias).at({0}) == doctest::Approx(0.05));
  Rbm gaussian({.visible = 3, .hidden = 2, .units = VisibleUnits::gaussian});
  gaussian.fit_visible(x * 3.0);
  CHECK(distance(gaussian.visible_bias, mean(x * 3.0, {0})) < 1e-6);
  CHECK(distance(gaussian.deviation(), sqrt(var(x * 3.0, {0}))) < 1e-6);
}

TEST_CASE("rbm: bad input is refused in one line") {
  Rbm rbm({.visible = 3, .hidden = 2}), gaussian({.visible = 3, .hidden = 2, .units = VisibleUnits::gaussian, .learn_variance = true});
  Tensor x = Tensor::full({5, 3}, 0.5);
  x.data<float>()[3 * 3 + 1] = 1.7f;
  CHECK(message([&] { rbm(x); }) ==
        "[rbm] visible values must lie in [0, 1], got 1.7 at row 3; scale the data or use gaussian visible units");
  x.data<float>()[3 * 3 + 1] = NAN;
  CHECK(contains(message([&] { rbm.free_energy(x); }), "got nan at row 3"));
  CHECK(message([&] { gaussian(x); }) == "[rbm] visible values must be finite, got nan at row 3; clean the data");
  x.data<float>()[3 * 3 + 1] = 0.25f;
  CHECK(contains(message([&] { gaussian.fit_visible(x); }), "visible unit 0 is 0.5 in every row: no variance can be learnt of it"));
  CHECK(contains(message([&] { rbm(Tensor::zeros({2, 4})); }), "expected (N, 3), got (2, 4)"));
  CHECK(contains(message([&] { rbm.visible_given_hidden(Tensor::zeros({2, 3})); }), "expected (N, 2)"));
  CHECK(contains(message([] { Rbm({.visible = 0, .hidden = 2}); }), "at least 1"));
  CHECK(contains(message([] { Rbm({.visible = 2, .hidden = 2, .learn_variance = true}); }), "only gaussian"));
}

// ---- convolutional
// ---------------------------------------------------------------------------------------------------------------------------

TEST_CASE("conv rbm: free energy and conditionals against the sum over all hidden states") {
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian}) {
    ConvRbm rbm(
        {.in = 2, .hidden = 2, .kernel = 2, .pool = 2, .units = units});  // 3 x 3 images: one block of four units in each of two maps
    randomise(rbm);
    const Tensor v = random_uniform({1, 3, 3, 2}, 1, 1, 0, 1, Dtype::f64);
    const ConvRbm::Hidden p = rbm.hidden_given_visible(v);
    double total = 0;
    Tensor expected = Tensor::zeros({1, 2, 2, 2}, Dtype::f64);
    for (int64_t a = 0; a < 5; a++)
      for (int64_t b = 0; b < 5; b++) {  // 4: none
        Tensor h = Tensor::zeros({1, 2, 2, 2}, Dtype::f64);
        if (a < 4) h.data<double>()[a * 2] = 1;
        if (b < 4) h.data<double>()[b * 2 + 1] = 1;
        const double weight = std::exp(-rbm.energy(v, h).item());
        total += weight, expected = expected + h * weight;
      }
    CHECK(rbm.free_energy(v).item() == doctest::Approx(-std::log(total)).epsilon(1e-12));
    CHECK(distance(p.units, expected / total) < 1e-12);
    CHECK(distance(p.pooled, sum(expected / total, {1, 2}, true)) < 1e-12);
    CHECK(contains(message([&] { rbm.energy(v, Tensor::ones({1, 2, 2, 2}, Dtype::f64)); }), "more than one unit on"));

    Tensor h = Tensor::zeros({1, 2, 2, 2}, Dtype::f64);
    h.data<double>()[2] = h.data<double>()[7] = 1;
    const Tensor at = leaf(v.clone()), slope = grad(sum(rbm.energy(at, h)), {at})[0], q = rbm.visible_given_hidden(h);
    const Tensor mean = units == VisibleUnits::bernoulli ? sigmoid(-slope) : v - slope;  // -dE/dv is the log odds, or mean - v
    CHECK(distance(q, mean) < 1e-12);
    CHECK(gradient_error([&] { return sum(rbm.free_energy(v)); }, leaves(rbm)) < 1e-7);
  }
}

TEST_CASE("conv rbm: at most one unit of a block, with the right frequencies, on any number of threads") {
  ConvRbm rbm({.in = 1, .hidden = 3, .kernel = 3, .pool = 2, .deviation = 0.7});
  const int64_t n = 4000;
  const Tensor v = broadcast_to(random_uniform({1, 6, 6, 1}, 1, 1), {n, 6, 6, 1});
  set_threads(1);
  const ConvRbm::Hidden one = rbm.sample_hidden(v, {.seed = 4});
  set_threads(2);
  const ConvRbm::Hidden two = rbm.sample_hidden(v, {.seed = 4});
  set_threads(0);
  CHECK(same_bits(one.units, two.units));
  CHECK(same_bits(one.pooled, two.pooled));
  CHECK(max(one.pooled).item() == 1);
  CHECK(sum(one.units).item() == sum(one.pooled).item());
  const ConvRbm::Hidden p = rbm.hidden_given_visible(v.rows(0, 1));
  CHECK(max(abs(mean(one.units, {0}, true) - p.units)).item() < 4 * 0.5 / std::sqrt(static_cast<double>(n)));
  CHECK(max(abs(mean(one.pooled, {0}, true) - p.pooled)).item() < 4 * 0.5 / std::sqrt(static_cast<double>(n)));
  CHECK(contains(message([&] {
                   rbm(Tensor::zeros({1, 7, 6, 1}));
                 }),
                 "leaves 5 positions for a kernel of 3, which blocks of 2 do not cover"));
  CHECK(contains(message([&] { rbm(Tensor::full({1, 6, 6, 1}, 2)); }), "[conv rbm] visible values must lie in [0, 1], got 2 at row 0"));
}

// ---- gated
// -----------------------------------------------------------------------------------------------------------------------------------

TEST_CASE("gated rbm: conditionals are ratios of exp(-E), inference is their fixed point") {
  GatedRbm gated({.visible = 4, .relevant = 3, .irrelevant = 2, .iterations = 200});
  randomise(gated);
  const Tensor v = state_row(11, 4);
  const GatedRbm::Hidden units{state_row(5, 3), state_row(2, 2), state_row(6, 4)};
  const auto odds = [&](const Tensor& of, int64_t i) {
    return log_odds([&] { return gated.energy(v, units).item(); }, of.data<double>()[i]);
  };
  const Tensor gate = gated.gate_given(v, units.relevant, units.irrelevant), q = gated.visible_given(units);
  const GatedRbm::Hidden p = gated.hidden_given(v, units.gate);
  const auto check = [&](const Tensor& probability, const Tensor& of) {
    for (int64_t i = 0; i < of.size(); i++) {
      const double before = of.data<double>()[i];
      CHECK(logit(probability.at({0, i})) == doctest::Approx(odds(of, i)).epsilon(1e-9));
      of.data<double>()[i] = before;
    }
  };
  check(gate, units.gate), check(p.relevant, units.relevant), check(p.irrelevant, units.irrelevant);
  for (int64_t i = 0; i < 4; i++) {
    const double before = v.data<double>()[i];
    CHECK(logit(q.at({0, i})) ==
          doctest::Approx(log_odds([&] { return gated.energy(v, units).item(); }, v.data<double>()[i])).epsilon(1e-9));
    v.data<double>()[i] = before;
  }
  const GatedRbm::Hidden mu = gated.infer(v), again = gated.hidden_given(v, mu.gate);
  CHECK(distance(again.relevant, mu.relevant) < 1e-6);
  CHECK(distance(gated.gate_given(v, mu.relevant, mu.irrelevant), mu.gate) < 1e-6);
}

TEST_CASE("gated rbm: begins with the units of an Rbm, the best scores in the relevant component") {
  Rbm rbm({.visible = 4, .hidden = 6, .deviation = 1});
  rbm.hidden_bias.detach().copy_from(Tensor::arange(6));
  rbm.visible_bias.detach().copy_from(Tensor::full({4}, 0.5));
  GatedRbm gated({.visible = 4, .relevant = 2, .irrelevant = 3});
  gated.initialise(rbm, Tensor::from<float>({6}, {0.1f, 3, 0.2f, 3, 5, 0.1f}));
  CHECK(gated.relevant.hidden_bias.to_vector<int>() == std::vector<int>{4, 1});
  CHECK(gated.irrelevant.hidden_bias.to_vector<int>() == std::vector<int>{0, 5, 2});
  CHECK(distance(slice(gated.relevant.weight, 1, 0, 1), slice(rbm.weight, 1, 4, 5)) == 0);
  CHECK(gated.irrelevant.visible_bias.at({3}) == 0.5);
  CHECK(contains(message([&] { gated.initialise(rbm, Tensor::zeros({5})); }), "one score per hidden unit"));
  CHECK(contains(message([&] { gated.initialise(rbm, Tensor::full({6}, NAN)); }), "score of unit 0 is not a number"));
  CHECK(contains(message([&] { GatedRbm({.visible = 4, .relevant = 4, .irrelevant = 4}).initialise(rbm, Tensor::zeros({6})); }),
                 "8 are to be taken"));
}
