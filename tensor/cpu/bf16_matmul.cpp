// Matrix products of bf16: 2 * batch * M * N * K FLOPs, A rounded to rows of pairs, B to panels, y in f32.
//
// Blocks of about 100 rows x 128 columns are the jobs; each goes through K in steps of 512, so that a panel (32 KB) stays in the
// first-level cache and the rows of A (100 KB) in the second, as in f32 with half as many values. Rounding reads and writes each operand
// once: it is 1 / M of the work for B and 1 / N for A, so the gain is that of products with hundreds of rows and columns; constant weights
// can be packed ahead (pack). Of the error and the instruction: tensor/precision.h, tensor/cpu/simd/bf16.cpp.
#include <algorithm>

#include "tensor/cpu/bf16.h"
#include "tensor/cpu/matmul.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"
#include "tensor/precision.h"

namespace sono::kernels::bf16 {
namespace {

using cpu::Bf16Panels;

constexpr int64_t depth_of_block = 512;

// A as rows of K values, `ld` apart: not a multiple of 1 KB, where rows would fight for the same lines of the cache.
struct Left {
  Tensor memory;
  int64_t ld;
  const uint16_t* row(int64_t r) const { return static_cast<const uint16_t*>(memory.raw()) + r * ld; }
};

// Rows [m, m + rows) of a matrix stored as (K, M).
void round_transposed(const float* a, const MatmulSizes& s, int64_t m, int64_t rows, uint16_t* to, int64_t ld) {
  constexpr int64_t block = 256;
  float* some = cpu::scratch(0, rows * block);
  for (int64_t k = 0; k < s.K; k += block) {
    const int64_t depth = std::min(block, s.K - k);
    cpu::simd().transpose(a + k * s.M + m, s.M, depth, rows, some, depth);
    for (int64_t r = 0; r < rows; r++) cpu::bf16().round(some + r * depth, depth, to + r * ld + k);
  }
}

Left left_operand(const MatmulArgs& a, const MatmulSizes& s) {
  constexpr int64_t rows = 16;
  const int64_t matrices = s.step_a ? s.batch : 1, blocks = (s.M + rows - 1) / rows, even = (s.K + 1) / 2 * 2;
  const Left left{cpu::bf16_memory(matrices * s.M * (even + 32)), even % 512 == 0 ? even + 32 : even};
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows * s.K));
  parallel_for(matrices * blocks, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t m = i % blocks * rows, some = std::min(rows, s.M - m);
      const float* from = a.a.data<float>() + i / blocks * s.M * s.K;
      auto* to = const_cast<uint16_t*>(left.row(i / blocks * s.M + m));
      if (a.transpose_a)
        round_transposed(from, s, m, some, to, left.ld);
      else
        for (int64_t r = 0; r < some; r++) cpu::bf16().round(from + (m + r) * s.K, s.K, to + r * left.ld);
    }
  });
  return left;
}

Bf16Panels right_operand(const MatmulArgs& a, const MatmulSizes& s) {
  Bf16Panels panels(s.K, s.N, a.packed);
  if (!a.packed)
    panels.pack(s.step_b ? s.batch : 1, a.transpose_b ? s.K : s.N, a.transpose_b,
                [&](int64_t matrix) { return a.b.data<float>() + matrix * s.step_b; });
  return panels;
}

}  // namespace

bool fits(const MatmulArgs& a) {
  if (precision() != Precision::bf16 || a.y.dtype() != Dtype::f32 || a.sample) return false;
  const MatmulSizes s(a);
  return !a.packed || a.packed.size() == (s.step_b ? s.batch : 1) * Bf16Panels(s.K, s.N).words();
}

Tensor pack(const MatmulArgs& a) { return right_operand(a, MatmulSizes(a)).memory; }

void matmul(const MatmulArgs& a) {
  const MatmulSizes s(a);
  if (a.y.size() == 0) return;
  const Left left = left_operand(a, s);
  const Bf16Panels right = right_operand(a, s);
  const Tensor bias = cpu::bf16_bias(a.bias, 1, right);
  const int64_t rows = std::min<int64_t>(s.M, 104), panels = std::max<int64_t>(1, (s.M <= 32 ? 64 : 128) / right.width);
  const int64_t down = (s.M + rows - 1) / rows, across = (right.panels() + panels - 1) / panels;
  const double flops = 2.0 * static_cast<double>(rows * panels * right.width * s.K);

  const auto block = [&](int64_t matrix, int64_t m, int64_t first_panel) {
    const int64_t some = std::min(rows, s.M - m);
    float* y = a.y.data<float>() + (matrix * s.M + m) * s.N;
    for (int64_t k = 0; k == 0 || k < s.K; k += depth_of_block)
      for (int64_t p = first_panel; p < std::min(first_panel + panels, right.panels()); p++) {
        const uint16_t *x = left.row((s.step_a ? matrix * s.M : 0) + m) + k, *w = right.at(s.step_b ? matrix : 0, p) + k * right.width;
        const int64_t n = p * right.width;
        cpu::bf16().product({&x, &w, 1, std::min(depth_of_block, s.K - k), some, std::min(right.width, s.N - n), left.ld, right.width,
                             y + n, s.N, bias && k == 0 ? bias.data<float>() + n : nullptr, k > 0});
      }
    const int64_t n = first_panel * right.width;
    cpu::simd().activate(y + n, s.N, some, std::min(panels * right.width, s.N - n), static_cast<cpu::Epilogue>(a.activation));
  };
  const int64_t grain = std::max<int64_t>(1, static_cast<int64_t>(1e6 / std::max(1.0, flops)));
  parallel_for(s.batch * down * across, grain, [&](int64_t first, int64_t last) {
    for (int64_t job = first; job < last; job++) block(job / (down * across), job / across % down * rows, job % across * panels);
  });
}

}  // namespace sono::kernels::bf16
