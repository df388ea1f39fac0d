// Pooling: one thread per value written, so that each is bound by reading its input and writing its output, and needs no atomics.
// max_unpool alone has no place to gather from: its indices may point anywhere (cuda/scatter.h).
#include "cuda/gpu.h"
#include "cuda/scatter.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::PoolArgs;

struct Pool {
  int64_t N, C;
  int x[3], y[3], window[3], stride[3], padding[3];
  bool count_padding;

  explicit Pool(const PoolArgs& a) : N(a.x.dim(0)), C(a.x.dim(4)), count_padding(a.count_padding) {
    for (int k = 0; k < 3; k++) {
      const size_t i = static_cast<size_t>(k);
      x[k] = static_cast<int>(a.x.dim(k + 1)), y[k] = static_cast<int>(a.y.dim(k + 1));
      window[k] = static_cast<int>(a.window[i]), stride[k] = static_cast<int>(a.stride[i]), padding[k] = static_cast<int>(a.padding[i]);
    }
  }
  SONO_INLINE int64_t positions() const { return int64_t{x[0]} * x[1] * x[2]; }
  SONO_INLINE int64_t pixels() const { return int64_t{y[0]} * y[1] * y[2]; }
};

// The part of a window that lies inside x: first … last - 1 in each dimension.
struct Window {
  int first[3], last[3];

  __device__ Window(const Pool& p, int64_t pixel) {
    const int at[3] = {static_cast<int>(pixel / (int64_t{p.y[1]} * p.y[2])), static_cast<int>(pixel / p.y[2] % p.y[1]),
                       static_cast<int>(pixel % p.y[2])};
    for (int k = 0; k < 3; k++) {
      const int begin = at[k] * p.stride[k] - p.padding[k], end = begin + p.window[k];
      first[k] = begin > 0 ? begin : 0;
      last[k] = end < p.x[k] ? end : p.x[k];
    }
  }
  template <class F>
  __device__ void for_each(const Pool& p, F f) const {
    for (int d = first[0]; d < last[0]; d++)
      for (int i = first[1]; i < last[1]; i++)
        for (int j = first[2]; j < last[2]; j++) f((int64_t{d} * p.x[1] + i) * p.x[2] + j);
  }
  template <class T>
  __device__ T weight(const Pool& p) const {
    const int all = p.window[0] * p.window[1] * p.window[2], inside = (last[0] - first[0]) * (last[1] - first[1]) * (last[2] - first[2]);
    return T(1) / static_cast<T>(p.count_padding ? all : inside);
  }
};

template <class T>
__global__ void max_pool(Pool p, const T* x, T* y, int32_t* index, int64_t size) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const int64_t c = i % p.C, n = i / p.C / p.pixels();
    T best = -static_cast<T>(INFINITY);
    int64_t best_at = -1;
    Window(p, i / p.C % p.pixels()).for_each(p, [&](int64_t at) {
      const T value = x[(n * p.positions() + at) * p.C + c];
      if (best_at < 0 || value > best || (value != value && best == best)) best = value, best_at = at;
    });
    y[i] = best;
    index[i] = static_cast<int32_t>(best_at);
  }
}

template <class T>
__global__ void max_pool_at(Pool p, const T* x, T* y, const int32_t* index, int64_t size) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step())
    y[i] = x[(i / p.C / p.pixels() * p.positions() + index[i]) * p.C + i % p.C];
}

template <class T>
__global__ void avg_pool(Pool p, const T* x, T* y, int64_t size) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const int64_t c = i % p.C, n = i / p.C / p.pixels();
    const Window window(p, i / p.C % p.pixels());
    T sum = 0;
    window.for_each(p, [&](int64_t at) { sum += x[(n * p.positions() + at) * p.C + c]; });
    y[i] = sum * window.weight<T>(p);
  }
}

