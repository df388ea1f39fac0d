#include "layers/pool.h"

namespace sono {
namespace {

std::string numbers(const Extent& extent) {
  std::string text;
  for (int64_t size : extent.sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

std::string describe_pool(const PoolOptions& o) {
  std::string text = "window " + numbers(o.window);
  if (o.stride) text += ", stride " + numbers(*o.stride);
  if (o.padding.sizes != std::vector<int64_t>{0}) text += ", padding " + numbers(o.padding);
  return text + (o.ceil ? ", ceil" : "");
}

}  // namespace

Tensor MaxPool::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return max_pool(x, options_);
}
std::string MaxPool::describe() const { return describe_pool(options_); }

Tensor AvgPool::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return avg_pool(x, options_);
}
std::string AvgPool::describe() const { return describe_pool(options_); }

Tensor GlobalAvgPool::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return global_avg_pool(x);
}

Tensor AdaptiveAvgPool::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return adaptive_avg_pool(x, options_.size);
}
std::string AdaptiveAvgPool::describe() const { return "to " + numbers(options_.size); }

Tensor AdaptiveMaxPool::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return adaptive_max_pool(x, options_.size);
}
std::string AdaptiveMaxPool::describe() const { return "to " + numbers(options_.size); }

}  // namespace sono
