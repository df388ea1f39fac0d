#pragma once
// x = 0, then x[o, index, i] += y[o, j, i] for x (outer, n, inner) and y (outer, m, inner), in the order of j and without atomics.
#include <algorithm>

#include "cuda/gpu.h"

namespace sono::cuda {

// Several j may point to one place. A thread owns a strip of the n places of one (o, i) and goes through all j in order, so that sums
// repeat to the bit. index (outer, m, inner), or (m) for all alike. Indices outside of 0 … n-1 add nothing.
template <class T>
__global__ void scatter_add(int64_t outer, int64_t n, int64_t m, int64_t inner, int64_t strips, bool shared_index, T* x,
                            const int32_t* index, const T* y) {
  const int64_t width = (n + strips - 1) / strips;
  for (int64_t thread = gpu::first_index(); thread < outer * strips * inner; thread += gpu::index_step()) {
    const int64_t i = thread % inner, o = thread / inner / strips, first = thread / inner % strips * width,
                  last = first + width < n ? first + width : n;
    for (int64_t k = first; k < last; k++) x[(o * n + k) * inner + i] = T(0);
    for (int64_t j = 0; j < m; j++) {
      const int64_t from = (o * m + j) * inner + i, k = index[shared_index ? j : from];
      if (k >= first && k < last) x[(o * n + k) * inner + i] += y[from];
    }
  }
}

template <class T>
void launch_scatter_add(const char* name, int64_t outer, int64_t n, int64_t m, int64_t inner, bool shared_index, T* x, const int32_t* index,
                        const T* y) {
  const int64_t lines = outer * inner;
  if (lines * n == 0) return;
  const int64_t strips = std::clamp<int64_t>(8192 / lines, 1, std::min<int64_t>(n, 64));  // each strip reads all indices again
  gpu::launch_over(lines * strips, name, scatter_add<T>, outer, n, m, inner, strips, shared_index, x, index, y);
}

}  // namespace sono::cuda
