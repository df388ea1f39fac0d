// Optimizer steps, in place: bound by memory (SGD with momentum moves 20 bytes per f32 value, Adam 28). One launch per parameter.
// The rules are those of tensor/kernels.h; each thread applies one to a value w, its gradient g and its state.
#include "cuda/gpu.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using namespace kernels;

// One value on its way through a rule: read, changed, written back.
template <class T>
struct Value {
  T w, g, first, second, third;
};

template <class T>
struct Sgd {
  T rate, momentum, fresh, decay;  // fresh: 1 - dampening
  bool has_velocity, nesterov, first_step;

  Sgd(const SgdArgs& a, const OptimizerSlot& s)
      : rate(T(a.rate)),
        momentum(T(a.momentum)),
        fresh(T(1 - a.dampening)),
        decay(T(a.weight_decay)),
        has_velocity(bool(s.first)),
        nesterov(a.nesterov),
        first_step(s.step == 1) {}
  __device__ void operator()(Value<T>& v) const {
    T step = v.g + decay * v.w;
    if (has_velocity) {
      v.first = first_step ? step : momentum * v.first + fresh * step;
      step = nesterov ? step + momentum * v.first : v.first;
    }
    v.w -= rate * step;
  }
};

template <class T>
struct Adagrad {
  T rate, decay, epsilon;

  Adagrad(const AdagradArgs& a, const OptimizerSlot& s)
      : rate(T(a.rate / (1 + static_cast<double>(s.step - 1) * a.rate_decay))), decay(T(a.weight_decay)), epsilon(T(a.epsilon)) {}
  __device__ void operator()(Value<T>& v) const {
    const T g = v.g + decay * v.w;
    v.first += g * g;
    v.w -= rate * g / (math::sqrt(v.first) + epsilon);
  }
};

template <class T>
struct Rmsprop {
  T rate, keep, take, decay, epsilon, momentum;
  bool centred;

  Rmsprop(const RmspropArgs& a, const OptimizerSlot&)
      : rate(T(a.rate)),
        keep(T(a.decay)),
        take(T(1 - a.decay)),
        decay(T(a.weight_decay)),
        epsilon(T(a.epsilon)),
        momentum(T(a.momentum)),
        centred(a.centred) {}
  __device__ void operator()(Value<T>& v) const {
    const T g = v.g + decay * v.w;
    v.first = keep * v.first + take * g * g;
    T variance = v.first;
    if (centred) {
      v.third = keep * v.third + take * g;
      variance -= v.third * v.third;
    }
    T step = g / (math::sqrt(variance) + epsilon);
    if (momentum != T(0)) step = v.second = momentum * v.second + step;
    v.w -= rate * step;
  }
};

template <class T>
struct Adam {
  T rate, correction, epsilon, keep1, take1, keep2, take2, decay, shrink;
  bool amsgrad;

  Adam(const AdamArgs& a, const OptimizerSlot& s)
      : rate(T(a.rate / (1 - std::pow(a.beta1, static_cast<double>(s.step))))),
        correction(T(1 / std::sqrt(1 - std::pow(a.beta2, static_cast<double>(s.step))))),
        epsilon(T(a.epsilon)),
        keep1(T(a.beta1)),
        take1(T(1 - a.beta1)),
        keep2(T(a.beta2)),
        take2(T(1 - a.beta2)),
        decay(T(a.decoupled ? 0 : a.weight_decay)),
        shrink(T(a.decoupled ? 1 - a.rate * a.weight_decay : 1)),
        amsgrad(a.amsgrad) {}
  __device__ void operator()(Value<T>& v) const {
    const T g = v.g + decay * v.w;
    v.first = keep1 * v.first + take1 * g;
    v.second = keep2 * v.second + take2 * g * g;
    T variance = v.second;
    if (amsgrad) variance = v.third = v.third < variance ? variance : v.third;
    v.w = shrink * v.w - rate * v.first / (math::sqrt(variance) * correction + epsilon);
  }
};

template <class T>
struct Average {
  T keep, take;

  Average(const AverageArgs& a, const OptimizerSlot&) : keep(T(a.decay)), take(T(1 - a.decay)) {}
  __device__ void operator()(Value<T>& v) const { v.w = keep * v.w + take * v.g; }
};

// State that a rule does not keep is null.
template <class Rule, class T>
__global__ void step(Rule rule, T* w, const T* g, T* first, T* second, T* third, int64_t n) {
  for (int64_t i = gpu::first_index(); i < n; i += gpu::index_step()) {
    Value<T> v{w[i], g[i], first ? first[i] : T(0), second ? second[i] : T(0), third ? third[i] : T(0)};
    rule(v);
    w[i] = v.w;
    if (first) first[i] = v.first;
    if (second) second[i] = v.second;
    if (third) third[i] = v.third;
  }
}

template <class T>
T* optional(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

template <template <class> class Rule, class Args>
void run(const Args& a) {
  for (const OptimizerSlot& s : a.slots)
    visit_real("optimizer step", s.parameter.dtype(), [&]<class T>() {
      gpu::launch_over(s.parameter.size(), "optimizer step", step<Rule<T>, T>, Rule<T>(a, s), s.parameter.data<T>(), s.gradient.data<T>(),
                       optional<T>(s.first), optional<T>(s.second), optional<T>(s.third), s.parameter.size());
    });
}

template <class Args>
bool always(const Args&) {
  return true;
}
constexpr Implementation<SgdArgs> sgd_list[] = {{"plain", always<SgdArgs>, run<Sgd, SgdArgs>}};
constexpr Implementation<AdagradArgs> adagrad_list[] = {{"plain", always<AdagradArgs>, run<Adagrad, AdagradArgs>}};
constexpr Implementation<RmspropArgs> rmsprop_list[] = {{"plain", always<RmspropArgs>, run<Rmsprop, RmspropArgs>}};
constexpr Implementation<AdamArgs> adam_list[] = {{"plain", always<AdamArgs>, run<Adam, AdamArgs>}};
constexpr Implementation<AverageArgs> average_list[] = {{"plain", always<AverageArgs>, run<Average, AverageArgs>}};

}  // namespace

void register_optimizer() {
  sgd_step.cuda = sgd_list;
  adagrad_step.cuda = adagrad_list;
  rmsprop_step.cuda = rmsprop_list;
  adam_step.cuda = adam_list;
  average_step.cuda = average_list;
}

}  // namespace sono::cuda
