// Optimizer steps on the CPU. All parameters of a call are one row of values, cut into chunks of a fixed size, so that a network of a
// hundred small tensors costs one fork of the threads. Each value is read and written once: a step is bound by memory (SGD with momentum
// moves 20 bytes per f32 value, Adam 28), which the compiler's own vectors reach; one implementation per rule is both the reference and the
// fast one.
#include <algorithm>
#include <cmath>
#include <vector>

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

// One slot's piece as bare pointers of its dtype, for the loops below.
template <class T>
struct Piece {
  T* __restrict w;
  const T* __restrict g;
  T* __restrict a;
  T* __restrict b;
  T* __restrict c;
  int64_t n;
  Piece(const OptimizerSlot& s, int64_t first, int64_t last)
      : w(s.parameter.data<T>() + first),
        g(s.gradient.data<T>() + first),
        a(at(s.first, first)),
        b(at(s.second, first)),
        c(at(s.third, first)),
        n(last - first) {}
  static T* at(const Tensor& t, int64_t first) { return t ? t.data<T>() + first : nullptr; }
};

template <class T>
void sgd(const SgdArgs& o, const OptimizerSlot& s, int64_t first, int64_t last) {
  const Piece<T> p(s, first, last);
  const T rate = T(o.rate), momentum = T(o.momentum), fresh = T(1 - o.dampening), decay = T(o.weight_decay);
  if (!p.a) {
    for (int64_t i = 0; i < p.n; i++) p.w[i] -= rate * (p.g[i] + decay * p.w[i]);
    return;
  }
  const bool start = s.step == 1, nesterov = o.nesterov;
  for (int64_t i = 0; i < p.n; i++) {
    const T g = p.g[i] + decay * p.w[i];
    const T v = start ? g : momentum * p.a[i] + fresh * g;
    p.a[i] = v;
    p.w[i] -= rate * (nesterov ? g + momentum * v : v);
  }
}

template <class T>
void adagrad(const AdagradArgs& o, const OptimizerSlot& s, int64_t first, int64_t last) {
  const Piece<T> p(s, first, last);
  const T rate = T(o.rate / (1 + static_cast<double>(s.step - 1) * o.rate_decay)), decay = T(o.weight_decay), epsilon = T(o.epsilon);
  for (int64_t i = 0; i < p.n; i++) {
    const T g = p.g[i] + decay * p.w[i];
    p.a[i] += g * g;
    p.w[i] -= rate * g / (std::sqrt(p.a[i]) + epsilon);
  }
}

template <class T, bool centred, bool momentum>
void rmsprop(const RmspropArgs& o, const OptimizerSlot& s, int64_t first, int64_t last) {
  const Piece<T> p(s, first, last);
  const T rate = T(o.rate), keep = T(o.decay), take = T(1 - o.decay), decay = T(o.weight_decay), epsilon = T(o.epsilon), mu = T(o.momentum);
  for (int64_t i = 0; i < p.n; i++) {
    const T g = p.g[i] + decay * p.w[i];
    p.a[i] = keep * p.a[i] + take * g * g;
    T variance = p.a[i];
    if constexpr (centred) {
      p.c[i] = keep * p.c[i] + take * g;
      variance -= p.c[i] * p.c[i];
    }
    T u = g / (std::sqrt(variance) + epsilon);
    if constexpr (momentum) u = p.b[i] = mu * p.b[i] + u;
    p.w[i] -= rate * u;
  }
}

