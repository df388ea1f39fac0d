#pragma once
// How the buffers of Winograd convolutions lie in memory, and their algorithms. [Lavin and Gray, "Fast algorithms for convolutional neural
// networks", CVPR 2016]
//   y = A^T [ (G w G^T) . (B^T x B) ] A    for a tile of m x m outputs from (m + 2)^2 inputs: (m + 2)^2 products instead of 9 m^2
// and its exact adjoint in w: dw = G^T [ (B^T x B) . (A dy A^T) ] G. The evaluation points are 0, infinity, ±1 (and ±2 for m = 4) in this
// order: the rows of the matrices come in pairs that share most of their arithmetic, and position (1, 1) of each pair index is the sum of
// everything (all ones in A), which gives biases for nothing.
// With stride 2 a kernel of 3 taps is one of 2 taps over the even inputs and one of 1 tap over the odd ones: F(4, 2) of both, at the points
// 0, 2, ±1 and infinity, where the one of 1 tap has a zero (conv_winograd_stride2.cpp).
//
// V (inputs), M (products) and Z (gradients of y) hold blocks of 16 channels: (channels / 16, position, tile, 16). All strides but that of
// the blocks of weights are known when this is compiled, and an odd number of cache lines lies between positions, so that the streams of
// the positions fall on different sets of the cache.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

constexpr int64_t tiles_at_most = lanes == 16 ? 26 : 24;  // whole register tiles of winograd_products.cpp
constexpr int64_t position_step = (tiles_at_most + 1) * 16;

// Each function makes two values from a column of d = get(0), get(1) …
struct F4 {
  static constexpr int tile = 4, taps = 3, size = 6, pairs = 3;

  template <int P, class V, class Get>
  static void input(Get d, V& a, V& b) {  // rows 2P and 2P + 1 of B^T d
    if constexpr (P == 0) {
      const V d2 = d(2), d3 = d(3);
      a = 4.0f * (d(0) - d2) + (d(4) - d2), b = (d(5) - d3) - 4.0f * (d3 - d(1));
    } else if constexpr (P == 1) {
      const V even = d(4) - 4.0f * d(2), odd = d(3) - 4.0f * d(1);
      a = even + odd, b = even - odd;
    } else {
      const V even = d(4) - d(2), odd = d(3) - d(1);
      a = even + 2.0f * odd, b = even - 2.0f * odd;
    }
  }
  template <int P, class V, class Get>
  static void output(Get m, V& a, V& b) {  // rows P and P + 2 of A^T m
    if constexpr (P == 0) {
      const V one = m(2) + m(3), two = m(4) + m(5);
      a = m(0) + one + two, b = one + 4.0f * two;
    } else {
      const V one = m(2) - m(3), two = m(4) - m(5);
      a = one + 2.0f * two, b = (one + m(1)) + 8.0f * two;
    }
  }
  static constexpr int output_row(int P, int i) { return P + 2 * i; }
  template <int P, class V, class Get>
  static void gradient(Get y, V& a, V& b) {  // rows 2P and 2P + 1 of A y
    if constexpr (P == 0) {
      a = y(0), b = y(3);
    } else if constexpr (P == 1) {
      const V even = y(0) + y(2), odd = y(1) + y(3);
      a = even + odd, b = even - odd;
    } else {
      const V even = y(0) + 4.0f * y(2), odd = y(1) + 4.0f * y(3);
      a = even + 2.0f * odd, b = even - 2.0f * odd;
    }
  }
  template <class V>
  static void weight(const V* w, V* o) {  // G w: 3 -> 6
    const V p = (w[0] + w[2]) * (-1.0f / 6), q = w[1] * (1.0f / 6), r = w[0] * (1.0f / 24) + w[2] * (1.0f / 6), s = w[1] * (1.0f / 12);
    o[0] = w[0] * 0.25f, o[1] = w[2], o[2] = p - q, o[3] = p + q, o[4] = r + s, o[5] = r - s;
  }
  template <class V>
  static void weight_gradient(const V* u, V* o) {  // G^T u: 6 -> 3
    const V p = u[2] + u[3], q = u[3] - u[2], r = u[4] + u[5], s = u[4] - u[5];
    o[0] = 0.25f * u[0] - p * (1.0f / 6) + r * (1.0f / 24), o[1] = q * (1.0f / 6) + s * (1.0f / 12), o[2] = (r - p) * (1.0f / 6) + u[1];
  }
};

struct F2 {
  static constexpr int tile = 2, taps = 3, size = 4, pairs = 2;

