#include "layers/dbm.h"

#include "layers/init.h"

namespace sono {

Dbm::Dbm(Module* parent, std::string name, const Options& o) : Module(parent, std::move(name)), options_(o) {
  if (o.widths.size() < 3) throw ShapeError("[dbm] widths must name the visible units and two hidden layers or more; one is an Rbm");
  if (o.iterations < 1) throw Error("[dbm] mean field wants one iteration or more, got " + std::to_string(o.iterations));
  weights_.resize(o.widths.size() - 1), biases_.resize(o.widths.size());  // their addresses are kept
  for (size_t l = 0; l < weights_.size(); l++) {
    parameter("weight_l" + std::to_string(l + 1), weights_[l], Tensor({o.widths[l], o.widths[l + 1]}), Layout::filters);
    init::normal(weights_[l], 0, o.deviation);
  }
  for (size_t l = 0; l < biases_.size(); l++) parameter("bias_l" + std::to_string(l), biases_[l], Tensor::zeros({o.widths[l]}));
}

void Dbm::check(const Tensor& v) const {
  if (v.rank() != 2 || v.dim(1) != options_.widths[0])
    throw ShapeError("[dbm] expected (N, " + std::to_string(options_.widths[0]) + "), got " + to_string(v.shape()));
  check_visible("dbm", VisibleUnits::bernoulli, v);
}

Tensor Dbm::given_neighbours(const std::vector<Tensor>& units, int64_t layer) const {
  const auto l = static_cast<size_t>(layer);
  if (l == 0) return sigmoid(matmul(units[1], weights_[0], false, true) + biases_[0]);
  const Tensor below = linear(units[l - 1], weights_[l - 1], biases_[l]);
  return sigmoid(l < weights_.size() ? below + matmul(units[l + 1], weights_[l], false, true) : below);
}

std::vector<Tensor> Dbm::mean_field(const Tensor& v) const {
  const Scope scope(*this);
  check(v);
  std::vector<Tensor> units{v};
  for (size_t l = 0; l < weights_.size(); l++)
    units.push_back(sigmoid(linear(l + 1 < weights_.size() ? units[l] * 2.0 : units[l], weights_[l], biases_[l + 1])));
  for (int64_t i = 0; i < options_.iterations; i++)
    for (size_t l = 1; l < units.size(); l++) units[l] = given_neighbours(units, static_cast<int64_t>(l));
  units.erase(units.begin());
  return units;
}

Tensor Dbm::energy(const Tensor& v, const std::vector<Tensor>& h) const {
  check(v);
  if (h.size() != weights_.size())
    throw ShapeError("[dbm] energy() wants units of " + std::to_string(weights_.size()) + " hidden layers, got " + std::to_string(h.size()));
  Tensor e = -sum(v * biases_[0], {1});
  for (size_t l = 0; l < h.size(); l++) e = e - sum(h[l] * linear(l ? h[l - 1] : v, weights_[l], biases_[l + 1]), {1});
  return e;
}

Tensor Dbm::bound(const Tensor& v, const std::vector<Tensor>& mu) const {
  constexpr double least = 1e-30;  // 0 log 0 = 0
  Tensor value = -energy(v, mu);
  for (const Tensor& m : mu) value = value - sum(m * log(maximum(m, Tensor::scalar(least, m.dtype(), m.device()))) +
                                                     (1.0 - m) * log(maximum(1.0 - m, Tensor::scalar(least, m.dtype(), m.device()))), {1});
  return value;
}

void Dbm::gibbs(std::vector<Tensor>& units, int64_t steps, Draw draw) const {
  const NoGrad values;
  if (units.size() != biases_.size())
    throw ShapeError("[dbm] gibbs() wants units of " + std::to_string(biases_.size()) + " layers, visible first, got " + std::to_string(units.size()));
  for (int64_t t = 0; t < steps; t++)
    for (const size_t parity : {1, 0})
      for (size_t l = parity; l < units.size(); l += 2)
        units[l] = bernoulli(given_neighbours(units, static_cast<int64_t>(l)), draw.of("gibbs", static_cast<uint64_t>(t), l));
}

std::vector<Tensor> Dbm::random_units(int64_t n, Draw draw) const {
  std::vector<Tensor> units;
  for (size_t l = 0; l < biases_.size(); l++)
    units.push_back(bernoulli(Tensor::full({n, options_.widths[l]}, 0.5, biases_[l].dtype(), biases_[l].device()), draw.of("start", l)));
  return units;
}

Tensor Dbm::generate(int64_t n, int64_t steps, Draw draw) const {
  const NoGrad values;
  std::vector<Tensor> units = random_units(n, draw);
  gibbs(units, steps, draw);
  return given_neighbours(units, 0);
}

std::string Dbm::describe() const {
  std::string text;
  for (const int64_t width : options_.widths) text += (text.empty() ? "" : "-") + std::to_string(width);
  return text;
}

}  // namespace sono
