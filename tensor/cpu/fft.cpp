// Fourier transforms on the CPU.
//   stockham   f32, lengths whose prime factors are at most 31. As many rows as a vector has lanes are transposed, so that a number is one
//              vector of real and one of imaginary parts, and go through passes of radix 4, 5, 3 and 2 that need no shuffle and no
//              reordering; then back.
//   eigen      any length, f32 and f64: Eigen's mixed-radix transform [kissfft], n log n for lengths of small factors, n^2 for large primes
#include <complex>
#include <map>
#include <memory>
#include <mutex>
#include <unsupported/Eigen/FFT>

#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace stockham {

// 4 as often as it goes, then the primes; empty if one is too large.
std::vector<int64_t> radices(int64_t n) {
  std::vector<int64_t> all;
  for (int64_t r : {4, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31})
    for (; n % r == 0; n /= r) all.push_back(r);
  if (n > 1) all.clear();
  return all;
}

struct Plan {
  std::vector<cpu::FftPass> passes;
  std::vector<std::vector<float>> tables;

  explicit Plan(int64_t n) {
    int64_t s = 1;
    for (int64_t r : radices(n)) {
      const int64_t m = n / (s * r);
      std::vector<float> twiddle, root;
      for (int64_t p = 0; p < m; p++)
        for (int64_t j = 1; j < r; j++) add(twiddle, j * p, r * m);
      for (int64_t k = 0; k < r; k++) add(root, k, r);
      passes.push_back({.radix = r, .m = m, .s = s, .twiddle = keep(twiddle), .root = keep(root)});
      s *= r;
    }
  }

 private:
  static void add(std::vector<float>& table, int64_t k, int64_t n) {
    const double angle = -2 * 3.14159265358979323846 * static_cast<double>(k % n) / static_cast<double>(n);
    table.push_back(static_cast<float>(std::cos(angle))), table.push_back(static_cast<float>(std::sin(angle)));
  }
  const float* keep(std::vector<float>& table) {
    tables.push_back(std::move(table));
    return tables.back().data();
  }
};

// The last few lengths are remembered: their sines take longer than a transform.
std::shared_ptr<const Plan> plan_for(int64_t n) {
  static std::mutex mutex;
  static std::map<int64_t, std::shared_ptr<const Plan>> plans;
  const std::lock_guard lock(mutex);
  if (const auto found = plans.find(n); found != plans.end()) return found->second;
  if (plans.size() >= 32) plans.clear();
  return plans[n] = std::make_shared<const Plan>(n);
}

bool fits(const FftArgs& a) {
  return a.x.dtype() == Dtype::f32 && a.x.dim(1) > 1 && 4 * a.x.dim(0) >= cpu::simd().lanes && !radices(a.x.dim(1)).empty();
}

void transform(const FftArgs& a) {
  const int64_t n = a.x.dim(1), rows = a.x.dim(0), lanes = cpu::simd().lanes, blocks = (rows + lanes - 1) / lanes, size = 2 * n * lanes;
  const std::shared_ptr<const Plan> plan = plan_for(n);
  parallel_for(blocks, std::max<int64_t>(1, 16384 / size), [&](int64_t first, int64_t last) {
    float *from = cpu::scratch(0, size), *to = cpu::scratch(1, size);
    for (int64_t b = first; b < last; b++) {
      const int64_t here = std::min(lanes, rows - b * lanes), at = b * lanes * 2 * n;
      if (here < lanes) std::fill_n(from, size, 0.0f);
      cpu::simd().transpose(a.x.data<float>() + at, 2 * n, here, 2 * n, from, lanes);
      for (cpu::FftPass pass : plan->passes) {
        pass.exchanged = a.inverse;
        cpu::simd().fft_pass(pass, from, to);
        std::swap(from, to);
      }
      cpu::simd().transpose(from, lanes, 2 * n, here, a.y.data<float>() + at, 2 * n);
    }
  });
}

}  // namespace stockham

namespace eigen {

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

void transform(const FftArgs& a) {
  visit_real("fft", a.x.dtype(), [&]<class T>() { transform<T>(a); });
}

}  // namespace eigen

constexpr Implementation<FftArgs> implementations[] = {{"stockham", stockham::fits, stockham::transform},
                                                       {"eigen", eigen::fits, eigen::transform}};

}  // namespace

Kernel<FftArgs> fft{"fft", implementations, {}};

}  // namespace sono::kernels
