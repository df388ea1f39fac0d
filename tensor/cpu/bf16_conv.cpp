// Convolutions of bf16 and their gradients by x: the products over overlapping rows of conv_rows.cpp, at half the bytes and, where the
// processor has the instruction, two multiply-adds for one. 2 * N * Do*Ho*Wo * kD*kH*kW * C/groups * O FLOPs each.
//
// The image is rounded once, row by row, with zeros where products reach over its sides; a row of outputs is then a sum of products
// (Wo, kW * C) x (kW * C, O) over the rows of the kernel, whose left rows overlap: pairs begin at any value, so no channel count is
// special. With dilation or groups each tap is a product of its own depth C / groups. The gradient by x is the same with y on the left and
// transposed weights; with a stride s the pixels of x fall into s phases, each of which sees every s-th tap. Rounding costs one load and
// half a store per value of x, against 2 * kW*kH*O FLOPs.
#include <algorithm>
#include <vector>

#include "tensor/cpu/bf16.h"
#include "tensor/cpu/conv_shapes.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::bf16 {
namespace {

using cpu::Bf16Panels, rows::Shapes;

// Columns [first, first + pixels) of all rows of an image, rounded; what lies outside of the image is 0.
struct RoundedRows {
  int64_t first, pixels, channels;
  Tensor memory;
  const uint16_t* row(int64_t i) const { return static_cast<const uint16_t*>(memory.raw()) + i * pixels * channels; }

  RoundedRows(const float* image, int64_t rows, int64_t width, int64_t c, int64_t begin, int64_t end)
      : first(begin), pixels(end - begin), channels(c), memory(cpu::bf16_memory(rows * pixels * channels)) {
    const int64_t from = std::clamp<int64_t>(begin, 0, width), until = std::clamp<int64_t>(end, from, width);
    const int64_t left = std::min(from - begin, pixels) * c, inside = (until - from) * c, all = pixels * c;
    parallel_for(rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, all)), [&](int64_t i, int64_t last) {
      for (; i < last; i++) {
        auto* to = const_cast<uint16_t*>(row(i));
        std::fill_n(to, left, uint16_t{0});
        cpu::bf16().round(image + (i * width + from) * c, inside, to + left);
        std::fill(to + left + inside, to + all, uint16_t{0});
      }
    });
  }
};

// A row of outputs of one group as a sum of products: where each reads its left operand, and which matrix of the panels is its right one.
struct Sum {
  std::vector<const uint16_t*> left, right;
  std::vector<int64_t> matrix;
  void clear() { left.clear(), matrix.clear(); }
  void add(const uint16_t* x, int64_t which) { left.push_back(x), matrix.push_back(which); }

  void run(const Bf16Panels& panels, int64_t pixels, int64_t distance, const float* bias, Activation activation, float* y, int64_t ldy) {
    right.resize(left.size());
    for (int64_t p = 0, o = 0; p < panels.panels(); p++, o += panels.width) {
      for (size_t i = 0; i < matrix.size(); i++) right[i] = panels.at(matrix[i], p);
      cpu::bf16().product({left.data(), right.data(), static_cast<int64_t>(left.size()), panels.depth, pixels,
                           std::min(panels.width, panels.columns - o), distance, panels.width, y + o, ldy, bias ? bias + o : nullptr});
    }
    if (activation != Activation::none) cpu::simd().activate(y, ldy, pixels, panels.columns, static_cast<cpu::Epilogue>(activation));
  }
};

// Rows per job, for about 4 MFLOP.
int64_t rows_per_job(int64_t multiply_adds) { return std::clamp<int64_t>(2000000 / std::max<int64_t>(1, multiply_adds), 1, 8); }

// y (pixels, groups * columns) = x (pixels, C) times one matrix per group.
void pointwise(const float* x, int64_t C, const Bf16Panels& panels, int64_t groups, const float* bias, Activation activation, float* y,
               int64_t pixels) {
  const RoundedRows all(x, pixels, 1, C, 0, 1);
  const int64_t O = groups * panels.columns, chunk = std::clamp<int64_t>(1000000 / (panels.depth * O + 1), 64, 4096);
  parallel_for(pixels, chunk, [&](int64_t first, int64_t last) {
    for (int64_t g = 0; g < groups; g++) {
      Sum sum;
      sum.add(all.row(first) + g * panels.depth, g);
      sum.run(panels, last - first, C, bias ? bias + g * panels.panels() * panels.width : nullptr, activation,
              y + first * O + g * panels.columns, O);
    }
  });
}

// Matrix g * parts + i: the taps of a kernel row, (kW * C, O), where they read neighbours; else one tap of a group, (Cg, Og).
Bf16Panels forward_panels(const ConvArgs& a, const Shapes& s) {
  const int64_t depth = (s.joined() ? s.kW : 1) * s.Cg, parts = s.taps * s.Cg / std::max<int64_t>(1, depth);
  Bf16Panels panels(depth, s.Og, a.packed);
  if (!a.packed)
    panels.pack(s.groups * parts, s.O, false, [&](int64_t i) { return a.w.data<float>() + i % parts * depth * s.O + i / parts * s.Og; });
  return panels;
}

