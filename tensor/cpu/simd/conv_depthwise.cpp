// Depthwise convolutions: a channel sees itself alone, so that vectors run over channels and nothing is summed across them.
//
// A multiply-add needs an input of its own: two loads a cycle bound it to the peak's rate when x is in the first-level cache, where it is
// for all taps but the first. A tile is 8 pixels (or, for the gradient of the weights, up to 9 taps) by one vector of channels.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

template <class V, int P>
inline void pixels_of(const DepthwiseRow& d, int64_t c, int64_t j) {
  const int64_t step = d.step, ldy = d.ldy, taps = d.taps;
  const V start = d.bias ? load<V>(d.bias + c) : V{}, least = broadcast<V>(d.relu ? 0 : -__builtin_inff());
  V sum[P];
#pragma GCC unroll 8
  for (int i = 0; i < P; i++) sum[i] = start;
  for (int64_t t = 0; t < taps; t++) {
    const float* x = d.x[t] + j * step + c;
    const V w = load<V>(d.w[t] + c);
#pragma GCC unroll 8
    for (int i = 0; i < P; i++) sum[i] += load<V>(x + i * step) * w;
  }
#pragma GCC unroll 8
  for (int i = 0; i < P; i++) store(d.y + (j + i) * ldy + c, least > sum[i] ? least : sum[i]);
}

template <class V, int T>
inline void taps_of(const DepthwiseRow& d, int64_t c, int64_t first, int64_t j, int64_t end) {
  const int64_t step = d.step, ldy = d.ldy;
  V sum[T];
  const float *x[T], *y = d.y + c;
#pragma GCC unroll 9
  for (int t = 0; t < T; t++) sum[t] = load<V>(d.sums[first + t] + c), x[t] = d.x[first + t] + c;
  for (; j < end; j++) {
    const V g = load<V>(y + j * ldy);
#pragma GCC unroll 9
    for (int t = 0; t < T; t++) sum[t] += load<V>(x[t] + j * step) * g;
  }
#pragma GCC unroll 9
  for (int t = 0; t < T; t++) store(d.sums[first + t] + c, sum[t]);
}

}  // namespace

// All channels of a tile before the next tile: what is read of x lies together, and is in the first-level cache for all its taps.
void depthwise(const DepthwiseRow& d) {
  const auto tile = [&]<int P>(int64_t j) {
    for_each_vector(d.channels, [&]<int L>(int64_t c) { pixels_of<typename VectorOf<L>::Float, P>(d, c, j); });
  };
  int64_t j = 0;
  for (; j + 8 <= d.pixels; j += 8) tile.template operator()<8>(j);
  for (; j + 3 <= d.pixels; j += 3) tile.template operator()<3>(j);
  for (; j < d.pixels; j++) tile.template operator()<1>(j);
}

void depthwise_weight(const DepthwiseRow& d) {
  constexpr int64_t block = 16;
  for (int64_t j = 0; j < d.pixels; j += block)
    for_each_vector(d.channels, [&]<int L>(int64_t c) {
      using V = typename VectorOf<L>::Float;
      const int64_t end = smaller(d.pixels, j + block);
      int64_t t = 0;
      for (; t + 9 <= d.taps; t += 9) taps_of<V, 9>(d, c, t, j, end);
      for (; t + 3 <= d.taps; t += 3) taps_of<V, 3>(d, c, t, j, end);
      for (; t < d.taps; t++) taps_of<V, 1>(d, c, t, j, end);
    });
}

}  // namespace sono::cpu::SONO_ISA
