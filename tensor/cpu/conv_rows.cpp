// Convolutions as matrix products over rows, with nothing unfolded.
//
// Channels last makes the kW * C inputs of a pixel contiguous, and the next pixel starts stride * C floats later. For one row of outputs
// and one row u of the kernel a convolution is therefore a matrix product whose left operand has overlapping rows: (Wo, kW * C) x (kW * C,
// O). The register tile (simd/product.cpp) sums over the kernel's rows before it writes, so y is touched once. Rows that need padding are
// copied to a padded scratch first (one load and store per 2 * kW*kH*O FLOPs); kernel rows outside of the image are left out.
//   forward   the product above. With dilation or groups each tap is a product of its own depth C / groups.
//   input     the same with y as the left operand and transposed weights. With a stride s the pixels of x fall into s phases, each of which
//             sees every s-th tap: s smaller products that write x at a distance of s pixels.
//   weight    in conv_weight.cpp
// Where windows lie side by side (2 x 2 with stride 2), kW pixels of x are one wide pixel: a plain matrix product in all three.
// Share of one Zen 4 core's peak (117 GFLOP/s), N = 8, 3 x 3: 16 -> 16 at 128^2 80 %, 64 -> 64 at 32^2 and deeper 91 .. 97 %.
#include <algorithm>
#include <vector>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/conv_shapes.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::rows {
namespace {

using cpu::padded_columns, cpu::Product, cpu::scratch, cpu::simd;

// Columns of a register tile, and how many floats the rows of a panel of `columns` have.
int64_t block_of() { return 2 * simd().lanes; }
int64_t blocked_columns(int64_t columns) {
  const int64_t rest = columns % block_of();
  return columns - rest + (rest > 0 ? padded_columns(rest) : 0);
}

// Weights as the products read them. Group after group, block of columns after block (of the width of a register tile, so that a panel is
// contiguous: rows 256 bytes apart would fight for the same lines of the cache), tap after tap, `depth` rows.
struct Panels {
  Tensor memory;
  int64_t taps, depth, columns;
  int64_t ld(int64_t first) const { return std::min(block_of(), padded_columns(columns - first)); }
  const float* at(int64_t group, int64_t first, int64_t tap) const {
    return memory.data<float>() + (group * blocked_columns(columns) + first) * taps * depth + tap * depth * ld(first);
  }
};

// f(where the rows of a panel go, group, first column, tap).
template <class F>
Panels make_panels(const Shapes& s, int64_t depth, int64_t columns, F f) {
  Panels panels{Tensor::zeros({s.groups * s.taps * depth, blocked_columns(columns)}), s.taps, depth, columns};
  const int64_t blocks = (columns + block_of() - 1) / block_of(),
                grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, depth * block_of()));
  parallel_for(s.groups * blocks * s.taps, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t group = i / (blocks * s.taps), column = i / s.taps % blocks * block_of(), tap = i % s.taps;
      f(const_cast<float*>(panels.at(group, column, tap)), group, column, tap);
    }
  });
  return panels;
}

// (Cg, Og) per tap; the weights themselves where their rows are those of the only panel.
Panels forward_panels(const ConvArgs& a, const Shapes& s) {
  if (a.packed) return {a.packed, s.taps, s.Cg, s.Og};
  if (s.groups == 1 && blocked_columns(s.Og) == s.Og && s.Og <= block_of()) return {a.w, s.taps, s.Cg, s.Og};
  const float* w = a.w.data<float>();
  return make_panels(s, s.Cg, s.Og, [&](float* to, int64_t group, int64_t first, int64_t tap) {
    const int64_t columns = std::min(block_of(), s.Og - first), ld = std::min(block_of(), padded_columns(s.Og - first));
    for (int64_t c = 0; c < s.Cg; c++) std::copy_n(w + (tap * s.Cg + c) * s.O + group * s.Og + first, columns, to + c * ld);
  });
}

// Transposed, (Og, Cg) per tap.
Panels input_panels(const ConvArgs& a, const Shapes& s) {
  if (a.packed) return {a.packed, s.taps, s.Og, s.Cg};
  const float* w = a.w.data<float>();
  return make_panels(s, s.Og, s.Cg, [&](float* to, int64_t group, int64_t first, int64_t tap) {
    const int64_t columns = std::min(block_of(), s.Cg - first), ld = std::min(block_of(), padded_columns(s.Cg - first));
    simd().transpose(w + (tap * s.Cg + first) * s.O + group * s.Og, s.O, columns, s.Og, to, ld);
  });
}

Tensor padded_bias(const ConvArgs& a, const Shapes& s) {
  const int64_t width = padded_columns(s.Og);
  if (!a.bias || width == s.Og) return a.bias;
  const Tensor t = Tensor::zeros({s.groups * width});
  for (int64_t g = 0; g < s.groups; g++) std::copy_n(a.bias.data<float>() + g * s.Og, s.Og, t.data<float>() + g * width);
  return t;
}

// Rows per job, for about `target` FLOPs, at most 8 so that a job's rows stay in the second-level cache.
int64_t rows_per_job(double flops_per_row) {
  constexpr double target = 4e6;
  return std::clamp<int64_t>(static_cast<int64_t>(target / std::max(1.0, flops_per_row)), 1, 8);
}

