#pragma once
// How a block works on lines: the n values that lie `inner` apart in (outer, n, inner). Neighbouring lines go to threadIdx.x, so that a
// warp reads neighbouring addresses; the values of a line are shared among threadIdx.y; short lines leave threadIdx.z for more of them.
// Blocks depend on the sizes alone and join in a fixed order: results repeat to the bit.
#include <algorithm>
#include <bit>

#include "cuda/gpu.h"

namespace sono::cuda {

struct Lines {
  int64_t outer, n, inner;

  dim3 block() const {
    const unsigned x = power(inner, 32), y = power(n, 256 / x), z = power(outer, std::min(64u, 256 / (x * y)));
    return dim3(x, y, z);
  }
  unsigned columns() const { return gpu::blocks(inner, block().x); }  // blocks side by side
  unsigned grid() const { return columns() * gpu::blocks(outer, block().z); }

 private:
  static unsigned power(int64_t n, unsigned most) {
    return n >= most ? most : std::bit_ceil(static_cast<unsigned>(std::max<int64_t>(1, n)));
  }
};

// The line of a thread. Threads beyond the last line take part in barriers with nothing to add.
struct Line {
  bool exists;
  int64_t number, first, last, step;  // x[first], x[first + step] … before `last` are this thread's values

  __device__ Line(const Lines& lines, unsigned columns) {
    const int64_t column = int64_t{blockIdx.x % columns} * blockDim.x + threadIdx.x,
                  outer = int64_t{blockIdx.x / columns} * blockDim.z + threadIdx.z;
    exists = column < lines.inner && outer < lines.outer;
    number = outer * lines.inner + column;
    const int64_t begin = outer * lines.n * lines.inner + column;
    first = begin + threadIdx.y * lines.inner;
    last = exists ? begin + lines.n * lines.inner : first;
    step = blockDim.y * lines.inner;
  }
};

constexpr int threads_per_block = 256;

// The values of all threadIdx.y joined pairwise in a tree, for every (x, z); each of them has the result. `shared` holds threads_per_block
// values.
template <class T, class Join>
__device__ T join_rows(T mine, T* shared, Join join) {
  if (blockDim.y == 1) return mine;
  const unsigned top = threadIdx.z * blockDim.y * blockDim.x + threadIdx.x, at = top + threadIdx.y * blockDim.x;
  shared[at] = mine;
  __syncthreads();
  for (unsigned step = blockDim.y / 2; step > 0; step /= 2) {
    if (threadIdx.y < step) shared[at] = join(shared[at], shared[at + step * blockDim.x]);
    __syncthreads();
  }
  const T result = shared[top];
  __syncthreads();  // the caller may use the array again
  return result;
}

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

}  // namespace sono::cuda
