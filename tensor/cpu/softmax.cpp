// Softmax and log-softmax on the CPU: softmax(x)_i = exp(x_i - m) / sum_j exp(x_j - m) with m = max x, so that nothing overflows.
//   reference   three passes per row, sum in double, f32 and f64
#include <algorithm>
#include <cmath>
#include <limits>

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

constexpr Implementation<SoftmaxArgs> implementations[] = {{"reference", reference::fits, reference::run}};

}  // namespace

Kernel<SoftmaxArgs> softmax{"softmax", implementations, {}};

}  // namespace sono::kernels
