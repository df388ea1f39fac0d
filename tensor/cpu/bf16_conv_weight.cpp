// The gradient of a convolution's weights in bf16: dW (kW * C, O) = sum over pixels of x^T dY for each row of the kernel, as
// conv_weight.cpp.
//
// k is the pixels of a row here, so pairs are neighbouring pixels: x is rounded once into rows of pixels, one per channel, and y into
// panels with pairs of pixels. With a stride s a row is split into s phases (every s-th pixel), so that the pixels of a tap are neighbours
// again: those of tap v begin at phase v * dilation % s, pixel v * dilation / s. Rows of the tile are the channels of a tap; where a group
// has one channel they are the taps. About 320 pixels of x and y are summed in registers before dW is touched. The rows of y are cut into
// at most 16 chunks, each with its own sum, which are added in order. The bias's gradient is a sum in f32 of y as it is.
#include <algorithm>
#include <vector>

#include "tensor/cpu/bf16.h"
#include "tensor/cpu/conv_shapes.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::bf16 {
namespace {

using cpu::Bf16Panels, rows::Shapes;

// x rounded: (N * D * H, C, stride, pixels), from the left padding on.
struct Columns {
  int64_t stride, pixels, per_channel, per_row;
  Tensor memory;
  const uint16_t* at(int64_t row, int64_t channel) const {
    return static_cast<const uint16_t*>(memory.raw()) + row * per_row + channel * per_channel;
  }
  // Of tap v: its first pixel.
  int64_t start(const Shapes& s, int64_t v) const { return v * s.dilation[2] % stride * pixels + v * s.dilation[2] / stride; }

  Columns(const float* x, const Shapes& s)
      : stride(s.stride[2]),
        pixels(s.Wo + (s.kW - 1) * s.dilation[2] / stride),
        per_channel(stride * pixels),
        per_row(s.C * per_channel),
        memory(cpu::bf16_memory(s.N * s.D * s.H * per_row)) {
    parallel_for(s.N * s.D * s.H, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, per_row)), [&](int64_t i, int64_t last) {
      for (; i < last; i++)
        for (int64_t phase = 0; phase < stride; phase++) round_phase(x + i * s.W * s.C, s, phase, const_cast<uint16_t*>(at(i, 0)));
    });
  }

  // Pixels phase, phase + stride … of a padded row.
  void round_phase(const float* row, const Shapes& s, int64_t phase, uint16_t* to) const {
    const int64_t left = std::clamp<int64_t>((s.padding[2] - phase + stride - 1) / stride, 0, pixels),
                  first = left * stride + phase - s.padding[2];
    const int64_t inside = first < s.W ? std::min(pixels - left, (s.W - first + stride - 1) / stride) : 0;
    float* columns = cpu::scratch(0, s.C * pixels);
    for (int64_t c = 0; c < s.C; c++) {
      std::fill_n(columns + c * pixels, left, 0.0f);
      std::fill(columns + c * pixels + left + inside, columns + (c + 1) * pixels, 0.0f);
    }
    if (inside > 0) cpu::simd().transpose(row + first * s.C, stride * s.C, inside, s.C, columns + left, pixels);
    for (int64_t c = 0; c < s.C; c++) cpu::bf16().round(columns + c * pixels, pixels, to + c * per_channel + phase * pixels);
  }
};

// How the sum over the rows of y is cut: chunks of whole rows of 2048 pixels or more, together no more than 2 MB of partial sums.
struct Chunks {
  int64_t rows, per_chunk, count;
  Chunks(const Shapes& s, int64_t size) : rows(s.N * s.Do * s.Ho) {
    const int64_t wanted = std::clamp<int64_t>(std::min(rows * s.Wo / 2048, (int64_t{1} << 19) / std::max<int64_t>(1, size)), 1, 16);
    per_chunk = std::max<int64_t>(1, (rows + wanted - 1) / wanted);
    count = std::max<int64_t>(1, (rows + per_chunk - 1) / per_chunk);
  }
};

// Row (t, u) of the kernel, one panel of a group's outputs, the rows [first, last) of y: dw += the sum over their pixels.
struct Job {
  const Shapes& s;
  const Columns& x;
  const Bf16Panels& y;
  int64_t first, last, group, panel, t, u;
  float* dw;  // of tap (t, u, 0), input 0, output 0 of the panel

