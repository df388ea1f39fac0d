// Convolution and its two adjoints, in 2D and 3D, with any stride, padding, dilation and groups: direct sums in registers.
//   conv          one thread per output value; neighbouring threads have neighbouring output channels, read the same x and neighbouring w
//   conv_input    one thread per value of x gathers from the outputs that used it: no atomics
//   conv_weight   one block per weight and up to 32 output channels; its threads share the pixels and join in a tree
#include "cuda/gpu.h"
#include "cuda/lines.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::ConvArgs;

// Kernel arguments cannot hold Tensors: sizes and geometry travel by value, spatial ones as (D, H, W).
struct Conv {
  int64_t N, C, O, group_c, group_o;  // channels in all and per group
  int x[3], w[3], y[3], stride[3], padding[3], dilation[3];

  explicit Conv(const ConvArgs& a)
      : N(a.x.dim(0)), C(a.x.dim(4)), O(a.y.dim(4)), group_c(C / a.geometry.groups), group_o(O / a.geometry.groups) {
    for (int k = 0; k < 3; k++) {
      x[k] = static_cast<int>(a.x.dim(k + 1)), w[k] = static_cast<int>(a.w.dim(k)), y[k] = static_cast<int>(a.y.dim(k + 1));
      const size_t i = static_cast<size_t>(k);
      stride[k] = static_cast<int>(a.geometry.stride[i]), padding[k] = static_cast<int>(a.geometry.padding[i]);
      dilation[k] = static_cast<int>(a.geometry.dilation[i]);
    }
  }
};

struct Position {
  int at[3];
};  // (d, i, j)

__device__ inline Position unravel(int64_t i, const int* size) {
  const int64_t rows = i / size[2];
  return {{static_cast<int>(rows / size[1]), static_cast<int>(rows % size[1]), static_cast<int>(i % size[2])}};
}
__device__ inline int64_t ravel(const Position& p, const int* size) { return (int64_t{p.at[0]} * size[1] + p.at[1]) * size[2] + p.at[2]; }
__device__ inline int64_t volume(const int* size) { return int64_t{size[0]} * size[1] * size[2]; }

// Where output pixel `pixel` reads x through tap `tap`; false outside of x.
__device__ inline bool read_position(const Conv& c, const Position& pixel, const Position& tap, Position& p) {
  bool inside = true;
  for (int k = 0; k < 3; k++) {
    p.at[k] = pixel.at[k] * c.stride[k] + tap.at[k] * c.dilation[k] - c.padding[k];
    inside = inside && p.at[k] >= 0 && p.at[k] < c.x[k];
  }
  return inside;
}

// Which output pixel read x at p through tap `tap`; false if none did.
__device__ inline bool reader(const Conv& c, const Position& p, const Position& tap, Position& pixel) {
  bool exists = true;
  for (int k = 0; k < 3; k++) {
    const int scaled = p.at[k] + c.padding[k] - tap.at[k] * c.dilation[k];
    pixel.at[k] = scaled / c.stride[k];
    exists = exists && scaled >= 0 && scaled % c.stride[k] == 0 && pixel.at[k] < c.y[k];
  }
  return exists;
}

template <class T>
__global__ void conv(Conv c, const T* x, const T* w, const T* bias, T* y, int64_t size) {
  const int64_t pixels = volume(c.y), taps = volume(c.w);
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const int64_t o = i % c.O, n = i / c.O / pixels, first_c = o / c.group_o * c.group_c;
    const Position pixel = unravel(i / c.O % pixels, c.y);
    T sum = bias ? bias[o] : T(0);
    for (int64_t tap = 0; tap < taps; tap++) {
      Position p;
      if (!read_position(c, pixel, unravel(tap, c.w), p)) continue;
      const T *from = x + (n * volume(c.x) + ravel(p, c.x)) * c.C + first_c, *weight = w + tap * c.group_c * c.O + o;
      for (int64_t k = 0; k < c.group_c; k++) sum += from[k] * weight[k * c.O];
    }
    y[i] = sum;
  }
}

