// Matrix product on the CPU: 2 * batch * M * N * K FLOPs.
//   bf16        operands rounded to bf16, where precision() says so (bf16_matmul.cpp)
//   gemv        one row or one column, f32: one pass over the matrix, bound by the memory that it lies in
//   dots        a few rows times the rows of a transposed B, f32: B is read once as it lies, with no copy
//   tiles       register tiles of 6 x 16 (AVX2) or 14 x 32 (AVX-512) outputs, f32. Blocks of 128 rows are the jobs; each goes through K in
//               steps of 512 or 1024: a block of A (256 or 512 KB) stays in the second-level cache, a panel of B (32 or 128 KB) streams
//               from there to the tiles, and y is read and written once per step. B is copied to panels as wide as a tile unless it is
//               small or used only a few times; by each job for itself if it has all rows, else once for all. A is read as it lies,
//               unless its rows are a multiple of 4 KiB apart, where the 14 lines that a tile reads fight for the 8 ways of one set
//               of the cache: then it is copied, transposed to slivers as high as a tile, else to rows that lie a line further apart.
//               Zen 5, one thread: 84 to 96 % of the peak from 128^3 on; 8 rows 72 to 74 %, bound by the third-level cache.
//   eigen       Eigen's product (matmul_eigen.cpp), a rival; what f64 uses
//   reference   three loops, f32 and f64
#include "tensor/cpu/matmul.h"

#include <algorithm>

#include "tensor/cpu/activation.h"
#include "tensor/cpu/bf16.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sono::kernels {
namespace {

namespace tiles {

using cpu::Left, cpu::scratch, cpu::simd, cpu::Tiles;

int64_t depth_of_block() { return simd().lanes == 16 ? 1024 : 512; }

int64_t width_of_panel(int64_t N) { return N > simd().lanes ? 2 * simd().lanes : simd().lanes; }
int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Values from one copied panel to the next: a line apart beside the panel itself, so that several can be written side by side.
int64_t size_of_panel(const MatmulSizes& s, int64_t width) { return s.K * width + 16; }

// B as the tiles read it: the columns of panel p at data + p * panel_step, rows `ld` apart, and so for each matrix of a batch; the last
// panel, if it is no whole one, is always a copy.
struct Right {
  Tensor memory;
  const float* data;
  int64_t ld, panel_step, step;
  const float* last = nullptr;
  int64_t last_step = 0;
};

// Panels [first, …) of every matrix of B, one after the other; zeros beyond N. A chunk is 8 panels: rows are read 512 bytes at a time.
Tensor copy_panels(const MatmulArgs& a, const MatmulSizes& s, int64_t width, int64_t first_panel) {
  constexpr int64_t together = 8;
  const int64_t panels = round_up(s.N, width) / width - first_panel, matrices = s.step_b ? s.batch : 1;
  const int64_t chunks = (panels + together - 1) / together, one = size_of_panel(s, width), size = panels * one;
  const Tensor memory({matrices * size});
  parallel_for(
      matrices * chunks, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, s.K * width * together)), [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
          const int64_t p = i % chunks * together, n = (first_panel + p) * width, columns = std::min(together * width, s.N - n);
          const float* b = a.b.data<float>() + i / chunks * s.step_b;
          float* to = memory.data<float>() + i / chunks * size + p * one;
          if (columns % width) std::fill_n(to + columns / width * one, s.K * width, 0.0f);
          simd().panels(a.transpose_b ? b + n * s.K : b + n, a.transpose_b ? s.K : s.N, a.transpose_b, s.K, columns, width, one, to);
        }
      });
  return memory;
}

// Up to this many rows every job has them all, and copies the part of B that it needs, block by block, to its own second-level cache: B is
// read once and nothing else goes through memory.
constexpr int64_t rows_of_own_copy = 256;
bool direct(const MatmulArgs& a, const MatmulSizes& s) {
  const int64_t uses = s.M * (s.step_b ? 1 : s.batch);
  // Rows a power of 2 apart share few sets of the cache: a panel of them does not stay there for many uses.
  const bool few_uses = uses <= 24 || (uses <= 128 && s.N % 256 != 0), small = s.K * s.N <= 16384;
  return !a.transpose_b && (few_uses || small);
}
bool own_copy(const MatmulArgs& a, const MatmulSizes& s) {
  return !a.packed && !direct(a, s) && s.M <= rows_of_own_copy && (s.step_b || s.batch == 1);
}

