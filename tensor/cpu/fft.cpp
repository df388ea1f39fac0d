// Fourier transforms on the CPU, by Eigen's mixed-radix transform [kissfft]: n log n for lengths of small factors, n^2 for large primes.
//   eigen   any length, f32 and f64
#include <complex>
#include <unsupported/Eigen/FFT>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

bool fits(const FftArgs&) { return true; }

template <class T>
void transform(const FftArgs& a) {
  const int64_t n = a.x.dim(1);
  const auto* x = reinterpret_cast<const std::complex<T>*>(a.x.data<T>());
  auto* y = reinterpret_cast<std::complex<T>*>(a.y.data<T>());
  parallel_for(a.x.dim(0), std::max<int64_t>(1, 8192 / n), [&](int64_t first, int64_t last) {
    Eigen::FFT<T> fft;
    fft.SetFlag(Eigen::FFT<T>::Unscaled);
    for (int64_t r = first; r < last; r++) {
      if (n == 1)
        y[r] = x[r];  // the library reads no factor of 1
      else if (a.inverse)
        fft.inv(y + r * n, x + r * n, static_cast<int>(n));
      else
        fft.fwd(y + r * n, x + r * n, static_cast<int>(n));
    }
  });
}

constexpr Implementation<FftArgs> implementations[] = {
    {"eigen", fits, [](const FftArgs& a) { visit_real("fft", a.x.dtype(), [&]<class T>() { transform<T>(a); }); }}};

}  // namespace

Kernel<FftArgs> fft{"fft", implementations, {}};

}  // namespace sono::kernels
