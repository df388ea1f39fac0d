// Convolution on the CPU, with its two adjoints.
//
// FLOPs 2 * N * Do*Ho*Wo * kD*kH*kW * C/groups * O in each of the three.
//   bf16        operands rounded to bf16, any geometry, where precision() says so (bf16_conv.cpp)
//   winograd4   3 x 3 (and kD x 3 x 3), stride 1, f32: F(4x4, 3x3), a quarter of the multiplications (conv_winograd.cpp)
//   winograd2   the same by F(2x2, 3x3), for small images
//   winograd_stride2  3 x 3, stride 2, f32: by the four phases of x, 81 multiplications of 144 (conv_winograd_stride2.cpp)
//   narrow      one to three channels by 3, 5 or 7 taps, f32: the taps in registers (conv_narrow.cpp)
//   depthwise   as many groups as channels, f32: vectors over channels (conv_depthwise.cpp)
//   rows        matrix products over overlapping rows, any geometry, f32 (conv_rows.cpp)
//   reference   the definition, any geometry, f32 and f64
#include <algorithm>

#include "tensor/cpu/activation.h"
#include "tensor/cpu/bf16.h"
#include "tensor/cpu/conv.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

bool fits(const ConvArgs& a) { return !a.more; }

// x as a convolution sees it.
template <class T>
Tensor seen(const ConvArgs& a) {
  if (!a.norm.mean) return a.x;
  const Tensor x = a.x.clone();
  const int64_t C = x.dim(4);
  const T *mean = a.norm.mean.data<T>(), *scale = a.norm.scale.data<T>(), *shift = a.norm.shift.data<T>();
  for (int64_t i = 0; i < x.size(); i++) {
    T& v = x.data<T>()[i];
    v = std::max(T(0), (v - mean[i % C]) * scale[i % C] + shift[i % C]);
  }
  return x;
}

// Calls f(index in x, index in w, index in y) for every product of image n, in the order of y's pixels.
template <class F>
void for_each_product(const ConvArgs& a, int64_t n, F f) {
  const auto& [stride, padding, dilation, groups] = a.geometry;
  const int64_t D = a.x.dim(1), H = a.x.dim(2), W = a.x.dim(3), C = a.x.dim(4), O = a.y.dim(4), group_c = C / groups, group_o = O / groups;
  int64_t iy = n * a.y.dim(1) * a.y.dim(2) * a.y.dim(3) * O;
  for (int64_t d = 0; d < a.y.dim(1); d++)
    for (int64_t i = 0; i < a.y.dim(2); i++)
      for (int64_t j = 0; j < a.y.dim(3); j++, iy += O)
        for (int64_t s = 0; s < a.w.dim(0); s++)
          for (int64_t u = 0; u < a.w.dim(1); u++)
            for (int64_t v = 0; v < a.w.dim(2); v++) {
              const int64_t plane = d * stride[0] + s * dilation[0] - padding[0], row = i * stride[1] + u * dilation[1] - padding[1];
              const int64_t column = j * stride[2] + v * dilation[2] - padding[2];
              if (plane < 0 || plane >= D || row < 0 || row >= H || column < 0 || column >= W) continue;
              const int64_t ix = (((n * D + plane) * H + row) * W + column) * C, iw = ((s * a.w.dim(1) + u) * a.w.dim(2) + v) * group_c * O;
              for (int64_t c = 0; c < group_c; c++)
                for (int64_t o = 0; o < O; o++) f(ix + o / group_o * group_c + c, iw + c * O + o, iy + o);
            }
}

void forward(const ConvArgs& a) {
  visit_real("conv", a.y.dtype(), [&]<class T>() {
    const Tensor all = seen<T>(a);
    const T *x = all.data<T>(), *w = a.w.data<T>(), *bias = a.bias ? a.bias.data<T>() : nullptr;
    T* y = a.y.data<T>();
    const int64_t O = a.y.dim(4);
    for (int64_t i = 0; i < a.y.size(); i++) y[i] = bias ? bias[i % O] : T(0);
    parallel_for(a.y.dim(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t n = first; n < last; n++) for_each_product(a, n, [&](int64_t ix, int64_t iw, int64_t iy) { y[iy] += x[ix] * w[iw]; });
    });
    for (int64_t i = 0; a.activation != Activation::none && i < a.y.size(); i++) y[i] = activated(a.activation, y[i]);
  });
}

void input(const ConvArgs& a) {
  visit_real("conv_input", a.y.dtype(), [&]<class T>() {
    const T *w = a.w.data<T>(), *y = a.y.data<T>();
    T* x = a.x.data<T>();
    std::fill_n(x, a.x.size(), T(0));
    parallel_for(a.y.dim(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t n = first; n < last; n++) for_each_product(a, n, [&](int64_t ix, int64_t iw, int64_t iy) { x[ix] += y[iy] * w[iw]; });
    });
  });
}

