#pragma once
// Every entry of a kernel's list against the plain reference in f64: inputs and outputs lie between NaN guards, outputs are filled with
// NaN, and the result must be the same to the bit with 1, 2, 3 and 8 threads; on each instruction set. A failure is one line that names the
// case.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sono::tests {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();

// A tensor between two guards of 32 NaN (of integers: 0x7fffffff).
inline Tensor guarded(const Shape& shape, Dtype dtype) {
  constexpr int64_t guard = 32;
  const int64_t n = count(shape);
  const Tensor whole({n + 2 * guard}, dtype);
  if (dtype == Dtype::i32)
    std::fill_n(whole.data<int32_t>(), whole.size(), 0x7fffffff);
  else
    whole.fill(not_a_number);
  return whole.rows(guard, guard + n).view(shape);
}
inline Tensor guarded(const Tensor& t) {
  if (!t) return t;
  const Tensor copy = guarded(t.shape(), t.dtype());
  std::memcpy(copy.raw(), t.raw(), t.bytes());
  return copy;
}
inline bool guards_hold(const Tensor& t) {
  constexpr int64_t guard = 32;
  const Tensor fresh = guarded({1}, t.dtype());
  const int64_t size = byte_size(t.dtype());
  const char* data = static_cast<const char*>(t.raw());
  const char* expected = static_cast<const char*>(fresh.raw()) - guard * size;
  return std::memcmp(data - guard * size, expected, guard * size) == 0 && std::memcmp(data + t.bytes(), expected, guard * size) == 0;
}

inline Tensor normal(const Shape& shape, uint64_t stream, double mean = 0, double deviation = 1) {
  return guarded(random_normal(shape, 7, stream, mean, deviation));
}

template <class Args>
std::vector<Tensor*> tensors(Args& a) {
  if constexpr (requires { a.gr; })
    return {&a.gy, &a.gh, &a.gc, &a.weight, &a.h0, &a.c0, &a.y, &a.kept, &a.extra, &a.gx, &a.gh0, &a.gc0, &a.gr, &a.before};
  else if constexpr (requires { a.kept; })
    return {&a.x, &a.weight, &a.bias, &a.h0, &a.c0, &a.y, &a.h, &a.c, &a.kept, &a.extra};
  else if constexpr (requires { a.gpooled; })
    return {&a.gy, &a.gpooled, &a.x, &a.scale, &a.shift, &a.mean, &a.rstd, &a.gx, &a.gscale, &a.gshift};
  else if constexpr (requires { a.ggrid; })
    return {&a.x, &a.grid, &a.gy, &a.gx, &a.ggrid};
  else if constexpr (requires { a.grid; })
    return {&a.x, &a.grid, &a.y};
  else if constexpr (requires {
                       a.gx;
                       a.squared;
                     })
    return {&a.x, &a.t, &a.gy, &a.gx};
  else if constexpr (requires { a.squared; })
    return {&a.x, &a.t, &a.y};
  else if constexpr (requires {
                       a.gx;
                       a.log_sum;
                     })
    return {&a.x, &a.weight, &a.log_sum, &a.gy, &a.gx};
  else if constexpr (requires { a.log_sum; })
    return {&a.x, &a.weight, &a.y, &a.row_weight, &a.log_sum};
  else if constexpr (requires { a.gx; })
    return {&a.gy, &a.x, &a.y, &a.scale, &a.shift, &a.mean, &a.rstd, &a.gx, &a.gscale, &a.gshift, &a.gadd};
  else if constexpr (requires { a.pooled; })
    return {&a.x, &a.scale, &a.shift, &a.y, &a.pooled, &a.mean, &a.rstd};
  else if constexpr (requires { a.rstd; })
    return {&a.x, &a.scale, &a.shift, &a.y, &a.mean, &a.rstd, &a.add};
  else if constexpr (requires { a.index; })
    return {&a.x, &a.y, &a.index};
  else if constexpr (
      requires { a.geometry; } ||
      requires {
        a.first;
        a.w;
      })
    return {&a.x, &a.w, &a.y, &a.bias};
  else if constexpr (requires { a.transpose_a; })
    return {&a.a, &a.b, &a.y, &a.bias};
  else
    return {&a.x, &a.y};
}

// "" or what is wrong: got against expected (f64), relative to the largest expected value. Non-finite values must be where they are
// expected; entries that `spread` them (Winograd) may have more.
inline std::string difference(const Tensor& got, const Tensor& expected, double tolerance, bool spread) {
  double scale = 1e-30;
  const std::vector<double> g = got.to_vector<double>(), e = expected.to_vector<double>();
  for (double v : e)
    if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
  for (size_t i = 0; i < e.size(); i++) {
    const bool same = std::isfinite(e[i]) && std::isfinite(g[i]) ? std::abs(g[i] - e[i]) <= tolerance * scale
                      : spread                                   ? !std::isfinite(g[i])
                                                                 : (std::isnan(e[i]) && std::isnan(g[i])) || e[i] == g[i];
    if (!same)
      return "value " + std::to_string(i) + " of " + to_string(got.shape()) + " is " + std::to_string(g[i]) + ", expected " +
             std::to_string(e[i]);
  }
  return "";
}

struct CheckOptions {
  double tolerance = 1e-5;
  std::string only;  // one entry of the list
};

template <class Args>
void check_kernel(const kernels::Kernel<Args>& kernel, Args args, std::vector<Tensor Args::*> outputs, const std::string& repro,
                  CheckOptions options = {}) {
  Args oracle = args;
  for (Tensor* t : tensors(oracle))
    if (*t && t->dtype() == Dtype::f32) *t = t->to(Dtype::f64);
  for (auto out : outputs)
    if (oracle.*out) oracle.*out = guarded((oracle.*out).shape(), (oracle.*out).dtype());
  kernel.cpu.back().run(oracle);

  const cpu::Isa before = cpu::isa();
  for (cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::v3, cpu::Isa::v4}) {
    if (!cpu::has_isa(isa)) continue;
    cpu::set_isa(isa);
    for (const auto& entry : kernel.cpu) {
      if (!entry.fits(args) || (!options.only.empty() && options.only != entry.name)) continue;
      const bool winograd = std::string(entry.name).find("winograd") != std::string::npos;
      Args first = args;
      for (int threads : {1, 2, 3, 8}) {
        const std::string name = std::string(kernel.name) + ":" + entry.name + " " + repro + ", SONO_ISA=" + to_string(isa) + ", " +
                                 std::to_string(threads) + " threads: ";
        set_threads(threads);
        Args a = args;
        for (auto out : outputs)
          if (a.*out) a.*out = guarded((a.*out).shape(), (a.*out).dtype());
        entry.run(a);
        set_threads(0);
        for (auto out : outputs) {
          if (!(a.*out)) continue;
          if (!guards_hold(a.*out)) FAIL_CHECK((name + "writes outside of its output"));
          if (threads == 1) {
            const std::string wrong = difference(a.*out, oracle.*out, winograd ? 20 * options.tolerance : options.tolerance, winograd);
            CHECK_MESSAGE(wrong.empty(), name, wrong);
          } else if (std::memcmp((a.*out).raw(), (first.*out).raw(), (a.*out).bytes()) != 0) {
            FAIL_CHECK((name + "not the same bits as with 1 thread"));
          }
        }
        if (threads == 1) first = a;
        if (&entry == &kernel.cpu.back()) break;  // the reference in f32: one run
      }
    }
  }
  cpu::set_isa(before);
}

}  // namespace sono::tests
