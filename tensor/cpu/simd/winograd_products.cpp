// The matrix products of Winograd convolutions: 36 (16, 25) small ones whose operands lie in buffers of winograd.h, so that every distance
// between rows is known here and nothing is set up per product.
//
// Register tiles as in product.cpp: 13 x 2 or 26 x 1 vectors of AVX-512's 32 registers, 6 x 2 or 12 x 1 of AVX2's 16.
#include "tensor/cpu/simd/winograd.h"

namespace sono::cpu::SONO_ISA {
namespace {

constexpr bool many_registers = lanes == 16;
template <int B>
constexpr int max_rows = (many_registers ? 26 : 12) / B;

// Where vector b of L channels is, with `block` floats from 16 channels to the next 16.
template <int L>
inline int64_t vector_at(int b, int64_t block) {
  return L == 16 ? b * block : b * L;
}

// Fetches a list piece by piece.
class Fetcher {
 public:
  Fetcher(const Ahead* ahead, int64_t aheads, int64_t pieces) : ahead_(ahead), last_(ahead + aheads) {
    int64_t all = 0;
    for (const Ahead* a = ahead; a < last_; a++) all += a->count;
    piece_ = (all + pieces - 1) / pieces;
  }
  void fetch() {
    for (int64_t left = piece_; left > 0 && ahead_ < last_;) {
      const int64_t n = smaller(left, ahead_->count - done_);
      const float* at = ahead_->at + done_ * ahead_->stride;
      for (int64_t i = 0; i < n; i++, at += ahead_->stride) __builtin_prefetch(at, 0, 2);
      left -= n, done_ += n;
      if (done_ == ahead_->count) ahead_++, done_ = 0;
    }
  }

 private:
  const Ahead *ahead_, *last_;
  int64_t piece_, done_ = 0;
};

// What is summed at one position: all taps, or those that are not zero there.
class Taps {
 public:
  const float *const *v, *const *u;
  int64_t count;

  explicit Taps(const WinogradProducts& p) : v(p.v), u(p.u), count(p.taps) {}
  void choose(const WinogradProducts& p, int64_t position) {
    if (!p.without) return;
    count = 0;
    for (int64_t t = 0; t < p.taps; t++)
      if (!(p.without[t] >> position & 1)) chosen_v_[count] = p.v[t], chosen_u_[count++] = p.u[t];
    v = chosen_v_, u = chosen_u_;
  }

 private:
  const float *chosen_v_[4], *chosen_u_[4];
};

// R tiles x B vectors of columns: m = sum over taps and channels of v (from float `from` on) times u (from `column` on).
template <class V, int B, int R>
void forward_tile(const WinogradProducts& p, const Taps& taps, int64_t from, int64_t column, float* m) {
  constexpr int L = sizeof(V) / 4;
  const int64_t block = p.positions * position_step;
  V sum[R][B] = {};
  const auto steps = [&](const float* v, const float* u, int64_t n) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int64_t c = 0; c < n; c++) {
      V w[B];
#pragma GCC unroll 2
      for (int b = 0; b < B; b++) w[b] = load<V>(u + c * 16 + vector_at<L>(b, p.u_block));
#pragma GCC unroll 32
      for (int r = 0; r < R; r++) {
        const V x = broadcast<V>(v[r * 16 + c]);
#pragma GCC unroll 2
        for (int b = 0; b < B; b++) sum[r][b] += x * w[b];
      }
    }
  };
  for (int64_t t = 0; t < taps.count; t++) {
    const float *v = taps.v[t] + from, *u = taps.u[t] + column;
    int64_t c = p.C;
    for (; c >= 16; c -= 16, v += block, u += 256) steps(v, u, 16);
    if (c > 0) steps(v, u, c);
  }
#pragma GCC unroll 32
  for (int r = 0; r < R; r++)
#pragma GCC unroll 2
    for (int b = 0; b < B; b++) store(m + r * 16 + vector_at<L>(b, block), sum[r][b]);
}

template <class V, int B, int R>
void forward_rows(int64_t rows, const WinogradProducts& p, const Taps& taps, int64_t from, int64_t column, float* m) {
  if (rows == R) return forward_tile<V, B, R>(p, taps, from, column, m);
  if constexpr (R > 1) forward_rows<V, B, R - 1>(rows, p, taps, from, column, m);
}