// Matrix g * taps + t: (Og, Cg), tap t of a group transposed.
Bf16Panels input_panels(const ConvArgs& a, const Shapes& s) {
  Bf16Panels panels(s.Og, s.Cg, a.packed);
  if (!a.packed)
    panels.pack(s.groups * s.taps, s.O, true, [&](int64_t i) { return a.w.data<float>() + i % s.taps * s.Cg * s.O + i / s.taps * s.Og; });
  return panels;
}

}  // namespace

Tensor pack_forward(const ConvArgs& a) { return forward_panels(a, Shapes(a)).memory; }
Tensor pack_input(const ConvArgs& a) { return input_panels(a, Shapes(a)).memory; }

void forward(const ConvArgs& a) {
  const Shapes s(a);
  if (a.y.size() == 0) return;
  const Bf16Panels panels = forward_panels(a, s);
  const Tensor padded = cpu::bf16_bias(a.bias, s.groups, panels);
  const float* bias = padded ? padded.data<float>() : nullptr;
  if (s.pointwise())
    return pointwise(a.x.data<float>(), s.C, panels, s.groups, bias, a.activation, a.y.data<float>(), s.N * s.D * s.H * s.W);

  const RoundedRows x(a.x.data<float>(), s.N * s.D * s.H, s.W, s.C, -s.padding[2],
                      (s.Wo - 1) * s.stride[2] + (s.kW - 1) * s.dilation[2] + 1 - s.padding[2]);
  const int64_t steps = s.joined() ? 1 : s.kW, parts = s.kD * s.kH * steps;
  const int64_t block = rows_per_job(s.Wo * s.taps * s.Cg * s.O), blocks = (s.Ho + block - 1) / block;
  parallel_for(s.N * s.Do * blocks, 1, [&](int64_t job, int64_t) {
    const int64_t n = job / (s.Do * blocks), d = job / blocks % s.Do, i0 = job % blocks * block;
    Sum sum;
    for (int64_t i = i0; i < std::min(s.Ho, i0 + block); i++)
      for (int64_t g = 0; g < s.groups; g++) {
        sum.clear();
        for (int64_t t = 0; t < s.kD; t++)
          for (int64_t u = 0; u < s.kH; u++) {
            const int64_t plane = d * s.stride[0] + t * s.dilation[0] - s.padding[0],
                          row = i * s.stride[1] + u * s.dilation[1] - s.padding[1];
            if (plane < 0 || plane >= s.D || row < 0 || row >= s.H) continue;
            for (int64_t v = 0; v < steps; v++)
              sum.add(x.row((n * s.D + plane) * s.H + row) + v * s.dilation[2] * s.C + g * s.Cg, g * parts + (t * s.kH + u) * steps + v);
          }
        sum.run(panels, s.Wo, s.stride[2] * s.C, bias ? bias + g * panels.panels() * panels.width : nullptr, a.activation,
                a.y.data<float>() + ((n * s.Do + d) * s.Ho + i) * s.Wo * s.O + g * s.Og, s.O);
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

// The row of y that reads row i of x with tap u, or -1.
int64_t reader(const Shapes& s, int axis, int64_t size, int64_t i, int64_t u) {
  const int64_t at = i + s.padding[axis] - u * s.dilation[axis];
  return at >= 0 && at % s.stride[axis] == 0 && at / s.stride[axis] < size ? at / s.stride[axis] : -1;
}

}  // namespace

void input(const ConvArgs& a) {
  const Shapes s(a);
  if (a.x.size() == 0) return;
  const Bf16Panels panels = input_panels(a, s);
  if (s.pointwise())
    return pointwise(a.y.data<float>(), s.O, panels, s.groups, nullptr, Activation::none, a.x.data<float>(), s.N * s.D * s.H * s.W);

  const std::vector<Phase> all = phases(s);
  int64_t begin = 0, end = s.Wo;
  for (const Phase& p : all)
    for (const auto& [v, column] : p.taps) begin = std::min(begin, column), end = std::max(end, column + p.pixels);
  const RoundedRows y(a.y.data<float>(), s.N * s.Do * s.Ho, s.Wo, s.O, begin, end);
  const int64_t block = rows_per_job(s.Wo * s.taps * s.Cg * s.O), blocks = (s.H + block - 1) / block;
  parallel_for(s.N * s.D * blocks, 1, [&](int64_t job, int64_t) {
    const int64_t n = job / (s.D * blocks), d = job / blocks % s.D, i0 = job % blocks * block;
    Sum sum;
    for (int64_t i = i0; i < std::min(s.H, i0 + block); i++)
      for (int64_t g = 0; g < s.groups; g++)
        for (const Phase& phase : all) {
          sum.clear();
          for (int64_t t = 0; t < s.kD; t++)
            for (int64_t u = 0; u < s.kH; u++) {
              const int64_t plane = reader(s, 0, s.Do, d, t), row = reader(s, 1, s.Ho, i, u);
              if (plane < 0 || row < 0) continue;
              const uint16_t* from = y.row((n * s.Do + plane) * s.Ho + row) - begin * s.O + g * s.Og;
              for (const auto& [v, column] : phase.taps) sum.add(from + column * s.O, g * s.taps + (t * s.kH + u) * s.kW + v);
            }
          sum.run(panels, phase.pixels, s.O, nullptr, Activation::none,
                  a.x.data<float>() + (((n * s.D + d) * s.H + i) * s.W + phase.first) * s.C + g * s.Cg, s.stride[2] * s.C);
        }
  });
}

}  // namespace sono::kernels::bf16
