// Softmax and log-softmax on the CPU: softmax(x)_i = exp(x_i - m) / sum_j exp(x_j - m) with m = max x, so that nothing overflows.
//   vector      f32, exp and log by polynomials: rows (inner = 1) or columns by vectors
//   reference   three passes per row, sum in double, f32 and f64
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

bool fits(const SoftmaxArgs&) { return true; }

template <class T>
void run(const SoftmaxArgs& a) {
  parallel_for(a.outer * a.inner, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, a.n)), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const int64_t at = row / a.inner * a.n * a.inner + row % a.inner;
      const T* x = a.x.data<T>() + at;
      T* y = a.y.data<T>() + at;
      T largest = -std::numeric_limits<T>::infinity();
      for (int64_t i = 0; i < a.n; i++) largest = std::max(largest, x[i * a.inner]);
      double sum = 0;
      for (int64_t i = 0; i < a.n; i++) sum += std::exp(x[i * a.inner] - largest);
      for (int64_t i = 0; i < a.n; i++) {
        const T shifted = x[i * a.inner] - largest;
        y[i * a.inner] = a.log ? static_cast<T>(shifted - std::log(sum)) : static_cast<T>(std::exp(shifted) / sum);
      }
    }
  });
}

void run(const SoftmaxArgs& a) {
  visit_real("softmax", a.x.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

namespace vector {

using cpu::simd;

bool fits(const SoftmaxArgs& a) { return a.x.dtype() == Dtype::f32; }

void run(const SoftmaxArgs& a) {
  if (a.x.size() == 0) return;
  parallel_for(a.outer, std::max<int64_t>(1, 8192 / (a.n * a.inner)), [&](int64_t first, int64_t last) {
    const int64_t size = a.n * a.inner;
    const float* x = a.x.data<float>() + first * size;
    float* y = a.y.data<float>() + first * size;
    if (a.inner == 1) return simd().softmax_rows(x, last - first, a.n, a.log, y);
    for (int64_t o = 0; o < last - first; o++) simd().softmax_columns(x + o * size, a.n, a.inner, a.log, y + o * size);
  });
}

}  // namespace vector

constexpr Implementation<SoftmaxArgs> implementations[] = {{"vector", vector::fits, vector::run},
                                                           {"reference", reference::fits, reference::run}};

}  // namespace

Kernel<SoftmaxArgs> softmax{"softmax", implementations, {}};

}  // namespace sono::kernels