  int64_t source(int64_t row) const {  // the row of x; -1 outside
    const int64_t n = row / (s.Do * s.Ho), d = row / s.Ho % s.Do, i = row % s.Ho;
    const int64_t plane = d * s.stride[0] + t * s.dilation[0] - s.padding[0], line = i * s.stride[1] + u * s.dilation[1] - s.padding[1];
    return plane < 0 || plane >= s.D || line < 0 || line >= s.H ? -1 : (n * s.D + plane) * s.H + line;
  }

  void run() const {
    const int64_t together = std::max<int64_t>(1, 320 / s.Wo);
    std::vector<const uint16_t*> xs, ys, shifted(together);
    for (int64_t row = first; row < last;) {
      xs.clear(), ys.clear();
      for (; row < last && static_cast<int64_t>(xs.size()) < together; row++)
        if (const int64_t from = source(row); from >= 0)
          xs.push_back(x.at(from, group * s.Cg)), ys.push_back(y.at(row * s.groups + group, panel));
      const bool by_taps = s.Cg == 1 && x.stride == 1;
      for (int64_t v = 0; v < (by_taps ? 1 : s.kW); v++) {
        for (size_t i = 0; i < xs.size(); i++) shifted[i] = xs[i] + x.start(s, v);
        cpu::bf16().product({shifted.data(), ys.data(), static_cast<int64_t>(xs.size()), s.Wo, by_taps ? s.kW : s.Cg,
                             std::min(y.width, s.Og - panel * y.width), by_taps ? s.dilation[2] : x.per_channel, y.width,
                             dw + v * s.Cg * s.O, s.O, nullptr, true});
      }
    }
  }
};

// to = the sum of `count` partial results of `size` values, in order.
void add_up(const float* partial, int64_t count, int64_t size, float* to) {
  parallel_for(size, 16384, [&](int64_t first, int64_t last) {
    std::copy(partial + first, partial + last, to + first);
    for (int64_t c = 1; c < count; c++)
      for (int64_t i = first; i < last; i++) to[i] += partial[c * size + i];
  });
}

void bias_gradient(const ConvArgs& a, const Shapes& s, const Chunks& chunks) {
  const Tensor partial = Tensor::zeros({chunks.count * s.O});
  parallel_for(chunks.count, 1, [&](int64_t c, int64_t) {
    const int64_t first = c * chunks.per_chunk, rows = std::min(chunks.rows, first + chunks.per_chunk) - first;
    cpu::simd().add_column_sums(a.y.data<float>() + first * s.Wo * s.O, rows * s.Wo, s.O, s.O, partial.data<float>() + c * s.O);
  });
  add_up(partial.data<float>(), chunks.count, s.O, a.bias.data<float>());
}

}  // namespace

void weight(const ConvArgs& a) {
  const Shapes s(a);
  const int64_t size = a.w.size();
  const Chunks chunks(s, size);
  if (a.bias) bias_gradient(a, s, chunks);
  if (size == 0) return;
  const Columns x(a.x.data<float>(), s);
  Bf16Panels y(s.Wo, s.Og);
  y.pack(chunks.rows * s.groups, s.O, false,
         [&](int64_t i) { return a.y.data<float>() + i / s.groups * s.Wo * s.O + i % s.groups * s.Og; });
  const int64_t parts = s.kD * s.kH, panels = y.panels();
  const Tensor partial = Tensor::zeros({chunks.count * size});
  parallel_for(chunks.count * parts * s.groups * panels, 1, [&](int64_t job, int64_t) {
    const int64_t panel = job % panels, group = job / panels % s.groups, part = job / (panels * s.groups) % parts,
                  c = job / (panels * s.groups * parts);
    Job{.s = s,
        .x = x,
        .y = y,
        .first = c * chunks.per_chunk,
        .last = std::min(chunks.rows, (c + 1) * chunks.per_chunk),
        .group = group,
        .panel = panel,
        .t = part / s.kH,
        .u = part % s.kH,
        .dw = partial.data<float>() + c * size + part * s.kW * s.Cg * s.O + group * s.Og + panel * y.width}
        .run();
  });
  add_up(partial.data<float>(), chunks.count, size, a.w.data<float>());
}

}  // namespace sono::kernels::bf16
