// Weighted sums of rows and of pixels: the two halves of a separable resampling.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// to[i] = sum over k of weight[k] * rows[k][i] for `Vectors` vectors of L floats from i on, sums in registers.
template <int L, int Vectors>
inline void add_rows(const float* const* rows, const float* weight, int64_t taps, int64_t i, float* to) {
  using F = typename VectorOf<L>::Float;
  F sum[Vectors];
  for (int v = 0; v < Vectors; v++) sum[v] = weight[0] * load<F>(rows[0] + i + v * L);
  for (int64_t k = 1; k < taps; k++)
    for (int v = 0; v < Vectors; v++) sum[v] += weight[k] * load<F>(rows[k] + i + v * L);
  for (int v = 0; v < Vectors; v++) store(to + i + v * L, sum[v]);
}

// A pixel of few channels: its taps are read one by one.
template <int Channels>
void narrow_pixels(const float* line, const int32_t* start, const int32_t* index, const float* weight, int64_t pixels, float* y) {
  for (int64_t p = 0; p < pixels; p++) {
    float sum[Channels] = {};
    for (int32_t k = start[p]; k < start[p + 1]; k++)
      for (int c = 0; c < Channels; c++) sum[c] += weight[k] * line[index[k] * Channels + c];
    for (int c = 0; c < Channels; c++) y[p * Channels + c] = sum[c];
  }
}

}  // namespace

void weighted_rows(const float* const* rows, const float* weight, int64_t taps, int64_t n, float* to) {
  int64_t i = 0;
  if (taps == 0)
    for (; i < n; i++) to[i] = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) add_rows<lanes, 4>(rows, weight, taps, i, to);
  for (; i + lanes <= n; i += lanes) add_rows<lanes, 1>(rows, weight, taps, i, to);
  for (; i < n; i++) add_rows<1, 1>(rows, weight, taps, i, to);
}

void weighted_pixels(const float* line, const int32_t* start, const int32_t* index, const float* weight, int64_t pixels, int64_t channels,
                     float* y) {
  if (channels == 1) return narrow_pixels<1>(line, start, index, weight, pixels, y);
  if (channels == 2) return narrow_pixels<2>(line, start, index, weight, pixels, y);
  if (channels == 3) return narrow_pixels<3>(line, start, index, weight, pixels, y);
  for (int64_t p = 0; p < pixels; p++, y += channels) {
    const int32_t first = start[p], last = start[p + 1];
    for_each_vector(channels, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      F sum{};
      if (last > first) sum = weight[first] * load<F>(line + index[first] * channels + c);
      for (int32_t k = first + 1; k < last; k++) sum += weight[k] * load<F>(line + index[k] * channels + c);
      store(y + c, sum);
    });
  }
}

}  // namespace sono::cpu::SONO_ISA