// The windows that hold position `at` in dimension k: first … last - 1.
__device__ inline void windows_of(const Pool& p, int k, int at, int& first, int& last) {
  const int from = at + p.padding[k] - p.window[k] + 1;
  first = from > 0 ? (from + p.stride[k] - 1) / p.stride[k] : 0;
  last = (at + p.padding[k]) / p.stride[k] + 1;
  if (last > p.y[k]) last = p.y[k];
}

template <class T>
__global__ void avg_pool_adjoint(Pool p, T* x, const T* y, int64_t size) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const int64_t c = i % p.C, n = i / p.C / p.positions(), at = i / p.C % p.positions();
    const int position[3] = {static_cast<int>(at / (int64_t{p.x[1]} * p.x[2])), static_cast<int>(at / p.x[2] % p.x[1]),
                             static_cast<int>(at % p.x[2])};
    int first[3], last[3];
    for (int k = 0; k < 3; k++) windows_of(p, k, position[k], first[k], last[k]);
    T sum = 0;
    for (int d = first[0]; d < last[0]; d++)
      for (int r = first[1]; r < last[1]; r++)
        for (int s = first[2]; s < last[2]; s++) {
          const int64_t pixel = (int64_t{d} * p.y[1] + r) * p.y[2] + s;
          sum += y[(n * p.pixels() + pixel) * p.C + c] * Window(p, pixel).weight<T>(p);
        }
    x[i] = sum;
  }
}

bool always(const PoolArgs&) { return true; }

void run_max_pool(const PoolArgs& a) {
  visit_real("max_pool", a.x.dtype(), [&]<class T>() {
    gpu::launch_over(a.y.size(), "max_pool", max_pool<T>, Pool(a), a.x.data<T>(), a.y.data<T>(), a.index.data<int32_t>(), a.y.size());
  });
}

void run_max_pool_at(const PoolArgs& a) {
  visit_real("max_pool_at", a.x.dtype(), [&]<class T>() {
    gpu::launch_over(a.y.size(), "max_pool_at", max_pool_at<T>, Pool(a), a.x.data<T>(), a.y.data<T>(), a.index.data<int32_t>(), a.y.size());
  });
}

void run_max_unpool(const PoolArgs& a) {
  const Pool p(a);
  visit_real("max_unpool", a.x.dtype(), [&]<class T>() {
    launch_scatter_add("max_unpool", p.N, p.positions(), p.pixels(), p.C, false, a.x.data<T>(), a.index.data<int32_t>(), a.y.data<T>());
  });
}

void run_avg_pool(const PoolArgs& a) {
  visit_real("avg_pool", a.x.dtype(),
             [&]<class T>() { gpu::launch_over(a.y.size(), "avg_pool", avg_pool<T>, Pool(a), a.x.data<T>(), a.y.data<T>(), a.y.size()); });
}

void run_avg_pool_adjoint(const PoolArgs& a) {
  visit_real("avg_pool_adjoint", a.x.dtype(), [&]<class T>() {
    gpu::launch_over(a.x.size(), "avg_pool_adjoint", avg_pool_adjoint<T>, Pool(a), a.x.data<T>(), a.y.data<T>(), a.x.size());
  });
}

constexpr kernels::Implementation<PoolArgs> max_list[] = {{"plain", always, run_max_pool}},
                                            at_list[] = {{"plain", always, run_max_pool_at}},
                                            unpool_list[] = {{"plain", always, run_max_unpool}},
                                            avg_list[] = {{"plain", always, run_avg_pool}},
                                            adjoint_list[] = {{"plain", always, run_avg_pool_adjoint}};

}  // namespace

void register_pool() {
  kernels::max_pool.cuda = max_list;
  kernels::max_pool_at.cuda = at_list;
  kernels::max_unpool.cuda = unpool_list;
  kernels::avg_pool.cuda = avg_list;
  kernels::avg_pool_adjoint.cuda = adjoint_list;
}

}  // namespace sono::cuda
