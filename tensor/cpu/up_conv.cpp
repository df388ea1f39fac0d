// Transposed convolution whose windows lie side by side, on the CPU: 2 * N * D*H*W * kD*kH*kW * C * O FLOPs.
//
// An output pixel comes from one input pixel and one tap. So each tap of a row is a matrix product (W, C) x (C, O) whose rows are written a
// window apart, with bias and ReLU, straight beside the channels that a U-Net joins them to: neither a pass for the bias nor one to join.
//   rows        the product above, f32
//   reference   the definition, f32 and f64
#include <algorithm>

#include "tensor/cpu/activation.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

struct UpShapes {
  int64_t rows, D, H, W, C, kD, kH, kW, O, channels;  // rows of all images and planes; channels of y
  explicit UpShapes(const UpConvArgs& a) {
    D = a.x.dim(1), H = a.x.dim(2), W = a.x.dim(3), C = a.x.dim(4), rows = a.x.dim(0) * D * H;
    kD = a.w.dim(0), kH = a.w.dim(1), kW = a.w.dim(2), O = a.w.dim(3), channels = a.y.dim(4);
  }
  int64_t taps() const { return kD * kH * kW; }
  // The first pixel of y that row r of x makes with the kernel's row v of plane u.
  int64_t pixel(int64_t r, int64_t u, int64_t v) const { return ((r / H * kD + u) * (H * kH) + r % H * kH + v) * (W * kW); }
};

namespace rows {

using cpu::padded_columns, cpu::scratch, cpu::simd;

int64_t block_of() { return 2 * simd().lanes; }  // columns of a register tile

// Block of output channels after block, tap after tap, (C, columns) each; all blocks but the last are whole.
int64_t panel(const UpShapes& s, int64_t first, int64_t tap, int64_t ld) { return first * s.taps() * s.C + tap * s.C * ld; }
int64_t ld_of(const UpShapes& s, int64_t first) { return std::min(block_of(), padded_columns(s.O - first)); }

int64_t packed_size(const UpShapes& s) {
  const int64_t last = s.O > 0 ? (s.O - 1) / block_of() * block_of() : 0;
  return s.taps() * s.C * (last + ld_of(s, last));
}

bool fits(const UpConvArgs& a) {
  return a.y.dtype() == Dtype::f32 && (a.activation == Activation::none || a.activation == Activation::relu) &&
         (!a.packed || a.packed.size() == packed_size(UpShapes(a)));
}

Tensor pack(const UpConvArgs& a) {
  const UpShapes s(a);
  const Tensor panels = Tensor::zeros({packed_size(s)});
  for (int64_t o = 0; o < s.O; o += block_of())
    for (int64_t t = 0; t < s.taps(); t++)
      simd().transpose(a.w.data<float>() + (t * s.O + o) * s.C, s.C, std::min(block_of(), s.O - o), s.C,
                       panels.data<float>() + panel(s, o, t, ld_of(s, o)), ld_of(s, o));
  return panels;
}

void run(const UpConvArgs& a) {
  const UpShapes s(a);
  if (a.x.size() == 0 || s.O == 0) return;
  const Tensor packed = a.packed ? a.packed : pack(a);
  const double flops = 2.0 * static_cast<double>(s.W * s.C * s.O * s.taps());
  parallel_for(s.rows, std::max<int64_t>(1, static_cast<int64_t>(5e5 / flops)), [&](int64_t first, int64_t last) {
    float* bias = nullptr;
    if (a.bias) {
      bias = scratch(0, s.O + block_of());
      std::copy_n(a.bias.data<float>(), s.O, bias);
      std::fill_n(bias + s.O, block_of(), 0.0f);
    }
    for (int64_t o = 0; o < s.O; o += block_of())
      for (int64_t r = first; r < last; r++)
        for (int64_t t = 0; t < s.taps(); t++) {
          const float *x = a.x.data<float>() + r * s.W * s.C, *w = packed.data<float>() + panel(s, o, t, ld_of(s, o));
          simd().product({.x = &x,
                          .w = &w,
                          .taps = 1,
                          .depth = s.C,
                          .rows = s.W,
                          .columns = std::min(block_of(), s.O - o),
                          .row = s.C,
                          .step = 1,
                          .ldw = ld_of(s, o),
                          .y = a.y.data<float>() + (s.pixel(r, t / (s.kH * s.kW), t / s.kW % s.kH) + t % s.kW) * s.channels + a.first + o,
                          .ldy = s.kW * s.channels,
                          .bias = bias ? bias + o : nullptr,
                          .relu = a.activation == Activation::relu});
        }
  });
}

}  // namespace rows

namespace reference {

bool fits(const UpConvArgs&) { return true; }

template <class T>
void run(const UpConvArgs& a) {
  const UpShapes s(a);
  const T *x = a.x.data<T>(), *w = a.w.data<T>(), *bias = a.bias ? a.bias.data<T>() : nullptr;
  for (int64_t r = 0; r < s.rows; r++)
    for (int64_t j = 0; j < s.W; j++)
      for (int64_t t = 0; t < s.taps(); t++)
        for (int64_t o = 0; o < s.O; o++) {
          T sum = bias ? bias[o] : T(0);
          for (int64_t c = 0; c < s.C; c++) sum += x[(r * s.W + j) * s.C + c] * w[(t * s.O + o) * s.C + c];
          const int64_t pixel = s.pixel(r, t / (s.kH * s.kW), t / s.kW % s.kH) + j * s.kW + t % s.kW;
          a.y.data<T>()[pixel * s.channels + a.first + o] = activated(a.activation, sum);
        }
}

void run(const UpConvArgs& a) {
  visit_real("up_conv", a.y.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

constexpr Implementation<UpConvArgs> implementations[] = {{"rows", rows::fits, rows::run, nullptr, rows::pack},
                                                          {"reference", reference::fits, reference::run}};

}  // namespace

Kernel<UpConvArgs> up_conv{"up_conv", implementations, {}};

}  // namespace sono::kernels
