// Reductions of (outer, n, inner) over n on the CPU. Bound by reading x once.
//   reference   one loop per output, sums in double, f32 and f64
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

bool fits(const ReduceArgs&) { return true; }

template <class T>
double total(const T* x, int64_t n, int64_t step) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i * step];
  return sum;
}

// Where the largest (sign 1) or smallest (sign -1) value is; the first NaN wins.
template <class T>
int64_t extreme(const T* x, int64_t n, int64_t step, T sign) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (!std::isnan(x[best * step]) && (std::isnan(x[i * step]) || sign * x[i * step] > sign * x[best * step])) best = i;
  return best;
}

template <class T>
void run(const ReduceArgs& a) {
  const T sign = a.kind == Reduction::min || a.kind == Reduction::argmin ? T(-1) : T(1);
  parallel_for(a.outer * a.inner, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, a.n)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const T* x = a.x.data<T>() + i / a.inner * a.n * a.inner + i % a.inner;
      if (a.kind == Reduction::sum) a.y.data<T>()[i] = static_cast<T>(total(x, a.n, a.inner));
      if (a.kind == Reduction::mean) a.y.data<T>()[i] = static_cast<T>(total(x, a.n, a.inner) / static_cast<double>(a.n));
      if (a.kind == Reduction::max || a.kind == Reduction::min)
        a.y.data<T>()[i] = a.n ? x[extreme(x, a.n, a.inner, sign) * a.inner] : -sign * std::numeric_limits<T>::infinity();
      if (a.kind == Reduction::argmax || a.kind == Reduction::argmin)
        a.y.data<int32_t>()[i] = static_cast<int32_t>(extreme(x, a.n, a.inner, sign));
    }
  });
}

void run(const ReduceArgs& a) {
  visit_real("reduce", a.x.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

constexpr Implementation<ReduceArgs> implementations[] = {{"reference", reference::fits, reference::run}};

}  // namespace

Kernel<ReduceArgs> reduce{"reduce", implementations, {}};

}  // namespace sono::kernels
