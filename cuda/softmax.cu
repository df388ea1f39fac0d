// Softmax and log-softmax along lines: softmax(x)_i = exp(x_i - m) / sum_j exp(x_j - m) with m = max x, so that nothing overflows.
// Three passes over x (largest, sum, values); lines of a usual length stay in the L1 cache between them.
#include "cuda/gpu.h"
#include "cuda/lines.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::SoftmaxArgs;

struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }  // NaN comes back through the sum
};

template <class T>
__global__ void softmax(Lines lines, unsigned columns, const T* x, T* y, bool log) {
  GPU_SHARED(T, largest_shared, [threads_per_block]);
  GPU_SHARED(double, sum_shared, [threads_per_block]);
  const Line line(lines, columns);
  T largest = -static_cast<T>(INFINITY);
  for (int64_t i = line.first; i < line.last; i += line.step) largest = Larger{}(largest, x[i]);
  largest = join_rows(largest, largest_shared, Larger{});
  double sum = 0;
  for (int64_t i = line.first; i < line.last; i += line.step) sum += static_cast<double>(math::exp(x[i] - largest));
  sum = join_rows(sum, sum_shared, Sum{});
  const T scale = static_cast<T>(1 / sum), shift = static_cast<T>(math::log(sum));
  for (int64_t i = line.first; i < line.last; i += line.step) y[i] = log ? x[i] - largest - shift : math::exp(x[i] - largest) * scale;
}

bool always(const SoftmaxArgs&) { return true; }

void run(const SoftmaxArgs& a) {
  if (a.x.size() == 0) return;
  const Lines lines{a.outer, a.n, a.inner};
  visit_real("softmax", a.x.dtype(), [&]<class T>() {
    gpu::launch("softmax", softmax<T>, lines.grid(), lines.block(), 0, lines, lines.columns(), a.x.data<T>(), a.y.data<T>(), a.log);
  });
}

constexpr kernels::Implementation<SoftmaxArgs> list[] = {{"lines", always, run}};

}  // namespace

void register_softmax() { kernels::softmax.cuda = list; }

}  // namespace sono::cuda
