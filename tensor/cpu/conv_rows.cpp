// Convolutions as matrix products over rows, with nothing unfolded.
//
// Channels last makes the kW * C inputs of a pixel contiguous, and the next pixel starts stride * C floats later. For one row of outputs
// and one row u of the kernel a convolution is therefore a matrix product whose left operand has overlapping rows: (Wo, kW * C) x (kW * C,
// O). The register tile (simd/product.cpp) sums over the kernel's rows before it writes, so y is touched once. Rows that need padding are
// copied to a padded scratch first (one load and store per 2 * kW*kH*O FLOPs); kernel rows outside of the image are left out.
//   forward   the product above. With dilation or groups each tap is a product of its own depth C / groups.
//   input     the same with y as the left operand and transposed weights. With a stride s the pixels of x fall into s phases, each of which
//             sees every s-th tap: s smaller products that write x at a distance of s pixels.
//   weight    dW (kW * C, O) = sum over pixels of x^T dY: a tile of dW stays in registers over some 128 pixels. The rows of y are cut into
//             at most 16 chunks, each with its own sum, which are added in order: the same bits with any number of threads. With few
//             output channels dW^T = dY^T x instead, so that vectors are full.
// Where windows lie side by side (2 x 2 with stride 2), kW pixels of x are one wide pixel: a plain matrix product in all three.
// Share of one Zen 4 core's peak (117 GFLOP/s), N = 8, 3 x 3: 16 -> 16 at 128^2 80 %, 64 -> 64 at 32^2 and deeper 91 .. 97 %.
#include <algorithm>
#include <vector>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::rows {
namespace {

using cpu::padded_columns, cpu::Product, cpu::scratch, cpu::simd;

struct Shapes {
  int64_t N, D, H, W, C, kD, kH, kW, Do, Ho, Wo, O, groups, Cg, Og, taps;
  std::array<int64_t, 3> stride, padding, dilation;

  explicit Shapes(const ConvArgs& a) {
    N = a.x.dim(0), D = a.x.dim(1), H = a.x.dim(2), W = a.x.dim(3), C = a.x.dim(4);
    kD = a.w.dim(0), kH = a.w.dim(1), kW = a.w.dim(2), Do = a.y.dim(1), Ho = a.y.dim(2), Wo = a.y.dim(3), O = a.y.dim(4);
    stride = a.geometry.stride, padding = a.geometry.padding, dilation = a.geometry.dilation;
    // Windows side by side, as of a 2 x 2 stride-2 convolution: each is one wide pixel, of the same memory.
    if (kW == stride[2] && padding[2] == 0 && dilation[2] == 1 && a.geometry.groups == 1 && W == Wo * kW)
      C *= kW, W = Wo, kW = stride[2] = 1;
    groups = a.geometry.groups, Cg = C / groups, Og = O / groups, taps = kD * kH * kW;
  }
  bool pointwise() const { return taps == 1 && stride == std::array<int64_t, 3>{1, 1, 1} && padding == std::array<int64_t, 3>{0, 0, 0}; }
  // The kW taps of a kernel row read contiguous inputs.
  bool joined() const { return dilation[2] == 1 && groups == 1; }
};

// Weights as the products read them: group g, tap t at group(g) + t * step, rows `ld` floats apart, readable up to padded_columns.
struct Panels {
  Tensor memory;
  const float* data;
  int64_t ld, step, group_step;
  const float* at(int64_t group, int64_t tap) const { return data + group * group_step + tap * step; }
};

// (Cg, Og) per tap; the weights themselves where their rows need no padding.
Panels forward_panels(const ConvArgs& a, const Shapes& s) {
  const float* w = a.w.data<float>();
  const int64_t ld = padded_columns(s.Og);
  if (ld == s.Og) return {a.w, w, s.O, s.Cg * s.O, s.Og};
  const Tensor memory = Tensor::zeros({s.groups * s.taps * s.Cg * ld});
  float* to = memory.data<float>();
  for (int64_t g = 0; g < s.groups; g++)
    for (int64_t row = 0; row < s.taps * s.Cg; row++, to += ld) std::copy_n(w + row * s.O + g * s.Og, s.Og, to);
  return {memory, memory.data<float>(), ld, s.Cg * ld, s.taps * s.Cg * ld};
}

// Transposed, (Og, Cg) per tap.
Panels input_panels(const ConvArgs& a, const Shapes& s) {
  const float* w = a.w.data<float>();
  const int64_t ld = padded_columns(s.Cg);
  const Tensor memory = ld == s.Cg ? Tensor({s.groups * s.taps * s.Og * ld}) : Tensor::zeros({s.groups * s.taps * s.Og * ld});
  float* to = memory.data<float>();
  parallel_for(s.groups * s.taps, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, s.Og * s.Cg)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++)
      simd().transpose(w + i % s.taps * s.Cg * s.O + i / s.taps * s.Og, s.O, s.Cg, s.Og, to + i * s.Og * ld, ld);
  });
  return {memory, to, ld, s.Og * ld, s.taps * s.Og * ld};
}

