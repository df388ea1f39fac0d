// Register tiles of products of bf16 with sums in f32, and the rounding to bf16.
//
// VDPBF16PS adds two products to each f32 of a vector: 64 FLOPs where an FMA is 32, and half the bytes of both operands. Neighbours along k
// lie side by side: a 32-bit word of the right operand is (w[k][o], w[k + 1][o]), and a pair of the left one is a 32-bit broadcast from
// wherever it begins. Tiles are 13 x 2 or 26 x 1 vectors of 16: 26 sums in 32 registers. A step of two k is 26 dot products, 13 (or 26)
// broadcasts, 2 (or 1) loads and 7 (or 10) scalar instructions in g++ 12's code, and nothing goes through the stack. Its speed has not been
// measured.
//
// Elsewhere a pair is unpacked into two f32 (a shift, a mask) and added in the instruction's order: the upper value of a pair first, each
// rounded once [Intel, Architecture Instruction Set Extensions Programming Reference, VDPBF16PS]. The product of two bf16 is exact in f32,
// so that a fused multiply-add and a separate one agree: the results have the same bits on every instruction set. The exception are
// denormals: the instruction takes operands, and gives sums, smaller than 2^-126 as 0, whatever the processor's mode; the emulation keeps
// them. That may cost 2^-126 * (|x| + |w| + 1) per product. AVX2: 1.4 to 2 times the time of the same product in f32.
#include "tensor/cpu/bf16_table.h"
#include "tensor/cpu/simd/vector.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace sono::cpu::SONO_ISA {
namespace {

template <int L>
struct BitsOf {
  typedef uint32_t Word __attribute__((vector_size(L * 4)));
  typedef uint16_t Half __attribute__((vector_size(L * 2)));
};

#ifdef __AVX512BF16__

constexpr bool has_dot_product = true;

template <int L>
using Pairs = typename BitsOf<L>::Word;  // L pairs
template <int L>
inline Pairs<L> pairs_of(typename BitsOf<L>::Word w) {
  return w;
}
inline VectorOf<16>::Float dot(VectorOf<16>::Float sum, Pairs<16> x, Pairs<16> w) {
  return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x);
}
inline VectorOf<8>::Float dot(VectorOf<8>::Float sum, Pairs<8> x, Pairs<8> w) { return _mm256_dpbf16_ps(sum, (__m256bh)w, (__m256bh)x); }
inline VectorOf<4>::Float dot(VectorOf<4>::Float sum, Pairs<4> x, Pairs<4> w) { return _mm_dpbf16_ps(sum, (__m128bh)w, (__m128bh)x); }

#else

constexpr bool has_dot_product = false;

template <int L>
struct Pairs {
  typename VectorOf<L>::Float low, high;
};
template <int L>
inline Pairs<L> pairs_of(typename BitsOf<L>::Word w) {
  const typename BitsOf<L>::Word low = w << 16, high = w & 0xffff0000u;
  return {load<typename VectorOf<L>::Float>(&low), load<typename VectorOf<L>::Float>(&high)};
}
template <class V, int L>
inline V dot(V sum, const Pairs<L>& x, const Pairs<L>& w) {
  sum += x.high * w.high;
  return sum + x.low * w.low;
}

#endif

// Emulated, an operand takes two registers: 12 x 2 of 32, 4 x 2 of 16. Narrow vectors are the exception and get fewer tiles.
template <int L, int B>
constexpr int max_rows = (L < lanes         ? 12
                          : has_dot_product ? 26
                          : lanes == 16     ? 24
                                            : 8) /
                         B;

// One step of k: the pairs of R rows of x, `row` values apart, times B vectors of pairs of w. Single: x has one value left.
// x[g] is row 4 g: 26 rows want 10 registers for their addresses, which fit, not 26.
template <int L, int B, int R, bool Single>
[[gnu::always_inline]] inline void step(typename VectorOf<L>::Float (&sum)[R][B], const uint16_t* const (&x)[(R + 3) / 4], int64_t row,
                                        const uint16_t* w) {
  using Word = typename BitsOf<L>::Word;
  Pairs<L> wk[B];
#pragma GCC unroll 2
  for (int b = 0; b < B; b++) wk[b] = pairs_of<L>(load<Word>(w + 2 * b * L));
#pragma GCC unroll 32
  for (int r = 0; r < R; r++) {
    const Pairs<L> xk = pairs_of<L>(Word{} + (Single ? uint32_t{x[r / 4][r % 4 * row]} : load<uint32_t>(x[r / 4] + r % 4 * row)));
#pragma GCC unroll 2
    for (int b = 0; b < B; b++) sum[r][b] = dot(sum[r][b], xk, wk[b]);
  }
}