// All tiles x B vectors, at every position.
template <class V, int B>
void forward_columns(const WinogradProducts& p, int64_t column, float* m, Fetcher& fetcher) {
  constexpr int R = max_rows<B>;
  const int64_t strips = (p.tiles + R - 1) / R;
  Taps taps(p);
  for (int64_t k = 0; k < p.positions; k++) {
    fetcher.fetch();
    taps.choose(p, k);
    for (int64_t i = 0, t = 0; i < strips; i++) {
      const int64_t next = p.tiles * (i + 1) / strips, at = k * position_step + t * 16;
      forward_rows<V, B, R>(next - t, p, taps, at, column + k * (p.C + 1) * 16, m + at);
      t = next;
    }
  }
}

// R channels of V x B vectors of columns of Z.
template <class V, int B, int R>
void sums_tile(const WinogradSums& p, int64_t from, int64_t column, float* s) {
  constexpr int L = sizeof(V) / 4;
  const int64_t block = p.positions * position_step;
  V sum[R][B] = {};
  if (p.accumulate) {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
      for (int b = 0; b < B; b++) sum[r][b] = load<V>(s + r * 16 + vector_at<L>(b, 256));
  }
  for (int64_t i = 0; i < p.count; i++) {
    const float *v = p.v[i] + from, *z = p.z[i] + column;
#pragma GCC unroll 2
    for (int64_t t = 0; t < p.tiles[i]; t++, v += 16, z += 16) {
      V w[B];
#pragma GCC unroll 2
      for (int b = 0; b < B; b++) w[b] = load<V>(z + vector_at<L>(b, block));
#pragma GCC unroll 32
      for (int r = 0; r < R; r++) {
        const V x = broadcast<V>(v[r]);
#pragma GCC unroll 2
        for (int b = 0; b < B; b++) sum[r][b] += x * w[b];
      }
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < R; r++)
#pragma GCC unroll 2
    for (int b = 0; b < B; b++) store(s + r * 16 + vector_at<L>(b, 256), sum[r][b]);
}

template <class V, int B, int R>
void sums_rows(int64_t rows, const WinogradSums& p, int64_t from, int64_t column, float* s) {
  if (rows == R) return sums_tile<V, B, R>(p, from, column, s);
  if constexpr (R > 1) sums_rows<V, B, R - 1>(rows, p, from, column, s);
}

// n <= 16 channels of V x B vectors of columns of Z.
template <class V, int B>
void sums_columns(const WinogradSums& p, int64_t n, int64_t from, int64_t column, float* s) {
  constexpr int R = max_rows<B> < 16 ? max_rows<B> : 16;
  const int64_t strips = (n + R - 1) / R;
  for (int64_t i = 0, c = 0; i < strips; i++) {
    const int64_t next = n * (i + 1) / strips;
    sums_rows<V, B, R>(next - c, p, from + c, column, s + c * 16);
    c = next;
  }
}

// Calls f.template operator()<V, B>(o) for B vectors V from column o on, the widest that are not mostly empty.
template <class F>
inline void for_each_vectors(int64_t columns, F f) {
  int64_t o = 0;
  for (; columns - o > lanes * 3 / 2 || (lanes < 16 && columns - o > lanes); o += 2 * lanes) f.template operator()<Vec, 2>(o);
  for (; columns - o > lanes / 2; o += lanes) f.template operator()<Vec, 1>(o);
  if (columns > o) f.template operator()<VectorOf<(lanes > 8 ? lanes / 2 : lanes)>::Float, 1>(o);
}

}  // namespace

void winograd_products(const WinogradProducts& p) {
  const int64_t block = p.positions * position_step;
  Fetcher fetcher(p.ahead, p.aheads, p.positions);
  for_each_vectors(p.columns, [&]<class V, int B>(int64_t o) {
    forward_columns<V, B>(p, o / 16 * p.u_block + o % 16, p.m + o / 16 * block + o % 16, fetcher);
  });
}

void winograd_sums(const WinogradSums& p) {
  const int64_t block = p.positions * position_step, blocks = (p.O + 15) / 16, step = (p.C + 15) / 16 * blocks * 256 + 16;
  Fetcher fetcher(p.ahead, p.aheads, p.last - p.first);
  for (int64_t k = p.first; k < p.last; k++) {
    fetcher.fetch();
    if (p.without >> k & 1) continue;
    for (int64_t c = 0; c < p.C; c += 16)
      for_each_vectors(p.O, [&]<class V, int B>(int64_t o) {
        sums_columns<V, B>(p, smaller(16, p.C - c), c / 16 * block + k * position_step, o / 16 * block + k * position_step + o % 16,
                           p.s + k * step + (c / 16 * blocks + o / 16) * 256 + o % 16);
      });
  }
}

}  // namespace sono::cpu::SONO_ISA
