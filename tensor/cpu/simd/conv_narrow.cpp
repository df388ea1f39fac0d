// Convolutions of one to three channels: kernel rows of 3, 5 or 7 taps.
//
// A matrix product of depth 9 is mostly start and end, and its register tile loads an input once for every tap that reads it. Here the taps
// of one channel of a kernel row lie in registers beside the sums of P pixels, and an input is loaded once for all taps that read it: 12 +
// 3 loads for 24 multiply-adds where P = 8 pixels of 3 taps. The pixels go in two halves in turns, so that a sum is not asked for again
// before its last multiply-add is done; more pixels or parts than that spill registers. The gradient of the weights keeps the sums of three
// kernel rows (or channels) in registers, 9 taps, beside the gradients of four pixels: 18 + 4 loads for 36 multiply-adds, input after input
// of the three rows in turns; the gradient of the bias is one more sum.
//
// Half as many columns as a vector has lanes would leave the other half idle. Such a row goes in pairs of pixels: a vector holds both
// pixels' values of column 0, then those of column 1 …, so that one broadcast of two neighbouring inputs feeds it.
#include <utility>

#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// The first n < L values of v.
template <class V>
inline void store_part(float* to, V v, int64_t n) {
  constexpr int L = sizeof(V) / 4;
  if constexpr (L > 4) {
    typename VectorOf<L / 2>::Float half[2];
    __builtin_memcpy(half, &v, sizeof v);
    if (n < L / 2) return store_part(to, half[0], n);
    store(to, half[0]);
    return store_part(to + L / 2, half[1], n - L / 2);
  }
  for (int64_t i = 0; i < n; i++) to[i] = v[i];
}

// x[0] in all lanes, or x[0] and x[1] in turns.
template <class V, bool Paired>
inline V input_at(const float* x) {
  if constexpr (!Paired) return broadcast<V>(*x);
  typedef int64_t Pairs __attribute__((vector_size(sizeof(V))));
  int64_t both;
  __builtin_memcpy(&both, x, sizeof both);
  const Pairs all = both - Pairs{};
  V v;
  __builtin_memcpy(&v, &all, sizeof v);
  return v;
}

// Two pixels, one after the other, as lanes in turns; and back.
template <class V, int... I>
inline V in_turns(V v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, (I % 2 * static_cast<int>(sizeof...(I) / 2) + I / 2)...);
}
template <class V, int... I>
inline V apart(V v, std::integer_sequence<int, I...>) {
  constexpr int half = sizeof...(I) / 2;
  return __builtin_shufflevector(v, v, (I % half * 2 + I / half)...);
}
template <class V>
using Lanes = std::make_integer_sequence<int, sizeof(V) / 4>;

