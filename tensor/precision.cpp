#include "tensor/precision.h"

#include <atomic>
#include <cstdlib>

#include "tensor/error.h"

namespace sono {
namespace {

constexpr int no_scope = -1;
thread_local int scoped = no_scope;

Precision at_start() {
  const char* wanted = std::getenv("SONO_PRECISION");
  return wanted && *wanted ? precision_named(wanted) : Precision::f32;
}

std::atomic<Precision>& chosen() {
  static std::atomic<Precision> p = at_start();
  return p;
}

}  // namespace

Precision precision() { return scoped == no_scope ? chosen().load(std::memory_order_relaxed) : static_cast<Precision>(scoped); }

void set_precision(Precision p) { chosen() = p; }

Precision precision_named(const std::string& name) {
  if (name == "f32") return Precision::f32;
  if (name == "bf16") return Precision::bf16;
  throw Error("unknown precision '" + name + "'; known are f32 and bf16");
}

const char* to_string(Precision p) { return p == Precision::bf16 ? "bf16" : "f32"; }

PrecisionScope::PrecisionScope(Precision p) : before_(scoped) { scoped = static_cast<int>(p); }
PrecisionScope::~PrecisionScope() { scoped = before_; }

}  // namespace sono
