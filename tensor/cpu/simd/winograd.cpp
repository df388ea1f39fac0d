// The transforms of Winograd convolutions, on vectors of channels.
//
// A transform of a tile goes both ways, columns then rows. Done for two rows of the result at a time, the columns' results are 12 vectors:
// they stay in the 16 registers of AVX2, nothing but the 36 results is stored, and the price is to read the inputs up to three times from
// the first-level cache. The last two columns of a tile are the first two of its neighbour: their results are kept. For 8 channels that is
// 56 loads, 128 operations (half additions, half multiply-adds: both kinds of units are busy) and 36 stores, which bound it.
#include <algorithm>

#include "tensor/cpu/simd/winograd.h"

namespace sono::cpu::SONO_ISA {
namespace {

// Pair P of the tiles of a run, for a vector of channels that starts at c.
template <class F, int P, class V>
void input_pair(const WinogradRun& run, int64_t c, float* v) {
  constexpr int size = F::size, shared = size - F::tile;  // columns that neighbours share
  V half[2][size];
  const float* rows[size];  // a copy of its own: no store can change it
  for (int i = 0; i < size; i++) rows[i] = run.rows[i] + c;
  const int64_t pixel = run.pixel, width = run.width, tiles = run.tiles;
  [[maybe_unused]] const bool short_rows = run.short_rows;
  const auto column = [&](int64_t at, int j) __attribute__((always_inline)) {
    F::template input<P, V>([&](int i) { return load<V>(rows[i] + at * pixel); }, half[0][j], half[1][j]);
  };
  const auto checked = [&](int64_t at, int j) __attribute__((always_inline)) {
    if (at >= 0 && at < width)
      column(at, j);
    else
      half[0][j] = half[1][j] = V{};
  };
  checked(run.left, 0);
  if constexpr (shared == 2) checked(run.left + 1, 1);
  for (int64_t t = 0, at = run.left; t < tiles; t++, at += F::tile, v += 16) {
    if (at + shared >= 0 && at + size <= width) {
#pragma GCC unroll 6
      for (int j = shared; j < size; j++) column(at + j, j);
    } else {
#pragma GCC unroll 6
      for (int j = shared; j < size; j++) checked(at + j, j);
    }
#pragma GCC unroll 2
    for (int r = 0; r < 2; r++) {
      if (r == rows_of<F>(P)) break;
      float* to = v + (2 * P + r) * size * position_step;
      const auto get = [&](int j) { return half[r][j]; };
      const auto put = [&]<int Q>() __attribute__((always_inline)) {
        V a, b;
        F::template input<Q, V>(get, a, b);
        store(to + 2 * Q * position_step, a);
        if constexpr (rows_of<F>(Q) == 2) store(to + (2 * Q + 1) * position_step, b);
      };
      put.template operator()<0>(), put.template operator()<1>();
      if constexpr (F::size % 2 == 1) {
        if (!short_rows) put.template operator()<2>();
      } else if constexpr (F::pairs > 2) {
        put.template operator()<2>();
      }
      half[r][0] = half[r][F::tile];
      if constexpr (shared == 2) half[r][1] = half[r][F::tile + 1];
    }
  }
}

template <class F, int P, class V>
void gradient_pair(const WinogradRun& run, int64_t c, float* z) {
  constexpr int size = F::size, tile = F::tile;
  V half[2][tile];
  for (int64_t t = 0, at = run.left; t < run.tiles; t++, at += tile, z += 16) {
#pragma GCC unroll 4
    for (int j = 0; j < tile; j++)
      if (at + j < run.width) {
        const int64_t offset = (at + j) * run.pixel + c;
        F::template gradient<P, V>([&](int i) { return load<V>(run.rows[i] + offset); }, half[0][j], half[1][j]);
      } else {
        half[0][j] = half[1][j] = V{};
      }
#pragma GCC unroll 2
    for (int r = 0; r < 2; r++) {
      if (r == rows_of<F>(P)) break;
      float* to = z + (2 * P + r) * size * position_step;
      const auto get = [&](int j) { return half[r][j]; };
      const auto put = [&]<int Q>() __attribute__((always_inline)) {
        V a, b;
        F::template gradient<Q, V>(get, a, b);
        store(to + 2 * Q * position_step, a);
        if constexpr (rows_of<F>(Q) == 2) store(to + (2 * Q + 1) * position_step, b);
      };
      put.template operator()<0>(), put.template operator()<1>();
      if constexpr (F::pairs > 2) put.template operator()<2>();
    }
  }
}

// Calls f<P>() for all pairs of rows, or all but the last.
template <class F, class Call>
inline void for_each_pair(bool few, Call f) {
  f.template operator()<0>();
  if (F::pairs > 2 || !few) f.template operator()<1>();
  if constexpr (F::pairs > 2)
    if (!few) f.template operator()<2>();
}

template <class F>
void input(const WinogradRun& run, int64_t channels, float* v) {
  for (int64_t c = 0; c < channels; c += 16, v += block_step<F>)
    for_each_pair<F>(run.few_rows, [&]<int P>() {
      for_each_part(smaller(16, channels - c),
                    [&]<int L>(int64_t part) { input_pair<F, P, typename VectorOf<L>::Float>(run, c + part, v + part); });
    });
}

template <class F>
void gradient(const WinogradRun& run, int64_t channels, float* z) {
  for (int64_t c = 0; c < channels; c += 16, z += block_step<F>)
    for_each_pair<F>(false, [&]<int P>() {
      for_each_part(smaller(16, channels - c),
                    [&]<int L>(int64_t part) { gradient_pair<F, P, typename VectorOf<L>::Float>(run, c + part, z + part); });
    });
}

// One tile and vector of channels; `columns` of its pixels are inside. Position (1, 1), of all ones in A, brings the bias to every pixel.
template <class F, class V, bool Relu, bool Whole>
inline void output_tile(const float* m, V bias, int64_t offset, int64_t pixel, float* const* rows, int64_t count, int64_t columns) {
  constexpr int size = F::size, tile = F::tile;
  const auto pair = [&]<int P>() __attribute__((always_inline)) {
    V half[2][size];
#pragma GCC unroll 6
    for (int j = 0; j < size; j++)
      F::template output<P, V>(
          [&](int i) {
            const V value = load<V>(m + (i * size + j) * position_step);
            return i == 2 && j == 2 ? value + bias : value;
          },
          half[0][j], half[1][j]);
#pragma GCC unroll 2
    for (int r = 0; r < 2; r++) {
      const int i = F::output_row(P, r);
      if (!Whole && i >= count) continue;
      float* to = rows[i] + offset;
      const auto put = [&](int j, V value) __attribute__((always_inline)) {
        if (Whole || j < columns) store<V>(to + j * pixel, Relu ? (value < V{} ? V{} : value) : value);
      };
      const auto get = [&](int j) { return half[r][j]; };
      V a, b;
      F::template output<0, V>(get, a, b);
      put(F::output_row(0, 0), a), put(F::output_row(0, 1), b);
      if constexpr (tile == 4) {
        F::template output<1, V>(get, a, b);
        put(F::output_row(1, 0), a), put(F::output_row(1, 1), b);
      }
    }
  };
  pair.template operator()<0>();
  if constexpr (tile == 4) pair.template operator()<1>();
}

template <class F, bool Relu>
void output_run(const float* m, int64_t channels, const float* bias, const WinogradRun& run, float* const* rows, int64_t count) {
  for (int64_t t = 0, at = run.left; t < run.tiles; t++, at += F::tile, m += 16)
    for_each_part(channels, [&]<int L>(int64_t c) {
      using V = typename VectorOf<L>::Float;
      const V start = bias ? load<V>(bias + c) : V{};
      const int64_t offset = at * run.pixel + c;
      if (count >= F::tile && at + F::tile <= run.width)
        output_tile<F, V, Relu, true>(m + c, start, offset, run.pixel, rows, F::tile, F::tile);
      else
        output_tile<F, V, Relu, false>(m + c, start, offset, run.pixel, rows, count, run.width - at);
    });
}

template <class F>
void output(const float* m, int64_t channels, const float* bias, bool relu, const WinogradRun& run, float* const* rows, int64_t count) {
  if (relu)
    output_run<F, true>(m, channels, bias, run, rows, count);
  else
    output_run<F, false>(m, channels, bias, run, rows, count);
}

// Both directions of a block of In x In values through f to Out x Out.
template <int In, int Out, class V, class Load, class T, class Store>
inline void both_ways(Load get, T f, Store put) {
  V half[Out][In];
#pragma GCC unroll 6
  for (int j = 0; j < In; j++) {
    V column[In], out[Out];
#pragma GCC unroll 6
    for (int i = 0; i < In; i++) column[i] = get(i, j);
    f(column, out);
#pragma GCC unroll 6
    for (int i = 0; i < Out; i++) half[i][j] = out[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < Out; i++) {
    V out[Out];
    f(half[i], out);
#pragma GCC unroll 6
    for (int j = 0; j < Out; j++) put(i, j, out[j]);
  }
}

template <class F>
void weight(const float* const* w, int64_t column, int64_t columns, int64_t C, int64_t O, uint64_t without, float* u) {
  constexpr int size = F::size, taps = F::taps;
  const int64_t step = (C + 1) * 16;
  const float* from[taps * taps];
  std::copy_n(w, taps * taps, from);
  for (int64_t c = 0; c < C; c++)
    for_each_part(columns, [&]<int L>(int64_t part) {
      using V = typename VectorOf<L>::Float;
      const int64_t at = c * O + column + part;
      float* to = u + c * 16 + part;
      both_ways<taps, size, V>(
          [&](int i, int j) {
            const float* tap = from[i * taps + j];
            return taps == 3 || tap ? load<V>(tap + at) : V{};
          },
          [](const V* x, V* y) { F::template weight<V>(x, y); },
          [&](int i, int j, V value) {
            const int position = i * size + j;
            if (taps == 3 || !(without >> position & 1)) store(to + position * step, value);
          });
    });
}

template <class F>
void weight_gradient(const float* s, int64_t chunk, int64_t chunks, int64_t c, int64_t C, int64_t O, uint64_t without, float* const* w) {
  constexpr int size = F::size, taps = F::taps;
  const int64_t blocks = (O + 15) / 16, step = (C + 15) / 16 * blocks * 256 + 16;
  for (int64_t o = 0; o < O; o += 16)
    for_each_part(smaller(16, O - o), [&]<int L>(int64_t part) {
      using V = typename VectorOf<L>::Float;
      const float* from = s + (c / 16 * blocks + o / 16) * 256 + c % 16 * 16 + part;
      const int64_t to = c * O + o + part;
      both_ways<size, taps, V>(
          [&](int i, int j) {
            const int position = i * size + j;
            if (taps < 3 && (without >> position & 1)) return V{};
            const float* at = from + position * step;
            V sum = load<V>(at);
            for (int64_t k = 1; k < chunks; k++) sum += load<V>(at + k * chunk);
            return sum;
          },
          [](const V* x, V* y) { F::template weight_gradient<V>(x, y); },
          [&](int i, int j, V value) {
            float* tap = w[i * taps + j];
            if (taps == 3 || tap) store(tap + to, value);
          });
    });
}

template <class F>
constexpr Winograd table_of() {
  return {.tile = F::tile,
          .taps = F::taps,
          .size = F::size,
          .positions = F::size * F::size,
          .tiles = tiles_at_most,
          .step = position_step,
          .block = block_step<F>,
          .input = input<F>,
          .gradient = gradient<F>,
          .output = output<F>,
          .weight = weight<F>,
          .weight_gradient = weight_gradient<F>};
}

}  // namespace

extern const Winograd winograd4, winograd2, winograd_stride2;
const Winograd winograd4 = table_of<F4>(), winograd2 = table_of<F2>(), winograd_stride2 = table_of<F4of2>();

}  // namespace sono::cpu::SONO_ISA
