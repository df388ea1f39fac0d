// Reductions of (outer, n, inner) over n: each line is read once, by up to 256 threads, and joined in a tree. Bound by memory, so that sums
// can afford double.
#include "cuda/gpu.h"
#include "cuda/lines.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::ReduceArgs, kernels::Reduction;

template <class T>
__global__ void sum(Lines lines, unsigned columns, const T* x, T* y, double divisor) {
  GPU_SHARED(double, shared, [threads_per_block]);
  const Line line(lines, columns);
  double total = 0;
  for (int64_t i = line.first; i < line.last; i += line.step) total += static_cast<double>(x[i]);
  total = join_rows(total, shared, Sum{});
  if (line.exists && threadIdx.y == 0) y[line.number] = static_cast<T>(total / divisor);
}

// A candidate for the largest value. NaN is larger than all; the first of equals wins; index -1: none yet.
template <class T>
struct Candidate {
  T value;
  int64_t index;
};
template <class T>
struct Better {
  T sign;  // -1 looks for the smallest
  __device__ bool beats(T a, T b) const { return a != a ? b == b : sign * a > sign * b; }
  __device__ Candidate<T> operator()(Candidate<T> a, Candidate<T> b) const {
    if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
    if (beats(a.value, b.value)) return a;
    if (beats(b.value, a.value)) return b;
    return a.index < b.index ? a : b;
  }
};

// Writes the value to y or where it was in its line to index.
template <class T>
__global__ void extreme(Lines lines, unsigned columns, const T* x, T* y, int32_t* index, T sign) {
  GPU_SHARED(Candidate<T>, shared, [threads_per_block]);
  const Line line(lines, columns);
  const Better<T> better{sign};
  Candidate<T> best{-sign * static_cast<T>(INFINITY), -1};  // what no values give
  int64_t at = threadIdx.y;
  for (int64_t i = line.first; i < line.last; i += line.step, at += blockDim.y) best = better(best, {x[i], at});
  best = join_rows(best, shared, better);
  if (!line.exists || threadIdx.y != 0) return;
  if (y) y[line.number] = best.value;
  if (index) index[line.number] = best.index < 0 ? 0 : static_cast<int32_t>(best.index);
}

bool always(const ReduceArgs&) { return true; }

void run(const ReduceArgs& a) {
  if (a.outer * a.inner == 0) return;
  const Lines lines{a.outer, a.n, a.inner};
  const bool values = a.kind == Reduction::max || a.kind == Reduction::min,
             smallest = a.kind == Reduction::min || a.kind == Reduction::argmin;
  visit_real("reduce", a.x.dtype(), [&]<class T>() {
    const T* x = a.x.data<T>();
    if (a.kind == Reduction::sum || a.kind == Reduction::mean) {
      const double divisor = a.kind == Reduction::mean ? static_cast<double>(a.n) : 1;
      return gpu::launch("reduce", sum<T>, lines.grid(), lines.block(), 0, lines, lines.columns(), x, a.y.data<T>(), divisor);
    }
    T* y = values ? a.y.data<T>() : nullptr;
    int32_t* index = values ? nullptr : a.y.data<int32_t>();
    gpu::launch("reduce", extreme<T>, lines.grid(), lines.block(), 0, lines, lines.columns(), x, y, index, T(smallest ? -1 : 1));
  });
}

constexpr kernels::Implementation<ReduceArgs> list[] = {{"lines", always, run}};

}  // namespace

void register_reduce() { kernels::reduce.cuda = list; }

}  // namespace sono::cuda
