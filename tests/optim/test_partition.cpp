// Partition functions: sums over all states, and annealed importance sampling against them.
#include "optim/partition.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "tests/message.h"
#include "tests/optim/energy_models.h"

using namespace sono;
using namespace sono::tests;

TEST_CASE("the exact partition function is the sum over all joint states, whichever side is summed in closed form") {
  for (const auto& [visible, hidden] : {std::pair{3, 5}, {5, 3}}) {
    Rbm rbm({.visible = visible, .hidden = hidden});
    randomise(rbm, 0.8);
    const Tensor v = all_states(visible, Dtype::f64), h = all_states(hidden, Dtype::f64);
    double z = 0;
    for (int64_t s = 0; s < h.dim(0); s++) z += sum(exp(-rbm.energy(v, broadcast_to(h.rows(s, s + 1), {v.dim(0), hidden})))).item();
    CHECK(exact_log_partition(rbm) == doctest::Approx(std::log(z)).epsilon(1e-12));
    CHECK(sum(exp(log_likelihood(rbm, v, exact_log_partition(rbm)))).item() == doctest::Approx(1).epsilon(1e-12));
    CHECK(largest(exact_probabilities(rbm) - exp(log_likelihood(rbm, v, std::log(z)))) < 1e-12);
  }
  Dbm dbm({.widths = {3, 2, 2, 1}});
  randomise(dbm, 0.8);
  double z = 0;
  const Tensor all = all_states(8, Dtype::f64);
  z = sum(exp(-dbm.energy(slice(all, 1, 0, 3), {slice(all, 1, 3, 5), slice(all, 1, 5, 7), slice(all, 1, 7, 8)}))).item();
  CHECK(exact_log_partition(dbm) == doctest::Approx(std::log(z)).epsilon(1e-12));
}

TEST_CASE("the exact partition function of gaussian visible units is the integral") {
  Rbm rbm({.visible = 1, .hidden = 4, .units = VisibleUnits::gaussian, .learn_variance = true});
  randomise(rbm, 0.8);
  const int64_t n = 40001;
  const Tensor v = (reshape(Tensor::arange(n, Dtype::f64), {n, 1}) - 20000.0) * 1e-3;
  CHECK(exact_log_partition(rbm) == doctest::Approx(logsumexp(-rbm.free_energy(v)).item() + std::log(1e-3)).epsilon(1e-9));
}

TEST_CASE("annealed importance sampling finds log Z within 1 % of the sum over all states, within its own limits, the same twice") {
  for (const auto units : {VisibleUnits::bernoulli, VisibleUnits::gaussian})
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      Rbm rbm({.visible = 25, .hidden = 15, .units = units});
      randomise(rbm, 0.5, dtype);
      const double exact = exact_log_partition(rbm);
      AnnealingOptions options{.chains = 50, .temperatures = 600, .seed = 2};
      if (units == VisibleUnits::bernoulli) options.data = random_uniform({40, 25}, 1, 1, 0, 1, dtype);
      set_threads(1);
      const LogPartition found = annealed_log_partition(rbm, options);
      set_threads(2);
      const LogPartition again = annealed_log_partition(rbm, options);
      set_threads(0);
      CAPTURE(exact);
      CAPTURE(found.value);
      CHECK(std::abs(found.value - exact) < 0.01 * std::abs(exact));
      CHECK(found.low <= exact);
      CHECK(exact <= found.high);
      CHECK(found.deviation > 0);
      CHECK(found.value == again.value);
    }
}

TEST_CASE("partition functions: what cannot be computed is refused in one line") {
  CHECK(message([] { exact_log_partition(Rbm({.visible = 30, .hidden = 30})); }) ==
        "[partition] exact_log_partition() would sum over the states of 30 units, 24 at most are feasible; use annealed_log_partition()");
  CHECK(message([] { exact_probabilities(Rbm({.visible = 3, .hidden = 3, .units = VisibleUnits::gaussian})); }).find("bernoulli") !=
        std::string::npos);
  CHECK(message([] { annealed_log_partition(Rbm({.visible = 3, .hidden = 3}), {.chains = 0}); }).find("a chain or more") !=
        std::string::npos);
}
