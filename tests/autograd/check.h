#pragma once
// What the tests of the operations share: random inputs, comparison, finite differences.
#include <cmath>
#include <cstring>

#include "autograd/ops.h"
#include "tensor/random.h"

namespace sono::tests {

inline Tensor copy_as(const Tensor& t, Dtype dtype) { return t.dtype() == dtype ? t.clone() : t.to(dtype); }

inline std::vector<Tensor> leaves(const std::vector<Tensor>& values) {
  std::vector<Tensor> all;
  for (const Tensor& v : values) all.push_back(leaf(v));
  return all;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0);
}

// The largest difference, relative to the largest value of the second; NaN if shapes differ or a NaN is in one alone.
inline double difference(const Tensor& a, const Tensor& expected) {
  if (a.shape() != expected.shape()) return NAN;
  const auto x = a.to_vector<double>(), y = expected.to_vector<double>();
  double worst = 0, largest = 1e-3;
  for (size_t i = 0; i < x.size(); i++) {
    if (std::isnan(x[i]) != std::isnan(y[i])) return NAN;
    if (std::isnan(x[i]) || x[i] == y[i]) continue;
    worst = std::max(worst, std::abs(x[i] - y[i]));
    largest = std::max(largest, std::abs(y[i]));
  }
  return worst / largest;
}

inline double dot(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double total = 0;
  for (size_t k = 0; k < a.size(); k++) {
    const auto x = a[k].to_vector<double>(), y = b[k].to_vector<double>();
    for (size_t i = 0; i < x.size(); i++) total += x[i] * y[i];
  }
  return total;
}

inline double norm(const std::vector<Tensor>& a) { return std::sqrt(dot(a, a)); }

inline std::vector<Tensor> random_like(const std::vector<Tensor>& values, uint64_t stream) {
  std::vector<Tensor> all;
  for (const Tensor& v : values) all.push_back(random_normal(v.shape(), 77, stream++, 0, 1, v.dtype()));
  return all;
}

inline std::vector<Tensor> moved(const std::vector<Tensor>& values, const std::vector<Tensor>& along, double step) {
  std::vector<Tensor> all;
  for (size_t k = 0; k < values.size(); k++) all.push_back(values[k].detach() + along[k] * step);
  return all;
}

// Central difference of a function of several tensors along a direction, by Richardson's formula of fourth order.
template <class F>
double slope(const F& f, const std::vector<Tensor>& at, const std::vector<Tensor>& along, double h) {
  const auto central = [&](double step) { return (f(moved(at, along, step)) - f(moved(at, along, -step))) / (2 * step); };
  return (4 * central(h / 2) - central(h)) / 3;
}

}  // namespace sono::tests
