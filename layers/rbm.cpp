#include "layers/rbm.h"

#include <algorithm>
#include <cmath>

#include "layers/init.h"

namespace sono {

Rbm::Rbm(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  if (o.visible < 1 || o.hidden < 1)
    throw ShapeError("[rbm] visible and hidden must be at least 1, got " + std::to_string(o.visible) + " and " + std::to_string(o.hidden));
  if (o.learn_variance && o.units != VisibleUnits::gaussian) throw Error("[rbm] only gaussian visible units have a variance to learn");
  parameter("weight", weight, Tensor({o.visible, o.hidden}), Layout::filters);
  parameter("visible_bias", visible_bias, Tensor::zeros({o.visible}));
  parameter("hidden_bias", hidden_bias, Tensor::zeros({o.hidden}));
  if (o.learn_variance) parameter("log_deviation", log_deviation, Tensor::zeros({o.visible}));
  if (o.units == VisibleUnits::gaussian && !o.learn_variance) buffer("log_deviation", log_deviation, Tensor::zeros({o.visible}));
  init::normal(weight, 0, o.deviation);
}

void Rbm::check(const char* function, const Tensor& t, int64_t width) const {
  if (t.rank() != 2 || t.dim(1) != width)
    throw ShapeError(std::string("[rbm] ") + function + " expected (N, " + std::to_string(width) + "), got " + to_string(t.shape()));
}

Tensor Rbm::deviation() const {
  if (!log_deviation) throw Error("[rbm] bernoulli visible units have no deviation");
  return exp(log_deviation);
}

// v as the weights see it.
Tensor Rbm::scaled(const Tensor& v) const { return log_deviation ? v / deviation() : v; }

Tensor Rbm::hidden_given_visible(const Tensor& v) const {
  const Scope scope(*this);
  check("hidden_given_visible()", v, visible());
  check_visible("rbm", options_.units, v);
  return sigmoid(linear(scaled(v), weight, hidden_bias));
}

Tensor Rbm::visible_given_hidden(const Tensor& h) const {
  const Scope scope(*this);
  check("visible_given_hidden()", h, hidden());
  const Tensor drive = matmul(h, weight, false, true);
  return log_deviation ? visible_bias + deviation() * drive : sigmoid(visible_bias + drive);
}

// What the visible units alone add to the energy.
Tensor Rbm::visible_energy(const Tensor& v) const {
  if (!log_deviation) return -sum(v * visible_bias, {1});
  return 0.5 * sum(square((v - visible_bias) / deviation()), {1});
}

Tensor Rbm::energy(const Tensor& v, const Tensor& h) const {
  check("energy()", v, visible()), check("energy()", h, hidden());
  check_visible("rbm", options_.units, v);
  return visible_energy(v) - sum(h * linear(scaled(v), weight, hidden_bias), {1});
}

Tensor Rbm::free_energy(const Tensor& v) const {
  const Scope scope(*this);
  check("free_energy()", v, visible());
  check_visible("rbm", options_.units, v);
  return visible_energy(v) - sum(softplus(linear(scaled(v), weight, hidden_bias)), {1});
}

Rbm::Units Rbm::sample_hidden(const Tensor& v, Draw draw) const {
  const NoGrad values;
  check("sample_hidden()", v, visible());
  check_visible("rbm", options_.units, v);
  const BinaryUnits u = sample_units(scaled(v), weight, hidden_bias, false, draw.seed, draw.stream);
  return {u.probability, u.sample};
}

Rbm::Units Rbm::sample_visible(const Tensor& h, Draw draw) const {
  const NoGrad values;
  check("sample_visible()", h, hidden());
  if (log_deviation) {
    const Tensor mean = visible_given_hidden(h);
    return {mean, gaussian(mean, deviation(), draw)};
  }
  const BinaryUnits u = sample_units(h, weight, visible_bias, true, draw.seed, draw.stream);
  return {u.probability, u.sample};
}

Rbm::Units Rbm::gibbs(const Tensor& v, int64_t steps, Draw draw) const {
  Units units{v.detach(), v.detach()};
  for (int64_t t = 0; t < steps; t++) {
    const auto step = static_cast<uint64_t>(t);
    units = sample_visible(sample_hidden(units.sample, draw.of("hidden", step)).sample, draw.of("visible", step));
  }
  return units;
}

void Rbm::fit_visible(const Tensor& data) {
  const NoGrad values;
  check("fit_visible()", data, visible());
  check_visible("rbm", options_.units, data);
  if (data.dim(0) < 1) throw Error("[rbm] fit_visible() wants data, got no row");
  const Tensor x = data.detach().to(Dtype::f64), means = mean(x, {0});
  if (log_deviation) {
    check_varies("rbm", data);
    log_deviation.detach().copy_from(log(sqrt(var(x, {0}))).to(log_deviation.dtype()));
    return visible_bias.detach().copy_from(means.to(visible_bias.dtype()));
  }
  const double least = 0.5 / static_cast<double>(data.dim(0));
  const Tensor p = clamp(means, least, 1 - least);
  visible_bias.detach().copy_from(log(p / (1.0 - p)).to(visible_bias.dtype()));
}

std::string Rbm::describe() const {
  return std::to_string(visible()) + (log_deviation ? " gaussian" : "") + " - " + std::to_string(hidden()) + (options_.learn_variance ? ", learnt variance" : "");
}

}  // namespace sono
