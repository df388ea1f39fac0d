// Depthwise convolutions: a channel sees itself alone, so that vectors run over channels and nothing is summed across them.
//
// A multiply-add needs an input of its own: two loads a cycle bound it to the peak's rate when x is in the first-level cache, where it is
// for all taps but the first. A tile is 8 pixels (or, for the gradient of the weights, up to 8 taps) by one vector of channels.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

template <class V, int P>
void pixels_of(const DepthwiseRow& d, int64_t c, int64_t j, int64_t end) {
  const int64_t step = d.step, ldy = d.ldy, taps = d.taps;
  const V start = d.bias ? load<V>(d.bias + c) : V{}, least = broadcast<V>(d.relu ? 0 : -__builtin_inff());
  for (; j + P <= end; j += P) {
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
}

template <class V, int T>
void taps_of(const DepthwiseRow& d, int64_t c, int64_t first) {
  const int64_t step = d.step, ldy = d.ldy, pixels = d.pixels;
  V sum[T];
  const float *x[T], *y = d.y + c;
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) sum[t] = load<V>(d.sums[first + t] + c), x[t] = d.x[first + t] + c;
  for (int64_t j = 0; j < pixels; j++) {
    const V g = load<V>(y + j * ldy);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) sum[t] += load<V>(x[t] + j * step) * g;
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) store(d.sums[first + t] + c, sum[t]);
}

}  // namespace

void depthwise(const DepthwiseRow& d) {
  const int64_t whole = d.pixels / 8 * 8;
  for_each_vector(d.channels, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    pixels_of<V, 8>(d, c, 0, whole);
    pixels_of<V, 1>(d, c, whole, d.pixels);
  });
}

void depthwise_weight(const DepthwiseRow& d) {
  for_each_vector(d.channels, [&]<int L>(int64_t c) {
    using V = typename VectorOf<L>::Float;
    int64_t t = 0;
    for (; t + 8 <= d.taps; t += 8) taps_of<V, 8>(d, c, t);
    for (; t + 3 <= d.taps; t += 3) taps_of<V, 3>(d, c, t);
    for (; t < d.taps; t++) taps_of<V, 1>(d, c, t);
  });
}

}  // namespace sono::cpu::SONO_ISA