// Few rows read B once, as it lies: in pieces of three vectors, which the memory gives faster.
int64_t width_of_tile(const MatmulArgs& a, const MatmulSizes& s) {
  const bool wide = direct(a, s) && !a.packed && !a.transpose_a && s.M <= 8 && s.N > 32 && simd().lanes == 16;
  return wide ? 48 : width_of_panel(s.N);
}

Right right_operand(const MatmulArgs& a, const MatmulSizes& s) {
  const int64_t width = width_of_tile(a, s), panels = round_up(s.N, width) / width, size = size_of_panel(s, width);
  if (a.packed) return {a.packed, a.packed.data<float>(), width, size, s.step_b ? panels * size : 0};
  if (own_copy(a, s)) return {a.b, nullptr, width, 0, s.step_b};
  if (!direct(a, s)) {
    const Tensor memory = copy_panels(a, s, width, 0);
    return {memory, memory.data<float>(), width, size, s.step_b ? panels * size : 0};
  }
  Right right{a.b, a.b.data<float>(), s.N, width, s.step_b};
  if (s.N % width == 0) return right;
  right.memory = copy_panels(a, s, width, panels - 1);
  right.last = right.memory.data<float>(), right.last_step = s.step_b ? size : 0;
  return right;
}

// How the rows and columns of y are cut into jobs, and how A is read: as it lies, or copied first.
struct Plan {
  int64_t rows, columns;
  Left left;
  bool copies_left;
};

Plan plan(const MatmulArgs& a, const MatmulSizes& s) {
  const int64_t width = width_of_tile(a, s), height = simd().lanes == 16 ? 14 : 6;
  const double flops = 2.0 * static_cast<double>(s.M) * static_cast<double>(s.N) * static_cast<double>(s.K) * static_cast<double>(s.batch);
  const bool own = own_copy(a, s);
  Plan p{};
  p.copies_left = (a.transpose_a ? s.M : s.K) % 1024 == 0 && s.M > 8 && s.N >= 128;
  p.left = !a.transpose_a ? Left::rows : p.copies_left ? Left::slivers : Left::columns;
  const int64_t blocks = own ? 1 : (s.M + 127) / 128;
  p.rows = (s.M + blocks - 1) / blocks;
  // Where every job copies its part of A it has many columns.
  p.columns = round_up(std::min<int64_t>(s.N, own ? 128 : p.copies_left ? 4096 : 512), width);
  const double wanted = std::min(16.0, std::max(flops / 1e6, std::min(2.0, flops / 2.5e5)));
  const auto jobs = [&] { return static_cast<double>(s.batch * ((s.M + p.rows - 1) / p.rows) * ((s.N + p.columns - 1) / p.columns)); };
  const int64_t narrowest = own ? width : 2 * width;
  while (jobs() < wanted && p.columns > narrowest) p.columns = round_up(p.columns / 2, width);
  while (!own && jobs() < wanted && p.rows > 4 * height) p.rows = (p.rows + 1) / 2;
  return p;
}

// B[k .. k + depth, n .. n + columns) as panels, in this thread's memory.
const float* copy_block(const MatmulArgs& a, const MatmulSizes& s, const float* b, int64_t k, int64_t depth, int64_t n, int64_t columns) {
  const int64_t width = width_of_panel(s.N), size = depth * width + 16, whole = columns / width;
  float* to = scratch(1, round_up(columns, width) / width * size);
  if (columns % width) std::fill_n(to + whole * size, size, 0.0f);
  simd().panels(a.transpose_b ? b + n * s.K + k : b + k * s.N + n, a.transpose_b ? s.K : s.N, a.transpose_b, depth, columns, width, size,
                to);
  return to;
}

