// Convolutions of one to three channels, f32: simd/conv_narrow.cpp's kernels over blocks of rows.
//
// The rows of x that a block of eight rows of y reads are copied once to a scratch with the padding on both sides (they are a small part of
// what is read and written: y has O values where x has C); in volumes a block goes from plane to plane, and each brings one new plane. The
// first layer of every network: bound by the multiply-adds where O >= 8 and by the memory that takes y where there are few taps: 9 taps are
// 2 * 9 FLOPs for each 4 bytes written.
#include <algorithm>
#include <vector>

#include "tensor/cpu/activation.h"
#include "tensor/cpu/conv.h"
#include "tensor/cpu/conv_shapes.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::narrow {
namespace {

using cpu::NarrowRow, cpu::padded_columns, cpu::scratch, cpu::simd;
using rows::paired, rows::Rows, rows::Shapes;

constexpr int64_t block_rows = 8;

// Rows [first, last) of plane (n, d) of y, and the rows of x that they read: padded copies, or x itself. Jobs are counted plane after
// plane of a block, so that one that follows another finds most of its copies made.
class Block {
 public:
  int64_t first, last, row;  // row: the first one's number among all rows of y
  Block(const Shapes& s, const float* x) : s_(s), x_(x) {
    span_ = (block_rows - 1) * s.stride[1] + (s.kH - 1) * s.dilation[1] + 1;
    ring_ = (s.kD - 1) * s.dilation[0] + 1;
    row_floats_ = wanted_.pixels() * s.C;
    if (!wanted_.in_place()) copies_ = scratch(0, ring_ * span_ * row_floats_ + 64);
  }
  static int64_t count(const Shapes& s) { return s.N * s.Do * ((s.Ho + block_rows - 1) / block_rows); }

  void go_to(int64_t job) {
    const int64_t column = job / s_.Do, blocks = (s_.Ho + block_rows - 1) / block_rows, n = column / blocks;
    d_ = job % s_.Do, first = column % blocks * block_rows, last = std::min(s_.Ho, first + block_rows);
    row = (n * s_.Do + d_) * s_.Ho + first;
    image_ = x_ + n * s_.D * s_.H * s_.W * s_.C;
    top_ = first * s_.stride[1] - s_.padding[1];
    if (!copies_) return;
    const int64_t lowest = d_ * s_.stride[0] - s_.padding[0];
    if (column != column_) ready_ = 0;
    column_ = column;
    for (ready_ = std::max(ready_, lowest); ready_ < std::min(s_.D, lowest + ring_); ready_++)
      for (int64_t line = std::max<int64_t>(0, top_); line < std::min(s_.H, top_ + span_); line++)
        wanted_.copy(image_ + (ready_ * s_.H + line) * s_.W * s_.C, copies_ + (ready_ % ring_ * span_ + line - top_) * row_floats_);
  }

  // What row i of y reads with row (t, u) of the kernel; null outside.
  const float* source(int64_t i, int64_t t, int64_t u) const {
    const int64_t plane = d_ * s_.stride[0] + t * s_.dilation[0] - s_.padding[0],
                  line = i * s_.stride[1] + u * s_.dilation[1] - s_.padding[1];
    if (plane < 0 || plane >= s_.D || line < 0 || line >= s_.H) return nullptr;
    return copies_ ? copies_ + (plane % ring_ * span_ + line - top_) * row_floats_ : image_ + (plane * s_.H + line) * s_.W * s_.C;
  }

 private:
  const Shapes& s_;
  Rows wanted_{s_.W, s_.C, -s_.padding[2], (s_.Wo - 1) * s_.stride[2] + s_.kW - s_.padding[2]};
  const float *x_, *image_ = nullptr;
  float* copies_ = nullptr;
  int64_t d_ = 0, top_ = 0, span_, ring_, row_floats_;
  int64_t column_ = -1, ready_ = 0;  // the block whose copies there are, and the plane after the last of them
};

int64_t row_floats(const Shapes& s) { return paired(s) ? 2 * s.O : padded_columns(s.O); }

// (t, u, v, c, o) with rows as the kernels read them; the weights themselves where these are no different.
Tensor padded(const Tensor& t, const Shapes& s) {
  const int64_t width = row_floats(s), each = paired(s) ? 2 : 1;
  if (!t || width == s.O) return t;
  const Tensor wide = Tensor::zeros({t.size() / s.O, width});
  for (int64_t i = 0; i < wide.dim(0); i++)
    for (int64_t o = 0; o < each * s.O; o++) wide.data<float>()[i * width + o] = t.data<float>()[i * s.O + o / each];
  return wide;
}

NarrowRow row_of(const Shapes& s) {
  return {.x = nullptr,
          .w = nullptr,
          .parts = 0,
          .width = s.kW,
          .stride = s.stride[2],
          .channels = s.C,
          .pixels = s.Wo,
          .columns = s.O,
          .ldw = row_floats(s),
          .y = nullptr,
          .ldy = s.O,
          .paired = paired(s)};
}

}  // namespace

