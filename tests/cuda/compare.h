#pragma once
// Kernels of the CUDA device against the CPU's references: every implementation that fits, in every thread order, on outputs that were NaN
// between guards, twice and bitwise equal.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/cuda.h"
#include "tensor/kernels.h"
#include "tensor/random.h"
#ifdef SONO_CUDA_EMULATED
#include "cuda/emulator/emulator.h"
#endif

namespace sono::tests {

// Normal values; with special, also NaN, infinities and zeros of both signs.
inline Tensor values(const Shape& shape, uint64_t stream, Dtype dtype = Dtype::f32, bool special = false) {
  const Tensor t = random_normal(shape, 11, stream, 0, 1, dtype);
  if (special)
    visit_real("values", dtype, [&]<class T>() {
      const T extremes[] = {T(NAN), T(INFINITY), T(-INFINITY), T(0), T(-0.0)};
      for (int64_t i = 0; i < t.size(); i++)
        if (const uint64_t at = hash64(std::to_string(i * 31 + static_cast<int64_t>(stream))) % 40; at < 5) t.data<T>()[i] = extremes[at];
    });
  return t;
}

// A tensor on the CUDA device in the middle of a larger block: a kernel that writes beyond it changes the guards.
class Guarded {
 public:
  explicit Guarded(const Tensor& content) : content_(content) {
    const int64_t n = content.size();
    block_ = Tensor::full({n + 2 * guard}, pattern, content.dtype());
    block_.rows(guard, guard + n).view(content.shape()).copy_from(content);
    block_ = block_.to(Device::cuda);
  }
  Tensor tensor() const { return block_.rows(guard, guard + content_.size()).view(content_.shape()); }
  bool intact() const {
    const std::vector<double> all = block_.to_vector<double>();
    for (int64_t i = 0; i < guard; i++)
      if (all[static_cast<size_t>(i)] != pattern || all[all.size() - 1 - static_cast<size_t>(i)] != pattern) return false;
    return true;
  }

 private:
  static constexpr int64_t guard = 64;
  static constexpr double pattern = 77;
  Tensor content_, block_;
};

inline bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor u = a.to(Device::cpu), v = b.to(Device::cpu);
  return u.shape() == v.shape() && u.dtype() == v.dtype() &&
         (u.bytes() == 0 || !std::memcmp(u.raw(), v.raw(), static_cast<size_t>(u.bytes())));
}

// The largest difference relative to max(1, |expected|); NaN, infinities and integers must agree as they are.
inline double difference(const Tensor& got, const Tensor& expected) {
  const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
  if (got.shape() != expected.shape() || got.dtype() != expected.dtype()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < a.size(); i++) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) continue;
    const double d = std::abs(a[i] - b[i]) / std::max(1.0, std::abs(b[i]));
    if (!(d < INFINITY)) return INFINITY;
    worst = std::max(worst, d);
  }
  return worst;
}

// Calls f in every thread order that the device knows.
template <class F>
void in_every_order(F f) {
#ifdef SONO_CUDA_EMULATED
  const emulator::Options before = emulator::options();
  for (emulator::Order order : {emulator::Order::forward, emulator::Order::reverse, emulator::Order::random}) {
    emulator::options().order = order;
    f(std::string(order == emulator::Order::forward ? "forward" : order == emulator::Order::reverse ? "reverse" : "random"));
  }
  emulator::options() = before;
#else
  f(std::string("hardware"));
#endif
}

inline double tolerance(Dtype dtype) { return dtype == Dtype::f64 ? 1e-11 : 2e-5; }

// `run` writes its outputs from its inputs; outputs come as NaN (-1 for integers), or as given where a kernel works in place.
// `expected`: what the reference made of the outputs on the CPU.
template <class Run>
void check_on_device(const std::string& what, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                     const std::vector<Tensor>& expected, double limit, Run run) {
  std::vector<Tensor> first;
  in_every_order([&](const std::string& order) {
    for (int repeat = 0; repeat < 2; repeat++) {
      INFO(what << ", order " << order << ", repeat " << repeat);
      std::vector<Guarded> in, out;
      for (const Tensor& t : inputs) in.emplace_back(t);
      for (const Tensor& t : outputs) out.emplace_back(t);
      std::vector<Tensor> in_tensors, out_tensors;
      for (const Guarded& g : in) in_tensors.push_back(g.tensor());
      for (const Guarded& g : out) out_tensors.push_back(g.tensor());
      run(in_tensors, out_tensors);
      for (size_t i = 0; i < in.size(); i++) CHECK((in[i].intact() && same_bits(in_tensors[i], inputs[i])));
      for (size_t i = 0; i < out.size(); i++) {
        INFO("output " << i << " of shape " << to_string(outputs[i].shape()));
        CHECK(out[i].intact());
        CHECK(difference(out_tensors[i], expected[i]) <= limit);
        if (first.size() < out.size())
          first.push_back(out_tensors[i].to(Device::cpu));
        else
          CHECK(same_bits(out_tensors[i], first[i]));
      }
    }
  });
}

inline Tensor poisoned(const Shape& shape, Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 ? Tensor::full(shape, NAN, dtype)
                                                    : Tensor::full(shape, dtype == Dtype::u8 ? 255 : -1, dtype);
}

// Every CUDA implementation of a kernel that fits, against the last one of the CPU. make(inputs, outputs) gives the kernel's arguments.
template <class Args, class Make>
void check_kernel(const kernels::Kernel<Args>& kernel, const std::string& what, const std::vector<Tensor>& inputs,
                  const std::vector<Tensor>& outputs, double limit, Make make) {
  std::vector<Tensor> expected;
  for (const Tensor& t : outputs) expected.push_back(t.clone());
  kernel.cpu.back().run(make(inputs, expected));
  int fitted = 0;
  for (const auto& implementation : kernel.cuda)
    check_on_device(what + ", " + kernel.name + ":" + implementation.name, inputs, outputs, expected, limit,
                    [&](const auto& in, const auto& out) {
                      const Args args = make(in, out);
                      if (!implementation.fits(args)) return;
                      fitted++;
                      implementation.run(args);
                    });
  INFO(what);
  CHECK(fitted > 0);
}

}  // namespace sono::tests
