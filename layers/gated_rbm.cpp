#include "layers/gated_rbm.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sono {

GatedRbm::GatedRbm(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      options_(o),
      relevant(this, "relevant", {.visible = o.visible, .hidden = o.relevant, .deviation = o.deviation}),
      irrelevant(this, "irrelevant", {.visible = o.visible, .hidden = o.irrelevant, .deviation = o.deviation}) {
  if (o.iterations < 1) throw Error("[gated rbm] inference wants one iteration or more, got " + std::to_string(o.iterations));
}

namespace {

// W h + a: what a component says of each visible unit.
Tensor downward(const Rbm& rbm, const Tensor& h) { return linear(h, transpose(rbm.weight), rbm.visible_bias); }
Tensor upward(const Rbm& rbm, const Tensor& v) { return sigmoid(linear(v, rbm.weight, rbm.hidden_bias)); }

}  // namespace

Tensor GatedRbm::gate_given(const Tensor& v, const Tensor& h1, const Tensor& h2) const {
  return sigmoid(v * (downward(relevant, h1) - downward(irrelevant, h2)));
}

GatedRbm::Hidden GatedRbm::hidden_given(const Tensor& v, const Tensor& gate) const {
  return {upward(relevant, v * gate), upward(irrelevant, v * (1.0 - gate)), gate};
}

GatedRbm::Hidden GatedRbm::infer(const Tensor& v) const {
  const Scope scope(*this);
  if (v.rank() != 2 || v.dim(1) != options_.visible)
    throw ShapeError("[gated rbm] expected (N, " + std::to_string(options_.visible) + "), got " + to_string(v.shape()));
  check_visible("gated rbm", VisibleUnits::bernoulli, v);
  Hidden h{{}, {}, Tensor::ones(v.shape(), v.dtype(), v.device())};
  for (int64_t i = 0; i < options_.iterations; i++) {
    h = hidden_given(v, h.gate);
    h.gate = gate_given(v, h.relevant, h.irrelevant);
  }
  return h;
}

Tensor GatedRbm::visible_given(const Hidden& h) const {
  return sigmoid(h.gate * downward(relevant, h.relevant) + (1.0 - h.gate) * downward(irrelevant, h.irrelevant));
}

Tensor GatedRbm::energy(const Tensor& v, const Hidden& h) const {
  const Tensor explained = h.gate * downward(relevant, h.relevant) + (1.0 - h.gate) * downward(irrelevant, h.irrelevant);
  return -sum(v * explained, {1}) - sum(h.relevant * relevant.hidden_bias, {1}) - sum(h.irrelevant * irrelevant.hidden_bias, {1});
}

namespace {

void take_units(const Rbm& from, const std::vector<int32_t>& units, const Rbm& to) {
  const Tensor index = Tensor::from({static_cast<int64_t>(units.size())}, units);
  to.weight.detach().copy_from(take(from.weight.detach(), index, 1));
  to.hidden_bias.detach().copy_from(take(from.hidden_bias.detach(), index, 0));
  to.visible_bias.detach().copy_from(from.visible_bias.detach());
}

}  // namespace

void GatedRbm::initialise(const Rbm& rbm, const Tensor& score) {
  const NoGrad values;
  const auto fail = [](const std::string& why) { throw Error("[gated rbm] " + why); };
  const int64_t wanted = options_.relevant + options_.irrelevant;
  if (rbm.units() != VisibleUnits::bernoulli || rbm.visible() != options_.visible)
    fail("initialise() wants a bernoulli Rbm with " + std::to_string(options_.visible) + " visible units");
  if (rbm.hidden() < wanted)
    fail("the Rbm has " + std::to_string(rbm.hidden()) + " hidden units, " + std::to_string(wanted) + " are to be taken");
  if (score.size() != rbm.hidden())
    fail("one score per hidden unit is wanted, " + std::to_string(rbm.hidden()) + ", got " + to_string(score.shape()));
  const std::vector<double> s = score.to_vector<double>();
  for (size_t j = 0; j < s.size(); j++)
    if (std::isnan(s[j])) fail("the score of unit " + std::to_string(j) + " is not a number");
  std::vector<int32_t> order(s.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return s[static_cast<size_t>(a)] > s[static_cast<size_t>(b)]; });
  const std::vector<int32_t> best(order.begin(), order.begin() + options_.relevant);
  std::vector<int32_t> rest(order.begin() + options_.relevant, order.end());
  std::stable_sort(rest.begin(), rest.end(), [&](int32_t a, int32_t b) {
    const double x = s[static_cast<size_t>(a)], y = s[static_cast<size_t>(b)];
    return x < y || (x == y && a < b);
  });
  rest.resize(static_cast<size_t>(options_.irrelevant));
  take_units(rbm, best, relevant), take_units(rbm, rest, irrelevant);
}

std::string GatedRbm::describe() const {
  return std::to_string(options_.visible) + " - " + std::to_string(options_.relevant) + " | " + std::to_string(options_.irrelevant);
}

}  // namespace sono
