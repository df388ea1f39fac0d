// The gradient of a convolution's weights as matrix products over rows, like conv_rows.cpp:
//   dW (kW * C, O) = sum over pixels of x^T dY,  for each row of the kernel.
// A register tile of dW stays in registers over some 160 pixels, whose inputs and gradients are in the first-level cache. The rows of y are
// cut into at most 16 chunks, each with its own sum, which are added in order: the same bits with any number of threads. Jobs are chunks x
// blocks of two vectors of output channels; a tap's products leave out the pixels that it reads from the padding. Where a product would not
// fill vectors and registers there are other ways:
//   unfolded     few inputs (kW * C < 10): the inputs of a pixel are copied side by side
//   transposed   few output channels: dW^T = dY^T x
#include <vector>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/conv_shapes.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::rows {
namespace {

using cpu::padded_columns, cpu::scratch, cpu::simd;

enum class Way { rows, unfolded, transposed };

Way way_of(const Shapes& s) {
  if (!s.joined()) return Way::rows;
  if (s.kD * s.kH > 1 && s.kW * s.C < 10) return Way::unfolded;
  return s.kW * s.C % simd().lanes == 0 && s.O <= std::max(1, simd().lanes / 4) ? Way::transposed : Way::rows;
}

// How the sum over the rows of y is cut, from the problem alone: chunks of whole rows, at most 16, of some 1024 pixels or more, and
// together no more than 2 MB of partial sums.
struct Chunks {
  int64_t rows, per_chunk, count;
  Chunks(const Shapes& s, int64_t size) : rows(s.N * s.Do * s.Ho) {
    const int64_t by_pixels = rows * s.Wo / 1024, by_memory = (int64_t{1} << 19) / std::max<int64_t>(1, size);
    const int64_t wanted = std::clamp<int64_t>(std::min(by_pixels, by_memory), 1, 16);
    per_chunk = std::max<int64_t>(1, (rows + wanted - 1) / wanted);
    count = std::max<int64_t>(1, (rows + per_chunk - 1) / per_chunk);
  }
};

// out (size) = the sum of `count` partial results that lie `size` apart, in order.
void add_up(const float* partial, int64_t count, int64_t size, float* out) {
  parallel_for(size, 16384, [&](int64_t first, int64_t last) {
    std::copy(partial + first, partial + last, out + first);
    for (int64_t c = 1; c < count; c++)
      for (int64_t i = first; i < last; i++) out[i] += partial[c * size + i];
  });
}

// A range of rows of y and a block of output channels of one group.
struct Job {
  const Shapes& s;
  Way way;
  const float *x, *y;
  int64_t first_row, last_row, group, first_o, columns;
  float* dw;    // where the sums of these channels go
  float* bias;  // where the sums of y go, or null

  Rows wanted{s.W, s.C, -s.padding[2], (s.Wo - 1) * s.stride[2] + (s.kW - 1) * s.dilation[2] + 1 - s.padding[2]};
  int64_t kernel_row = s.kW * s.Cg, depth = s.taps * s.C, row_floats = wanted.pixels() * s.C;
  int64_t group_rows = std::max<int64_t>(1, 160 / s.Wo), parts = s.kD * s.kH;
  // Whole vectors are read, and gradients that lie far apart would fight for the same lines of the cache.
  bool copies_gradients = way != Way::transposed && (padded_columns(columns) != columns || (s.O > 2 * columns && kernel_row > 16));
  int64_t ld_y = copies_gradients ? padded_columns(columns) : s.O;
  bool whole = way != Way::rows || (s.joined() && (wanted.in_place() || s.C < 12));  // all taps of a kernel row at once

  void run() const {
    float* ycopy = copies_gradients ? scratch(1, group_rows * s.Wo * ld_y) : nullptr;
    float* swapped = way == Way::transposed ? scratch(3, parts * columns * kernel_row) : nullptr;
    if (swapped) std::fill_n(swapped, parts * columns * kernel_row, 0.0f);
    std::vector<const float*> ys(group_rows);
    for (int64_t row = first_row; row < last_row; row += group_rows) {
      const int64_t rows = std::min(group_rows, last_row - row);
      for (int64_t i = 0; i < rows; i++) ys[i] = gradients(row + i, ycopy ? ycopy + i * s.Wo * ld_y : nullptr);
      if (way == Way::unfolded)
        add_unfolded(row, rows, ys.data());
      else
        for (int64_t part = 0; part < parts; part++) add_part(part, row, rows, ys.data(), swapped);
    }
    for (int64_t k = 0; swapped && k < parts * kernel_row; k++)
      for (int64_t o = 0; o < columns; o++) dw[k * s.O + o] += swapped[(k / kernel_row * columns + o) * kernel_row + k % kernel_row];
  }

  // The row of x that row (n, d, i) of y reads with row (t, u) of the kernel; null outside.
  const float* source(int64_t row, int64_t t, int64_t u) const {
    const int64_t n = row / (s.Do * s.Ho), d = row / s.Ho % s.Do, i = row % s.Ho;
    const int64_t plane = d * s.stride[0] + t * s.dilation[0] - s.padding[0], line = i * s.stride[1] + u * s.dilation[1] - s.padding[1];
    if (plane < 0 || plane >= s.D || line < 0 || line >= s.H) return nullptr;
    return x + ((n * s.D + plane) * s.H + line) * s.W * s.C;
  }