// A part of A in this thread's memory and how far apart its rows are: slivers, or rows that no longer lie 4 KiB apart.
struct LeftBlock {
  const float* data;
  int64_t ld;
};
LeftBlock copy_left(const float* from, int64_t lda, Left left, int64_t rows, int64_t depth) {
  const int64_t ld = depth + 16;
  float* to = scratch(0, ld * rows);
  if (left == Left::slivers) return simd().slivers(from, lda, rows, depth, to), LeftBlock{to, lda};
  for (int64_t r = 0; r < rows; r++) std::copy_n(from + r * lda, depth, to + r * ld);
  return {to, ld};
}

// y[m .. m + rows, n .. n + columns) of one matrix of the batch.
void block(const MatmulArgs& args, const MatmulSizes& s, const Right& right, const Plan& plan, const float* bias, int64_t matrix, int64_t m,
           int64_t rows, int64_t n, int64_t columns) {
  const float* a = args.a.data<float>() + matrix * s.step_a;
  float* y = args.y.data<float>() + (matrix * s.M + m) * s.N;
  const int64_t width = width_of_tile(args, s), lda = args.transpose_a ? s.M : s.K;
  int64_t k = 0;
  do {
    const int64_t depth = std::min(depth_of_block(), s.K - k);
    LeftBlock left{args.transpose_a ? a + k * s.M + m : a + m * s.K + k, lda};
    if (plan.copies_left) left = copy_left(left.data, lda, plan.left, rows, depth);
    const float* own = right.data ? nullptr : copy_block(args, s, args.b.data<float>() + matrix * right.step, k, depth, n, columns);
    for (int64_t j = n; j < n + columns; j += width) {
      const int64_t wide = std::min(width, n + columns - j);
      const bool apart = right.last && wide < width;
      const float* b = own     ? own + (j - n) / width * (depth * width + 16)
                       : apart ? right.last + matrix * right.last_step + k * width
                               : right.data + matrix * right.step + j / width * right.panel_step + k * right.ld;
      simd().tiles({plan.left, left.data, left.ld, b, apart ? width : right.ld, rows, wide, depth, y + j, s.N,
                    bias && k == 0 ? bias + j : nullptr, k > 0});
      if (args.activation != Activation::none && k + depth >= s.K)
        simd().activate(y + j, s.N, rows, wide, static_cast<cpu::Epilogue>(args.activation));
    }
    k += depth;
  } while (k < s.K);
  for (int64_t r = 0; args.sample && r < rows; r++) {
    const int64_t at = (matrix * s.M + m + r) * s.N + n;
    simd().bernoulli(y + r * s.N + n, columns, static_cast<uint64_t>(at), args.seed, args.stream, args.sample.data<float>() + at);
  }
}

int64_t packed_size(const MatmulSizes& s) {
  const int64_t width = width_of_panel(s.N);
  return (s.step_b ? s.batch : 1) * (round_up(s.N, width) / width) * size_of_panel(s, width);
}

bool fits(const MatmulArgs& a) { return a.y.dtype() == Dtype::f32 && (!a.packed || a.packed.size() == packed_size(MatmulSizes(a))); }

Tensor pack(const MatmulArgs& a) {
  const MatmulSizes s(a);
  return copy_panels(a, s, width_of_panel(s.N), 0);
}

void run(const MatmulArgs& a) {
  const MatmulSizes s(a);
  if (a.y.size() == 0) return;
  const Right right = right_operand(a, s);
  Tensor bias = a.bias;
  if (const int64_t padded = round_up(s.N, width_of_tile(a, s)); bias && padded != s.N) {
    bias = Tensor::zeros({padded});
    std::copy_n(a.bias.data<float>(), s.N, bias.data<float>());
  }
  const Plan p = plan(a, s);
  const int64_t down = (s.M + p.rows - 1) / p.rows, across = (s.N + p.columns - 1) / p.columns;
  const double flops = 2.0 * static_cast<double>(p.rows * p.columns * s.K);
  parallel_for(
      s.batch * down * across, std::max<int64_t>(1, static_cast<int64_t>(4e5 / std::max(1.0, flops))), [&](int64_t first, int64_t last) {
        for (int64_t job = first; job < last; job++) {
          const int64_t matrix = job / (down * across), m = job % down * p.rows, n = job / down % across * p.columns;
          block(a, s, right, p, bias ? bias.data<float>() : nullptr, matrix, m, std::min(p.rows, s.M - m), n, std::min(p.columns, s.N - n));
        }
      });
}

}  // namespace tiles

