#include "tensor/cpu/simd.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "tensor/error.h"

namespace sono::cpu {
namespace {

constexpr Isa all[] = {Isa::baseline, Isa::v3, Isa::v4};

// SONO_ISA, else the best that the processor has.
Isa at_start() {
  if (const char* wanted = std::getenv("SONO_ISA")) {
    for (Isa i : all)
      if (std::string(wanted) == to_string(i) && has_isa(i)) return i;
    throw DeviceError("[simd] SONO_ISA=" + std::string(wanted) + " is not one of baseline, v3, v4 that this processor has");
  }
  return has_isa(Isa::v4) ? Isa::v4 : has_isa(Isa::v3) ? Isa::v3 : Isa::baseline;
}

std::atomic<Isa>& chosen() {
  static std::atomic<Isa> isa = at_start();
  return isa;
}

}  // namespace

bool has_isa(Isa isa) {
#ifdef SONO_HAVE_v3
  if (isa == Isa::v3)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("f16c");
#endif
#ifdef SONO_HAVE_v4
  if (isa == Isa::v4)
    return has_isa(Isa::v3) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  return isa == Isa::baseline;
}

const char* to_string(Isa isa) { return isa == Isa::v4 ? "v4" : isa == Isa::v3 ? "v3" : "baseline"; }

Isa isa() { return chosen().load(std::memory_order_relaxed); }

void set_isa(Isa isa) {
  if (!has_isa(isa)) throw DeviceError(std::string("[simd] this processor or this build has no ") + to_string(isa));
  chosen() = isa;
}

const Simd& simd() {
#ifdef SONO_HAVE_v3
  if (isa() == Isa::v3) return v3::table;
#endif
#ifdef SONO_HAVE_v4
  if (isa() == Isa::v4) return v4::table;
#endif
  return baseline::table;
}

}  // namespace sono::cpu
