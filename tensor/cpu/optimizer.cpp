// Optimizer steps on the CPU. All parameters of a call are one row of values, cut into chunks of a fixed size, so that a network of a
// hundred small tensors costs one fork of the threads. Each value is read and written once: a step is bound by memory (SGD with momentum
// moves 20 bytes per f32 value, Adam 28).
//   vector      f32, the loops of tensor/cpu/optimizer_rules.h as compiled for the instruction set in use
//   reference   the same loops, f32 and f64
#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/cpu/optimizer_rules.h"
#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

constexpr int64_t grain = 16384;

// Calls f(slot, first, last) for pieces of slots that together cover all values, in parallel.
template <class F>
void for_pieces(std::span<const OptimizerSlot> slots, const F& f) {
  std::vector<int64_t> start{0};
  for (const auto& s : slots) start.push_back(start.back() + s.parameter.size());
  parallel_for(start.back(), grain, [&](int64_t first, int64_t last) {
    size_t i = static_cast<size_t>(std::upper_bound(start.begin(), start.end(), first) - start.begin()) - 1;
    for (; first < last; i++) {
      const int64_t end = std::min(last, start[i + 1]);
      if (first < end) f(slots[i], first - start[i], end - start[i]);
      first = end;
    }
  });
}

// The rule of a call, with the constants of its arguments and one slot, in the arithmetic of T.
template <class T>
cpu::SgdRule<T> rule(const SgdArgs& o, const OptimizerSlot& s) {
  return {T(o.rate), T(o.momentum), T(1 - o.dampening), T(o.weight_decay), s.step == 1, o.nesterov};
}
template <class T>
cpu::AdagradRule<T> rule(const AdagradArgs& o, const OptimizerSlot& s) {
  return {T(o.rate / (1 + static_cast<double>(s.step - 1) * o.rate_decay)), T(o.weight_decay), T(o.epsilon)};
}
template <class T>
cpu::RmspropRule<T> rule(const RmspropArgs& o, const OptimizerSlot&) {
  return {T(o.rate), T(o.decay), T(1 - o.decay), T(o.weight_decay), T(o.epsilon), T(o.momentum), o.centred};
}
template <class T>
cpu::AdamRule<T> rule(const AdamArgs& o, const OptimizerSlot& s) {
  const double t = static_cast<double>(s.step);
  return {T(o.rate / (1 - std::pow(o.beta1, t))),
          T(1 / std::sqrt(1 - std::pow(o.beta2, t))),
          T(o.epsilon),
          T(o.beta1),
          T(1 - o.beta1),
          T(o.beta2),
          T(1 - o.beta2),
          o.decoupled ? T(0) : T(o.weight_decay),
          o.decoupled ? T(1 - o.rate * o.weight_decay) : T(1),
          o.amsgrad};
}
template <class T>
cpu::AverageRule<T> rule(const AverageArgs& o, const OptimizerSlot&) {
  return {T(o.decay), T(1 - o.decay)};
}

template <class T>
cpu::Piece<T> piece(const OptimizerSlot& s, int64_t first, int64_t last) {
  const auto at = [&](const Tensor& t) { return t ? t.data<T>() + first : nullptr; };
  return {at(s.parameter), at(s.gradient), at(s.first), at(s.second), at(s.third), last - first};
}

// SGD without momentum is told so by its missing state.
template <class Args>
void reference(const Args& args) {
  for_pieces(args.slots, [&](const OptimizerSlot& slot, int64_t first, int64_t last) {
    visit_real("optimizer step", slot.parameter.dtype(), [&]<class T>() { cpu::step(piece<T>(slot, first, last), rule<T>(args, slot)); });
  });
}

template <class Args, auto Step>
void vector(const Args& args) {
  for_pieces(args.slots, [&, run = cpu::simd().*Step](const OptimizerSlot& slot, int64_t first, int64_t last) {
    run(piece<float>(slot, first, last), rule<float>(args, slot));
  });
}

template <class Args>
bool always(const Args&) {
  return true;
}
template <class Args>
bool all_f32(const Args& args) {
  return std::all_of(args.slots.begin(), args.slots.end(), [](const OptimizerSlot& s) { return s.parameter.dtype() == Dtype::f32; });
}

template <class Args, auto Step>
constexpr Implementation<Args> list[] = {{"vector", all_f32<Args>, vector<Args, Step>}, {"reference", always<Args>, reference<Args>}};

using cpu::Simd;

}  // namespace

Kernel<SgdArgs> sgd_step{"sgd_step", list<SgdArgs, &Simd::sgd_step>, {}};
Kernel<AdagradArgs> adagrad_step{"adagrad_step", list<AdagradArgs, &Simd::adagrad_step>, {}};
Kernel<RmspropArgs> rmsprop_step{"rmsprop_step", list<RmspropArgs, &Simd::rmsprop_step>, {}};
Kernel<AdamArgs> adam_step{"adam_step", list<AdamArgs, &Simd::adam_step>, {}};
Kernel<AverageArgs> average_step{"average_step", list<AverageArgs, &Simd::average_step>, {}};

}  // namespace sono::kernels
