// Dropout on the CPU: a Philox draw gives four values, about 10 ns; the mask is never in memory.
//   reference   f32 and f64
#include <algorithm>

#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

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

constexpr Implementation<DropoutArgs> implementations[] = {{"reference", reference::fits, reference::run}};

}  // namespace

Kernel<DropoutArgs> dropout{"dropout", implementations, {}};

}  // namespace sono::kernels
