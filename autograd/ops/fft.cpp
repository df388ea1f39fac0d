// Fourier transforms. The transform F is linear and symmetric; on pairs (real, imaginary) its adjoint is the conjugate one: n times the
// inverse.
#include <numbers>

#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;

namespace {

// Unscaled, forward or inverse; times a factor.
Tensor transform(const char* name, const Tensor& x, bool inverse, double scale) {
  check_same(name, {&x});
  if (x.rank() < 2 || x.dim(-1) != 2 || x.dim(-2) < 1)
    throw ShapeError(bracketed(name) + "wants (…, n, 2), the last axis real and imaginary, got " + to_string(x.shape()));
  Tensor y = Tensor::empty_like(x);
  const Shape rows{count(Shape(x.shape().begin(), x.shape().end() - 2)), x.dim(-2), 2};
  kernels::fft({x.view(rows), y.view(rows), inverse});
  if (scale != 1) kernels::map(elementwise::Linear{scale, -0.0}, y, y);
  return differentiable(name, y,
                        {{x, [inverse, scale](const Tensor& g) { return transform(inverse ? "fft" : "ifft", g, !inverse, scale); }}}, [&] {
                          return Attributes{{"scale", scale}};
                        });
}

Tensor as_complex(const char* name, const Tensor& x) {
  check_same(name, {&x});
  if (x.rank() < 1 || x.dim(-1) < 1) throw ShapeError(bracketed(name) + "wants (…, n), got " + to_string(x.shape()));
  return stack({x, Tensor::zeros_like(x)}, -1);
}

}  // namespace

Tensor fft(const Tensor& x) { return transform("fft", x, false, 1); }

Tensor ifft(const Tensor& x) {
  check_given("ifft", {&x});
  return transform("ifft", x, true, x.rank() >= 2 && x.dim(-2) ? 1 / static_cast<double>(x.dim(-2)) : 1);
}

Tensor rfft(const Tensor& x) { return slice(fft(as_complex("rfft", x)), -2, 0, x.dim(-1) / 2 + 1); }

// The missing half is the conjugate of the given one, backwards.
Tensor irfft(const Tensor& x, int64_t n) {
  check_same("irfft", {&x});
  if (x.rank() < 2 || x.dim(-1) != 2 || n < 1 || x.dim(-2) != n / 2 + 1)
    throw ShapeError("[irfft] wants (…, n/2 + 1, 2) for n = " + std::to_string(n) + ", got " + to_string(x.shape()));
  Tensor whole = x;
  if (const int64_t rest = n - x.dim(-2); rest > 0) {
    const Tensor conjugate = Tensor::from({2}, std::vector<double>{1, -1}).to(x.dtype()).to(x.device());
    whole = concat({x, flip(slice(x, -2, 1, rest + 1), {-2}) * conjugate}, -2);
  }
  const Tensor y = slice(ifft(whole), -1, 0, 1);
  return reshape(y, Shape(y.shape().begin(), y.shape().end() - 1));
}

// Negative frequencies off, positive ones doubled [Marple, IEEE Trans. Signal Process. 47, 1999].
Tensor hilbert(const Tensor& x) {
  const Tensor spectrum = fft(as_complex("hilbert", x));
  const int64_t n = x.dim(-1);
  std::vector<double> weight(static_cast<size_t>(n), 0);
  for (int64_t k = 0; k <= n / 2; k++) weight[static_cast<size_t>(k)] = k == 0 || 2 * k == n ? 1 : 2;
  return ifft(spectrum * Tensor::from({n, 1}, weight).to(x.dtype()).to(x.device()));
}

}  // namespace sono
