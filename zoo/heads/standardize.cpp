#include "zoo/heads/standardize.h"

#include <algorithm>
#include <cmath>

#include "zoo/heads/head.h"

namespace sono::zoo {

Standardizer Standardizer::fit(const Tensor& x) {
  if (x.rank() != 2 || x.dim(0) < 1) throw ShapeError("[standardize] wants (cases, features), got " + to_string(x.shape()));
  const int64_t n = x.dim(0), f = x.dim(1);
  const float* v = x.data<float>();
  Standardizer s;
  s.mean_.assign(static_cast<size_t>(f), 0);
  s.deviation_.assign(static_cast<size_t>(f), 0);
  for (int64_t i = 0; i < n * f; i++) s.mean_[static_cast<size_t>(i % f)] += static_cast<double>(v[i]);
  for (double& m : s.mean_) m /= static_cast<double>(n);
  for (int64_t i = 0; i < n * f; i++) {
    const double d = static_cast<double>(v[i]) - s.mean_[static_cast<size_t>(i % f)];
    s.deviation_[static_cast<size_t>(i % f)] += d * d;
  }
  for (int64_t j = 0; j < f; j++) {
    double& d = s.deviation_[static_cast<size_t>(j)];
    d = std::sqrt(d / static_cast<double>(n));
    if (!std::isfinite(d))
      throw NumericError("[standardize] feature " + std::to_string(j) + " is not finite in every case; replace missing values before");
    if (d <= 1e-7 * std::max(1e-30, std::abs(s.mean_[static_cast<size_t>(j)]))) d = 0;  // below what f32 can tell from a constant
  }
  if (f > 0 && static_cast<int64_t>(s.constant().size()) == f)
    throw NumericError("[standardize] all " + std::to_string(f) + " features are the same in all " + std::to_string(n) +
                       " cases: with zero variance there is nothing to learn from; give features that vary");
  return s;
}

Tensor Standardizer::operator()(const Tensor& x) const {
  const auto f = static_cast<int64_t>(mean_.size());
  if (x.rank() != 2 || x.dim(1) != f)
    throw ShapeError("[standardize] learnt " + std::to_string(f) + " features, got x " + to_string(x.shape()));
  Tensor z(x.shape());
  const float* v = x.data<float>();
  float* out = z.data<float>();
  for (int64_t i = 0; i < x.size(); i++) {
    const auto j = static_cast<size_t>(i % f);
    out[i] = deviation_[j] > 0 ? static_cast<float>((static_cast<double>(v[i]) - mean_[j]) / deviation_[j]) : 0.0f;
  }
  return z;
}

std::vector<int64_t> Standardizer::constant() const {
  std::vector<int64_t> columns;
  for (size_t j = 0; j < deviation_.size(); j++)
    if (deviation_[j] <= 0) columns.push_back(static_cast<int64_t>(j));
  return columns;
}

std::string Standardizer::message() const {
  const std::vector<int64_t> columns = constant();
  if (columns.empty()) return "";
  std::string text = std::to_string(columns.size()) + " of " + std::to_string(mean_.size()) + " features do not vary and are left out: ";
  for (size_t k = 0; k < columns.size() && k < 5; k++) text += (k ? ", " : "") + std::to_string(columns[k]);
  return columns.size() > 5 ? text + " …" : text;
}

NamedTensors Standardizer::tensors() const {
  const auto f = static_cast<int64_t>(mean_.size());
  return {{"mean", Tensor::from<double>({f}, mean_)}, {"deviation", Tensor::from<double>({f}, deviation_)}};
}

Standardizer Standardizer::from(const NamedTensors& tensors) {
  Standardizer s;
  s.mean_ = named_tensor(tensors, "mean").to_vector<double>();
  s.deviation_ = named_tensor(tensors, "deviation").to_vector<double>();
  if (s.mean_.size() != s.deviation_.size()) throw FileError("[standardize] mean and deviation differ in size; the file is damaged");
  return s;
}

}  // namespace sono::zoo
