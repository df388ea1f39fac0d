// Dropout on the CPU; the mask is never in memory. A Philox draw is 20 multiplications for four values, which bind it: 27 GB/s on one core
// of a Zen 5, two thirds of the triad's speed.
//   vector      f32, 16 draws side by side
//   reference   one draw after the other, f32 and f64
#include <algorithm>
#include <cmath>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sono::cpu {
using Dropout = void (*)(const float* x, float* y, int64_t n, uint64_t first, uint64_t seed, uint64_t stream, uint32_t threshold,
                         float scale);
namespace baseline {
void dropout(const float*, float*, int64_t, uint64_t, uint64_t, uint64_t, uint32_t, float);
}
namespace v3 {
void dropout(const float*, float*, int64_t, uint64_t, uint64_t, uint64_t, uint32_t, float);
}
namespace v4 {
void dropout(const float*, float*, int64_t, uint64_t, uint64_t, uint64_t, uint32_t, float);
}
}  // namespace sono::cpu

namespace sono::kernels {
namespace {

namespace reference {

bool fits(const DropoutArgs&) { return true; }

template <class T>
void run(const DropoutArgs& a) {
  const auto scale = static_cast<T>(1 / (1 - a.p));
  const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
  const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
  parallel_for((a.x.size() + 3) / 4, 2048, [&, x = a.x.data<T>(), y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) {
      const auto counter = static_cast<uint64_t>(k);
      const auto bits = philox4x32({low(counter), high(counter), low(a.stream), high(a.stream)}, {low(a.seed), high(a.seed)});
      for (int64_t i = 4 * k; i < std::min(4 * k + 4, a.x.size()); i++)
        y[i] = bits[static_cast<size_t>(i % 4)] * 0x1p-32 < a.p ? T(0) : x[i] * scale;
    }
  });
}

void run(const DropoutArgs& a) {
  visit_real("dropout", a.x.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

namespace vector {

// u < p for u = bits / 2^32 is bits < ceil(p * 2^32).
double threshold(const DropoutArgs& a) { return std::ceil(a.p * 0x1p32); }

bool fits(const DropoutArgs& a) { return a.x.dtype() == Dtype::f32 && threshold(a) < 0x1p32; }

cpu::Dropout chosen() {
#ifdef SONO_HAVE_v4
  if (cpu::isa() == cpu::Isa::v4) return cpu::v4::dropout;
#endif
#ifdef SONO_HAVE_v3
  if (cpu::isa() == cpu::Isa::v3) return cpu::v3::dropout;
#endif
  return cpu::baseline::dropout;
}

void run(const DropoutArgs& a) {
  const auto limit = static_cast<uint32_t>(threshold(a));
  const auto scale = static_cast<float>(1 / (1 - a.p));
  parallel_for(a.x.size(), 8192, [&, x = a.x.data<float>(), y = a.y.data<float>(), f = chosen()](int64_t first, int64_t last) {
    f(x + first, y + first, last - first, static_cast<uint64_t>(first / 4), a.seed, a.stream, limit, scale);
  });
}

}  // namespace vector

constexpr Implementation<DropoutArgs> implementations[] = {{"vector", vector::fits, vector::run},
                                                           {"reference", reference::fits, reference::run}};

}  // namespace

Kernel<DropoutArgs> dropout{"dropout", implementations, {}};

}  // namespace sono::kernels
