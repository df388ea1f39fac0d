#include "layers/init.h"

#include <cmath>
#include <numeric>

#include "tensor/random.h"

namespace sono::init {
namespace {

int64_t fan(const Shape& w, size_t left_out) {
  if (w.size() < 2) throw ShapeError("[init] a weight has the shape (…, in, out), got " + to_string(w));
  int64_t n = 1;
  for (size_t i = 0; i < w.size(); i++)
    if (i != left_out) n *= w[i];
  return n;
}

double kaiming_deviation(const Tensor& w, const KaimingOptions& o) {
  const int64_t n = o.fan == Fan::in ? fan_in(w.shape()) : fan_out(w.shape());
  return std::sqrt(2 / (1 + o.slope * o.slope) / static_cast<double>(n));
}

double xavier_deviation(const Tensor& w) { return std::sqrt(2.0 / static_cast<double>(fan_in(w.shape()) + fan_out(w.shape()))); }

// Rows of `a` (n, length) made orthonormal by Gram-Schmidt, each projection done twice ("twice is enough", Giraud et al. 2005).
// It is a QR decomposition whose R has a positive diagonal: Gaussian rows become uniformly distributed ones [Mezzadri 2007].
void orthonormalize(std::vector<double>& a, int64_t n, int64_t length) {
  for (int64_t i = 0; i < n; i++) {
    double* row = &a[static_cast<size_t>(i * length)];
    for (int pass = 0; pass < 2; pass++)
      for (int64_t j = 0; j < i; j++) {
        const double* other = &a[static_cast<size_t>(j * length)];
        const double along = std::inner_product(row, row + length, other, 0.0);
        for (int64_t k = 0; k < length; k++) row[k] -= along * other[k];
      }
    const double norm = std::sqrt(std::inner_product(row, row + length, row, 0.0));
    for (int64_t k = 0; k < length; k++) row[k] /= norm;
  }
}

void write(const Tensor& w, const std::vector<double>& values) {
  w.copy_from(Tensor::from(w.shape(), values).to(w.dtype()).to(w.device()));
}

thread_local bool skipping = false;

}  // namespace

Skip::Skip() : before_(skipping) { skipping = true; }
Skip::~Skip() { skipping = before_; }

int64_t fan_in(const Shape& w) { return fan(w, w.size() - 1); }
int64_t fan_out(const Shape& w) { return fan(w, w.size() - 2); }

void constant(const Tensor& w, double value) { w.fill(value); }
void uniform(const Tensor& w, double low, double high) {
  if (skipping) return;
  w.copy_from(random_uniform(w.shape(), global_seed(), next_stream(), low, high, w.dtype()));
}
void normal(const Tensor& w, double mean, double deviation) {
  if (skipping) return;
  w.copy_from(random_normal(w.shape(), global_seed(), next_stream(), mean, deviation, w.dtype()));
}

void xavier_uniform(const Tensor& w, double gain) {
  const double bound = gain * std::sqrt(3.0) * xavier_deviation(w);
  uniform(w, -bound, bound);
}
void xavier_normal(const Tensor& w, double gain) { normal(w, 0, gain * xavier_deviation(w)); }

void kaiming_uniform(const Tensor& w, const KaimingOptions& options) {
  const double bound = std::sqrt(3.0) * kaiming_deviation(w, options);
  uniform(w, -bound, bound);
}
void kaiming_normal(const Tensor& w, const KaimingOptions& options) { normal(w, 0, kaiming_deviation(w, options)); }

void orthogonal(const Tensor& w, double gain) {
  if (skipping) return;
  const int64_t rows = fan_in(w.shape()), columns = w.dim(-1), n = std::min(rows, columns), length = std::max(rows, columns);
  std::vector<double> a = random_normal({n, length}, global_seed(), next_stream(), 0, 1, Dtype::f64).to_vector<double>();
  orthonormalize(a, n, length);
  std::vector<double> values(static_cast<size_t>(w.size()));
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++)
      values[static_cast<size_t>(r * columns + c)] = gain * a[static_cast<size_t>(rows <= columns ? r * length + c : c * length + r)];
  write(w, values);
}

void sparse(const Tensor& w, int64_t connections, double deviation) {
  if (skipping) return;
  const int64_t rows = fan_in(w.shape()), columns = w.dim(-1);
  Random random(global_seed(), next_stream());
  std::vector<double> values(static_cast<size_t>(w.size()), 0.0);
  for (int64_t c = 0; c < columns; c++) {
    const std::vector<int64_t> order = random.permutation(rows);
    for (int64_t i = 0; i < std::min(connections, rows); i++)
      values[static_cast<size_t>(order[static_cast<size_t>(i)] * columns + c)] = deviation * random.normal();
  }
  write(w, values);
}

void pytorch_default(const Tensor& w, const Tensor& bias) {
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in(w.shape())));
  uniform(w, -bound, bound);
  if (bias) uniform(bias, -bound, bound);
}

}  // namespace sono::init