Tensor padded_bias(const ConvArgs& a, const Shapes& s) {
  const int64_t width = padded_columns(s.Og);
  if (!a.bias || width == s.Og) return a.bias;
  const Tensor t = Tensor::zeros({s.groups * width});
  for (int64_t g = 0; g < s.groups; g++) std::copy_n(a.bias.data<float>() + g * s.Og, s.Og, t.data<float>() + g * width);
  return t;
}

// Rows of an image, copied with zeros on both sides where products need them, or read in place.
// Columns [first, last) are wanted of rows that have `width` pixels of `channels` values.
struct Rows {
  int64_t width, channels, first, last;
  bool in_place() const { return first >= 0 && last <= width; }
  int64_t pixels() const { return last - first; }
  void copy(const float* row, float* to) const {
    const int64_t from = std::clamp<int64_t>(first, 0, width), until = std::clamp<int64_t>(last, from, width);
    const int64_t left = std::min(std::max<int64_t>(0, -first), pixels());
    std::fill_n(to, left * channels, 0.0f);
    std::copy_n(row + from * channels, (until - from) * channels, to + left * channels);
    std::fill(to + (left + until - from) * channels, to + pixels() * channels, 0.0f);
  }
};

// Rows per job, for about `target` FLOPs, at most 8 so that a job's rows stay in the second-level cache.
int64_t rows_per_job(double flops_per_row) {
  constexpr double target = 4e6;
  return std::clamp<int64_t>(static_cast<int64_t>(target / std::max(1.0, flops_per_row)), 1, 8);
}

// y (pixels, O) = x (pixels, C) times one panel per group.
void pointwise(const float* x, int64_t C, int64_t Cg, const Panels& panels, const Tensor& bias, float* y, int64_t O, int64_t Og,
               int64_t pixels) {
  const int64_t chunk = std::clamp<int64_t>(static_cast<int64_t>(2e6 / (2.0 * static_cast<double>(Cg * O) + 1)), 64, 4096);
  parallel_for(pixels, chunk, [&](int64_t first, int64_t last) {
    for (int64_t g = 0; g < C / Cg; g++) {
      const float *from = x + first * C + g * Cg, *w = panels.at(g, 0);
      simd().product({&from, &w, 1, Cg, last - first, Og, C, 1, panels.ld, y + first * O + g * Og, O,
                      bias ? bias.data<float>() + g * padded_columns(Og) : nullptr});
    }
  });
}

// The pairs (tap, row) of one dimension that output row i reads: row = i * stride + tap * dilation - padding inside [0, size).
template <class F>
void for_each_tap(const Shapes& s, int axis, int64_t kernel, int64_t size, int64_t i, F f) {
  for (int64_t u = 0; u < kernel; u++) {
    const int64_t row = i * s.stride[axis] + u * s.dilation[axis] - s.padding[axis];
    if (row >= 0 && row < size) f(u, row);
  }
}

}  // namespace