// R rows by B vectors of L columns; x is read from offset xo on.
template <int L, int B, int R>
void tile(const Bf16Product& p, int64_t xo, float* y) {
  using V = typename VectorOf<L>::Float;
  V sum[R][B];
#pragma GCC unroll 2
  for (int b = 0; b < B; b++) {
    const V start = p.bias ? load<V>(p.bias + b * L) : V{};
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) sum[r][b] = start;
  }
  for (int64_t t = 0; t < p.taps; t++) {
    const uint16_t *x[(R + 3) / 4], *w = p.w[t];
#pragma GCC unroll 8
    for (int g = 0; g < (R + 3) / 4; g++) x[g] = p.x[t] + xo + 4 * g * p.row;
    for (int64_t k = p.depth / 2; k > 0; k--, w += 2 * p.ldw) {
      step<L, B, R, false>(sum, x, p.row, w);
#pragma GCC unroll 8
      for (int g = 0; g < (R + 3) / 4; g++) x[g] += 2;
    }
    if (p.depth % 2) step<L, B, R, true>(sum, x, p.row, w);
  }
  if (p.columns >= B * L) {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
      for (int b = 0; b < B; b++) {
        float* at = y + r * p.ldy + b * L;
        store(at, p.accumulate ? load<V>(at) + sum[r][b] : sum[r][b]);
      }
    return;
  }
  float values[R][B * L];
#pragma GCC unroll 32
  for (int r = 0; r < R; r++)
#pragma GCC unroll 2
    for (int b = 0; b < B; b++) store(values[r] + b * L, sum[r][b]);
  for (int r = 0; r < R; r++)
    for (int64_t o = 0; o < p.columns; o++) y[r * p.ldy + o] = p.accumulate ? y[r * p.ldy + o] + values[r][o] : values[r][o];
}

// A tile of `rows` <= R rows.
template <int L, int B, int R>
void tile_of(int64_t rows, const Bf16Product& p, int64_t xo, float* y) {
  if (rows == R) return tile<L, B, R>(p, xo, y);
  if constexpr (R > 1) tile_of<L, B, R - 1>(rows, p, xo, y);
}

// All rows, cut into tiles as evenly as they go.
template <int L, int B>
void strip(const Bf16Product& p) {
  constexpr int R = max_rows<L, B>;
  const int64_t tiles = (p.rows + R - 1) / R;
  for (int64_t i = 0, r = 0; i < tiles; i++) {
    const int64_t next = p.rows * (i + 1) / tiles;
    tile_of<L, B, R>(next - r, p, r * p.row, p.y + r * p.ldy);
    r = next;
  }
}

// The bf16 nearest to each value, in the upper half of its word: half a unit of the last place is added, a hair less if the value below is
// even, and the carry does the rest. NaN could carry over into infinity: it is cut off, and made quiet.
template <int L>
inline typename BitsOf<L>::Word rounded(const float* x) {
  using Word = typename BitsOf<L>::Word;
  const Word v = load<Word>(x), nearest = v + 0x7fff + ((v >> 16) & 1), quiet = v | 0x00400000;
  return ((v & 0x7fffffff) > 0x7f800000 ? quiet : nearest) & 0xffff0000u;
}

void product(const Bf16Product& p) {
  if (p.columns > lanes) return strip<lanes, 2>(p);
  if (lanes > 8 && p.columns <= lanes / 4) return strip<(lanes > 8 ? lanes / 4 : 4), 1>(p);
  if (lanes > 4 && p.columns <= lanes / 2) return strip<(lanes > 4 ? lanes / 2 : 4), 1>(p);
  strip<lanes, 1>(p);
}

void round(const float* x, int64_t n, uint16_t* to) {
  for_each_vector(n, [&]<int L>(int64_t i) { store(to + i, __builtin_convertvector(rounded<L>(x + i) >> 16, typename BitsOf<L>::Half)); });
}

void pairs(const float* even, const float* odd, int64_t n, uint16_t* to) {
  for_each_vector(n, [&]<int L>(int64_t i) {
    const auto low = rounded<L>(even + i) >> 16;
    store(to + 2 * i, odd ? rounded<L>(odd + i) | low : low);
  });
}

}  // namespace

#define SONO_TEXT(x) #x
#define SONO_STRING(x) SONO_TEXT(x)

const Bf16 bf16 = {SONO_STRING(SONO_ISA), has_dot_product, product, round, pairs};

}  // namespace sono::cpu::SONO_ISA
