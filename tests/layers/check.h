#pragma once
// What the tests of layers share: golden files, distances, finite differences.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "layers/module.h"
#include "tensor/files.h"
#include "tensor/random.h"
#include "tests/message.h"

namespace sono::tests {

// golden/NAME.safetensors, made from PyTorch by golden_layers.py.
class Golden {
 public:
  explicit Golden(const std::string& name) {
    for (auto& [key, value] : read_safetensors(SONO_SOURCE_DIR "/tests/layers/golden/" + name + ".safetensors").tensors)
      values_[key] = value;
  }
  bool has(const std::string& key) const { return values_.count(key) > 0; }
  const Tensor& operator[](const std::string& key) const {
    if (!has(key)) throw Error("the golden file has no " + key);
    return values_.at(key);
  }
  State under(const std::string& prefix) const {  // "weights." -> paths and values
    State all;
    for (const auto& [key, value] : values_)
      if (key.compare(0, prefix.size(), prefix) == 0) all.emplace_back(key.substr(prefix.size()), value);
    return all;
  }

 private:
  std::map<std::string, Tensor> values_;
};

// Largest difference relative to the largest value expected; infinite for NaN or another shape.
inline double distance(const Tensor& got, const Tensor& expected) {
  if (got.shape() != expected.shape()) return INFINITY;
  const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < a.size(); i++) {
    if (!std::isfinite(a[i])) return INFINITY;
    worst = std::max(worst, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  return worst / largest;
}

inline Tensor normal(Shape shape, uint64_t stream, Dtype dtype = Dtype::f64) {
  return random_normal(std::move(shape), 7, stream, 0, 1, dtype);
}

// Largest difference between grad() and central differences of loss() over every value of every tensor, relative to the largest gradient.
inline double gradient_error(const std::function<Tensor()>& loss, const std::vector<Tensor>& leaves, double h = 1e-5) {
  const std::vector<Tensor> g = grad(loss(), leaves);
  const NoGrad plain;
  double worst = 0, largest = 1e-12;
  for (size_t k = 0; k < leaves.size(); k++)
    for (int64_t i = 0; i < leaves[k].size(); i++) {
      double& v = leaves[k].data<double>()[i];
      const double before = v;
      v = before + h;
      const double up = loss().item();
      v = before - h;
      const double down = loss().item();
      v = before;
      worst = std::max(worst, std::abs((up - down) / (2 * h) - g[k].data<double>()[i]));
      largest = std::max(largest, std::abs(g[k].data<double>()[i]));
    }
  return worst / largest;
}

// The leaves of a module, in double precision.
inline std::vector<Tensor> leaves(Module& module, std::vector<Tensor> more = {}) {
  for (const Module::Entry& e : module.trainable()) more.push_back(*e.value);
  return more;
}

}  // namespace sono::tests
