#include "optim/partition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "tensor/parallel.h"

namespace sono {
namespace {

constexpr int64_t most_units = 24, states_at_once = 4096;

// States first … last - 1 of n binary units, f64.
Tensor some_states(int64_t n, int64_t first, int64_t last) {
  const Tensor states({last - first, n}, Dtype::f64);
  for (int64_t s = first; s < last; s++)
    for (int64_t i = 0; i < n; i++) states.data<double>()[(s - first) * n + i] = static_cast<double>(s >> i & 1);
  return states;
}

// log of the sum of exp(f(states)) over all 2^n states; f: (rows, n) -> (rows).
template <class F>
double log_sum_over_states(int64_t n, const F& f) {
  const NoGrad values;
  const int64_t all = int64_t{1} << n;
  std::vector<double> parts;
  for (int64_t first = 0; first < all; first += states_at_once)
    parts.push_back(logsumexp(f(some_states(n, first, std::min(all, first + states_at_once)))).item());
  return logsumexp(Tensor::from({static_cast<int64_t>(parts.size())}, parts)).item();
}

void check_size(const char* what, int64_t units, int64_t most) {
  if (units > most)
    throw Error(std::string("[partition] ") + what + " would sum over the states of " + std::to_string(units) + " units, " + std::to_string(most) +
                " at most are feasible; use annealed_log_partition()");
}

Tensor f64(const Tensor& t) { return t.detach().to(Device::cpu).to(Dtype::f64); }

}  // namespace

Tensor all_states(int64_t n, Dtype dtype) {
  check_size("all_states()", n, most_units);
  return some_states(n, 0, int64_t{1} << n).to(dtype);
}

double exact_log_partition(const Rbm& rbm) {
  const NoGrad values;
  const Tensor W = f64(rbm.weight), a = f64(rbm.visible_bias), b = f64(rbm.hidden_bias);
  const bool gaussian = rbm.units() == VisibleUnits::gaussian;
  if (!gaussian && rbm.visible() < rbm.hidden()) {
    check_size("exact_log_partition()", rbm.visible(), most_units);
    return log_sum_over_states(rbm.visible(), [&](const Tensor& v) { return sum(v * a, {1}) + sum(softplus(linear(v, W, b)), {1}); });
  }
  check_size("exact_log_partition()", rbm.hidden(), most_units);
  const Tensor down = transpose(W);
  if (!gaussian)
    return log_sum_over_states(rbm.hidden(), [&](const Tensor& h) { return sum(h * b, {1}) + sum(softplus(linear(h, down, a)), {1}); });
  // The integral over v_i of exp(-(v_i - a_i)^2 / (2 s_i^2) + v_i d_i / s_i), d = W h, is s_i sqrt(2 pi) exp(a_i d_i / s_i + d_i^2 / 2).
  const Tensor log_s = f64(rbm.log_deviation), u = a / exp(log_s);
  const double constant = sum(log_s).item() + 0.5 * static_cast<double>(rbm.visible()) * std::log(2 * std::numbers::pi);
  return constant + log_sum_over_states(rbm.hidden(), [&](const Tensor& h) {
           const Tensor d = matmul(h, down);
           return sum(h * b, {1}) + sum(d * u + 0.5 * square(d), {1});
         });
}

double exact_log_partition(const Dbm& dbm) {
  const NoGrad values;
  const auto& widths = dbm.options().widths;
  int64_t units[2] = {0, 0};
  for (size_t l = 0; l < widths.size(); l++) units[l % 2] += widths[l];
  const size_t parity = units[1] <= units[0] ? 1 : 0;
  check_size("exact_log_partition()", units[parity], most_units);
  return log_sum_over_states(units[parity], [&](const Tensor& states) {
    std::vector<Tensor> layer(widths.size());
    int64_t first = 0;
    for (size_t l = parity; l < widths.size(); l += 2) layer[l] = slice(states, 1, first, first + widths[l]), first += widths[l];
    Tensor value = Tensor::zeros({states.dim(0)}, Dtype::f64);
    for (size_t l = 0; l < widths.size(); l++) {
      const Tensor b = f64(dbm.bias(static_cast<int64_t>(l)));
      if (layer[l]) {
        value = value + sum(layer[l] * b, {1});
        continue;
      }
      Tensor drive = b;
      if (l > 0) drive = drive + matmul(layer[l - 1], f64(dbm.weight(static_cast<int64_t>(l) - 1)));
      if (l + 1 < widths.size()) drive = drive + matmul(layer[l + 1], f64(dbm.weight(static_cast<int64_t>(l))), false, true);
      value = value + sum(softplus(drive), {1});
    }
    return value;
  });
}

Tensor exact_probabilities(const Rbm& rbm) {
  const NoGrad values;
  if (rbm.units() != VisibleUnits::bernoulli) throw Error("[partition] exact_probabilities() is of bernoulli visible units");
  check_size("exact_probabilities()", rbm.visible(), 20);
  const Tensor v = all_states(rbm.visible(), Dtype::f64);
  const Tensor log_p = sum(v * f64(rbm.visible_bias), {1}) + sum(softplus(linear(v, f64(rbm.weight), f64(rbm.hidden_bias))), {1});
  return exp(log_p - logsumexp(log_p));
}

Tensor log_likelihood(const Rbm& rbm, const Tensor& v, double log_partition) {
  const NoGrad values;
  return -f64(rbm.free_energy(v)) - log_partition;
}

// ---- annealed importance sampling ------------------------------------------------------------------------------------------------------------
namespace {

// Inverse temperatures from 0 to 1: a thirtieth of the steps up to 0.5, a quarter up to 0.9, the rest to 1 [Salakhutdinov and Murray 2008].
std::vector<double> ladder(int64_t steps) {
  const int64_t first = std::max<int64_t>(1, steps / 30), second = first + std::max<int64_t>(1, steps / 4);
  std::vector<double> beta;
  for (int64_t k = 0; k <= steps; k++) {
    const auto part = [&](int64_t from, int64_t to, double low, double high) {
      return low + (high - low) * static_cast<double>(k - from) / static_cast<double>(to - from);
    };
    beta.push_back(k <= first ? part(0, first, 0, 0.5) : k <= second ? part(first, second, 0.5, 0.9) : part(second, steps, 0.9, 1));
  }
  return beta;
}

double softplus_of(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

// weight[r] += sum over j of softplus(to x[r, j]) - softplus(from x[r, j]).
void add_hidden_terms(const Tensor& x, double from, double to, std::vector<double>& weight) {
  const int64_t n = x.dim(1);
  visit_real("annealing", x.dtype(), [&]<class T>() {
    parallel_for(x.dim(0), std::max<int64_t>(1, 2048 / n), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; r++)
        for (int64_t j = 0; j < n; j++) {
          const auto value = static_cast<double>(x.data<T>()[r * n + j]);
          weight[static_cast<size_t>(r)] += softplus_of(to * value) - softplus_of(from * value);
        }
    });
  });
}

// The model between the base (b = 0) and the rbm (b = 1), in u = v / s for Gaussian units.
struct Annealed {
  const Rbm& rbm;
  bool gaussian;
  Tensor W, a, b, base;  // a: of u; base: the base model's visible biases

