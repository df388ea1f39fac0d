#include "zoo/lab/rivals.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::lab {
namespace {

// Beside the program's folder, in the build tree: lib/rivals_v3.so.
std::vector<Rival> load() {
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::string isa = cpu::has_isa(cpu::Isa::v4) ? "v4" : cpu::has_isa(cpu::Isa::v3) ? "v3" : "baseline";
  for (const char* force : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}) unsetenv(force);  // each rival at its best
  void* module = dlopen((program.parent_path() / ".." / "lib" / ("rivals_" + isa + ".so")).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module) return {};
  const auto list = reinterpret_cast<const Rival* (*)()>(dlsym(module, "sonograd_rivals"));
  std::vector<Rival> rivals;
  for (const Rival* r = list ? list() : nullptr; r && r->name; r++) rivals.push_back(*r);
  for (const Rival& r : rivals) r.set_threads(threads());
  return rivals;
}

bool loaded = false;

}  // namespace

const std::vector<Rival>& rivals() {
  static const std::vector<Rival> list = [] {
    loaded = true;
    return load();
  }();
  return list;
}

void set_rival_threads(int n) {
  if (!loaded) return;
  for (const Rival& r : rivals()) r.set_threads(n);
}

}  // namespace sono::lab
