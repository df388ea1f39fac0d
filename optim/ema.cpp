#include "optim/ema.h"

#include <algorithm>
#include <map>

namespace sono {

Ema::Ema(const Module& model, double decay, bool warm_up) : entries_(model.parameters()), decay_(decay), warm_up_(warm_up) {
  if (!(decay >= 0 && decay < 1)) throw Error("[ema] decay must be at least 0 and below 1, got " + std::to_string(decay));
  const auto buffers = model.buffers();
  entries_.insert(entries_.end(), buffers.begin(), buffers.end());
  for (const auto& e : entries_) averages_.push_back(e.value->clone());
}

void Ema::update() {
  updates_++;
  const double t = static_cast<double>(updates_), decay = warm_up_ ? std::min(decay_, (1 + t) / (10 + t)) : decay_;
  std::vector<kernels::OptimizerSlot> slots;
  for (size_t i = 0; i < entries_.size(); i++) {
    const Tensor value = entries_[i].value->detach();
    if (value.dtype() == Dtype::f32 || value.dtype() == Dtype::f64)
      slots.push_back({averages_[i], value, {}, {}, {}});
    else
      averages_[i].copy_from(value);  // a counter
  }
  kernels::average_step({slots, decay});
  for (const auto& s : slots) s.parameter.raise_version();
}

Ema::Swap::Swap(Ema& ema) : ema_(ema) {
  for (size_t i = 0; i < ema.entries_.size(); i++) {
    own_.push_back(ema.entries_[i].value->clone());
    ema.entries_[i].value->copy_from(ema.averages_[i]);
  }
}
Ema::Swap::~Swap() {
  for (size_t i = 0; i < own_.size(); i++) ema_.entries_[i].value->copy_from(own_[i]);
}

NamedTensors Ema::state() const {
  NamedTensors all;
  for (size_t i = 0; i < entries_.size(); i++) all.emplace_back(entries_[i].path, averages_[i]);
  all.emplace_back("updates", Tensor::scalar(static_cast<double>(updates_), Dtype::f64));
  return all;
}

void Ema::load_state(const NamedTensors& state) {
  const std::map<std::string, Tensor> given(state.begin(), state.end());
  const auto find = [&](const std::string& name, const Shape& shape, Dtype dtype) {
    const auto found = given.find(name);
    if (found == given.end() || found->second.shape() != shape || found->second.dtype() != dtype)
      throw ShapeError("[ema] state " + name + " of shape " + to_string(shape) + " " + to_string(dtype) + " is missing");
    return found->second;
  };
  std::vector<Tensor> found;
  for (const auto& e : entries_) found.push_back(find(e.path, e.value->shape(), e.value->dtype()));
  updates_ = static_cast<int64_t>(find("updates", {}, Dtype::f64).item());
  for (size_t i = 0; i < found.size(); i++) averages_[i].copy_from(found[i]);
}

}  // namespace sono
