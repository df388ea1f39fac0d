// 3 x 3 convolutions by Winograd's F(4x4, 3x3): a quarter of the multiplications, at the price of transforms (some 4 operations per input
// and output value and tap of 36) and of about a digit: differences to the direct sum are 1e-5 of the largest output, 1e-4 for weights.
//
// Blocks of 26 tiles (v4; 24 otherwise) go through three steps in one thread's second-level cache:
//   V (36, tiles, C)    the inputs, transformed; 0 outside of the image
//   M (36, tiles, O)    36 matrix products with the transformed weights U (36, C, O), by the register tiles of simd/product.cpp
//   y                   transformed back, bias added, what lies beyond the image left out
// The gradient of x is the same with mirrored, transposed weights. The gradient of w sums 36 products V^T Z over tiles, Z the transformed
// gradient of y; jobs are chunks of tiles x blocks of 32 input channels, and the chunks' sums are added in order.
#include <algorithm>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::winograd {
namespace {

using cpu::scratch, cpu::simd;

constexpr int64_t products = 36;

// Tiles of 4 x 4 outputs (N, Ho, Wo, O) over an image (N, H, W, C) that starts at (-padding_h, -padding_w).
struct Tiles {
  int64_t N, H, W, C, Ho, Wo, O, padding_h, padding_w, down = (Ho + 3) / 4, across = (Wo + 3) / 4;
  int64_t count() const { return N * down * across; }
  int64_t image(int64_t t) const { return t / (down * across); }
  int64_t row(int64_t t) const { return t / across % down * 4; }  // of the first output
  int64_t column(int64_t t) const { return t % across * 4; }
};

// v (36, step): the 6 x 6 inputs of tile t, channels [first, first + channels), transformed.
void transform_input(const Tiles& s, const float* x, int64_t t, int64_t first, int64_t channels, float* v, int64_t step) {
  const int64_t top = s.row(t) - s.padding_h, left = s.column(t) - s.padding_w;
  const float* from = x + ((s.image(t) * s.H + top) * s.W + left) * s.C + first;
  simd().winograd_input(from, s.W * s.C, s.C, channels, {-top, -left, s.H - top, s.W - left}, v, step);
}

// z (36, step): the 4 x 4 gradients of tile t, transformed.
void transform_gradient(const Tiles& s, const float* y, int64_t t, float* z, int64_t step) {
  const float* from = y + ((s.image(t) * s.Ho + s.row(t)) * s.Wo + s.column(t)) * s.O;
  simd().winograd_gradient(from, s.Wo * s.O, s.O, s.O, {0, 0, s.Ho - s.row(t), s.Wo - s.column(t)}, z, step);
}

// y = the convolution of x with the transformed weights u (36, C, O).
void convolve(const Tiles& s, const float* x, const float* u, const float* bias, float* y) {
  const int64_t rows = simd().lanes == 16 ? 26 : 24, block = s.C > 128 ? rows / 2 : rows, columns = std::min<int64_t>(s.O, 64);
  const int64_t v_step = block * s.C + 16, m_step = block * columns + 16;  // + 16: 36 streams must not fall on the same lines of the cache
  parallel_for((s.count() + block - 1) / block, 1, [&](int64_t job, int64_t) {
    const int64_t first = job * block, tiles = std::min(block, s.count() - first);
    float *v = scratch(0, products * v_step), *m = scratch(1, products * m_step);
    for (int64_t t = 0; t < tiles; t++) transform_input(s, x, first + t, 0, s.C, v + t * s.C, v_step);
    for (int64_t o = 0; o < s.O; o += columns) {
      const int64_t width = std::min(columns, s.O - o);
      for (int64_t k = 0; k < products; k++) {
        const float *left = v + k * v_step, *right = u + k * s.C * s.O + o;
        simd().product({&left, &right, 1, s.C, tiles, width, s.C, 1, s.O, m + k * m_step, columns});
      }
      for (int64_t t = first; t < first + tiles; t++)
        simd().winograd_output(m + (t - first) * columns, m_step, width, bias ? bias + o : nullptr,
                               y + ((s.image(t) * s.Ho + s.row(t)) * s.Wo + s.column(t)) * s.O + o, s.Wo * s.O, s.O, s.Ho - s.row(t),
                               s.Wo - s.column(t));
    }
  });
}

// (36, C, O) from (9, C, O).
Tensor transform_weights(const float* w, int64_t C, int64_t O) {
  const Tensor u({products, C, O});
  parallel_for(C, std::max<int64_t>(1, 4096 / O), [&](int64_t first, int64_t last) {
    simd().winograd_weight(w + first * O, C * O, (last - first) * O, u.data<float>() + first * O, C * O);
  });
  return u;
}

}  // namespace

bool fits(const ConvArgs& a) {
  const auto& [stride, padding, dilation, groups] = a.geometry;
  if (a.y.dtype() != Dtype::f32 || a.activation != Activation::none || a.x.dim(1) != 1 || a.w.dim(0) != 1 || a.w.dim(1) != 3 || a.w.dim(2) != 3 || groups != 1) return false;
  if (stride != std::array<int64_t, 3>{1, 1, 1} || dilation[1] != 1 || dilation[2] != 1 || padding[0] != 0 || padding[1] > 2 ||
      padding[2] > 2)
    return false;
  const int64_t C = a.x.dim(4), O = a.y.dim(4), Ho = a.y.dim(2), Wo = a.y.dim(3);
  const int64_t in_tiles = (Ho + 3) / 4 * ((Wo + 3) / 4) * 16;
  return C % 16 == 0 && O % 16 == 0 && Ho * Wo >= 64 && 2 * in_tiles <= 3 * Ho * Wo;
}

