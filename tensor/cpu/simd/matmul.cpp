// Register tiles of matrix products.
//
// A tile is R rows x B vectors of columns: 6 x 2 of AVX2's 16 registers, 14 x 2 of AVX-512's 32; 8 x 3 where b is read once, from memory. A
// step of k loads B vectors of b and broadcasts R values of a for R * B multiply-adds; two multiply-adds start per cycle and take four, so
// eight sums must be under way: tiles of few rows go through k in two or four interleaved sums. `slivers` is a transposed left operand
// copied so that a tile reads it from one address on: as it lies it is as fast, unless its rows are a multiple of 4 KiB apart and fight for
// the same lines of the cache.
#include "tensor/cpu/simd/math.h"

namespace sono::cpu::SONO_ISA {

void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to, int64_t ld_to);  // reduce.cpp

namespace {

constexpr int most_rows = lanes == 16 ? 14 : 6;

int64_t tiles_in(int64_t rows) { return (rows + most_rows - 1) / most_rows; }
// Where the sliver of tile i begins, whose first row is r: a line apart, so that they can be written side by side.
int64_t sliver(int64_t i, int64_t r, int64_t depth) { return r * depth + 16 * i; }

// The first columns of each row of a tile, where it reaches beyond the right edge.
__attribute__((noinline)) void store_edge(const float* tile, int64_t width, int64_t rows, int64_t columns, bool accumulate, float* y,
                                          int64_t ldy) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t o = 0; o < columns; o++) y[r * ldy + o] = accumulate ? y[r * ldy + o] + tile[r * width + o] : tile[r * width + o];
}

// sum[r][b] += the products of one k.
template <int R, int B, Left left>
inline void step(Vec (&sum)[R][B], const float* a, int64_t lda, int64_t k, const float* b) {
  Vec w[B];
#pragma GCC unroll 3
  for (int j = 0; j < B; j++) w[j] = load<Vec>(b + j * lanes);
#pragma GCC unroll 14
  for (int r = 0; r < R; r++) {
    const Vec x = broadcast<Vec>(left == Left::rows ? a[r * lda + k] : left == Left::columns ? a[k * lda + r] : a[k * R + r]);
#pragma GCC unroll 3
    for (int j = 0; j < B; j++) sum[r][j] += x * w[j];
  }
}

template <int R, int B, Left left>
void tile(const Tiles& t, const float* a, float* y) {
  constexpr int vectors = R * (B > 2 ? 2 : B), S = vectors >= 7 ? 1 : vectors >= 4 ? 2 : 4;  // interleaved sums
  constexpr bool streams = B == 3;  // b is read once, from beyond the first-level cache
  constexpr int ahead = 8;          // rows of b
  Vec sum[S][R][B];
#pragma GCC unroll 3
  for (int j = 0; j < B; j++) {
    const Vec start = t.bias ? load<Vec>(t.bias + j * lanes) : Vec{};
#pragma GCC unroll 14
    for (int r = 0; r < R; r++) {
      sum[0][r][j] = start;
#pragma GCC unroll 3
      for (int s = 1; s < S; s++) sum[s][r][j] = Vec{};
      __builtin_prefetch(y + r * t.ldy + j * lanes, 1);
    }
  }
  const int64_t lda = t.lda, ldb = t.ldb, ldy = t.ldy, whole_steps = t.depth / (S > 1 ? S : 1) * S;
  const float* b = t.b;
#pragma GCC unroll 4
  for (int64_t k = 0; k < whole_steps; k += S, b += S * ldb)
#pragma GCC unroll 4
    for (int s = 0; s < S; s++) {
#pragma GCC unroll 3
      for (int j = 0; streams && j < B; j++) __builtin_prefetch(b + (s + ahead) * ldb + j * lanes, 0, 2);
      step<R, B, left>(sum[s], a, lda, k + s, b + s * ldb);
    }
  for (int64_t k = whole_steps; k < t.depth; k++, b += ldb) step<R, B, left>(sum[0], a, lda, k, b);
  const bool whole_tile = t.columns >= B * lanes, accumulate = t.accumulate;
  float edge[R][B * lanes];
#pragma GCC unroll 14
  for (int r = 0; r < R; r++)
#pragma GCC unroll 3
    for (int j = 0; j < B; j++) {
      Vec v = sum[0][r][j];
      if constexpr (S == 2) v += sum[1][r][j];
      if constexpr (S == 4) v = (v + sum[1][r][j]) + (sum[2][r][j] + sum[3][r][j]);
      float* at = y + r * ldy + j * lanes;
      if (!whole_tile)
        store(edge[r] + j * lanes, v);
      else
        store(at, accumulate ? load<Vec>(at) + v : v);
    }
  if (!whole_tile) store_edge(edge[0], B * lanes, R, t.columns, accumulate, y, ldy);
}

