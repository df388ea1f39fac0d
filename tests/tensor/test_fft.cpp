#include "tests/tensor/kernel_check.h"

using namespace sono;
using namespace sono::tests;
using kernels::FftArgs;

TEST_CASE("fft equals the sum that defines it: powers of two, odd, prime and mixed lengths") {
  for (int64_t n : {1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 30, 31, 32, 97, 100}) {
    const Tensor x = normal({3, n, 2}, static_cast<uint64_t>(n)).to(Dtype::f64), y = Tensor::empty_like(x);
    for (bool inverse : {false, true}) {
      kernels::fft({x, y, inverse});
      double worst = 0;
      for (int64_t r = 0; r < 3; r++)
        for (int64_t k = 0; k < n; k++) {
          double re = 0, im = 0;
          for (int64_t t = 0; t < n; t++) {
            const double angle = (inverse ? 2 : -2) * 3.14159265358979323846 * static_cast<double>(k * t % n) / static_cast<double>(n);
            const double a = x.at({r, t, 0}), b = x.at({r, t, 1});
            re += a * std::cos(angle) - b * std::sin(angle);
            im += a * std::sin(angle) + b * std::cos(angle);
          }
          worst = std::max({worst, std::abs(y.at({r, k, 0}) - re), std::abs(y.at({r, k, 1}) - im)});
        }
      CAPTURE(n);
      CHECK(worst < 1e-11);
    }
    for (int64_t rows : {1, 7, 40})
      for (bool inverse : {false, true})
        check_kernel(kernels::fft, FftArgs{normal({rows, n, 2}, 1), normal({rows, n, 2}, 2), inverse}, {&FftArgs::y}, std::to_string(n));
  }
  for (int64_t n : {1024, 2000, 1155})
    check_kernel(kernels::fft, FftArgs{normal({17, n, 2}, 1), normal({17, n, 2}, 2)}, {&FftArgs::y}, std::to_string(n));
}

TEST_CASE("a row of NaN leaves the other rows of its block alone") {
  const Tensor x = normal({20, 30, 2}, 1);
  x.data<float>()[5 * 60 + 7] = NAN, x.data<float>()[19 * 60] = INFINITY;
  const Tensor y = Tensor::empty_like(x);
  for (const auto& entry : kernels::fft.cpu) {
    entry.run({x, y});
    for (int64_t r = 0; r < 20; r++)
      for (int64_t i = 0; i < 60; i++) CHECK((r == 5 || r == 19 || std::isfinite(y.data<float>()[r * 60 + i])));
  }
}