// Tiles of P pixels (or pairs of them) from the j-th up to `end`, one vector of columns from column o on.
template <class V, int P, int Width, int Step, int C, bool Paired>
void tiles_of(const NarrowRow& n, int64_t j, int64_t end, int64_t o) {
  constexpr int L = sizeof(V) / 4, Stride = Paired ? 2 : Step;
  constexpr int halves = P % 2 == 0 && P > 4 ? 2 : P, pixels = P / halves;
  const int64_t ldw = n.ldw, ldy = Paired ? L : n.ldy, parts = n.parts, columns = Paired ? L : n.columns - o;
  const float *const *xs = n.x, *const *ws = n.w;
  const V start = n.bias ? load<V>(n.bias + o) : V{}, least = broadcast<V>(n.relu ? 0 : -__builtin_inff());
  float* y = n.y + j * ldy + o;
  for (; j + P <= end; j += P, y += P * ldy) {
    V sum[P];
#pragma GCC unroll 16
    for (int i = 0; i < P; i++) sum[i] = start;
    for (int64_t part = 0; part < parts; part++) {
      const float *x = fresh(xs[part] + j * Stride * C), *w = ws[part] + o;
      V tap[Width];
#pragma GCC unroll 8
      for (int v = 0; v < Width; v++) tap[v] = load<V>(w + v * C * ldw);
#pragma GCC unroll 64
      for (int q = 0; q < (pixels - 1) * Stride + Width; q++)
#pragma GCC unroll 4
        for (int h = 0; h < halves; h++) {
          const V input = input_at<V, Paired>(x + (h * pixels * Stride + q) * C);
#pragma GCC unroll 8
          for (int v = 0; v < Width; v++)
            if (q >= v && (q - v) % Stride == 0 && (q - v) / Stride < pixels) {
              V& to = sum[h * pixels + (q - v) / Stride];
              to += input * tap[v];
              keep(to);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < P; i++) {
      V value = least > sum[i] ? least : sum[i];
      if constexpr (Paired) value = apart(value, Lanes<V>{});
      if (columns >= L)
        store(y + i * ldy, value);
      else
        store_part(y + i * ldy, value, columns);
    }
  }
}

// A row in tiles of P pixels, then of 4; the last one goes once more over pixels that are done.
template <class V, int Width, int Stride, int C, bool Paired = false>
void strip(const NarrowRow& n, int64_t o) {
  constexpr int P = lanes == 16 ? 8 : Width <= 3 ? 10 : Width <= 5 ? 8 : 6;
  const int64_t all = Paired ? n.pixels / 2 : n.pixels;
  int64_t done = 0;
  const auto go = [&]<int Pixels>() {
    const int64_t end = done + (all - done) / Pixels * Pixels;
    if (end > done) tiles_of<V, Pixels, Width, Stride, C, Paired>(n, done, end, o);
    done = end;
  };
  go.template operator()<P>();
  go.template operator()<4>();
  if (done == all) return;
  if (all >= 4) return tiles_of<V, 4, Width, Stride, C, Paired>(n, all - 4, all, o);
  go.template operator()<1>();
}

// Calls f.operator()<V>(o) for vectors that cover the columns; the last one is the narrowest that does.
template <class F>
void for_each_strip(int64_t columns, F f) {
  constexpr int half = lanes > 8 ? lanes / 2 : 4;
  int64_t o = 0;
  for (; columns - o > (lanes > 4 ? lanes / 2 : 0); o += lanes) f.template operator()<Vec>(o);
  if (o >= columns) return;
  if (lanes > 8 && columns - o > lanes / 4)
    f.template operator()<typename VectorOf<half>::Float>(o);
  else
    f.template operator()<VectorOf<4>::Float>(o);
}

// Sums of `Parts` kernel rows of one channel each over all pixels of a row, U pixels (or pairs of them) at a time.
template <class V, int Parts, int Width, int Step, int C, int U, bool Paired>
void sums_of(const NarrowRow& n, int64_t part, int64_t o, bool with_bias) {
  constexpr int Stride = Paired ? 2 : Step, L = sizeof(V) / 4;
  const int64_t ldy = Paired ? L : n.ldy, all = Paired ? n.pixels / 2 : n.pixels;
  V sum[Parts][Width], bias{};
  float* to[Parts];
  const float *x[Parts], *y = n.y + o;
#pragma GCC unroll 4
  for (int r = 0; r < Parts; r++) {
    x[r] = n.x[part + r], to[r] = n.sums + ((part + r) / C * Width * C + (part + r) % C) * n.ldw + o;
#pragma GCC unroll 8
    for (int v = 0; v < Width; v++) sum[r][v] = load<V>(to[r] + v * C * n.ldw);
  }
  const auto step = [&]<int Pixels>() {
    V g[Pixels];
#pragma GCC unroll 8
    for (int u = 0; u < Pixels; u++) {
      g[u] = load<V>(y + u * ldy);
      if constexpr (Paired) g[u] = in_turns(g[u], Lanes<V>{});
    }
#pragma GCC unroll 8
    for (int u = 0; u < Pixels; u++) bias += g[u];
#pragma GCC unroll 32
    for (int q = 0; q < (Pixels - 1) * Stride + Width; q++)
#pragma GCC unroll 4
      for (int r = 0; r < Parts; r++) {
        const V input = input_at<V, Paired>(x[r] + q * C);
#pragma GCC unroll 8
        for (int u = 0; u < Pixels; u++)
          if (q >= u * Stride && q - u * Stride < Width) sum[r][q - u * Stride] += input * g[u];
      }
    y += Pixels * ldy;
#pragma GCC unroll 4
    for (int r = 0; r < Parts; r++) x[r] = fresh(x[r] + Pixels * Stride * C);
  };
  int64_t j = 0;
  for (; j + U <= all; j += U) step.template operator()<U>();
  for (; j < all; j++) step.template operator()<1>();
#pragma GCC unroll 4
  for (int r = 0; r < Parts; r++)
#pragma GCC unroll 8
    for (int v = 0; v < Width; v++) store(to[r] + v * C * n.ldw, sum[r][v]);
  if (!with_bias) return;
  float values[L];
  store(values, bias);
  for (int64_t i = 0; i < L && o + i < (Paired ? L : n.columns); i++) n.bias_sums[o + i] += values[i];
}

template <class V, int Width, int Stride, int C, bool Paired = false>
void all_sums(const NarrowRow& n, int64_t o) {
  constexpr int parts = Width <= 3 ? 3 : Width <= 5 ? 2 : 1;
  int64_t part = 0;
  for (; part + parts <= n.parts; part += parts) sums_of<V, parts, Width, Stride, C, 4, Paired>(n, part, o, n.bias_sums && part == 0);
  if constexpr (parts > 1)
    for (; part < n.parts; part++) sums_of<V, 1, Width, Stride, C, 4, Paired>(n, part, o, n.bias_sums && part == 0);
}

// f.operator()<Width, Stride, C>() for the sizes that there are; false for others.
template <class F>
bool with_sizes(int64_t width, int64_t stride, int64_t channels, F f) {
  const auto one = [&]<int Width, int Stride, int C>() {
    if (width != Width || stride != Stride || channels != C) return false;
    f.template operator()<Width, Stride, C>();
    return true;
  };
  return one.template operator()<3, 1, 1>() || one.template operator()<3, 2, 1>() || one.template operator()<5, 1, 1>() ||
         one.template operator()<5, 2, 1>() || one.template operator()<7, 1, 1>() || one.template operator()<7, 2, 1>() ||
         one.template operator()<3, 1, 2>() || one.template operator()<3, 1, 3>() || one.template operator()<3, 2, 3>();
}

}  // namespace

bool has_narrow(int64_t width, int64_t stride, int64_t channels) {
  return with_sizes(width, stride, channels, []<int, int, int>() {});
}

void narrow(const NarrowRow& n) {
  with_sizes(n.width, n.stride, n.channels, [&]<int Width, int Stride, int C>() {
    if constexpr (Stride == 1 && C == 1)
      if (n.paired) return strip<Vec, Width, 1, 1, true>(n, 0);
    for_each_strip(n.columns, [&]<class V>(int64_t o) { strip<V, Width, Stride, C>(n, o); });
  });
}

void narrow_weight(const NarrowRow& n) {
  with_sizes(n.width, n.stride, n.channels, [&]<int Width, int Stride, int C>() {
    if constexpr (Stride == 1 && C == 1)
      if (n.paired) return all_sums<Vec, Width, 1, 1, true>(n, 0);
    for_each_strip(n.columns, [&]<class V>(int64_t o) { all_sums<V, Width, Stride, C>(n, o); });
  });
}

}  // namespace sono::cpu::SONO_ISA