void forward(const ConvArgs& a) {
  if (a.y.size() == 0) return;
  const Tiles s{a.x.dim(0),           a.x.dim(2), a.x.dim(3), a.x.dim(4), a.y.dim(2), a.y.dim(3), a.y.dim(4), a.geometry.padding[1],
                a.geometry.padding[2]};
  const Tensor u = transform_weights(a.w.data<float>(), s.C, s.O);
  convolve(s, a.x.data<float>(), u.data<float>(), a.bias ? a.bias.data<float>() : nullptr, a.y.data<float>());
}

void input(const ConvArgs& a) {
  if (a.x.size() == 0) return;
  const int64_t C = a.x.dim(4), O = a.y.dim(4);
  const Tensor mirrored({9, O, C});
  for (int64_t tap = 0; tap < 9; tap++)
    simd().transpose(a.w.data<float>() + (8 - tap) * C * O, O, C, O, mirrored.data<float>() + tap * C * O, C);
  const Tiles s{a.x.dim(0), a.y.dim(2), a.y.dim(3), O, a.x.dim(2), a.x.dim(3), C, 2 - a.geometry.padding[1], 2 - a.geometry.padding[2]};
  const Tensor u = transform_weights(mirrored.data<float>(), O, C);
  convolve(s, a.y.data<float>(), u.data<float>(), nullptr, a.x.data<float>());
}

void weight(const ConvArgs& a) {
  const Tiles s{a.x.dim(0),           a.x.dim(2), a.x.dim(3), a.x.dim(4), a.y.dim(2), a.y.dim(3), a.y.dim(4), a.geometry.padding[1],
                a.geometry.padding[2]};
  const int64_t block = s.O > 64 ? 16 : 32, channels = s.C % 32 == 0 ? 32 : 16, parts = s.C / channels, size = products * s.C * s.O;
  // Chunks from the problem alone: of two blocks or more, at most 16, together no more than 3 MB of sums.
  const int64_t wanted = std::clamp<int64_t>(std::min(s.count() / (2 * block), (int64_t{3} << 18) / size), 1, 16);
  const int64_t per_chunk = std::max<int64_t>(1, (s.count() + wanted - 1) / wanted),
                chunks = std::max<int64_t>(1, (s.count() + per_chunk - 1) / per_chunk);
  const Tensor sums({chunks, products, s.C, s.O}), bias_sums = Tensor::zeros({chunks, s.O});
  const int64_t v_step = block * channels + 16, z_step = block * s.O + 16;
  parallel_for(chunks * parts, 1, [&](int64_t job, int64_t) {
    const int64_t chunk = job / parts, c = job % parts * channels, last = std::min(s.count(), (chunk + 1) * per_chunk);
    float *v = scratch(0, products * v_step), *z = scratch(1, products * z_step), *sum = sums.data<float>() + chunk * size + c * s.O;
    int64_t first = chunk * per_chunk;
    do {
      const int64_t tiles = std::min(block, last - first);
      for (int64_t t = 0; t < tiles; t++) {
        transform_input(s, a.x.data<float>(), first + t, c, channels, v + t * channels, v_step);
        transform_gradient(s, a.y.data<float>(), first + t, z + t * s.O, z_step);
        if (!a.bias || c > 0) continue;
        const int64_t rows = std::min<int64_t>(4, s.Ho - s.row(first + t)), columns = std::min<int64_t>(4, s.Wo - s.column(first + t));
        const float* y = a.y.data<float>() + ((s.image(first + t) * s.Ho + s.row(first + t)) * s.Wo + s.column(first + t)) * s.O;
        for (int64_t i = 0; i < rows; i++)
          simd().add_column_sums(y + i * s.Wo * s.O, columns, s.O, s.O, bias_sums.data<float>() + chunk * s.O);
      }
      for (int64_t k = 0; k < products; k++) {
        const float *left = v + k * v_step, *right = z + k * z_step;
        simd().product(
            {&left, &right, 1, tiles, channels, s.O, 1, channels, s.O, sum + k * s.C * s.O, s.O, nullptr, first > chunk * per_chunk});
      }
      first += block;
    } while (first < last);
  });
  parallel_for(s.C, std::max<int64_t>(1, 1024 / s.O), [&](int64_t first, int64_t last) {
    const int64_t n = (last - first) * s.O;
    for (int64_t k = 0; k < products; k++) {
      float* to = sums.data<float>() + k * s.C * s.O + first * s.O;
      for (int64_t chunk = 1; chunk < chunks; chunk++)
        for (int64_t i = 0; i < n; i++) to[i] += to[chunk * size + i];
    }
    simd().winograd_weight_gradient(sums.data<float>() + first * s.O, s.C * s.O, n, a.w.data<float>() + first * s.O, s.C * s.O);
  });
  if (!a.bias) return;
  std::fill_n(a.bias.data<float>(), s.O, 0.0f);
  simd().add_column_sums(bias_sums.data<float>(), chunks, s.O, s.O, a.bias.data<float>());
}

}  // namespace sono::kernels::winograd