namespace gemv {

// The matrix is B (M = 1) or A (N = 1); y is one value per row (dot products) or a combination of its rows.
bool fits(const MatmulArgs& a) {
  const MatmulSizes s(a);
  return a.y.dtype() == Dtype::f32 && !a.packed && !a.sample && a.y.size() > 0 && s.batch == 1 && (s.M == 1 || s.N == 1) && s.K > 0;
}

void run(const MatmulArgs& a) {
  const MatmulSizes s(a);
  const bool row = s.M == 1, dots = row ? a.transpose_b : !a.transpose_a;
  const int64_t n = row ? s.N : s.M, grain = std::max<int64_t>(64, (1 << 18) / s.K / 64 * 64);
  const float *matrix = (row ? a.b : a.a).data<float>(), *vector = (row ? a.a : a.b).data<float>();
  parallel_for(n, grain, [&, y = a.y.data<float>()](int64_t first, int64_t last) {
    if (dots)
      cpu::simd().dots(matrix + first * s.K, s.K, last - first, vector, y + first);
    else
      cpu::simd().combine(matrix + first, s.K, n, last - first, vector, y + first);
    for (int64_t i = first; a.bias && i < last; i++) y[i] += a.bias.data<float>()[row ? i : 0];
    cpu::simd().activate(y + first, last - first, 1, last - first, static_cast<cpu::Epilogue>(a.activation));
  });
}

}  // namespace gemv

namespace dots {

bool fits(const MatmulArgs& a) {
  const MatmulSizes s(a);
  return a.y.dtype() == Dtype::f32 && !a.packed && !a.sample && s.batch == 1 && !a.transpose_a && a.transpose_b && s.M <= 12 && s.K >= 256;
}

void run(const MatmulArgs& a) {
  const MatmulSizes s(a);
  const int64_t grain = std::max<int64_t>(1, (1 << 19) / (s.M * s.K * 24)) * 24;
  parallel_for(s.N, grain, [&, y = a.y.data<float>(), bias = a.bias ? a.bias.data<float>() : nullptr](int64_t first, int64_t last) {
    cpu::simd().few_dots(a.a.data<float>(), s.M, a.b.data<float>() + first * s.K, s.K, last - first, y + first, s.N);
    for (int64_t m = 0; bias && m < s.M; m++)
      for (int64_t n = first; n < last; n++) y[m * s.N + n] += bias[n];
    cpu::simd().activate(y + first, s.N, s.M, last - first, static_cast<cpu::Epilogue>(a.activation));
  });
}

}  // namespace dots

namespace reference {

bool fits(const MatmulArgs&) { return true; }

template <class T>
void run(const MatmulArgs& a) {
  const auto [M, N, K, batch, step_a, step_b] = MatmulSizes(a);
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
  if (!a.sample) return;
  const Tensor u = random_uniform(a.y.shape(), a.seed, a.stream, 0, 1, a.y.dtype());
  for (int64_t i = 0; i < u.size(); i++) a.sample.data<T>()[i] = u.data<T>()[i] < a.y.data<T>()[i] ? T(1) : T(0);
}

void run(const MatmulArgs& a) {
  visit_real("matmul", a.y.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

constexpr Implementation<MatmulArgs> implementations[] = {{"bf16", bf16::fits, bf16::matmul, nullptr, bf16::pack},
                                                          {"gemv", gemv::fits, gemv::run},
                                                          {"dots", dots::fits, dots::run},
                                                          {"tiles", tiles::fits, tiles::run, nullptr, tiles::pack},
                                                          {"eigen", eigen::fits, eigen::run},
                                                          {"reference", reference::fits, reference::run}};

}  // namespace

Kernel<MatmulArgs> matmul{"matmul", implementations, {}};

}  // namespace sono::kernels
