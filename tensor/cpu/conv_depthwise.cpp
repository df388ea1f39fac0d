// Depthwise convolutions (groups = channels in = channels out), f32: simd/conv_depthwise.cpp's kernels over rows.
//
// Nothing is copied: the pixels of a row are cut where a tap begins or ends to lie inside the image, and each piece has its own list of
// taps. With 9 taps 18 FLOPs for 8 bytes of x and y: from memory both are bound by it.
//   input    the same with y as what is read; with a stride s the pixels of x fall into s phases that see every s-th tap
//   weight   the sums of the taps stay in registers over a piece of a row; chunks of rows as in conv_weight.cpp
#include <algorithm>
#include <vector>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/conv_shapes.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::depthwise {
namespace {

using cpu::DepthwiseRow, cpu::simd;
using rows::Shapes;

// Pixel k of a row reads pixel first + k * step of another with tap v.
struct Reach {
  int64_t v, first, step;
};

// The pixels [from, until) of a row that the same taps reach.
struct Piece {
  int64_t from, until;
  std::vector<Reach> taps;
};

std::vector<Piece> pieces(const std::vector<Reach>& taps, int64_t pixels, int64_t width) {
  const auto inside = [&](const Reach& r, int64_t k) { return r.first + k * r.step >= 0 && r.first + k * r.step < width; };
  std::vector<Piece> all;
  for (int64_t k = 0; k < pixels; k++) {
    std::vector<Reach> here;
    std::copy_if(taps.begin(), taps.end(), std::back_inserter(here), [&](const Reach& r) { return inside(r, k); });
    const bool same = !all.empty() && std::equal(here.begin(), here.end(), all.back().taps.begin(), all.back().taps.end(),
                                                 [](const Reach& l, const Reach& r) { return l.v == r.v; });
    if (same)
      all.back().until++;
    else
      all.push_back({k, k + 1, std::move(here)});
  }
  return all;
}

// The pairs (kernel row, row) that row i of an axis reads (forward) or is read by (input).
template <class F>
void for_each_line(const Shapes& s, int axis, int64_t kernel, int64_t size, int64_t i, bool backward, F f) {
  for (int64_t u = 0; u < kernel; u++) {
    const int64_t at = backward ? i + s.padding[axis] - u * s.dilation[axis] : i * s.stride[axis] + u * s.dilation[axis] - s.padding[axis];
    const int64_t stride = backward ? s.stride[axis] : 1;
    if (at >= 0 && at % stride == 0 && at / stride < size) f(u, at / stride);
  }
}

// A row that is written from (or multiplied with) pieces of rows that are read: its pixels are `step` pixels apart.
struct Line {
  int64_t step;
  std::vector<Piece> pieces;
};

struct Plane {
  int64_t D, H, W;
};

// Row i of plane d of image n of what is written, piece by piece: f(piece, pointers into `from`, numbers of the kernel's taps).
template <class F>
void for_each_piece(const Shapes& s, const float* from, const Plane& read, const Line& line, int64_t n, int64_t d, int64_t i, bool backward,
                    F f) {
  std::vector<const float*> x(s.taps);
  std::vector<int64_t> taps(s.taps);
  for (const Piece& piece : line.pieces) {
    int64_t count = 0;
    for_each_line(s, 0, s.kD, read.D, d, backward, [&](int64_t t, int64_t plane) {
      for_each_line(s, 1, s.kH, read.H, i, backward, [&](int64_t u, int64_t row) {
        for (const Reach& r : piece.taps) {
          x[count] = from + (((n * read.D + plane) * read.H + row) * read.W + r.first + piece.from * r.step) * s.C;
          taps[count++] = (t * s.kH + u) * s.kW + r.v;
        }
      });
    });
    f(piece, x.data(), taps.data(), count);
  }
}

Line forward_line(const Shapes& s) {
  std::vector<Reach> taps;
  for (int64_t v = 0; v < s.kW; v++) taps.push_back({v, v * s.dilation[2] - s.padding[2], s.stride[2]});
  return {1, pieces(taps, s.Wo, s.W)};
}

// A row of the image that is written, with the pixels from `first` on, line.step apart.
void write_row(const Shapes& s, const ConvArgs& a, const float* from, const Plane& read, const Line& line, int64_t n, int64_t d, int64_t i,
               bool backward, float* to) {
  std::vector<const float*> w(s.taps);
  for_each_piece(s, from, read, line, n, d, i, backward, [&](const Piece& piece, auto* x, auto* taps, int64_t count) {
    for (int64_t t = 0; t < count; t++) w[t] = a.w.data<float>() + taps[t] * s.C;
    simd().depthwise({.x = x,
                      .w = w.data(),
                      .taps = count,
                      .pixels = piece.until - piece.from,
                      .channels = s.C,
                      .step = (backward ? 1 : s.stride[2]) * s.C,
                      .y = to + piece.from * line.step * s.C,
                      .ldy = line.step * s.C,
                      .bias = !backward && a.bias ? a.bias.data<float>() : nullptr,
                      .relu = a.activation == Activation::relu});
  });
}

constexpr int64_t rows_per_job = 8;

}  // namespace