template <class T>
__global__ void conv_input(Conv c, T* x, const T* w, const T* y, int64_t size) {
  const int64_t positions = volume(c.x), taps = volume(c.w);
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const int64_t channel = i % c.C, n = i / c.C / positions, first_o = channel / c.group_c * c.group_o;
    const Position p = unravel(i / c.C % positions, c.x);
    T sum = 0;
    for (int64_t tap = 0; tap < taps; tap++) {
      Position pixel;
      if (!reader(c, p, unravel(tap, c.w), pixel)) continue;
      const T *from = y + (n * volume(c.y) + ravel(pixel, c.y)) * c.O + first_o,
              *weight = w + (tap * c.group_c + channel % c.group_c) * c.O + first_o;
      for (int64_t o = 0; o < c.group_o; o++) sum += from[o] * weight[o];
    }
    x[i] = sum;
  }
}

// Block (row of w, column of output channels); the row after the last one sums y alone: the gradient of the bias.
template <class T>
__global__ void conv_weight(Conv c, unsigned columns, const T* x, T* w, const T* y, T* bias) {
  GPU_SHARED(T, shared, [threads_per_block]);
  const int64_t row = blockIdx.x / columns, o = int64_t{blockIdx.x % columns} * blockDim.x + threadIdx.x, taps = volume(c.w),
                pixels = volume(c.y);
  const bool is_bias = row == taps * c.group_c;
  const Position tap = unravel(is_bias ? 0 : row / c.group_c, c.w);
  const int64_t channel = is_bias ? 0 : o / c.group_o * c.group_c + row % c.group_c;
  T sum = 0;
  for (int64_t i = threadIdx.y; i < c.N * pixels && o < c.O; i += blockDim.y) {
    Position p;
    if (is_bias)
      sum += y[i * c.O + o];
    else if (read_position(c, unravel(i % pixels, c.y), tap, p))
      sum += y[i * c.O + o] * x[(i / pixels * volume(c.x) + ravel(p, c.x)) * c.C + channel];
  }
  sum = join_rows(sum, shared, Sum{});
  if (threadIdx.y == 0 && o < c.O) (is_bias ? bias : w + row * c.O)[o] = sum;
}

bool fits(const ConvArgs& a) { return a.activation == kernels::Activation::none; }

void run_conv(const ConvArgs& a) {
  visit_real("conv", a.y.dtype(), [&]<class T>() {
    gpu::launch_over(a.y.size(), "conv", conv<T>, Conv(a), a.x.data<T>(), a.w.data<T>(), a.bias ? a.bias.data<T>() : nullptr, a.y.data<T>(),
                     a.y.size());
  });
}

void run_input(const ConvArgs& a) {
  visit_real("conv_input", a.y.dtype(), [&]<class T>() {
    gpu::launch_over(a.x.size(), "conv_input", conv_input<T>, Conv(a), a.x.data<T>(), a.w.data<T>(), a.y.data<T>(), a.x.size());
  });
}

void run_weight(const ConvArgs& a) {
  const int64_t O = a.y.dim(4), rows = O ? a.w.size() / O + (a.bias ? 1 : 0) : 0, pixels = O ? a.y.size() / O : 0;
  if (rows == 0) return;
  const Lines lines{rows, pixels, O};  // a line of pixels for every weight
  dim3 block = lines.block();
  block.z = 1;
  visit_real("conv_weight", a.y.dtype(), [&]<class T>() {
    gpu::launch("conv_weight", conv_weight<T>, static_cast<unsigned>(rows) * lines.columns(), block, 0, Conv(a), lines.columns(),
                a.x.data<T>(), a.w.data<T>(), a.y.data<T>(), a.bias ? a.bias.data<T>() : nullptr);
  });
}

constexpr kernels::Implementation<ConvArgs> forward[] = {{"direct", fits, run_conv}};
constexpr kernels::Implementation<ConvArgs> input[] = {{"direct", fits, run_input}};
constexpr kernels::Implementation<ConvArgs> weight[] = {{"direct", fits, run_weight}};

}  // namespace

void register_conv() {
  kernels::conv2d.cuda = kernels::conv3d.cuda = forward;
  kernels::conv2d_input.cuda = kernels::conv3d_input.cuda = input;
  kernels::conv2d_weight.cuda = kernels::conv3d_weight.cuda = weight;
}

}  // namespace sono::cuda
