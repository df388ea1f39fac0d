#include "layers/units.h"

#include <cmath>
#include <cstdio>

#include "tensor/random.h"

namespace sono {
namespace {

std::string text(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.6g", value);
  return buffer;
}
std::string opening(const char* model) { return std::string("[") + model + "] "; }

// Whether all values pass; no branch inside, so that the loop runs in vectors.
template <class T>
bool all_allowed(const T* v, int64_t n, bool binary) {
  int bad = 0;
  if (binary)
    for (int64_t i = 0; i < n; i++) bad |= !(v[i] >= T(0)) | !(v[i] <= T(1));
  else
    for (int64_t i = 0; i < n; i++) bad |= !(v[i] - v[i] == T(0));
  return !bad;
}

}  // namespace

Draw Draw::of(std::string_view purpose, uint64_t a, uint64_t b) const {
  return {seed, Random(seed, purpose, stream, Random(seed, "counters", a, b).stream()).stream()};
}

Tensor bernoulli(const Tensor& probability, Draw draw) {
  const Tensor host = probability.detach().to(Device::cpu), sample = Tensor::empty_like(host);
  random_bernoulli(host, sample, draw.seed, draw.stream);
  return sample.to(probability.device());
}

Tensor gaussian(const Tensor& mean, const Tensor& deviation, Draw draw) {
  const NoGrad values;
  const Tensor n = random_normal(mean.shape(), draw.seed, draw.stream, 0, 1, mean.dtype()).to(mean.device());
  return mean.detach() + deviation.detach() * n;
}

void check_visible(const char* model, VisibleUnits units, const Tensor& v) {
  const bool binary = units == VisibleUnits::bernoulli;
  const Tensor host = v.detach().to(Device::cpu);
  visit_real(model, host.dtype(), [&]<class T>() {
    const T* values = host.data<T>();
    if (all_allowed(values, host.size(), binary)) return;
    int64_t i = 0;
    while (all_allowed(values + i, 1, binary)) i++;
    const int64_t row = v.rank() ? i / (v.size() / v.dim(0)) : 0;
    throw Error(opening(model) + (binary ? "visible values must lie in [0, 1], got " : "visible values must be finite, got ") + text(static_cast<double>(values[i])) +
                " at row " + std::to_string(row) + (binary ? "; scale the data or use gaussian visible units" : "; clean the data"));
  });
}

void check_varies(const char* model, const Tensor& v) {
  const Tensor host = v.detach().to(Device::cpu).to(Dtype::f64);
  const int64_t rows = host.dim(0), columns = rows ? host.size() / rows : 0;
  if (rows < 2) throw Error(opening(model) + "a variance needs two rows or more, got " + std::to_string(rows));
  for (int64_t c = 0; c < columns; c++) {
    const double first = host.data<double>()[c];
    int64_t r = 1;
    while (r < rows && host.data<double>()[r * columns + c] == first) r++;
    if (r == rows)
      throw Error(opening(model) + "visible unit " + std::to_string(c) + " is " + text(first) +
                  " in every row: no variance can be learnt of it; leave it out or keep the variance fixed");
  }
}

}  // namespace sono
