// 3 x 3 convolutions of stride 1 by Winograd's algorithms F(4x4, 3x3) and F(2x2, 3x3): 4 and 2.25 times fewer multiplications.
//
// Blocks of up to 24 tiles (v4: 26) of m x m outputs go through three steps in one thread's second-level cache:
//   V = B^T x B     the inputs, transformed; zero outside of the image
//   M = V U         36 (or 16) matrix products with the transformed weights U
//   y = A^T M A     transformed back; bias, activation
// A volume's 3 x 3 x 3 kernel is transformed in the plane only: M sums over the kernel's planes before it is transformed back, and the V of
// a plane serves every plane of y that reads it.
// Where the convolution reads a norm's output, rows of x are normalised into the first-level cache on their way to V (InputNorm): the
// normalised image is neither written nor kept. U-Net's step takes as long, and 8 % less memory. And where it reads two images joined along
// their channels, it reads both as they lie, and the gradient of x is written to two (ConvArgs::more): the join is never made.
// Rounding, of the largest value, 16 to 128 normal channels against sums in f64: F(4x4, 3x3) 2e-6 to 4e-6, F(2x2, 3x3) 2e-7 to 5e-7, direct
// sums 3e-7 to 1.2e-6.
// The gradient of x is the same with mirrored, transposed weights; that of w is in conv_winograd_weight.cpp. Stride 2 is brought to this by
// conv_winograd_stride2.cpp.
#include "tensor/cpu/conv_winograd.h"
#include "tensor/cpu/scratch.h"
#include "tensor/parallel.h"

namespace sono::kernels::winograd {
namespace {

using cpu::scratch, cpu::simd;

// Transformed weights (kD, O / 16, position, C + 1, 16).
int64_t weight_block(const Winograd& f, int64_t C) { return f.positions * (C + 1) * 16; }

// w: kD times the taps, each (C, O), or null.
Tensor transform_weights(const Winograd& f, const Shapes& s, const std::vector<const float*>& w) {
  const int64_t blocks = sixteens(s.O), size = weight_block(f, s.C), taps = f.taps * f.taps;
  const Tensor u({s.kD * blocks * size});
  parallel_for(s.kD * blocks, std::max<int64_t>(1, 512 / s.C), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t plane = i / blocks, o = i % blocks * 16;
      f.weight(w.data() + plane * taps, o, std::min<int64_t>(16, s.O - o), s.C, s.O, s.without_of(plane), u.data<float>() + i * size);
    }
  });
  return u;
}

// One job: the blocks [first_block, last_block) of tiles in the planes [first_plane, last_plane) of y, its channels [first, last).
struct Job {
  const Blocks& blocks;
  const Image& x;
  const float *u, *bias;
  Activation activation;
  const Image& y;
  int64_t first_block, last_block, first_plane, last_plane, first, last;

  const Winograd& f = blocks.f;
  const Shapes& s = blocks.s;
  int64_t plane_floats = sixteens(s.C) * f.block, panel = simd().winograd_columns;
  float *v = scratch(0, s.kD*plane_floats), *m = scratch(1, panel / 16 * f.block);  // v: of the last kD planes
  std::vector<const float*> vs = {}, us = {};
  std::vector<cpu::Ahead> ahead = {};

  int64_t start(int64_t d) const { return std::max<int64_t>(0, d - s.padding[0]); }  // the first plane of x that plane d reads

  void run() {
    for (int64_t block = first_block; block < last_block; block++)
      for (int64_t d = first_plane, ready = start(d); d < last_plane; d++) {
        for (; ready < std::min(s.D, d - s.padding[0] + s.kD); ready++)
          blocks.input(x, block, ready, 0, s.C, v + ready % s.kD * plane_floats);
        for (int64_t o = first; o < last; o += panel) multiply(block, d, ready, o, std::min(panel, last - o));
      }
  }

  // Channels [o, o + columns) of a block in plane d, from planes of x up to `ready`.
  void multiply(int64_t block, int64_t d, int64_t ready, int64_t o, int64_t columns) {
    const int64_t weights = weight_block(f, s.C), tap_floats = sixteens(s.O) * weights;
    vs.clear(), us.clear(), ahead.clear();
    const int64_t first_tap = start(d) - d + s.padding[0];
    for (int64_t plane = start(d), tap = first_tap; plane < ready; plane++, tap++) {
      vs.push_back(v + plane % s.kD * plane_floats);
      us.push_back(u + tap * tap_floats + o / 16 * weights);
    }
    blocks.output_ahead(y, block, d, o, columns, ahead);
    if (o + panel >= last) {
      if (d + 1 < last_plane)
        blocks.input_ahead(x, block, ready, ahead);
      else  // of this job or, most likely, of this thread's next one
        blocks.input_ahead(x, block + 1, start(first_plane), ahead);
    }
    simd().winograd_products({f.positions, vs.data(), us.data(), s.strided() ? s.without.data() + first_tap : nullptr,
                              static_cast<int64_t>(vs.size()), s.C, blocks.tiles_of(block), columns, weights, m, ahead.data(),
                              static_cast<int64_t>(ahead.size())});
    blocks.output(m, block, d, o, columns, bias, activation, y);
  }
};