bool fits(const ConvArgs& a) { return a.y.dtype() == Dtype::f32; }

void forward(const ConvArgs& a) {
  const Shapes s(a);
  const Panels panels = forward_panels(a, s);
  const Tensor bias = padded_bias(a, s);
  const float* x = a.x.data<float>();
  if (a.y.size() == 0) return;
  if (s.pointwise()) return pointwise(x, s.C, s.Cg, panels, bias, a.y.data<float>(), s.O, s.Og, s.N * s.D * s.H * s.W);

  const Rows wanted{s.W, s.C, -s.padding[2], (s.Wo - 1) * s.stride[2] + (s.kW - 1) * s.dilation[2] + 1 - s.padding[2]};
  const int64_t block = rows_per_job(2.0 * static_cast<double>(s.Wo * s.taps * s.Cg * s.O)), blocks = (s.Ho + block - 1) / block;
  const int64_t span = (block - 1) * s.stride[1] + (s.kH - 1) * s.dilation[1] + 1, row_floats = wanted.pixels() * s.C;
  const int64_t columns_per_tap = s.joined() ? s.kW : 1, steps = s.kW / columns_per_tap;

  parallel_for(s.N * s.Do * blocks, 1, [&](int64_t job, int64_t) {
    const int64_t n = job / (s.Do * blocks), d = job / blocks % s.Do, i0 = job % blocks * block, i1 = std::min(s.Ho, i0 + block);
    const int64_t top = i0 * s.stride[1] - s.padding[1];  // the first row of x in the scratch
    float* copies = wanted.in_place() ? nullptr : scratch(0, s.kD * span * row_floats + 64);
    const auto source = [&](int64_t plane, int64_t row) { return x + ((n * s.D + plane) * s.H + row) * s.W * s.C; };
    if (copies)
      for_each_tap(s, 0, s.kD, s.D, d, [&](int64_t t, int64_t plane) {
        for (int64_t row = std::max<int64_t>(0, top);
             row < std::min(s.H, top + (i1 - 1 - i0) * s.stride[1] + (s.kH - 1) * s.dilation[1] + 1); row++)
          wanted.copy(source(plane, row), copies + (t * span + row - top) * row_floats);
      });
    std::vector<const float*> xs(s.taps), ws(s.taps);
    for (int64_t i = i0; i < i1; i++)
      for (int64_t g = 0; g < s.groups; g++) {
        int64_t taps = 0;
        for_each_tap(s, 0, s.kD, s.D, d, [&](int64_t t, int64_t plane) {
          for_each_tap(s, 1, s.kH, s.H, i, [&](int64_t u, int64_t row) {
            const float* from = (copies ? copies + (t * span + row - top) * row_floats : source(plane, row)) + g * s.Cg;
            for (int64_t v = 0; v < steps; v++, taps++)
              xs[taps] = from + v * s.dilation[2] * s.C, ws[taps] = panels.at(g, (t * s.kH + u) * s.kW + v);
          });
        });
        simd().product({xs.data(), ws.data(), taps, columns_per_tap * s.Cg, s.Wo, s.Og, s.stride[2] * s.C, 1, panels.ld,
                        a.y.data<float>() + ((n * s.Do + d) * s.Ho + i) * s.Wo * s.O + g * s.Og, s.O,
                        bias ? bias.data<float>() + g * padded_columns(s.Og) : nullptr});
      }
  });
}