bool fits(const ConvArgs& a) {
  if (a.y.dtype() != Dtype::f32 || a.geometry.groups != 1 || a.geometry.dilation[2] != 1 || a.y.size() == 0 || !a.plain()) return false;
  return simd().has_narrow(a.w.dim(2), a.geometry.stride[2], a.x.dim(4));
}

Tensor pack(const ConvArgs& a) { return padded(a.w, Shapes(a)); }

void forward(const ConvArgs& a) {
  const Shapes s(a);
  const Tensor packed = a.packed ? a.packed : pack(a), bias = padded(a.bias, s);
  const int64_t ld = row_floats(s), parts = s.kD * s.kH;
  parallel_for(Block::count(s), std::min<int64_t>(s.Do, 16), [&](int64_t first, int64_t last) {
    Block block(s, a.x.data<float>());
    NarrowRow row = row_of(s);
    row.bias = bias ? bias.data<float>() : nullptr, row.relu = a.activation == Activation::relu;
    std::vector<const float*> x(parts * s.C), w(parts * s.C);
    row.x = x.data(), row.w = w.data();
    for (int64_t job = first; job < last; job++) {
      block.go_to(job);
      for (int64_t i = block.first; i < block.last; i++) {
        row.parts = 0;
        const float* taps = packed.data<float>();
        for (int64_t t = 0; t < s.kD; t++)
          for (int64_t u = 0; u < s.kH; u++, taps += s.kW * s.C * ld)
            if (const float* from = block.source(i, t, u))
              for (int64_t c = 0; c < s.C; c++) x[row.parts] = from + c, w[row.parts++] = taps + c * ld;
        row.y = a.y.data<float>() + (block.row + i - block.first) * s.Wo * s.O;
        simd().narrow(row);
        activate(a.activation, row.y, s.Wo * s.O);
      }
    }
  });
}

void weight(const ConvArgs& a) {
  const Shapes s(a);
  const int64_t ld = row_floats(s), each = paired(s) ? 2 : 1, parts = s.kD * s.kH, size = parts * s.kW * s.C * ld, jobs = Block::count(s);
  const int64_t chunks = std::clamp<int64_t>(std::min(jobs / 2, (int64_t{1} << 19) / size), 1, 16),
                per_chunk = (jobs + chunks - 1) / chunks;
  const Tensor sums = Tensor::zeros({chunks, size + ld});
  parallel_for(chunks, 1, [&](int64_t chunk, int64_t) {
    NarrowRow row = row_of(s);
    float* own = sums.data<float>() + chunk * (size + ld);
    float* zeros = scratch(2, s.Wo * s.stride[2] * s.C + s.kW * s.C);
    std::fill_n(zeros, s.Wo * s.stride[2] * s.C + s.kW * s.C, 0.0f);
    std::vector<const float*> x(parts * s.C);
    row.x = x.data(), row.parts = parts * s.C, row.sums = own, row.bias_sums = a.bias ? own + size : nullptr;
    Block block(s, a.x.data<float>());
    for (int64_t job = chunk * per_chunk; job < std::min(jobs, (chunk + 1) * per_chunk); job++) {
      block.go_to(job);
      for (int64_t i = block.first; i < block.last; i++) {
        auto at = x.begin();
        for (int64_t t = 0; t < s.kD; t++)
          for (int64_t u = 0; u < s.kH; u++) {
            const float* from = block.source(i, t, u);
            for (int64_t c = 0; c < s.C; c++) *at++ = from ? from + c : zeros;
          }
        row.y = a.y.data<float>() + (block.row + i - block.first) * s.Wo * s.O;
        row.ldy = s.O;
        // Vectors that reach beyond the last column take in the next pixel's values, for sums that nobody reads; at y's end there are none.
        if (ld > each * s.O && row.y + s.Wo * s.O + ld - s.O > a.y.data<float>() + a.y.size()) {
          float* wide = scratch(1, s.Wo * ld);
          for (int64_t j = 0; j < s.Wo; j++) std::fill_n(std::copy_n(row.y + j * s.O, s.O, wide + j * ld), ld - s.O, 0.0f);
          row.y = wide, row.ldy = ld;
        }
        simd().narrow_weight(row);
      }
    }
  });
  // Chunks in order, then what a pair of lanes holds of one sum.
  for (int64_t i = 0; i < (size + ld) / ld; i++)
    for (int64_t o = 0; o < s.O; o++) {
      float sum = 0;
      for (int64_t lane = o * each; lane < (o + 1) * each; lane++)
        for (int64_t chunk = 0; chunk < chunks; chunk++) sum += sums.data<float>()[chunk * (size + ld) + i * ld + lane];
      if (i < size / ld)
        a.w.data<float>()[i * s.O + o] = sum;
      else if (a.bias)
        a.bias.data<float>()[o] = sum;
    }
}

}  // namespace sono::kernels::narrow