template <int R, int B, Left left>
void tile_of(int64_t rows, const Tiles& t, const float* a, float* y) {
  if (rows == R) return tile<R, B, left>(t, a, y);
  if constexpr (R > 1) tile_of<R - 1, B, left>(rows, t, a, y);
}

template <int B, Left left>
void strip(const Tiles& t) {
  for (int64_t i = 0, r = 0, n = tiles_in(t.rows); i < n; i++) {
    const int64_t next = t.rows * (i + 1) / n;
    const float* a = left == Left::rows ? t.a + r * t.lda : left == Left::columns ? t.a + r : t.a + sliver(i, r, t.depth);
    tile_of<B == 3 ? 8 : most_rows, B, left>(next - r, t, a, t.y + r * t.ldy);
    r = next;
  }
}

template <int B>
void strip(const Tiles& t) {
  if (t.left == Left::rows) return strip<B, Left::rows>(t);
  if (t.left == Left::columns) return strip<B, Left::columns>(t);
  strip<B, Left::slivers>(t);
}

// R columns of a matrix (depth, …) as (depth, R): whole vectors, whose surplus the next row writes over; the last rows to the value.
template <int R>
void sliver_of(const float* a, int64_t lda, int64_t depth, float* to) {
  constexpr int64_t surplus = (lanes + R - 1) / R;  // the rows whose vector would reach beyond the sliver
  const int64_t whole = lda >= lanes ? depth - surplus : 0;
  int64_t k = 0;
  for (; k < whole; k++)
    for (int64_t j = 0; j < R; j += lanes) store(to + k * R + j, load<Vec>(a + k * lda + j));
  for (; k < depth; k++)
    for (int64_t r = 0; r < R; r++) to[k * R + r] = a[k * lda + r];
}
template <int R>
void sliver_of(int64_t rows, const float* a, int64_t lda, int64_t depth, float* to) {
  if (rows == R) return sliver_of<R>(a, lda, depth, to);
  if constexpr (R > 1) sliver_of<R - 1>(rows, a, lda, depth, to);
}

// y[r][j] = the product of row r of a and row j of b, r < R, j < B: R * B sums of one vector each.
template <int R, int B>
void dot_tile(const float* a, const float* b, int64_t K, float* y, int64_t ldy) {
  Vec sum[R][B] = {};
  int64_t k = 0;
  for (; k + lanes <= K; k += lanes) {
    Vec w[B];
#pragma GCC unroll 3
    for (int j = 0; j < B; j++) w[j] = load<Vec>(b + j * K + k);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const Vec x = load<Vec>(a + r * K + k);
#pragma GCC unroll 3
      for (int j = 0; j < B; j++) sum[r][j] += x * w[j];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 3
    for (int j = 0; j < B; j++) {
      float rest = 0;
      for (int64_t i = k; i < K; i++) rest += a[r * K + i] * b[j * K + i];
      y[r * ldy + j] = total<lanes>(sum[r][j]) + rest;
    }
}
template <int R, int B>
void dot_tile_of(int64_t rows, const float* a, const float* b, int64_t K, float* y, int64_t ldy) {
  if (rows == R) return dot_tile<R, B>(a, b, K, y, ldy);
  if constexpr (R > 1) dot_tile_of<R - 1, B>(rows, a, b, K, y, ldy);
}

template <int L, class F>
inline void apply(float* y, F f) {
  store(y, f.template operator()<L>(load<typename VectorOf<L>::Float>(y)));
}
template <class F>
void apply(float* y, int64_t ldy, int64_t rows, int64_t columns, F f) {
  for (int64_t r = 0; r < rows; r++) for_each_vector(columns, [&]<int L>(int64_t c) { apply<L>(y + r * ldy + c, f); });
}

}  // namespace

void tiles(const Tiles& t) {
  if constexpr (lanes == 16)
    if (t.columns > 2 * lanes) return strip<3, Left::rows>(t);
  t.columns > lanes ? strip<2>(t) : strip<1>(t);
}