  template <int P, class V, class Get>
  static void input(Get d, V& a, V& b) {
    if constexpr (P == 0)
      a = d(0) - d(2), b = d(3) - d(1);
    else
      a = d(1) + d(2), b = d(2) - d(1);
  }
  template <int P, class V, class Get>
  static void output(Get m, V& a, V& b) {
    const V one = m(2), other = m(3);
    a = m(0) + (one + other), b = m(1) + (one - other);
  }
  static constexpr int output_row(int, int i) { return i; }
  template <int P, class V, class Get>
  static void gradient(Get y, V& a, V& b) {
    const V y0 = y(0), y1 = y(1);
    if constexpr (P == 0)
      a = y0, b = y1;
    else
      a = y0 + y1, b = y0 - y1;
  }
  template <class V>
  static void weight(const V* w, V* o) {
    const V even = (w[0] + w[2]) * 0.5f, odd = w[1] * 0.5f;
    o[0] = w[0], o[1] = w[2], o[2] = even + odd, o[3] = even - odd;
  }
  template <class V>
  static void weight_gradient(const V* u, V* o) {
    const V even = (u[2] + u[3]) * 0.5f;
    o[0] = u[0] + even, o[1] = (u[2] - u[3]) * 0.5f, o[2] = even + u[1];
  }
};

// F(4, 2), for the phases of a convolution of stride 2, at the points 0, 2, 1, -1 and infinity in this order.
struct F4of2 {
  static constexpr int tile = 4, taps = 2, size = 5, pairs = 3;

  template <int P, class V, class Get>
  static void input(Get d, V& a, V& b) {
    if constexpr (P == 0) {
      const V d2 = d(2);
      b = d(3) - d(1), a = 2.0f * (d(0) - d2) + b;
    } else if constexpr (P == 1) {
      const V d1 = d(1), d2 = d(2), rest = d(3) - d2;
      a = rest - 2.0f * d1, b = rest + 2.0f * (d1 - d2);
    } else {
      a = (d(4) - d(2)) - 2.0f * (d(3) - d(1));
    }
  }
  template <int P, class V, class Get>
  static void output(Get m, V& a, V& b) {
    const V m1 = m(1);
    if constexpr (P == 0) {
      const V one = m(2) + m(3);
      a = (m(0) + m1) + one, b = one + 4.0f * m1;
    } else {
      const V one = m(2) - m(3);
      a = one + 2.0f * m1, b = (one + m(4)) + 8.0f * m1;
    }
  }
  static constexpr int output_row(int P, int i) { return P + 2 * i; }
  template <int P, class V, class Get>
  static void gradient(Get y, V& a, V& b) {
    if constexpr (P == 0) {
      a = y(0), b = (a + 4.0f * y(2)) + 2.0f * (y(1) + 4.0f * y(3));
    } else if constexpr (P == 1) {
      const V even = y(0) + y(2), odd = y(1) + y(3);
      a = even + odd, b = even - odd;
    } else {
      a = y(3);
    }
  }
  template <class V>
  static void weight(const V* w, V* o) {
    const V p = w[0] * (1.0f / 6), q = w[1] * (1.0f / 6);
    o[0] = w[0] * 0.5f, o[1] = p + 2.0f * q, o[2] = (w[0] + w[1]) * -0.5f, o[3] = q - p, o[4] = w[1];
  }
  template <class V>
  static void weight_gradient(const V* u, V* o) {
    const V one = u[2] * -0.5f;
    o[0] = 0.5f * u[0] + (one + (u[1] - u[3]) * (1.0f / 6)), o[1] = (one + (2.0f * u[1] + u[3]) * (1.0f / 6)) + u[4];
  }
};

// Rows of positions in pair P.
template <class F>
constexpr int rows_of(int P) {
  return F::size - 2 * P < 2 ? 1 : 2;
}

// From 16 channels to the next 16.
template <class F>
constexpr int64_t block_step = F::size* F::size* position_step;

// Calls f.template operator()<L>(c) for vectors of L channels that cover [0, n), n <= 16; the last one may overlap its neighbour.
template <class F>
inline void for_each_part(int64_t n, F f) {
  const auto cover = [&]<int L>() {
    for (int64_t c = 0; c + L <= n; c += L) f.template operator()<L>(c);
    if (n % L != 0) f.template operator()<L>(n - L);
  };
  if (n >= lanes) return cover.template operator()<lanes>();
  if constexpr (lanes > 8)
    if (n >= 8) return cover.template operator()<8>();
  if constexpr (lanes > 4)
    if (n >= 4) return cover.template operator()<4>();
  cover.template operator()<1>();
}

}  // namespace
}  // namespace sono::cpu::SONO_ISA
