#include "layers/weight_map.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace sono {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

// d[i] = min over j of (i - j)^2 + f[j], by the lower envelope of the parabolas rooted at j.
void envelope(const std::vector<double>& f, std::vector<double>& d) {
  const int n = static_cast<int>(f.size());
  std::vector<int> root;
  std::vector<double> from;  // root[k] is the lowest from from[k] on
  const auto square = [](double v) { return v * v; };
  for (int j = 0; j < n; j++) {
    if (f[static_cast<size_t>(j)] == infinite) continue;
    double start = -infinite;
    while (!root.empty()) {
      const int i = root.back();
      start = (f[static_cast<size_t>(j)] + square(j) - f[static_cast<size_t>(i)] - square(i)) / (2.0 * (j - i));
      if (start > from.back()) break;
      root.pop_back(), from.pop_back();
      start = -infinite;
    }
    root.push_back(j), from.push_back(start);
  }
  size_t k = 0;
  for (int i = 0; i < n; i++) {
    while (k + 1 < root.size() && from[k + 1] < i) k++;
    d[static_cast<size_t>(i)] = root.empty() ? infinite : square(i - root[k]) + f[static_cast<size_t>(root[k])];
  }
}

// Squared distances to the pixels where inside is not 0.
std::vector<double> squared_distances(const std::vector<uint8_t>& inside, int64_t height, int64_t width) {
  std::vector<double> all(inside.size());
  for (size_t i = 0; i < all.size(); i++) all[i] = inside[i] ? 0 : infinite;
  const auto pass = [&](int64_t lines, int64_t n, int64_t line_step, int64_t step) {
    std::vector<double> f(static_cast<size_t>(n)), d(static_cast<size_t>(n));
    for (int64_t l = 0; l < lines; l++) {
      for (int64_t i = 0; i < n; i++) f[static_cast<size_t>(i)] = all[static_cast<size_t>(l * line_step + i * step)];
      envelope(f, d);
      for (int64_t i = 0; i < n; i++) all[static_cast<size_t>(l * line_step + i * step)] = d[static_cast<size_t>(i)];
    }
  };
  pass(width, height, 1, width);
  pass(height, width, width, 1);
  return all;
}

std::vector<int32_t> labels(const char* name, const Tensor& mask) {
  if (mask.rank() != 2) throw ShapeError(std::string("[") + name + "] expected a mask (H, W), got " + to_string(mask.shape()));
  if (mask.dtype() != Dtype::u8 && mask.dtype() != Dtype::i32)
    throw DtypeError(std::string("[") + name + "] expected a mask of u8 or i32, got " + to_string(mask.dtype()));
  return mask.to_vector<int32_t>();
}

template <class Test>
std::vector<double> distances_to(const std::vector<int32_t>& values, const Shape& shape, Test test) {
  std::vector<uint8_t> inside;
  for (int32_t v : values) inside.push_back(test(v));
  std::vector<double> d = squared_distances(inside, shape[0], shape[1]);
  for (double& v : d) v = std::sqrt(v);
  return d;
}

Tensor as_tensor(const Shape& shape, const std::vector<double>& values) {
  return Tensor::from(shape, std::vector<float>(values.begin(), values.end()));
}

}  // namespace

Tensor distance_transform(const Tensor& mask) {
  return as_tensor(mask.shape(), distances_to(labels("distance_transform", mask), mask.shape(), [](int32_t v) { return v != 0; }));
}

Tensor border_weight_map(const Tensor& pieces, const BorderWeightOptions& o) {
  const std::vector<int32_t> label = labels("border_weight_map", pieces);
  std::vector<double> first(label.size(), infinite), second(label.size(), infinite), w(label.size(), 1);
  std::set<int32_t> objects(label.begin(), label.end());
  objects.erase(0);
  for (int32_t object : objects) {
    const std::vector<double> d = distances_to(label, pieces.shape(), [&](int32_t v) { return v == object; });
    for (size_t i = 0; i < d.size(); i++)
      if (d[i] < first[i])
        second[i] = first[i], first[i] = d[i];
      else
        second[i] = std::min(second[i], d[i]);
  }
  const double total = static_cast<double>(label.size()), background = static_cast<double>(std::count(label.begin(), label.end(), 0));
  for (size_t i = 0; i < w.size(); i++) {
    if (o.balance && background > 0 && background < total) w[i] = total / (2 * (label[i] ? total - background : background));
    const double d = first[i] + second[i];
    if (label[i] == 0) w[i] += o.w0 * std::exp(-d * d / (2 * o.sigma * o.sigma));
  }
  return as_tensor(pieces.shape(), w);
}

Tensor boundary_weight_map(const Tensor& mask, double w0, double tau) {
  const std::vector<int32_t> label = labels("boundary_weight_map", mask);
  const std::vector<double> outside = distances_to(label, mask.shape(), [](int32_t v) { return v != 0; });
  const std::vector<double> inside = distances_to(label, mask.shape(), [](int32_t v) { return v == 0; });
  std::vector<double> w(label.size());
  for (size_t i = 0; i < w.size(); i++)
    w[i] = 1 + w0 * std::exp(-(std::max(outside[i], inside[i]) - 0.5) / tau);  // the boundary is between pixels
  return as_tensor(mask.shape(), w);
}

}  // namespace sono
