#pragma once
// How a kernel's entries become cases.
#include "tensor/kernels.h"
#include "tensor/random.h"
#include "zoo/lab/cases.h"

namespace sono::lab {

struct Amount {
  double flops, bytes;
};

inline Tensor normal(Shape shape, uint64_t stream = 0) { return random_normal(std::move(shape), 1, stream); }
inline double number(int64_t n) { return static_cast<double>(n); }
inline std::string text(int64_t n) { return std::to_string(n); }

// Every entry of the kernel on one shape; make gives the Args, with operands and outputs.
template <class Args, class Make>
void add(std::vector<Case>& cases, const kernels::Kernel<Args>& kernel, const std::string& shape, const Amount& amount, Make make) {
  for (const auto& entry : kernel.cpu) {
    const bool reference = std::string(entry.name) == "reference";
    const auto prepare = [&kernel, &entry, make]() -> Prepared {
      const Args a = make();
      if (!entry.fits(a)) return {};
      return {[&entry, a] { entry.run(a); }, &kernel.choose(a) == &entry};
    };
    cases.push_back({std::string(kernel.name) + "/" + entry.name + "/" + shape, kernel.name, entry.name, shape, amount.flops, amount.bytes,
                     false, reference && amount.flops > 1e8, prepare});
  }
}

}  // namespace sono::lab
