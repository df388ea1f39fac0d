// Matrix product on the CPU: 2 * batch * M * N * K FLOPs.
//   tiles       register tiles of 13 x 32 (AVX-512) or 6 x 16 (AVX2) outputs, f32. Blocks of about 100 rows x 128 columns are the jobs;
//   each
//               goes through K in steps of 256, so that a panel of B (32 KB) stays in the first-level cache and a block of A (100 KB) in
//               the second. B is copied to panels as wide as a tile unless it is small or used only a few times; A is copied where it is
//               transposed, or where its rows lie a multiple of 1 KB apart and would fight for the same lines of the cache.
//   reference   three loops, f32 and f64
#include <algorithm>

#include "tensor/cpu/activation.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

struct Sizes {
  int64_t M, N, K, batch, step_a, step_b;  // steps from one matrix of a batch to the next; 0: one for all
  explicit Sizes(const MatmulArgs& a) {
    M = a.y.dim(-2), N = a.y.dim(-1), K = a.a.dim(a.transpose_a ? -2 : -1), batch = a.y.size() > 0 ? a.y.size() / (M * N) : 0;
    step_a = a.a.size() == M * K ? 0 : M * K, step_b = a.b.size() == K * N ? 0 : K * N;
  }
};

namespace tiles {

using cpu::Product, cpu::scratch, cpu::simd;

constexpr int64_t depth_of_block = 256;

bool fits(const MatmulArgs& a) { return a.y.dtype() == Dtype::f32 && a.activation == Activation::none; }

// B as the tiles read it: columns [p * width, …) at data + p * panel_step, rows `ld` apart; one after the other for each matrix of a batch.
struct Right {
  Tensor memory;
  const float* data;
  int64_t ld, panel_step, step;
};

// A panel: width columns from n on, zeros beyond N.
void copy_panel(const float* b, bool transposed, const Sizes& s, int64_t n, int64_t width, float* to) {
  const int64_t columns = std::min(width, s.N - n);
  if (columns < width) std::fill_n(to, s.K * width, 0.0f);
  if (!transposed) {
    for (int64_t k = 0; k < s.K; k++) std::copy_n(b + k * s.N + n, columns, to + k * width);
    return;
  }
  simd().transpose(b + n * s.K, s.K, columns, s.K, to, width);
}

Right right_operand(const MatmulArgs& a, const Sizes& s) {
  const int64_t width = std::min<int64_t>(2 * simd().lanes, cpu::padded_columns(s.N)), panels = (s.N + width - 1) / width;
  const bool small = s.K * s.N <= 32768 || s.M * s.batch <= 32;
  if (!a.transpose_b && small && s.N == cpu::padded_columns(s.N)) return {a.b, a.b.data<float>(), s.N, width, s.step_b};
  const int64_t matrices = s.step_b ? s.batch : 1, size = panels * s.K * width;
  const Tensor memory({matrices * size});
  parallel_for(matrices * panels, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, s.K * width)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++)
      copy_panel(a.b.data<float>() + i / panels * s.step_b, a.transpose_b, s, i % panels * width, width,
                 memory.data<float>() + i * s.K * width);
  });
  return {memory, memory.data<float>(), width, s.K * width, s.step_b ? size : 0};
}

// Rows [m, m + rows), columns [k, k + depth) of A as (depth, rows).
void copy_left(const float* a, bool transposed, const Sizes& s, int64_t m, int64_t rows, int64_t k, int64_t depth, float* to) {
  if (!transposed) return simd().transpose(a + m * s.K + k, s.K, rows, depth, to, rows);
  for (int64_t i = 0; i < depth; i++) std::copy_n(a + (k + i) * s.M + m, rows, to + i * rows);
}