template <class T, bool amsgrad>
void adam(const AdamArgs& o, const OptimizerSlot& s, int64_t first, int64_t last) {
  const Piece<T> p(s, first, last);
  const double t = static_cast<double>(s.step);
  const T rate = T(o.rate / (1 - std::pow(o.beta1, t))), correction = T(1 / std::sqrt(1 - std::pow(o.beta2, t))), epsilon = T(o.epsilon);
  const T keep1 = T(o.beta1), take1 = T(1 - o.beta1), keep2 = T(o.beta2), take2 = T(1 - o.beta2);
  const T decay = o.decoupled ? T(0) : T(o.weight_decay), shrink = o.decoupled ? T(1 - o.rate * o.weight_decay) : T(1);
  for (int64_t i = 0; i < p.n; i++) {
    const T g = p.g[i] + decay * p.w[i];
    p.a[i] = keep1 * p.a[i] + take1 * g;
    p.b[i] = keep2 * p.b[i] + take2 * g * g;
    T variance = p.b[i];
    if constexpr (amsgrad) variance = p.c[i] = std::max(p.c[i], variance);
    p.w[i] = shrink * p.w[i] - rate * p.a[i] / (std::sqrt(variance) * correction + epsilon);
  }
}

template <class T>
void average(const AverageArgs& o, const OptimizerSlot& s, int64_t first, int64_t last) {
  const Piece<T> p(s, first, last);
  const T keep = T(o.decay), take = T(1 - o.decay);
  for (int64_t i = 0; i < p.n; i++) p.w[i] = keep * p.w[i] + take * p.g[i];
}

// A rule for every dtype: run(T(), args, slot, first, last).
template <class Args, class Run>
void over_slots(const char* name, const Args& args, const Run& run) {
  for_pieces(args.slots, [&](const OptimizerSlot& slot, int64_t first, int64_t last) {
    visit_real(name, slot.parameter.dtype(), [&]<class T>() { run(T(), args, slot, first, last); });
  });
}

void run_sgd(const SgdArgs& args) {
  over_slots("sgd_step", args, []<class T>(T, const auto&... a) { sgd<T>(a...); });
}
void run_adagrad(const AdagradArgs& args) {
  over_slots("adagrad_step", args, []<class T>(T, const auto&... a) { adagrad<T>(a...); });
}
void run_rmsprop(const RmspropArgs& args) {
  over_slots("rmsprop_step", args, []<class T>(T, const auto& o, const auto&... a) {
    if (o.centred) return o.momentum != 0 ? rmsprop<T, true, true>(o, a...) : rmsprop<T, true, false>(o, a...);
    return o.momentum != 0 ? rmsprop<T, false, true>(o, a...) : rmsprop<T, false, false>(o, a...);
  });
}
void run_adam(const AdamArgs& args) {
  over_slots("adam_step", args,
             []<class T>(T, const auto& o, const auto&... a) { o.amsgrad ? adam<T, true>(o, a...) : adam<T, false>(o, a...); });
}
void run_average(const AverageArgs& args) {
  over_slots("average_step", args, []<class T>(T, const auto&... a) { average<T>(a...); });
}

template <class Args>
bool always(const Args&) {
  return true;
}
constexpr Implementation<SgdArgs> sgd_list[] = {{"reference", always<SgdArgs>, run_sgd}};
constexpr Implementation<AdagradArgs> adagrad_list[] = {{"reference", always<AdagradArgs>, run_adagrad}};
constexpr Implementation<RmspropArgs> rmsprop_list[] = {{"reference", always<RmspropArgs>, run_rmsprop}};
constexpr Implementation<AdamArgs> adam_list[] = {{"reference", always<AdamArgs>, run_adam}};
constexpr Implementation<AverageArgs> average_list[] = {{"reference", always<AverageArgs>, run_average}};

}  // namespace

Kernel<SgdArgs> sgd_step{"sgd_step", sgd_list, {}};
Kernel<AdagradArgs> adagrad_step{"adagrad_step", adagrad_list, {}};
Kernel<RmspropArgs> rmsprop_step{"rmsprop_step", rmsprop_list, {}};
Kernel<AdamArgs> adam_step{"adam_step", adam_list, {}};
Kernel<AverageArgs> average_step{"average_step", average_list, {}};

}  // namespace sono::kernels