  Annealed(const Rbm& machine, const Tensor& data) : rbm(machine), gaussian(machine.units() == VisibleUnits::gaussian) {
    W = rbm.weight.detach(), a = rbm.visible_bias.detach(), b = rbm.hidden_bias.detach();
    if (gaussian) a = a / rbm.deviation().detach();
    base = a;
    if (gaussian || !data) return;
    check_visible("rbm", VisibleUnits::bernoulli, data);
    const double rows = static_cast<double>(data.dim(0));
    const Tensor p = (sum(f64(data), {0}) + 1.0) / (rows + 2);  // Laplace's rule: no bias is infinite
    base = log(p / (1.0 - p)).to(a.dtype());
  }
  Tensor drive(const Tensor& v) const { return linear(v, W, b); }
  Tensor visible(const Tensor& h, double beta, Draw draw) const {
    const Tensor up = matmul(h, W, false, true) * beta;
    if (gaussian) return sono::gaussian(a + up, Tensor::ones({1}, a.dtype()), draw);
    return bernoulli(sigmoid(up + base * (1 - beta) + a * beta), draw);
  }
  double log_z_of_base() const {
    const double hidden = static_cast<double>(rbm.hidden()) * std::log(2.0), units = static_cast<double>(rbm.visible());
    if (gaussian) return hidden + sum(f64(rbm.log_deviation)).item() + 0.5 * units * std::log(2 * std::numbers::pi);
    return hidden + sum(softplus(f64(base))).item();
  }
};

LogPartition summarize_weights(const std::vector<double>& weight, double base) {
  const auto n = static_cast<double>(weight.size());
  const double most = *std::max_element(weight.begin(), weight.end());
  double sum = 0, squares = 0;
  for (const double w : weight) sum += std::exp(w - most);
  const double mean = sum / n;
  for (const double w : weight) squares += (std::exp(w - most) - mean) * (std::exp(w - most) - mean);
  const double error = n > 1 ? std::sqrt(squares / (n - 1) / n) : std::numeric_limits<double>::infinity();
  const auto log_of = [&](double x) { return x > 0 ? base + most + std::log(x) : -std::numeric_limits<double>::infinity(); };
  return {.value = log_of(mean), .deviation = error / mean, .low = log_of(mean - 3 * error), .high = log_of(mean + 3 * error)};
}

}  // namespace

LogPartition annealed_log_partition(const Rbm& rbm, const AnnealingOptions& o) {
  const NoGrad values;
  if (o.chains < 1 || o.temperatures < 4) throw Error("[partition] annealing wants a chain or more and 4 temperatures or more");
  if (rbm.weight.device() != Device::cpu) throw DeviceError("[partition] annealing runs on the CPU; move the rbm there");
  const Annealed model(rbm, o.data);
  const Draw draw{.seed = o.seed, .stream = 0};
  const std::vector<double> beta = ladder(o.temperatures);
  std::vector<double> weight(static_cast<size_t>(o.chains), 0.0);
  Tensor v = model.visible(Tensor::zeros({o.chains, rbm.hidden()}, model.a.dtype()), 0, draw.of("base"));
  const Tensor biases = model.a - model.base;
  for (size_t k = 1; k < beta.size(); k++) {
    const Tensor x = model.drive(v);
    add_hidden_terms(x, beta[k - 1], beta[k], weight);
    if (!model.gaussian) {
      const Tensor visible = sum(v * biases, {1}) * (beta[k] - beta[k - 1]);
      for (size_t r = 0; r < weight.size(); r++) weight[r] += visible.at({static_cast<int64_t>(r)});
    }
    if (k + 1 == beta.size()) break;
    const Tensor h = bernoulli(sigmoid(x * beta[k]), draw.of("hidden", k));
    v = model.visible(h, beta[k], draw.of("visible", k));
  }
  return summarize_weights(weight, model.log_z_of_base());
}

}  // namespace sono
