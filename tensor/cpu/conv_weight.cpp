// The gradient of a convolution's weights as matrix products over rows, like conv_rows.cpp:
//   dW (kW * C, O) = sum over pixels of x^T dY,  for each row of the kernel.
// A register tile of dW stays in registers over some 160 pixels, whose inputs and gradients are in the first-level cache. The rows of y are
// cut into at most 16 chunks, each with its own sum, which are added in order: the same bits with any number of threads. Jobs are chunks x
// rows of the kernel x blocks of two vectors of output channels. Where a product would not fill vectors and registers there are other ways:
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

// How the sum over the rows of y is cut, from the problem alone: chunks of whole rows, at most 16, of some 2048 pixels or more, and
// together no more than 2 MB of partial sums.
struct Chunks {
  int64_t rows, per_chunk, count;
  Chunks(const Shapes& s, int64_t size) : rows(s.N * s.Do * s.Ho) {
    const int64_t by_pixels = rows * s.Wo / 2048, by_memory = (int64_t{1} << 19) / std::max<int64_t>(1, size);
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

// A range of rows of y, a block of output channels of one group, and one row (t, u) of the kernel (all of them: unfolded).
struct Job {
  const Shapes& s;
  Way way;
  const float *x, *y;
  int64_t first_row, last_row, group, first_o, columns, t, u;
  float* dw;    // where the sums of tap (t, u, 0) go
  float* bias;  // where the sums of y go, or null

  Rows wanted{s.W, s.C, -s.padding[2], (s.Wo - 1) * s.stride[2] + (s.kW - 1) * s.dilation[2] + 1 - s.padding[2]};
  int64_t kernel_row = s.kW * s.Cg, depth = s.taps * s.C, row_floats = wanted.pixels() * s.C;
  // Whole vectors are read, and gradients that lie far apart would fight for the same lines of the cache.
  bool copies_gradients = way != Way::transposed && (padded_columns(columns) != columns || (s.O > columns && kernel_row > 16));
  int64_t ld_y = copies_gradients ? padded_columns(columns) : s.O;

  // The row of x that row (n, d, i) of y reads with row (t, u) of the kernel; null outside.
  const float* source(int64_t row, int64_t t, int64_t u) const {
    const int64_t n = row / (s.Do * s.Ho), d = row / s.Ho % s.Do, i = row % s.Ho;
    const int64_t plane = d * s.stride[0] + t * s.dilation[0] - s.padding[0], line = i * s.stride[1] + u * s.dilation[1] - s.padding[1];
    if (plane < 0 || plane >= s.D || line < 0 || line >= s.H) return nullptr;
    return x + ((n * s.D + plane) * s.H + line) * s.W * s.C;
  }

  // The gradients of a row, ld_y apart: in place, or copied to `to` so that whole vectors can be read. Their sum is added to the bias.
  const float* gradients(int64_t row, float* to) const {
    const float* g = y + row * s.Wo * s.O + group * s.Og + first_o;
    if (to) {
      constexpr int64_t eight = 8;  // of a size known at compile time: a load and a store, not a call
      for (int64_t j = 0; j < s.Wo; j++) {
        const float* from = g + j * s.O;
        float* row = to + j * ld_y;
        int64_t o = 0;
        for (; o + eight <= columns; o += eight) std::copy_n(from + o, eight, row + o);
        for (; o < ld_y; o++) row[o] = o < columns ? from[o] : 0.0f;
      }
      g = to;
    }
    if (bias) simd().add_column_sums(g, s.Wo, columns, ld_y, bias);
    return g;
  }

  // The kD * kH * kW * C inputs of each pixel of a row of y, side by side.
  void unfold_row(int64_t row, float* padded, float* to) const {
    for (int64_t part = 0; part < s.kD * s.kH; part++) {
      if (const float* from = source(row, part / s.kH, part % s.kH))
        wanted.copy(from, padded);
      else
        std::fill_n(padded, row_floats, 0.0f);
      for (int64_t j = 0; j < s.Wo; j++)
        for (int64_t k = 0; k < kernel_row; k++) to[j * depth + part * kernel_row + k] = padded[j * s.stride[2] * s.C + k];
    }
  }

  void run() const {
    const int64_t group_rows = std::max<int64_t>(1, 160 / s.Wo), x_floats = way == Way::unfolded ? s.Wo * depth : row_floats;
    const bool whole = way != Way::rows || (s.joined() && (wanted.in_place() || s.C < 12));  // all taps of a kernel row at once
    const bool copy_x = way == Way::unfolded || (whole && !wanted.in_place());
    float *xcopy = copy_x ? scratch(0, group_rows * x_floats + 64) : nullptr,
          *padded = way == Way::unfolded ? scratch(2, row_floats + 64) : nullptr;
    float* ycopy = copies_gradients ? scratch(1, group_rows * s.Wo * ld_y) : nullptr;
    float* swapped = way == Way::transposed ? scratch(3, columns * kernel_row) : nullptr;
    if (swapped) std::fill_n(swapped, columns * kernel_row, 0.0f);
    std::vector<const float*> xs(group_rows), ys(group_rows), shifted(group_rows), gs(group_rows);
    for (int64_t row = first_row; row < last_row;) {
      int64_t taps = 0;
      for (; row < last_row && taps < group_rows; row++) {
        const float* from = way == Way::unfolded ? x : source(row, t, u);
        if (!from && !bias) continue;
        ys[taps] = gradients(row, ycopy ? ycopy + taps * s.Wo * ld_y : nullptr);
        if (!from) continue;
        xs[taps] = copy_x ? xcopy + taps * x_floats : from + wanted.first * s.C + group * s.Cg;
        if (way == Way::unfolded)
          unfold_row(row, padded, xcopy + taps * x_floats);
        else if (copy_x)
          wanted.copy(from, xcopy + taps * x_floats);
        taps++;
      }
      if (swapped) {
        simd().product(
            {ys.data(), xs.data(), taps, s.Wo, columns, kernel_row, 1, s.O, s.stride[2] * s.C, swapped, kernel_row, nullptr, true});
        continue;
      }
      if (whole) {
        const int64_t size = way == Way::unfolded ? depth : kernel_row, step = way == Way::unfolded ? depth : s.stride[2] * s.C;
        simd().product({xs.data(), ys.data(), taps, s.Wo, size, columns, 1, step, ld_y, dw, s.O, nullptr, true});
        continue;
      }
      for (int64_t v = 0; v < s.kW; v++) {  // over the pixels that tap v does not read from the padding
        const int64_t start = v * s.dilation[2] - s.padding[2], stride = s.stride[2];
        const int64_t lo = start >= 0 ? 0 : (-start + stride - 1) / stride, hi = std::min(s.Wo, (s.W - 1 - start + stride) / stride);
        if (s.W - 1 < start || lo >= hi) continue;
        for (int64_t i = 0; i < taps; i++) shifted[i] = xs[i] + (v * s.dilation[2] + lo * stride) * s.C, gs[i] = ys[i] + lo * ld_y;
        simd().product(
            {shifted.data(), gs.data(), taps, hi - lo, s.Cg, columns, 1, stride * s.C, ld_y, dw + v * s.Cg * s.O, s.O, nullptr, true});
      }
    }
    for (int64_t k = 0; swapped && k < kernel_row; k++)
      for (int64_t o = 0; o < columns; o++) dw[k * s.O + o] += swapped[o * kernel_row + k];
  }
};

}  // namespace

void weight(const ConvArgs& a) {
  const Shapes s(a);
  const Way way = way_of(s);
  const int64_t size = a.w.size(), with_bias = size + (a.bias ? s.O : 0);
  const Chunks chunks(s, size);
  const int64_t parts = way == Way::unfolded ? 1 : s.kD * s.kH, block = 2 * simd().lanes, blocks = (s.Og + block - 1) / block;
  const Tensor partial = Tensor::zeros({chunks.count * with_bias});
  parallel_for(chunks.count * parts * s.groups * blocks, 1, [&](int64_t job, int64_t) {
    const int64_t b = job % blocks, group = job / blocks % s.groups, part = job / (blocks * s.groups) % parts,
                  c = job / (blocks * s.groups * parts);
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
        .t = part / s.kH,
        .u = part % s.kH,
        .dw = sums + part * s.kW * s.Cg * s.O + o,
        .bias = a.bias && part == 0 ? sums + size + o : nullptr}
        .run();
  });
  const Tensor sums = a.bias ? Tensor({with_bias}) : a.w;
  add_up(partial.data<float>(), chunks.count, with_bias, sums.data<float>());
  if (!a.bias) return;
  std::copy_n(sums.data<float>(), size, a.w.data<float>());
  std::copy_n(sums.data<float>() + size, s.O, a.bias.data<float>());
}

}  // namespace sono::kernels::rows
