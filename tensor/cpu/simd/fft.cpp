// One pass of Stockham's Fourier transform [Cochran et al., "What is the fast Fourier transform?", 1967] over `lanes` rows at once: a
// number is a vector of real and a vector of imaginary parts, so no pass shuffles anything, whatever its radix.
//   y[q + s (r p + j)] = w^(j p) * sum over k < r of x[q + s (p + m k)] exp(-2 pi i j k / r),   w = exp(-2 pi i / (r m)),  q < s, p < m, j
//   < r
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

struct Complex {
  Vec re, im;
  Complex operator+(const Complex& b) const { return {re + b.re, im + b.im}; }
  Complex operator-(const Complex& b) const { return {re - b.re, im - b.im}; }
  Complex operator*(float f) const { return {re * f, im * f}; }
  Complex times(float c, float s) const { return {re * c - im * s, re * s + im * c}; }
};
inline Complex turned(const Complex& a) { return {a.im, -a.re}; }  // -i a

template <int Radix>
inline void butterfly(Complex (&a)[Radix]) {
  if constexpr (Radix == 2) {
    const Complex sum = a[0] + a[1];
    a[1] = a[0] - a[1], a[0] = sum;
  } else if constexpr (Radix == 3) {
    const Complex sum = a[1] + a[2], middle = a[0] - sum * 0.5f, side = turned(a[1] - a[2]) * 0.866025404f;
    a[0] = a[0] + sum, a[1] = middle + side, a[2] = middle - side;
  } else if constexpr (Radix == 4) {
    const Complex even = a[0] + a[2], odd = a[1] + a[3], difference = a[0] - a[2], side = turned(a[1] - a[3]);
    a[0] = even + odd, a[1] = difference + side, a[2] = even - odd, a[3] = difference - side;
  } else {
    constexpr float c1 = 0.309016994f, c2 = -0.809016994f, s1 = 0.951056516f, s2 = 0.587785252f;
    const Complex b1 = a[1] + a[4], b2 = a[2] + a[3], d1 = turned(a[1] - a[4]), d2 = turned(a[2] - a[3]);
    const Complex m1 = a[0] + b1 * c1 + b2 * c2, m2 = a[0] + b1 * c2 + b2 * c1, n1 = d1 * s1 + d2 * s2, n2 = d1 * s2 - d2 * s1;
    a[0] = a[0] + b1 + b2, a[1] = m1 + n1, a[4] = m1 - n1, a[2] = m2 + n2, a[3] = m2 - n2;
  }
}

// Where the parts of number i lie; an inverse transform is a forward one with the parts exchanged.
struct Numbers {
  int64_t re, im;
  explicit Numbers(bool exchanged) : re(exchanged ? lanes : 0), im(exchanged ? 0 : lanes) {}
  Complex get(const float* x, int64_t i) const { return {load<Vec>(x + 2 * lanes * i + re), load<Vec>(x + 2 * lanes * i + im)}; }
  void put(float* y, int64_t i, const Complex& a) const { store(y + 2 * lanes * i + re, a.re), store(y + 2 * lanes * i + im, a.im); }
};

template <int Radix>
void pass(const FftPass& f, const float* x, float* y) {
  const Numbers numbers(f.exchanged);
  const float* w = f.twiddle;
  for (int64_t p = 0; p < f.m; p++, w += 2 * (Radix - 1))
    for (int64_t q = 0; q < f.s; q++) {
      Complex a[Radix];
      for (int k = 0; k < Radix; k++) a[k] = numbers.get(x, q + f.s * (p + f.m * k));
      butterfly<Radix>(a);
      numbers.put(y, q + f.s * Radix * p, a[0]);
      for (int j = 1; j < Radix; j++) numbers.put(y, q + f.s * (Radix * p + j), a[j].times(w[2 * j - 2], w[2 * j - 1]));
    }
}

// Any radix, by its definition; root: the powers of exp(-2 pi i / radix).
void any_pass(const FftPass& f, const float* x, float* y) {
  const Numbers numbers(f.exchanged);
  const int64_t r = f.radix;
  for (int64_t p = 0; p < f.m; p++)
    for (int64_t q = 0; q < f.s; q++)
      for (int64_t j = 0; j < r; j++) {
        Complex sum = numbers.get(x, q + f.s * p);
        for (int64_t k = 1; k < r; k++) {
          const float* root = f.root + 2 * (j * k % r);
          sum = sum + numbers.get(x, q + f.s * (p + f.m * k)).times(root[0], root[1]);
        }
        if (j > 0) {
          const float* w = f.twiddle + 2 * ((r - 1) * p + j - 1);
          sum = sum.times(w[0], w[1]);
        }
        numbers.put(y, q + f.s * (r * p + j), sum);
      }
}

}  // namespace

void fft_pass(const FftPass& f, const float* x, float* y) {
  switch (f.radix) {
    case 2:
      return pass<2>(f, x, y);
    case 3:
      return pass<3>(f, x, y);
    case 4:
      return pass<4>(f, x, y);
    case 5:
      return pass<5>(f, x, y);
    default:
      return any_pass(f, x, y);
  }
}

}  // namespace sono::cpu::SONO_ISA
