#include "layers/pytorch.h"

#include <map>

namespace sono {
namespace {

void check(const Tensor& w) {
  if (w.rank() < 2) throw ShapeError("[pytorch] a weight has two dimensions or more, got " + to_string(w.shape()));
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

Tensor to_pytorch(const Tensor& w) {
  check(w);
  const NoGrad plain;
  Axes order{w.rank() - 1, w.rank() - 2};
  for (int64_t i = 0; i + 2 < w.rank(); i++) order.push_back(i);
  return permute(w.detach(), order);
}

Tensor from_pytorch(const Tensor& w) {
  check(w);
  const NoGrad plain;
  Axes order;
  for (int64_t i = 2; i < w.rank(); i++) order.push_back(i);
  order.push_back(1), order.push_back(0);
  return permute(w.detach(), order);
}

State state_to_pytorch(const Module& module) {
  const auto layouts = module.layouts();
  const std::map<std::string, Layout> layout(layouts.begin(), layouts.end());
  State all = module.state();
  for (auto& [path, value] : all)
    if (const auto found = layout.find(path); found != layout.end() && found->second == Layout::filters) value = to_pytorch(value);
  return all;
}

State state_from_pytorch(const Module& module, const State& state) {
  const auto layouts = module.layouts();
  const std::map<std::string, Layout> layout(layouts.begin(), layouts.end());
  const State own = module.state();
  const std::map<std::string, Tensor> target(own.begin(), own.end());
  State all;
  for (const auto& [path, value] : state) {
    if (ends_with(path, "num_batches_tracked")) continue;
    const auto found = layout.find(path);
    const bool filters = found != layout.end() && found->second == Layout::filters;
    if (filters && value.rank() != target.at(path).rank())
      throw ShapeError("[state_from_pytorch] " + path + " is " + to_string(value.shape()) + " in the file, the model's own is " +
                       to_string(target.at(path).shape()) + " (…, in, out)");
    all.emplace_back(path, filters ? from_pytorch(value) : value);
  }
  return all;
}

}  // namespace sono
