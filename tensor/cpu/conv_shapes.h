#pragma once
// The sizes of a convolution, and rows of an image with the padding that it wants. For the direct convolutions.
#include <algorithm>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"

namespace sono::kernels::rows {

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

// conv_narrow.cpp puts two pixels into a vector: NarrowRow in simd_table.h.
inline bool paired(const Shapes& s) {
  return 2 * s.O == cpu::simd().lanes && s.O > 2 && s.C == 1 && s.stride[2] == 1 && s.Wo % 2 == 0;
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

}  // namespace sono::kernels::rows