bool fits(const ConvArgs& a) {
  return a.y.dtype() == Dtype::f32 && a.geometry.groups > 1 && a.geometry.groups == a.x.dim(4) && a.y.dim(4) == a.x.dim(4) &&
         a.y.size() > 0 && a.plain();
}

void forward(const ConvArgs& a) {
  const Shapes s(a);
  const Line line = forward_line(s);
  parallel_for(s.N * s.Do * s.Ho, rows_per_job, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      float* y = a.y.data<float>() + row * s.Wo * s.C;
      write_row(s, a, a.x.data<float>(), {s.D, s.H, s.W}, line, row / (s.Do * s.Ho), row / s.Ho % s.Do, row % s.Ho, false, y);
      activate(a.activation, y, s.Wo * s.C);
    }
  });
}

void input(const ConvArgs& a) {
  const Shapes s(a);
  std::vector<Line> phases;
  for (int64_t r = 0; r < std::min(s.stride[2], s.W); r++) {
    std::vector<Reach> taps;
    for (int64_t v = 0; v < s.kW; v++)
      if (const int64_t at = r + s.padding[2] - v * s.dilation[2]; at % s.stride[2] == 0) taps.push_back({v, at / s.stride[2], 1});
    phases.push_back({s.stride[2], pieces(taps, (s.W - r + s.stride[2] - 1) / s.stride[2], s.Wo)});
  }
  parallel_for(s.N * s.D * s.H, rows_per_job, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++)
      for (size_t r = 0; r < phases.size(); r++)
        write_row(s, a, a.y.data<float>(), {s.Do, s.Ho, s.Wo}, phases[r], row / (s.D * s.H), row / s.H % s.D, row % s.H, true,
                  a.x.data<float>() + (row * s.W + static_cast<int64_t>(r)) * s.C);
  });
}

void weight(const ConvArgs& a) {
  const Shapes s(a);
  const Line line = forward_line(s);
  const int64_t size = s.taps * s.C, all = s.N * s.Do * s.Ho;
  const int64_t chunks = std::clamp<int64_t>(std::min(all * s.Wo / 2048, (int64_t{1} << 19) / size), 1, 16),
                per_chunk = (all + chunks - 1) / chunks;
  const Tensor partial = Tensor::zeros({chunks, size + s.C});
  parallel_for(chunks, 1, [&](int64_t chunk, int64_t) {
    float* own = partial.data<float>() + chunk * (size + s.C);
    std::vector<float*> sums(s.taps);
    for (int64_t row = chunk * per_chunk; row < std::min(all, (chunk + 1) * per_chunk); row++) {
      float* y = a.y.data<float>() + row * s.Wo * s.C;
      const int64_t n = row / (s.Do * s.Ho), d = row / s.Ho % s.Do, i = row % s.Ho;
      for_each_piece(s, a.x.data<float>(), {s.D, s.H, s.W}, line, n, d, i, false,
                     [&](const Piece& piece, auto* x, auto* taps, int64_t count) {
                       for (int64_t t = 0; t < count; t++) sums[t] = own + taps[t] * s.C;
                       simd().depthwise_weight({.x = x,
                                                .w = nullptr,
                                                .taps = count,
                                                .pixels = piece.until - piece.from,
                                                .channels = s.C,
                                                .step = s.stride[2] * s.C,
                                                .y = y + piece.from * s.C,
                                                .ldy = s.C,
                                                .sums = sums.data()});
                     });
      if (a.bias) simd().add_column_sums(y, s.Wo, s.C, s.C, own + size);
    }
  });
  for (int64_t i = 0; i < size + s.C; i++) {
    float sum = 0;
    for (int64_t chunk = 0; chunk < chunks; chunk++) sum += partial.data<float>()[chunk * (size + s.C) + i];
    if (i < size)
      a.w.data<float>()[i] = sum;
    else if (a.bias)
      a.bias.data<float>()[i - size] = sum;
  }
}

}  // namespace sono::kernels::depthwise