// y = the convolution of x with the transformed weights u. Which job has what never changes a bit: tiles are independent.
void convolve(const Winograd& f, const Shapes& s, const Image& x, const InputNorm& norm, const Tensor& u, const float* bias,
              Activation activation, const Image& y) {
  int64_t tiles = f.tiles;  // V should take half of the second-level cache
  while (tiles > 6 && s.kD * sixteens(s.C) * f.block * tiles / f.tiles > cache / 2) tiles /= 2;
  const Blocks blocks{f, s, tiles, affine_of(norm)};
  const int64_t group = std::clamp<int64_t>(blocks.count() / 16, 1, 4), groups = (blocks.count() + group - 1) / group;
  const int64_t slab = s.kD == 1 ? 1 : std::min<int64_t>(s.Do, 16), slabs = (s.Do + slab - 1) / slab, panel = simd().winograd_columns;
  // With few blocks the channels are shared out too; each job transforms its inputs then.
  const int64_t panels = (s.O + panel - 1) / panel;
  const int64_t parts = threads() == 1 ? 1 : std::clamp<int64_t>(2 * threads() / (groups * slabs), 1, panels);
  const int64_t width = (panels + parts - 1) / parts * panel;
  parallel_for(groups * slabs * parts, 1, [&](int64_t job, int64_t) {
    const int64_t part = job % parts, d = job / parts % slabs * slab, block = job / (parts * slabs) * group;
    if (part * width >= s.O) return;
    Job{.blocks = blocks,
        .x = x,
        .u = u.data<float>(),
        .bias = bias,
        .activation = activation,
        .y = y,
        .first_block = block,
        .last_block = std::min(blocks.count(), block + group),
        .first_plane = d,
        .last_plane = std::min(s.Do, d + slab),
        .first = part * width,
        .last = std::min(s.O, (part + 1) * width)}
        .run();
  });
}

}  // namespace

template <Algorithm A>
bool fits(const ConvArgs& a) {
  const auto& [stride, padding, dilation, groups] = a.geometry;
  if (a.y.dtype() != Dtype::f32 || a.w.dim(1) != 3 || a.w.dim(2) != 3 || groups != 1 || dilation != std::array<int64_t, 3>{1, 1, 1} ||
      padding[1] > 2 || padding[2] > 2)
    return false;
  if constexpr (A == Algorithm::stride2)
    return stride[1] == 2 && stride[2] == 2 && a.plain() && a.x.dim(1) == 1 && a.w.dim(0) == 1 && padding[0] == 0;
  return stride == dilation && padding[0] < a.w.dim(0) && (!a.more || a.x.dim(4) % 16 == 0);
}

template <Algorithm A>
void forward(const ConvArgs& a) {
  if (a.y.size() == 0) return;
  convolve(algorithm<A>(), forward_shapes<A>(a), Image(a.x, a.more), a.norm, a.packed ? a.packed : pack<A>(a),
           a.bias ? a.bias.data<float>() : nullptr, a.activation, Image(a.y));
}

template <Algorithm A>
void input(const ConvArgs& a) {
  if (a.x.size() == 0) return;
  convolve(algorithm<A>(), input_shapes<A>(a), Image(a.y), {}, a.packed ? a.packed : pack_input<A>(a), nullptr, Activation::none,
           Image(a.x, a.more));
}

template <Algorithm A>
Tensor pack(const ConvArgs& a) {
  const float* w = a.w.data<float>();
  return transform_weights(algorithm<A>(), forward_shapes<A>(a), taps_at(w, a.w.dim(3) * a.w.dim(4), forward_taps<A>(a)));
}

template <Algorithm A>
Tensor pack_input(const ConvArgs& a) {
  const int64_t C = a.w.dim(3), O = a.w.dim(4), taps = a.w.dim(0) * 9;
  const Tensor transposed({taps, O, C});
  for (int64_t tap = 0; tap < taps; tap++)
    simd().transpose(a.w.data<float>() + tap * C * O, O, C, O, transposed.data<float>() + tap * C * O, C);
  const float* w = transposed.data<float>();
  return transform_weights(algorithm<A>(), input_shapes<A>(a), taps_at(w, C * O, input_taps<A>(a)));
}

template <Algorithm A>
double forward_cost(const ConvArgs& a) {
  return convolution_cost(algorithm<A>(), forward_shapes<A>(a), !a.packed);
}
template <Algorithm A>
double input_cost(const ConvArgs& a) {
  return convolution_cost(algorithm<A>(), input_shapes<A>(a), !a.packed);
}

#define SONO_WINOGRAD(A)                            \
  template bool fits<A>(const ConvArgs&);           \
  template void forward<A>(const ConvArgs&);        \
  template void input<A>(const ConvArgs&);          \
  template Tensor pack<A>(const ConvArgs&);         \
  template Tensor pack_input<A>(const ConvArgs&);   \
  template double forward_cost<A>(const ConvArgs&); \
  template double input_cost<A>(const ConvArgs&);
SONO_WINOGRAD(Algorithm::tiles4)
SONO_WINOGRAD(Algorithm::tiles2)
SONO_WINOGRAD(Algorithm::stride2)

}  // namespace sono::kernels::winograd
