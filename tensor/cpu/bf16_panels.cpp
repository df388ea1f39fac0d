#include <algorithm>

#include "tensor/cpu/bf16.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"
#include "tensor/precision.h"

namespace sono::cpu {

const Bf16& bf16_emulated() {
#ifdef SONO_HAVE_v3
  if (isa() == Isa::v3) return v3::bf16;
#endif
#ifdef SONO_HAVE_v4
  if (isa() == Isa::v4) return v4::bf16;
#endif
  return baseline::bf16;
}

const Bf16& bf16() {
#ifdef SONO_HAVE_v4_bf16
  static const bool native = __builtin_cpu_supports("avx512bf16");
  if (native && isa() == Isa::v4) return v4_bf16::bf16;
#endif
  return bf16_emulated();
}

namespace {

// Columns of a (depth, columns) matrix as pairs of rows.
void pack_rows(const float* from, int64_t ld, int64_t depth, int64_t columns, int64_t width, uint16_t* to) {
  for (int64_t k = 0; k < depth; k += 2, to += 2 * width) {
    bf16().pairs(from + k * ld, k + 1 < depth ? from + (k + 1) * ld : nullptr, columns, to);
    std::fill(to + 2 * columns, to + 2 * width, uint16_t{0});
  }
}

// The same of a matrix stored as (columns, depth): its pairs lie side by side, and are transposed as the 32-bit words that they are.
void pack_columns(const float* from, int64_t ld, int64_t depth, int64_t columns, int64_t width, uint16_t* to) {
  constexpr int64_t block = 256;
  float* words = scratch(0, columns * block / 2);
  if (columns < width) std::fill_n(to, (depth + 1) / 2 * 2 * width, uint16_t{0});
  for (int64_t k = 0; k < depth; k += block) {
    const int64_t some = std::min(block, depth - k);
    for (int64_t c = 0; c < columns; c++) {
      auto* rounded = reinterpret_cast<uint16_t*>(words + c * block / 2);
      bf16().round(from + c * ld + k, some, rounded);
      if (some % 2) rounded[some] = 0;
    }
    simd().transpose(words, block / 2, columns, (some + 1) / 2, reinterpret_cast<float*>(to) + k / 2 * width, width);
  }
}

}  // namespace

Bf16Panels::Bf16Panels(int64_t d, int64_t n, Tensor packed)
    : depth(d), columns(n), width(std::min<int64_t>(2 * simd().lanes, padded_columns(n))), memory(std::move(packed)) {}

void Bf16Panels::pack(int64_t matrices, int64_t ld, bool transposed, const std::function<const float*(int64_t)>& from) {
  const int64_t across = panels(), words = (depth + 1) / 2 * width;
  memory = Tensor({matrices * across * words});
  auto* to = static_cast<uint16_t*>(memory.raw());
  parallel_for(matrices * across, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, words)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t n = i % across * width, some = std::min(width, columns - n);
      const float* matrix = from(i / across);
      if (transposed)
        pack_columns(matrix + n * ld, ld, depth, some, width, to + 2 * i * words);
      else
        pack_rows(matrix + n, ld, depth, some, width, to + 2 * i * words);
    }
  });
}

Tensor bf16_memory(int64_t values) { return Tensor({(values + 1) / 2}); }

Tensor bf16_bias(const Tensor& bias, int64_t groups, const Bf16Panels& panels) {
  const int64_t padded = panels.panels() * panels.width;
  if (!bias || panels.columns == padded) return bias;
  const Tensor t = Tensor::zeros({groups * padded});
  for (int64_t g = 0; g < groups; g++) std::copy_n(bias.data<float>() + g * panels.columns, panels.columns, t.data<float>() + g * padded);
  return t;
}

}  // namespace sono::cpu

namespace sono::kernels::bf16 {

bool fits(const ConvArgs& a) { return precision() == Precision::bf16 && a.y.dtype() == Dtype::f32 && a.plain(); }

}  // namespace sono::kernels::bf16