void slivers(const float* a, int64_t lda, int64_t rows, int64_t depth, float* to) {
  for (int64_t i = 0, r = 0, n = tiles_in(rows); i < n; i++) {
    const int64_t next = rows * (i + 1) / n;
    sliver_of<most_rows>(next - r, a + r, lda, depth, to + sliver(i, r, depth));
    r = next;
  }
}

void panels(const float* b, int64_t ldb, bool transposed, int64_t depth, int64_t columns, int64_t width, int64_t step, float* to) {
  if (transposed) {  // 64 values of k at a time: what is written stays in the first-level cache until its lines are full
    for (int64_t n = 0; n < columns; n += width, to += step)
      for (int64_t k = 0; k < depth; k += 64)
        transpose(b + n * ldb + k, ldb, smaller(width, columns - n), smaller(64, depth - k), to + k * width, width);
    return;
  }
  for (int64_t k = 0; k < depth; k++)
    for (int64_t n = 0; n < columns; n += width) {
      const float* from = b + k * ldb + n;
      float* at = to + n / width * step + k * width;
      if (k + 8 < depth) __builtin_prefetch(from + 8 * ldb);
      if (columns - n >= width)
        for (int64_t o = 0; o < width; o += lanes) store(at + o, load<Vec>(from + o));
      else
        for (int64_t o = 0; o < columns - n; o++) at[o] = from[o];
    }
}

// y[i] = the product of row i of the matrix (n, K) and v: four rows at a time, two sums each.
void dots(const float* matrix, int64_t K, int64_t n, const float* v, float* y) {
  const auto some = [&]<int R>(int64_t i) {
    const float* row = matrix + i * K;
    Vec sum[R][2] = {};
    int64_t k = 0;
    for (; k + 2 * lanes <= K; k += 2 * lanes)
#pragma GCC unroll 2
      for (int h = 0; h < 2; h++)
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) sum[r][h] += load<Vec>(row + r * K + k + h * lanes) * load<Vec>(v + k + h * lanes);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      float rest = 0;
      for (int64_t j = k; j < K; j++) rest += row[r * K + j] * v[j];
      y[i + r] = total<lanes>(sum[r][0] + sum[r][1]) + rest;
    }
  };
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) some.template operator()<4>(i);
  for (; i < n; i++) some.template operator()<1>(i);
}

// Three rows of b at a time, which stay in the first-level cache while groups of rows of a pass: b is read once, from front to back.
void few_dots(const float* a, int64_t rows, const float* b, int64_t K, int64_t n, float* y, int64_t ldy) {
  constexpr int most = lanes == 16 ? 8 : 4;
  const int64_t groups = (rows + most - 1) / most;
  for (int64_t j = 0; j < n; j += 3)
    for (int64_t i = 0; i < groups; i++) {
      const int64_t r = rows * i / groups, some = rows * (i + 1) / groups - r;
      const auto tile = n - j >= 3 ? dot_tile_of<most, 3> : n - j == 2 ? dot_tile_of<most, 2> : dot_tile_of<most, 1>;
      tile(some, a + r * K, b + j * K, K, y + r * ldy + j, ldy);
    }
}

// y[j] = sum over k < K of v[k] * matrix[k * ld + j], j < n: eight rows at a time, so that y is read and written once for eight.
void combine(const float* matrix, int64_t K, int64_t ld, int64_t n, const float* v, float* y) {
  const auto some = [&]<int R>(int64_t k) {
    for_each_vector(n, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      F sum = k ? load<F>(y + c) : F{}, other{};
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) (r % 2 ? other : sum) += load<F>(matrix + (k + r) * ld + c) * v[k + r];
      store<F>(y + c, sum + other);
    });
  };
  int64_t k = 0;
  for (; k + 8 <= K; k += 8) some.template operator()<8>(k);
  for (; k < K; k++) some.template operator()<1>(k);
}

void activate(float* y, int64_t ldy, int64_t rows, int64_t columns, Epilogue kind) {
  if (kind == Epilogue::relu)
    apply(y, ldy, rows, columns, []<int L>(typename VectorOf<L>::Float v) { return v < 0.0f ? typename VectorOf<L>::Float{} : v; });
  if (kind == Epilogue::sigmoid) apply(y, ldy, rows, columns, []<int L>(typename VectorOf<L>::Float v) { return sigmoid<L>(v); });
  if (kind == Epilogue::tanh) apply(y, ldy, rows, columns, []<int L>(typename VectorOf<L>::Float v) { return tanh<L>(v); });
}

}  // namespace sono::cpu::SONO_ISA
