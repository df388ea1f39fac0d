// Cross-entropy of logits and its gradient. A row of classes is a line: it is read twice (largest, sums); the gradient reads it once.
#include "cuda/bounds.h"
#include "cuda/gpu.h"
#include "cuda/lines.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::CrossEntropyArgs, kernels::CrossEntropyBackwardArgs;

// y = -(1 - s) weight[t] log p[t] - s / classes * sum over c of weight[c] log p[c]
template <class T>
struct CrossEntropy {
  const T* x;
  const int32_t* target;
  const T* weight;  // or null: 1
  int64_t classes, ignore;
  T smoothing;

  __device__ T weight_of(int64_t c) const { return weight ? weight[c] : T(1); }
};

struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

template <class T>
__global__ void cross_entropy(CrossEntropy<T> e, Lines lines, T* y, T* row_weight, T* log_sum, int32_t* flag) {
  GPU_SHARED(T, largest_shared, [threads_per_block]);
  GPU_SHARED(double, shared, [threads_per_block]);
  const Line line(lines, 1);
  T largest = -static_cast<T>(INFINITY);
  for (int64_t i = line.first; i < line.last; i += line.step) largest = Larger{}(largest, e.x[i]);
  largest = join_rows(largest, largest_shared, Larger{});
  double sum = 0, weighted = 0, weights = 0;  // of exp(x - largest), weight x, weight
  for (int64_t i = line.first; i < line.last; i += line.step) {
    const double w = e.weight_of(i % e.classes);
    sum += static_cast<double>(math::exp(e.x[i] - largest));
    weighted += w * static_cast<double>(e.x[i]);
    weights += w;
  }
  const double log_all = static_cast<double>(largest) + math::log(join_rows(sum, shared, Sum{}));
  if (e.smoothing != T(0)) {
    weighted = join_rows(weighted, shared, Sum{});
    weights = join_rows(weights, shared, Sum{});
  }
  if (!line.exists || threadIdx.y != 0) return;

  const int64_t row = line.number, t = e.target[row];
  const bool counts = t != e.ignore && in_bounds(t, e.classes, row, flag);
  const T w = counts ? e.weight_of(t) : T(0);
  double loss = 0;
  if (counts)
    loss = (1 - static_cast<double>(e.smoothing)) * static_cast<double>(w) * (log_all - static_cast<double>(e.x[row * e.classes + t]));
  if (counts && e.smoothing != T(0))
    loss += static_cast<double>(e.smoothing) / static_cast<double>(e.classes) * (weights * log_all - weighted);
  y[row] = static_cast<T>(loss);
  row_weight[row] = w;
  log_sum[row] = static_cast<T>(log_all);
}

// dy/dx[c] = p[c] * ((1 - s) weight[t] + s / classes * sum of weights) - (1 - s) weight[t] (c = t) - s / classes * weight[c]
template <class T>
__global__ void cross_entropy_backward(CrossEntropy<T> e, const T* log_sum, const T* gy, T* gx, int64_t size) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const int64_t row = i / e.classes, c = i % e.classes, t = e.target[row];
    if (t == e.ignore) {
      gx[i] = T(0);
      continue;
    }
    const T sharp = (T(1) - e.smoothing) * e.weight_of(t), even = e.smoothing / static_cast<T>(e.classes);
    T all = sharp;
    for (int64_t k = 0; k < e.classes && e.smoothing != T(0); k++) all += even * e.weight_of(k);
    gx[i] = gy[row] * (math::exp(e.x[i] - log_sum[row]) * all - (c == t ? sharp : T(0)) - even * e.weight_of(c));
  }
}

template <class Args>
bool always(const Args&) {
  return true;
}

template <class T, class Args>
CrossEntropy<T> arguments(const Args& a) {
  return {
      a.x.template data<T>(), a.target.template data<int32_t>(), a.weight ? a.weight.template data<T>() : nullptr, a.x.dim(-1), a.ignore,
      T(a.smoothing)};
}

void run_forward(const CrossEntropyArgs& a) {
  const int64_t rows = a.y.size();
  if (rows == 0) return;
  const Lines lines{rows, a.x.dim(-1), 1};
  const BoundsCheck check;
  visit_real("cross_entropy", a.x.dtype(), [&]<class T>() {
    gpu::launch("cross_entropy", cross_entropy<T>, lines.grid(), lines.block(), 0, arguments<T>(a), lines, a.y.data<T>(),
                a.row_weight.data<T>(), a.log_sum.data<T>(), check.flag());
  });
  check.raise("cross_entropy", "target", a.target, a.x.dim(-1));
}

void run_backward(const CrossEntropyBackwardArgs& a) {
  visit_real("cross_entropy", a.x.dtype(), [&]<class T>() {
    gpu::launch_over(a.gx.size(), "cross_entropy_backward", cross_entropy_backward<T>, arguments<T>(a), a.log_sum.data<T>(), a.gy.data<T>(),
                     a.gx.data<T>(), a.gx.size());
  });
}

constexpr kernels::Implementation<CrossEntropyArgs> forward[] = {{"lines", always<CrossEntropyArgs>, run_forward}};
constexpr kernels::Implementation<CrossEntropyBackwardArgs> backward[] = {{"plain", always<CrossEntropyBackwardArgs>, run_backward}};

}  // namespace

void register_cross_entropy() {
  kernels::cross_entropy.cuda = forward;
  kernels::cross_entropy_backward.cuda = backward;
}

}  // namespace sono::cuda