namespace {

// Of the pixels first, first + stride … of a row of x: the taps that reach them, and the column of y that each tap starts from.
struct Phase {
  int64_t first, pixels;
  std::vector<std::array<int64_t, 2>> taps;  // v, column
};

std::vector<Phase> phases(const Shapes& s) {
  std::vector<Phase> all;
  for (int64_t r = 0; r < std::min(s.stride[2], s.W); r++) {
    all.push_back({r, (s.W - r + s.stride[2] - 1) / s.stride[2], {}});
    for (int64_t v = 0; v < s.kW; v++)
      if (const int64_t at = r + s.padding[2] - v * s.dilation[2]; at % s.stride[2] == 0) all.back().taps.push_back({v, at / s.stride[2]});
  }
  return all;
}

// The pairs (tap, row of y) of one dimension that row i of x is read by.
template <class F>
void for_each_reader(const Shapes& s, int axis, int64_t kernel, int64_t size, int64_t i, F f) {
  for (int64_t u = 0; u < kernel; u++) {
    const int64_t at = i + s.padding[axis] - u * s.dilation[axis];
    if (at >= 0 && at % s.stride[axis] == 0 && at / s.stride[axis] < size) f(u, at / s.stride[axis]);
  }
}

}  // namespace

void input(const ConvArgs& a) {
  const Shapes s(a);
  const Panels panels = input_panels(a, s);
  const float* y = a.y.data<float>();
  if (a.x.size() == 0) return;
  if (s.pointwise()) return pointwise(y, s.O, s.Og, panels, {}, a.x.data<float>(), s.C, s.Cg, s.N * s.D * s.H * s.W);

  const std::vector<Phase> all = phases(s);
  Rows wanted{s.Wo, s.O, 0, 0};
  for (const Phase& p : all)
    for (const auto& [v, column] : p.taps)
      wanted.first = std::min(wanted.first, column), wanted.last = std::max(wanted.last, column + p.pixels);
  const int64_t block = rows_per_job(2.0 * static_cast<double>(s.Wo * s.taps * s.Cg * s.O)), blocks = (s.H + block - 1) / block;
  const int64_t span = ((s.kH - 1) * s.dilation[1] + block - 1) / s.stride[1] + 2, row_floats = wanted.pixels() * s.O;

  parallel_for(s.N * s.D * blocks, 1, [&](int64_t job, int64_t) {
    const int64_t n = job / (s.D * blocks), d = job / blocks % s.D, i0 = job % blocks * block, i1 = std::min(s.H, i0 + block);
    const int64_t lowest = i0 + s.padding[1] - (s.kH - 1) * s.dilation[1], top = lowest > 0 ? (lowest + s.stride[1] - 1) / s.stride[1] : 0;
    float* copies = wanted.in_place() ? nullptr : scratch(0, s.kD * span * row_floats + 64);
    const auto source = [&](int64_t plane, int64_t row) { return y + ((n * s.Do + plane) * s.Ho + row) * s.Wo * s.O; };
    if (copies)
      for_each_reader(s, 0, s.kD, s.Do, d, [&](int64_t t, int64_t plane) {
        for (int64_t row = top; row <= std::min(s.Ho - 1, (i1 - 1 + s.padding[1]) / s.stride[1]); row++)
          wanted.copy(source(plane, row), copies + (t * span + row - top) * row_floats);
      });
    std::vector<const float*> ys(s.taps), ws(s.taps);
    for (int64_t i = i0; i < i1; i++)
      for (int64_t g = 0; g < s.groups; g++)
        for (const Phase& phase : all) {
          int64_t taps = 0;
          for_each_reader(s, 0, s.kD, s.Do, d, [&](int64_t t, int64_t plane) {
            for_each_reader(s, 1, s.kH, s.Ho, i, [&](int64_t u, int64_t row) {
              const float* from =
                  (copies ? copies + (t * span + row - top) * row_floats - wanted.first * s.O : source(plane, row)) + g * s.Og;
              for (const auto& [v, column] : phase.taps)
                ys[taps] = from + column * s.O, ws[taps++] = panels.at(g, (t * s.kH + u) * s.kW + v);
            });
          });
          simd().product({ys.data(), ws.data(), taps, s.Og, phase.pixels, s.Cg, s.O, 1, panels.ld,
                          a.x.data<float>() + (((n * s.D + d) * s.H + i) * s.W + phase.first) * s.C + g * s.Cg, s.stride[2] * s.C});
        }
  });
}

