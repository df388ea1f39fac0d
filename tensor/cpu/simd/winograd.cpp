// The transforms of Winograd's F(4x4, 3x3) [Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016], points 0, ±1,
// ±2:
//   y = A^T [ (G w G^T) . (B^T x B) ] A     for a tile of 4 x 4 outputs from 6 x 6 inputs: 36 products instead of 144
// and of its exact adjoint in w: dw = G^T [ (B^T x B) . (A dy A^T) ] G. All vectors run over channels, a multiple of 16.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

constexpr auto b_transposed = [](const Vec* d, Vec* o) {  // B^T d
  const Vec p = d[4] - 4.0f * d[2], q = d[3] - 4.0f * d[1], r = d[4] - d[2], s = 2.0f * (d[3] - d[1]);
  o[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
  o[1] = p + q, o[2] = p - q, o[3] = r + s, o[4] = r - s;
  o[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
};

constexpr auto a_transposed = [](const Vec* m, Vec* o) {  // A^T m: 6 -> 4
  const Vec p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = m[3] - m[4];
  o[0] = m[0] + p + r, o[1] = q + 2.0f * s, o[2] = p + 4.0f * r, o[3] = q + 8.0f * s + m[5];
};

constexpr auto a_times = [](const Vec* y, Vec* o) {  // A y: 4 -> 6
  const Vec p = y[0] + y[2], q = y[1] + y[3], r = y[0] + 4.0f * y[2], s = 2.0f * y[1] + 8.0f * y[3];
  o[0] = y[0], o[1] = p + q, o[2] = p - q, o[3] = r + s, o[4] = r - s, o[5] = y[3];
};

constexpr auto g_times = [](const Vec* w, Vec* o) {  // G w: 3 -> 6
  const Vec p = (w[0] + w[2]) * (-1.0f / 6), q = w[1] * (1.0f / 6), r = w[0] * (1.0f / 24) + w[2] * (1.0f / 6), s = w[1] * (1.0f / 12);
  o[0] = w[0] * 0.25f, o[1] = p - q, o[2] = p + q, o[3] = r + s, o[4] = r - s, o[5] = w[2];
};

constexpr auto g_transposed = [](const Vec* u, Vec* o) {  // G^T u: 6 -> 3
  const Vec p = u[1] + u[2], q = u[2] - u[1], r = u[3] + u[4], s = u[3] - u[4];
  o[0] = 0.25f * u[0] - p * (1.0f / 6) + r * (1.0f / 24), o[1] = q * (1.0f / 6) + s * (1.0f / 12), o[2] = (r - p) * (1.0f / 6) + u[5];
};

// Both directions of one vector of channels: an In x In block, from get(i, j), through f (In -> Out values) to Out x Out, to put(i, j,
// value).
template <int In, int Out, class Load, class F, class Store>
inline void both_ways(Load get, F f, Store put) {
  Vec half[Out][In];
#pragma GCC unroll 6
  for (int j = 0; j < In; j++) {
    Vec column[In], out[Out];
#pragma GCC unroll 6
    for (int i = 0; i < In; i++) column[i] = get(i, j);
    f(column, out);
#pragma GCC unroll 6
    for (int i = 0; i < Out; i++) half[i][j] = out[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < Out; i++) {
    Vec out[Out];
    f(half[i], out);
#pragma GCC unroll 6
    for (int j = 0; j < Out; j++) put(i, j, out[j]);
  }
}

}  // namespace

void winograd_input(const float* x, int64_t row, int64_t pixel, int64_t channels, const Square& inside, float* v, int64_t step) {
  if (inside.top <= 0 && inside.left <= 0 && inside.bottom >= 6 && inside.right >= 6) {
    for (int64_t c = 0; c < channels; c += lanes)
      both_ways<6, 6>([&](int i, int j) { return load<Vec>(x + i * row + j * pixel + c); }, b_transposed,
                      [&](int i, int j, Vec value) { store(v + (i * 6 + j) * step + c, value); });
    return;
  }
  const float zeros[lanes] = {};
  const float* at[36];  // a pixel's channels, or zeros for all of them: no branches in the loop over channels
  int64_t keep[36];
  for (int64_t i = 0; i < 6; i++)
    for (int64_t j = 0; j < 6; j++) {
      const bool in = i >= inside.top && i < inside.bottom && j >= inside.left && j < inside.right;
      at[i * 6 + j] = in ? x + i * row + j * pixel : zeros, keep[i * 6 + j] = in ? -1 : 0;
    }
  for (int64_t c = 0; c < channels; c += lanes)
    both_ways<6, 6>([&](int i, int j) { return load<Vec>(at[i * 6 + j] + (c & keep[i * 6 + j])); }, b_transposed,
                    [&](int i, int j, Vec value) { store(v + (i * 6 + j) * step + c, value); });
}

void winograd_output(const float* m, int64_t step, int64_t channels, const float* bias, float* y, int64_t row, int64_t pixel, int64_t rows,
                     int64_t columns) {
  for (int64_t c = 0; c < channels; c += lanes) {
    const Vec start = bias ? load<Vec>(bias + c) : Vec{};
    both_ways<6, 4>([&](int i, int j) { return load<Vec>(m + (i * 6 + j) * step + c); }, a_transposed,
                    [&](int i, int j, Vec value) {
                      if (i < rows && j < columns) store<Vec>(y + i * row + j * pixel + c, value + start);
                    });
  }
}

void winograd_gradient(const float* y, int64_t row, int64_t pixel, int64_t channels, const Square& inside, float* z, int64_t step) {
  for (int64_t c = 0; c < channels; c += lanes) {
    const auto put = [&](int i, int j, Vec value) { store(z + (i * 6 + j) * step + c, value); };
    const auto get = [&](int i, int j) { return load<Vec>(y + i * row + j * pixel + c); };
    if (inside.bottom >= 4 && inside.right >= 4)
      both_ways<4, 6>(get, a_times, put);
    else
      both_ways<4, 6>([&](int i, int j) { return i < inside.bottom && j < inside.right ? get(i, j) : Vec{}; }, a_times, put);
  }
}

void winograd_weight(const float* w, int64_t tap, int64_t size, float* u, int64_t step) {
  for (int64_t c = 0; c < size; c += lanes)
    both_ways<3, 6>([&](int i, int j) { return load<Vec>(w + (i * 3 + j) * tap + c); }, g_times,
                    [&](int i, int j, Vec value) { store(u + (i * 6 + j) * step + c, value); });
}

void winograd_weight_gradient(const float* u, int64_t step, int64_t size, float* w, int64_t tap) {
  for (int64_t c = 0; c < size; c += lanes)
    both_ways<6, 3>([&](int i, int j) { return load<Vec>(u + (i * 6 + j) * step + c); }, g_transposed,
                    [&](int i, int j, Vec value) { store(w + (i * 3 + j) * tap + c, value); });
}

}  // namespace sono::cpu::SONO_ISA
