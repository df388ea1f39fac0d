// Products of a binary left operand on the CPU.
//   sums      f32: rows of B added up by tables (tensor/cpu/simd/binary_matmul.cpp); jobs are 32 columns of y
//   product   the entries of matmul, f32 and f64: the plain reference, and what few rows of A are as fast with
#include "tensor/binary_matmul.h"

#include <algorithm>

#include "tensor/cpu/binary_table.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sono::kernels {
namespace {

using cpu::binary_columns, cpu::binary_depth;

struct Sizes {
  int64_t M, N, K;
  explicit Sizes(const BinaryMatmulArgs& a) : M(a.y.dim(-2)), N(a.y.dim(-1)), K(a.a.dim(a.transpose_a ? -2 : -1)) {}
};

namespace sums {

const cpu::BinarySums& table() {
#ifdef SONO_HAVE_v3
  if (cpu::isa() == cpu::Isa::v3) return cpu::v3::binary_sums;
#endif
#ifdef SONO_HAVE_v4
  if (cpu::isa() == cpu::Isa::v4) return cpu::v4::binary_sums;
#endif
  return cpu::baseline::binary_sums;
}

bool fits(const BinaryMatmulArgs& a) { return a.y.dtype() == Dtype::f32 && Sizes(a).M >= 32; }

// The bits of A: words[p * M + m] those of A[m, 32 p …).
Tensor bits_of(const BinaryMatmulArgs& a, const Sizes& s) {
  const int64_t words = (s.K + binary_depth - 1) / binary_depth, lda = a.transpose_a ? s.M : s.K;
  const Tensor bits({words, s.M}, Dtype::i32);
  parallel_for(words, 4, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; p++) {
      const int64_t k = p * binary_depth;
      table().pack(a.a.data<float>() + (a.transpose_a ? k * lda : k), lda, a.transpose_a, s.M, std::min(binary_depth, s.K - k),
                   reinterpret_cast<uint32_t*>(bits.data<int32_t>()) + p * s.M);
    }
  });
  return bits;
}

void copy_row(const float* from, int64_t columns, float* to) {
  if (columns == binary_columns)
    std::copy_n(from, binary_columns, to);  // of a constant length: no call
  else
    std::copy_n(from, columns, to);
}

// Rows [k, k + depth) and columns [n, n + 32) of B where they lie or, transposed or beyond the edge, as a copy.
const float* block_of(const BinaryMatmulArgs& a, const Sizes& s, int64_t k, int64_t depth, int64_t n, int64_t columns, int64_t& ldb) {
  const float* b = a.b.data<float>();
  ldb = s.N;
  if (!a.transpose_b && columns == binary_columns) return b + k * s.N + n;
  ldb = binary_columns;
  float* copy = cpu::scratch(1, binary_depth * binary_columns);
  if (columns < binary_columns) std::fill_n(copy, depth * binary_columns, 0.0f);
  if (a.transpose_b)
    cpu::simd().transpose(b + n * s.K + k, s.K, columns, depth, copy, binary_columns);
  else
    for (int64_t r = 0; r < depth; r++) std::copy_n(b + (k + r) * s.N + n, columns, copy + r * binary_columns);
  return copy;
}

// Asks for the block that comes next: its rows lie far apart, no hardware foresees them.
void fetch(const BinaryMatmulArgs& a, const Sizes& s, int64_t k, int64_t n) {
  const int64_t deep = std::min(binary_depth, s.K - k), wide = std::min(binary_columns, s.N - n);
  const float* b = a.b.data<float>() + (a.transpose_b ? n * s.K + k : k * s.N + n);
  const int64_t rows = a.transpose_b ? wide : deep, columns = a.transpose_b ? deep : wide, ld = a.transpose_b ? s.K : s.N;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c += 16) __builtin_prefetch(b + r * ld + c);
}

void columns_of(const BinaryMatmulArgs& a, const Sizes& s, const uint32_t* bits, int64_t n) {
  const int64_t columns = std::min(binary_columns, s.N - n);
  float *y = a.y.data<float>() + n, *sums = cpu::scratch(0, s.M * binary_columns), *tables = cpu::scratch(2, cpu::binary_tables);
  float start[binary_columns] = {};
  if (a.bias) std::copy_n(a.bias.data<float>() + n, columns, start);
  for (int64_t m = 0; m < s.M; m++) {
    copy_row(start, binary_columns, sums + m * binary_columns);
    if (a.accumulate) copy_row(y + m * s.N, columns, sums + m * binary_columns);
  }
  for (int64_t k = 0; k < s.K; k += binary_depth) {
    const int64_t depth = std::min(binary_depth, s.K - k);
    int64_t ldb = 0;
    const float* b = block_of(a, s, k, depth, n, columns, ldb);
    if (k + depth < s.K) fetch(a, s, k + depth, n);
    table().add(bits + k / binary_depth * s.M, s.M, b, ldb, depth, tables, sums);
  }
  if (a.activation != Activation::none)
    cpu::simd().activate(sums, binary_columns, s.M, binary_columns, static_cast<cpu::Epilogue>(a.activation));
  for (int64_t m = 0; m < s.M; m++) copy_row(sums + m * binary_columns, columns, y + m * s.N);
}

void run(const BinaryMatmulArgs& a) {
  const Sizes s(a);
  if (a.y.size() == 0) return;
  const Tensor bits = bits_of(a, s);
  const int64_t jobs = (s.N + binary_columns - 1) / binary_columns;
  parallel_for(jobs, std::max<int64_t>(1, 200000 / std::max<int64_t>(1, s.M * s.K * binary_columns)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) columns_of(a, s, reinterpret_cast<const uint32_t*>(bits.data<int32_t>()), i * binary_columns);
  });
  if (a.sample) random_bernoulli(a.y, a.sample, a.seed, a.stream);
}

}  // namespace sums

namespace product {

bool fits(const BinaryMatmulArgs&) { return true; }

void run(const BinaryMatmulArgs& a) {
  const Tensor y = a.accumulate ? Tensor::empty_like(a.y) : a.y;
  matmul({a.a, a.b, y, a.transpose_a, a.transpose_b, a.bias, a.activation});
  if (a.sample) random_bernoulli(y, a.sample, a.seed, a.stream);
  if (a.accumulate) map(elementwise::Add{}, a.y, y, a.y);
}

}  // namespace product

constexpr Implementation<BinaryMatmulArgs> implementations[] = {{"sums", sums::fits, sums::run}, {"product", product::fits, product::run}};

}  // namespace

Kernel<BinaryMatmulArgs> binary_matmul{"binary_matmul", implementations, {}};

}  // namespace sono::kernels
