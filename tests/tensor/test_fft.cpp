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
    check_kernel(kernels::fft, FftArgs{normal({40, n, 2}, 1), normal({40, n, 2}, 2)}, {&FftArgs::y}, std::to_string(n));
  }
}
