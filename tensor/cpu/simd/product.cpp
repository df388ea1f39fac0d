// Register tiles of matrix products: the arithmetic of every convolution and matrix product of the CPU.
//
// A tile is R rows x B vectors of columns, all of it in registers; a step of k loads B vectors of w and broadcasts R values of x for R * B
// fused multiply-adds. 13 x 2 (or 26 x 1) of AVX-512's 32 registers, 6 x 2 (or 12 x 1) of AVX2's 16. Measured on a Zen 4 core with a peak
// of 117 GFLOP/s: 116 for 13 x 2 and 6 x 2, 105 for 26 x 1 (116 with the row distance known at compile time, hence Row = 16: the
// convolutions with 16 channels, where 26 x 1 matters).
// For each output the order of summation is that of t and k, whatever the tile: how rows are cut into tiles never changes a bit.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

constexpr bool many_registers = lanes == 16;
template <int B>
constexpr int max_rows = (many_registers ? 26 : 12) / B;

// Row, Step: distances in x known at compile time; 0: those of p. x and w are read from offsets xo and wo on.
template <class V, int B, int R, int Row, int Step>
void tile(const Product& p, int64_t xo, int64_t wo, float* y, int64_t columns) {
  constexpr int L = sizeof(V) / 4;
  const int64_t row = Row ? Row : p.row, step = Step ? Step : p.step;
  V sum[R][B];
#pragma GCC unroll 4
  for (int b = 0; b < B; b++) {
    const V start = p.bias ? load<V>(p.bias + wo + b * L) : V{};
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) sum[r][b] = start, __builtin_prefetch(y + r * p.ldy + b * L, 1);
  }
  for (int64_t t = 0; t < p.taps; t++) {
    const float *x = p.x[t] + xo, *w = p.w[t] + wo;
#pragma GCC unroll 2
    for (int64_t k = 0; k < p.depth; k++, w += p.ldw) {
      V wk[B];
#pragma GCC unroll 4
      for (int b = 0; b < B; b++) wk[b] = load<V>(w + b * L);
#pragma GCC unroll 32
      for (int r = 0; r < R; r++) {
        const V xk = broadcast<V>(x[r * row + k * step]);
#pragma GCC unroll 4
        for (int b = 0; b < B; b++) sum[r][b] += xk * wk[b];
      }
    }
  }
  if (p.relu) {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int b = 0; b < B; b++) sum[r][b] = V{} > sum[r][b] ? V{} : sum[r][b];
  }
  if (columns >= B * L) {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int b = 0; b < B; b++) {
        float* at = y + r * p.ldy + b * L;
        store(at, p.accumulate ? load<V>(at) + sum[r][b] : sum[r][b]);
      }
    return;
  }
  if (columns == 1) {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) y[r * p.ldy] = p.accumulate ? y[r * p.ldy] + sum[r][0][0] : sum[r][0][0];
    return;
  }
  float values[R][B * L];
#pragma GCC unroll 32
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int b = 0; b < B; b++) store(values[r] + b * L, sum[r][b]);
  for (int r = 0; r < R; r++)
    for (int64_t o = 0; o < columns; o++) y[r * p.ldy + o] = p.accumulate ? y[r * p.ldy + o] + values[r][o] : values[r][o];
}

// A tile of `rows` <= R rows.
template <class V, int B, int R, int Row, int Step>
void tile_of(int64_t rows, const Product& p, int64_t xo, int64_t wo, float* y, int64_t columns) {
  if (rows == R) return tile<V, B, R, Row, Step>(p, xo, wo, y, columns);
  if constexpr (R > 1) tile_of<V, B, R - 1, Row, Step>(rows, p, xo, wo, y, columns);
}

// All rows of B vectors of columns from column `first` on, cut into tiles as evenly as they go.
template <class V, int B, int Row, int Step>
void strip(const Product& p, int64_t first) {
  constexpr int R = max_rows<B>;
  const int64_t tiles = (p.rows + R - 1) / R;
  for (int64_t i = 0, r = 0; i < tiles; i++) {
    const int64_t next = p.rows * (i + 1) / tiles;
    tile_of<V, B, R, Row, Step>(next - r, p, r * p.row, first, p.y + r * p.ldy + first, p.columns - first);
    r = next;
  }
}

template <class V, int B>
void strip(const Product& p, int64_t first) {
  if (p.row == 1) return strip<V, B, 1, 0>(p, first);
  if constexpr (B == 1 && many_registers && sizeof(V) == 64) {
    if (p.row == 16) return strip<V, B, 16, 1>(p, first);
    if (p.row == 32) return strip<V, B, 32, 1>(p, first);
    if (p.row == 64) return strip<V, B, 64, 1>(p, first);
  }
  strip<V, B, 0, 1>(p, first);
}

}  // namespace

void product(const Product& p) {
  int64_t o = 0;
  for (; p.columns - o > lanes; o += 2 * lanes)
    if (p.columns - o > lanes * 3 / 2 || lanes == 4)
      strip<Vec, 2>(p, o);
    else
      strip<Vec, 1>(p, o), o -= lanes;
  const int64_t left = p.columns - o;
  if (left <= 0) return;
  if (lanes > 8 && left <= lanes / 4) return strip<VectorOf<(lanes > 8 ? lanes / 4 : 4)>::Float, 1>(p, o);
  if (lanes > 4 && left <= lanes / 2) return strip<VectorOf<(lanes > 4 ? lanes / 2 : 4)>::Float, 1>(p, o);
  strip<Vec, 1>(p, o);
}

}  // namespace sono::cpu::SONO_ISA
