// Matrix product on the CPU: 2 * batch * M * N * K FLOPs.
//   reference   three loops, f32 and f64
#include <algorithm>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

int64_t inner_size(const MatmulArgs& a) { return a.a.dim(a.transpose_a ? -2 : -1); }

namespace reference {

bool fits(const MatmulArgs&) { return true; }

template <class T>
void run(const MatmulArgs& a) {
  const int64_t M = a.y.dim(-2), N = a.y.dim(-1), K = inner_size(a), batch = a.y.size() > 0 ? a.y.size() / (M * N) : 0;
  const int64_t step_a = a.a.size() == M * K ? 0 : M * K, step_b = a.b.size() == K * N ? 0 : K * N;
  const int64_t am = a.transpose_a ? 1 : K, ak = a.transpose_a ? M : 1, bk = a.transpose_b ? 1 : N, bn = a.transpose_b ? K : 1;
  const T *pa = a.a.data<T>(), *pb = a.b.data<T>(), *bias = a.bias ? a.bias.data<T>() : nullptr;
  parallel_for(batch * M, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, N * K)), [&, y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++)
      for (int64_t n = 0; n < N; n++) {
        const T *x = pa + row / M * step_a + row % M * am, *w = pb + row / M * step_b + n * bn;
        T sum = bias ? bias[n] : T(0);
        for (int64_t k = 0; k < K; k++) sum += x[k * ak] * w[k * bk];
        y[row * N + n] = sum;
      }
  });
}

void run(const MatmulArgs& a) {
  visit_real("matmul", a.y.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

constexpr Implementation<MatmulArgs> implementations[] = {{"reference", reference::fits, reference::run}};

}  // namespace

Kernel<MatmulArgs> matmul{"matmul", implementations, {}};

}  // namespace sono::kernels