namespace {

// How the sum over the rows of y is cut, from the problem alone: chunks of whole rows, at most 16, of some 2048 pixels or more, and
// together no more than 2 MB of partial sums.
struct Chunks {
  int64_t rows, per_chunk, count;
  explicit Chunks(const Shapes& s, int64_t size) : rows(s.N * s.Do * s.Ho) {
    const int64_t by_pixels = rows * s.Wo / 2048, by_memory = (int64_t{1} << 19) / std::max<int64_t>(1, size);
    const int64_t wanted = std::clamp<int64_t>(std::min(by_pixels, by_memory), 1, 16);
    per_chunk = std::max<int64_t>(1, (rows + wanted - 1) / wanted);
    count = (rows + per_chunk - 1) / per_chunk;
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

// One job of weight(): a range of rows of y, a block of output channels of one group, one row (t, u) of the kernel, or all of them
// (unfolded) where a row is too short to fill a tile.
struct WeightJob {
  const Shapes& s;
  const float *x, *y;
  int64_t first_row, last_row, group, first_o, columns, t, u;
  bool unfold;
  float* dw;    // of tap (t, u, 0)
  float* bias;  // where the sums of y go, or null

  int64_t kernel_row() const { return s.kW * s.Cg; }

  // The row of x that row (n, d, i) of y reads with tap (t, u); null outside.
  const float* source(int64_t row, int64_t t, int64_t u) const {
    const int64_t n = row / (s.Do * s.Ho), d = row / s.Ho % s.Do, i = row % s.Ho;
    const int64_t plane = d * s.stride[0] + t * s.dilation[0] - s.padding[0], line = i * s.stride[1] + u * s.dilation[1] - s.padding[1];
    if (plane < 0 || plane >= s.D || line < 0 || line >= s.H) return nullptr;
    return x + ((n * s.D + plane) * s.H + line) * s.W * s.C;
  }

  // The kD * kH * kW * C inputs of each pixel of a row of y, side by side.
  void unfold_row(int64_t row, const Rows& wanted, float* padded, float* to) const {
    const int64_t depth = s.taps * s.C;
    for (int64_t part = 0; part < s.kD * s.kH; part++) {
      const float* from = source(row, part / s.kH, part % s.kH);
      if (from)
        wanted.copy(from, padded);
      else
        std::fill_n(padded, wanted.pixels() * s.C, 0.0f);
      for (int64_t j = 0; j < s.Wo; j++)
        for (int64_t k = 0; k < kernel_row(); k++) to[j * depth + part * kernel_row() + k] = padded[j * s.stride[2] * s.C + k];
    }
  }

  // dW^T (O, kW * C) = dY^T x: for fewer output channels than a quarter of a vector.
  bool swapped() const { return !unfold && s.joined() && kernel_row() % simd().lanes == 0 && s.Og <= std::max(1, simd().lanes / 4); }

  void run() const {
    constexpr int64_t pixels_in_cache = 160;
    const Rows wanted{s.W, s.C, -s.padding[2], (s.Wo - 1) * s.stride[2] + (s.kW - 1) * s.dilation[2] + 1 - s.padding[2]};
    const int64_t row_floats = wanted.pixels() * s.C, group_rows = std::max<int64_t>(1, pixels_in_cache / s.Wo), depth = s.taps * s.C;
    const int64_t ld = padded_columns(columns);
    const bool copy_x = !unfold && !wanted.in_place(), copy_y = ld != columns && !swapped();
    float* xcopy = copy_x ? scratch(0, group_rows * row_floats + 64) : unfold ? scratch(0, group_rows * s.Wo * depth + 64) : nullptr;
    float *ycopy = copy_y ? scratch(1, group_rows * s.Wo * ld) : nullptr, *padded = unfold ? scratch(2, row_floats + 64) : nullptr;
    std::vector<const float*> xs(group_rows), ys(group_rows), shifted(group_rows);
    float* transposed = swapped() ? scratch(3, columns * kernel_row()) : nullptr;
    if (transposed) std::fill_n(transposed, columns * kernel_row(), 0.0f);
    for (int64_t row = first_row; row < last_row;) {
      int64_t taps = 0;
      for (; row < last_row && taps < group_rows; row++) {
        const float* from = unfold ? x : source(row, t, u);
        const float* g = y + row * s.Wo * s.O + group * s.Og + first_o;
        if (copy_y && (from || bias)) {
          float* to = ycopy + taps * s.Wo * ld;
          for (int64_t j = 0; j < s.Wo; j++)
            for (int64_t o = 0; o < ld; o++) to[j * ld + o] = o < columns ? g[j * s.O + o] : 0.0f;
          g = to;
        }
        if (bias) simd().add_column_sums(g, s.Wo, columns, copy_y ? ld : s.O, bias);
        if (!from) continue;
        if (unfold) unfold_row(row, wanted, padded, xcopy + taps * s.Wo * depth), from = xcopy + taps * s.Wo * depth;
        if (copy_x) wanted.copy(from, xcopy + taps * row_floats), from = xcopy + taps * row_floats;
        ys[taps] = g, xs[taps++] = from + (unfold ? 0 : group * s.Cg);
      }
      if (transposed) {
        simd().product(
            {ys.data(), xs.data(), taps, s.Wo, columns, kernel_row(), 1, s.O, s.stride[2] * s.C, transposed, kernel_row(), nullptr, true});
        continue;
      }
      const int64_t steps = unfold || s.joined() ? 1 : s.kW, size = unfold ? depth : s.joined() ? kernel_row() : s.Cg;
      for (int64_t v = 0; v < steps; v++) {
        for (int64_t i = 0; i < taps; i++) shifted[i] = xs[i] + v * s.dilation[2] * s.C;
        simd().product({shifted.data(), ys.data(), taps, s.Wo, size, columns, 1, unfold ? depth : s.stride[2] * s.C, copy_y ? ld : s.O,
                        dw + v * s.Cg * s.O, s.O, nullptr, true});
      }
    }
    for (int64_t k = 0; transposed && k < kernel_row(); k++)
      for (int64_t o = 0; o < columns; o++) dw[k * s.O + o] += transposed[o * kernel_row() + k];
  }
};

}  // namespace

void weight(const ConvArgs& a) {
  const Shapes s(a);
  const int64_t size = a.w.size(), with_bias = size + (a.bias ? s.O : 0);
  const Chunks chunks(s, size);
  const bool unfold = s.joined() && s.kD * s.kH > 1 && s.kW * s.C < 10;
  const int64_t parts = unfold ? 1 : s.kD * s.kH, block = 2 * simd().lanes, blocks = (s.Og + block - 1) / block;
  const Tensor partial = Tensor::zeros({std::max<int64_t>(1, chunks.count) * with_bias});
  parallel_for(chunks.count * parts * s.groups * blocks, 1, [&](int64_t job, int64_t) {
    const int64_t b = job % blocks, group = job / blocks % s.groups, part = job / (blocks * s.groups) % parts,
                  c = job / (blocks * s.groups * parts);
    const int64_t first_o = b * block, columns = std::min(block, s.Og - first_o);
    float* sums = partial.data<float>() + c * with_bias;
    WeightJob{s,
              a.x.data<float>(),
              a.y.data<float>(),
              c * chunks.per_chunk,
              std::min(chunks.rows, (c + 1) * chunks.per_chunk),
              group,
              first_o,
              columns,
              part / s.kH,
              part % s.kH,
              unfold,
              sums + part * s.kW * s.Cg * s.O + group * s.Og + first_o,
              a.bias && part == 0 ? sums + size + group * s.Og + first_o : nullptr}
        .run();
  });
  const Tensor sums = with_bias == size ? a.w : Tensor({with_bias});
  add_up(partial.data<float>(), std::max<int64_t>(1, chunks.count), with_bias, sums.data<float>());
  if (!a.bias) return;
  std::copy_n(sums.data<float>(), size, a.w.data<float>());
  std::copy_n(sums.data<float>() + size, s.O, a.bias.data<float>());
}

}  // namespace sono::kernels::rows