void weight(const ConvArgs& a) {
  visit_real("conv_weight", a.y.dtype(), [&]<class T>() {
    const Tensor all = seen<T>(a);
    const T *x = all.data<T>(), *y = a.y.data<T>();
    T* w = a.w.data<T>();
    std::fill_n(w, a.w.size(), T(0));
    for (int64_t n = 0; n < a.y.dim(0); n++) for_each_product(a, n, [&](int64_t ix, int64_t iw, int64_t iy) { w[iw] += x[ix] * y[iy]; });
    if (!a.bias) return;
    T* bias = a.bias.data<T>();
    std::fill_n(bias, a.bias.size(), T(0));
    for (int64_t i = 0; i < a.y.size(); i++) bias[i % a.bias.size()] += y[i];
  });
}

}  // namespace reference

using winograd::Algorithm;
template <Algorithm A>
constexpr Implementation<ConvArgs> winograd_forward(const char* name) {
  return {name, winograd::fits<A>, winograd::forward<A>, winograd::forward_cost<A>, winograd::pack<A>};
}
template <Algorithm A>
constexpr Implementation<ConvArgs> winograd_input(const char* name) {
  return {name, winograd::fits<A>, winograd::input<A>, winograd::input_cost<A>, winograd::pack_input<A>};
}
template <Algorithm A>
constexpr Implementation<ConvArgs> winograd_weight(const char* name) {
  return {name, winograd::fits<A>, winograd::weight<A>, winograd::weight_cost<A>};
}

constexpr Implementation<ConvArgs> forward[] = {{"bf16", bf16::fits, bf16::forward, nullptr, bf16::pack_forward},
                                                winograd_forward<Algorithm::tiles4>("winograd4"),
                                                winograd_forward<Algorithm::tiles2>("winograd2"),
                                                winograd_forward<Algorithm::stride2>("winograd_stride2"),
                                                {"narrow", narrow::fits, narrow::forward, narrow::cost, narrow::pack},
                                                {"depthwise", depthwise::fits, depthwise::forward, depthwise::cost},
                                                {"rows", rows::fits, rows::forward, rows::forward_cost, rows::pack},
                                                {"reference", reference::fits, reference::forward}};
constexpr Implementation<ConvArgs> input[] = {{"bf16", bf16::fits, bf16::input, nullptr, bf16::pack_input},
                                              winograd_input<Algorithm::tiles4>("winograd4"),
                                              winograd_input<Algorithm::tiles2>("winograd2"),
                                              winograd_input<Algorithm::stride2>("winograd_stride2"),
                                              {"depthwise", depthwise::fits, depthwise::input, depthwise::cost},
                                              {"rows", rows::fits, rows::input, rows::input_cost, rows::pack_input},
                                              {"reference", reference::fits, reference::input}};
constexpr Implementation<ConvArgs> weight[] = {{"bf16", bf16::fits, bf16::weight},
                                               winograd_weight<Algorithm::tiles4>("winograd4"),
                                               winograd_weight<Algorithm::tiles2>("winograd2"),
                                               winograd_weight<Algorithm::stride2>("winograd_stride2"),
                                               {"narrow", narrow::fits, narrow::weight, narrow::cost},
                                               {"depthwise", depthwise::fits, depthwise::weight, depthwise::cost},
                                               {"rows", rows::fits, rows::weight, rows::weight_cost},
                                               {"reference", reference::fits, reference::weight}};

bool is_flat(const ConvArgs& a) { return a.x.dim(1) == 1 && a.w.dim(0) == 1; }
bool chooses(const Kernel<ConvArgs>& kernel, const ConvArgs& a, void (*one)(const ConvArgs&), void (*other)(const ConvArgs&)) {
  const auto run = kernel.choose(a).run;
  return run == one || run == other;
}

}  // namespace

bool conv_takes_norm(const ConvArgs& a) {
  return a.y.device() == Device::cpu &&
         chooses(is_flat(a) ? conv2d : conv3d, a, winograd::forward<Algorithm::tiles4>, winograd::forward<Algorithm::tiles2>) &&
         chooses(is_flat(a) ? conv2d_weight : conv3d_weight, a, winograd::weight<Algorithm::tiles4>, winograd::weight<Algorithm::tiles2>);
}

bool conv_takes_more(const ConvArgs& a, int64_t first) {
  return first % 16 == 0 && conv_takes_norm(a) &&
         chooses(is_flat(a) ? conv2d_input : conv3d_input, a, winograd::input<Algorithm::tiles4>, winograd::input<Algorithm::tiles2>);
}

void activate(Activation activation, float* y, int64_t n) {
  if (activation == Activation::sigmoid || activation == Activation::tanh)
    cpu::simd().activate(y, n, 1, n, static_cast<cpu::Epilogue>(activation));
}

Kernel<ConvArgs> conv2d{"conv2d", forward, {}}, conv2d_input{"conv2d_input", input, {}}, conv2d_weight{"conv2d_weight", weight, {}};
Kernel<ConvArgs> conv3d{"conv3d", forward, {}}, conv3d_input{"conv3d_input", input, {}}, conv3d_weight{"conv3d_weight", weight, {}};

}  // namespace sono::kernels