// y (pixels, O) = x (pixels, C) times one matrix per group.
void pointwise(const float* x, int64_t C, int64_t Cg, const Panels& panels, const Tensor& bias, Activation activation, float* y, int64_t O,
               int64_t Og, int64_t pixels) {
  const int64_t chunk = std::clamp<int64_t>(static_cast<int64_t>(2e6 / (2.0 * static_cast<double>(Cg * O) + 1)), 64, 4096);
  parallel_for(pixels, chunk, [&](int64_t first, int64_t last) {
    for (int64_t g = 0; g < C / Cg; g++)
      for (int64_t o = 0; o < Og; o += block_of()) {
        const float *from = x + first * C + g * Cg, *w = panels.at(g, o, 0);
        simd().product({.x = &from,
                        .w = &w,
                        .taps = 1,
                        .depth = Cg,
                        .rows = last - first,
                        .columns = std::min(block_of(), Og - o),
                        .row = C,
                        .step = 1,
                        .ldw = panels.ld(o),
                        .y = y + first * O + g * Og + o,
                        .ldy = O,
                        .bias = bias ? bias.data<float>() + g * padded_columns(Og) + o : nullptr,
                        .relu = activation == Activation::relu});
      }
    activate(activation, y + first * O, (last - first) * O);
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

bool fits(const ConvArgs& a) { return a.y.dtype() == Dtype::f32 && a.plain(); }

Tensor pack(const ConvArgs& a) { return forward_panels(a, Shapes(a)).memory; }
Tensor pack_input(const ConvArgs& a) { return input_panels(a, Shapes(a)).memory; }

void forward(const ConvArgs& a) {
  const Shapes s(a);
  const Panels panels = forward_panels(a, s);
  const Tensor bias = padded_bias(a, s);
  const float* x = a.x.data<float>();
  if (a.y.size() == 0) return;
  if (s.pointwise()) return pointwise(x, s.C, s.Cg, panels, bias, a.activation, a.y.data<float>(), s.O, s.Og, s.N * s.D * s.H * s.W);

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
    float* y = a.y.data<float>() + ((n * s.Do + d) * s.Ho + i0) * s.Wo * s.O;
    std::vector<const float*> xs(s.taps), ws(s.taps);
    for (int64_t g = 0; g < s.groups; g++)
      for (int64_t o = 0; o < s.Og; o += block_of())
        for (int64_t i = i0; i < i1; i++) {
          int64_t taps = 0;
          for_each_tap(s, 0, s.kD, s.D, d, [&](int64_t t, int64_t plane) {
            for_each_tap(s, 1, s.kH, s.H, i, [&](int64_t u, int64_t row) {
              const float* from = (copies ? copies + (t * span + row - top) * row_floats : source(plane, row)) + g * s.Cg;
              for (int64_t v = 0; v < steps; v++, taps++)
                xs[taps] = from + v * s.dilation[2] * s.C, ws[taps] = panels.at(g, o, (t * s.kH + u) * s.kW + v);
            });
          });
          simd().product({.x = xs.data(),
                          .w = ws.data(),
                          .taps = taps,
                          .depth = columns_per_tap * s.Cg,
                          .rows = s.Wo,
                          .columns = std::min(block_of(), s.Og - o),
                          .row = s.stride[2] * s.C,
                          .step = 1,
                          .ldw = panels.ld(o),
                          .y = y + (i - i0) * s.Wo * s.O + g * s.Og + o,
                          .ldy = s.O,
                          .bias = bias ? bias.data<float>() + g * padded_columns(s.Og) + o : nullptr,
                          .relu = a.activation == Activation::relu});
        }
    activate(a.activation, y, (i1 - i0) * s.Wo * s.O);
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
  if (s.pointwise()) return pointwise(y, s.O, s.Og, panels, {}, Activation::none, a.x.data<float>(), s.C, s.Cg, s.N * s.D * s.H * s.W);

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
    for (int64_t g = 0; g < s.groups; g++)
      for (int64_t c = 0; c < s.Cg; c += block_of())
        for (int64_t i = i0; i < i1; i++)
          for (const Phase& phase : all) {
            int64_t taps = 0;
            for_each_reader(s, 0, s.kD, s.Do, d, [&](int64_t t, int64_t plane) {
              for_each_reader(s, 1, s.kH, s.Ho, i, [&](int64_t u, int64_t row) {
                const float* from =
                    (copies ? copies + (t * span + row - top) * row_floats - wanted.first * s.O : source(plane, row)) + g * s.Og;
                for (const auto& [v, column] : phase.taps)
                  ys[taps] = from + column * s.O, ws[taps++] = panels.at(g, c, (t * s.kH + u) * s.kW + v);
              });
            });
            simd().product({.x = ys.data(),
                            .w = ws.data(),
                            .taps = taps,
                            .depth = s.Og,
                            .rows = phase.pixels,
                            .columns = std::min(block_of(), s.Cg - c),
                            .row = s.O,
                            .step = 1,
                            .ldw = panels.ld(c),
                            .y = a.x.data<float>() + (((n * s.D + d) * s.H + i) * s.W + phase.first) * s.C + g * s.Cg + c,
                            .ldy = s.stride[2] * s.C});
          }
  });
}

}  // namespace sono::kernels::rows