// y[m .. m + rows, n .. n + columns) of one matrix of the batch.
void block(const MatmulArgs& args, const Sizes& s, const Right& right, const float* bias, int64_t matrix, int64_t m, int64_t rows,
           int64_t n, int64_t columns) {
  const float* a = args.a.data<float>() + matrix * s.step_a;
  const bool copy = args.transpose_a ? s.M > 64 : s.K % 256 == 0 && s.K >= 512 && columns >= 128;
  const int64_t width = std::min<int64_t>(2 * simd().lanes, cpu::padded_columns(s.N));
  int64_t k = 0;
  do {
    const int64_t depth = std::min(depth_of_block, s.K - k);
    const float* left = args.transpose_a ? a + k * s.M + m : a + m * s.K + k;
    if (copy) {
      float* to = scratch(0, depth * rows + 16);
      copy_left(a, args.transpose_a, s, m, rows, k, depth, to);
      left = to;
    }
    const int64_t row = copy || args.transpose_a ? 1 : s.K, step = copy ? rows : args.transpose_a ? s.M : 1;
    for (int64_t j = n; j < n + columns; j += width) {
      const float* w = right.data + matrix * right.step + j / width * right.panel_step + k * right.ld;
      simd().product({&left, &w, 1, depth, rows, std::min(width, n + columns - j), row, step, right.ld,
                      args.y.data<float>() + (matrix * s.M + m) * s.N + j, s.N, bias && k == 0 ? bias + j : nullptr, k > 0});
    }
    k += depth;
  } while (k < s.K);
}

void run(const MatmulArgs& a) {
  const Sizes s(a);
  if (a.y.size() == 0) return;
  const Right right = right_operand(a, s);
  Tensor bias = a.bias;
  if (const int64_t padded = cpu::padded_columns(s.N); bias && padded != s.N) {
    bias = Tensor::zeros({padded});
    std::copy_n(a.bias.data<float>(), s.N, bias.data<float>());
  }
  const int64_t rows = std::min<int64_t>(s.M, 104), columns = std::min<int64_t>((s.N + 31) / 32 * 32, s.M <= 32 ? 64 : 128);
  const int64_t down = (s.M + rows - 1) / rows, across = (s.N + columns - 1) / columns;
  const double flops = 2.0 * static_cast<double>(rows * columns * s.K);
  parallel_for(
      s.batch * down * across, std::max<int64_t>(1, static_cast<int64_t>(1e6 / std::max(1.0, flops))), [&](int64_t first, int64_t last) {
        for (int64_t job = first; job < last; job++) {
          const int64_t matrix = job / (down * across), m = job / across % down * rows, n = job % across * columns;
          block(a, s, right, bias ? bias.data<float>() : nullptr, matrix, m, std::min(rows, s.M - m), n, std::min(columns, s.N - n));
        }
      });
}

}  // namespace tiles

namespace reference {

bool fits(const MatmulArgs&) { return true; }

template <class T>
void run(const MatmulArgs& a) {
  const auto [M, N, K, batch, step_a, step_b] = Sizes(a);
  const int64_t am = a.transpose_a ? 1 : K, ak = a.transpose_a ? M : 1, bk = a.transpose_b ? 1 : N, bn = a.transpose_b ? K : 1;
  const T *pa = a.a.data<T>(), *pb = a.b.data<T>(), *bias = a.bias ? a.bias.data<T>() : nullptr;
  parallel_for(batch * M, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, N * K)), [&, y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++)
      for (int64_t n = 0; n < N; n++) {
        const T *x = pa + row / M * step_a + row % M * am, *w = pb + row / M * step_b + n * bn;
        T sum = bias ? bias[n] : T(0);
        for (int64_t k = 0; k < K; k++) sum += x[k * ak] * w[k * bk];
        y[row * N + n] = activated(a.activation, sum);
      }
  });
}

void run(const MatmulArgs& a) {
  visit_real("matmul", a.y.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

constexpr Implementation<MatmulArgs> implementations[] = {{"tiles", tiles::fits, tiles::run},
                                                          {"reference", reference::fits, reference::run}};

}  // namespace

Kernel<MatmulArgs> matmul{"matmul", implementations, {}};

}  // namespace sono::kernels