  // The gradients of a row, ld_y apart: in place, or copied to `to`. Their sum is added to the bias.
  const float* gradients(int64_t row, float* to) const {
    const float* g = y + row * s.Wo * s.O + group * s.Og + first_o;
    if (to) {
      constexpr int64_t eight = 8;  // of a size known at compile time: a load and a store, not a call
      for (int64_t j = 0; j < s.Wo; j++) {
        const float* from = g + j * s.O;
        float* line = to + j * ld_y;
        int64_t o = 0;
        for (; o + eight <= columns; o += eight) std::copy_n(from + o, eight, line + o);
        for (; o < ld_y; o++) line[o] = o < columns ? from[o] : 0.0f;
      }
      g = to;
    }
    if (bias) simd().add_column_sums(g, s.Wo, columns, ld_y, bias);
    return g;
  }

  // The kD * kH * kW * C inputs of each pixel of a row of y, side by side.
  void unfold_row(int64_t row, float* padded, float* to) const {
    for (int64_t part = 0; part < parts; part++) {
      if (const float* from = source(row, part / s.kH, part % s.kH))
        wanted.copy(from, padded);
      else
        std::fill_n(padded, row_floats, 0.0f);
      for (int64_t j = 0; j < s.Wo; j++)
        for (int64_t k = 0; k < kernel_row; k++) to[j * depth + part * kernel_row + k] = padded[j * s.stride[2] * s.C + k];
    }
  }

  void add_unfolded(int64_t row, int64_t rows, const float* const* ys) const {
    float *unfolded = scratch(0, group_rows * s.Wo * depth + 64), *padded = scratch(2, row_floats + 64);
    std::vector<const float*> xs(rows);
    for (int64_t i = 0; i < rows; i++) {
      unfold_row(row + i, padded, unfolded + i * s.Wo * depth);
      xs[i] = unfolded + i * s.Wo * depth;
    }
    simd().product({xs.data(), ys, rows, s.Wo, depth, columns, 1, depth, ld_y, dw, s.O, nullptr, true});
  }

  // The products of one row (t, u) of the kernel with `rows` rows of y.
  void add_part(int64_t part, int64_t row, int64_t rows, const float* const* ys, float* swapped) const {
    const bool copy = whole && !wanted.in_place();
    float *copies = copy ? scratch(0, group_rows * row_floats + 64) : nullptr, *to = dw + part * kernel_row * s.O;
    std::vector<const float*> xs, gs;
    for (int64_t i = 0; i < rows; i++)
      if (const float* from = source(row + i, part / s.kH, part % s.kH)) {
        if (copy) wanted.copy(from, copies + i * row_floats);
        xs.push_back(copy ? copies + i * row_floats : from + wanted.first * s.C + group * s.Cg), gs.push_back(ys[i]);
      }
    const int64_t taps = static_cast<int64_t>(xs.size()), step = s.stride[2] * s.C;
    if (swapped)
      return simd().product({gs.data(), xs.data(), taps, s.Wo, columns, kernel_row, 1, s.O, step, swapped + part * columns * kernel_row,
                             kernel_row, nullptr, true});
    if (whole) return simd().product({xs.data(), gs.data(), taps, s.Wo, kernel_row, columns, 1, step, ld_y, to, s.O, nullptr, true});
    for (int64_t v = 0, done = 0; v < s.kW; v++) {  // over the pixels that tap v does not read from the padding
      const int64_t start = v * s.dilation[2] - s.padding[2], stride = s.stride[2];
      const int64_t lo = start >= 0 ? 0 : (-start + stride - 1) / stride, hi = std::min(s.Wo, (s.W - 1 - start + stride) / stride);
      if (s.W - 1 < start || lo >= hi) continue;
      const int64_t at = (v * s.dilation[2] + lo * stride) * s.C - done;  // pointers go on from tap to tap
      for (int64_t i = 0; i < taps; i++) xs[i] += at;
      done += at;
      for (int64_t i = 0; i < taps; i++) gs[i] += lo * ld_y;
      simd().product({xs.data(), gs.data(), taps, hi - lo, s.Cg, columns, 1, step, ld_y, to + v * s.Cg * s.O, s.O, nullptr, true});
      for (int64_t i = 0; i < taps; i++) gs[i] -= lo * ld_y;
    }
  }
};

}  // namespace

void weight(const ConvArgs& a) {
  const Shapes s(a);
  const Way way = way_of(s);
  const int64_t size = a.w.size(), with_bias = size + (a.bias ? s.O : 0);
  const Chunks chunks(s, size);
  const int64_t block = 2 * simd().lanes, blocks = (s.Og + block - 1) / block;
  const Tensor partial = Tensor::zeros({chunks.count * with_bias});
  parallel_for(chunks.count * s.groups * blocks, 1, [&](int64_t job, int64_t) {
    const int64_t b = job % blocks, group = job / blocks % s.groups, c = job / (blocks * s.groups);
    const int64_t first_o = b * block, o = group * s.Og + first_o;
    float* sums = partial.data<float>() + c * with_bias;
    Job{.s = s,
        .way = way,
        .x = a.x.data<float>(),
        .y = a.y.data<float>(),
        .first_row = c * chunks.per_chunk,
        .last_row = std::min(chunks.rows, (c + 1) * chunks.per_chunk),
        .group = group,
        .first_o = first_o,
        .columns = std::min(block, s.Og - first_o),
        .dw = sums + o,
        .bias = a.bias ? sums + size + o : nullptr}
        .run();
  });
  const Tensor sums = a.bias ? Tensor({with_bias}) : a.w;
  add_up(partial.data<float>(), chunks.count, with_bias, sums.data<float>());
  if (!a.bias) return;
  std::copy_n(sums.data<float>(), size, a.w.data<float>());
  std::copy_n(sums.data<float>() + size, s.O, a.bias.data<float>());
}

}  // namespace sono::kernels::rows
