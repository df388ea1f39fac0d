#pragma once
// Modules in a row, numbered "0", "1" … like PyTorch's, activations included.
//
//   Sequential net;
//   net.append<Conv2d>({.in = 1, .out = 8, .padding = 1});   // "0.weight", "0.bias"
//   net.append<Relu>();
//   Tensor y = net(x);
#include <functional>
#include <memory>

#include "layers/module.h"

namespace sono {

// Owns modules whose operator() takes a Tensor and returns one, and calls them in order.
class Sequential : public Module {
 public:
  using Module::Module;
  Sequential() = default;

  // Builds a T from its options, or from any further arguments, at the end of the row. Returns it.
  template <class T>
  T& append(const typename T::Options& options) {
    return add(std::make_unique<T>(this, next(), options));
  }
  template <class T, class... Args>
  T& append(Args&&... args) {
    return add(std::make_unique<T>(this, next(), std::forward<Args>(args)...));
  }

  Tensor operator()(const Tensor& x) const {
    const Scope scope(*this);
    Tensor y = x;
    for (const Member& member : members_) y = member.call(y);
    return y;
  }
  size_t size() const { return members_.size(); }
  Module& operator[](size_t i) const { return *members_.at(i).module; }
  const char* kind() const override { return "Sequential"; }

 private:
  struct Member {
    std::unique_ptr<Module> module;
    std::function<Tensor(const Tensor&)> call;
  };
  std::string next() const { return std::to_string(members_.size()); }
  template <class T>
  T& add(std::unique_ptr<T> module) {
    T& t = *module;
    members_.push_back({std::move(module), [&t](const Tensor& x) { return t(x); }});
    return t;
  }
  std::vector<Member> members_;
};

// Owns modules of one type; its owner calls them.
template <class T>
class ModuleList : public Module {
 public:
  using Module::Module;
  ModuleList() = default;

  template <class U = T>
  U& append(const typename U::Options& options) {
    return add(std::make_unique<T>(this, next(), options));
  }
  template <class... Args>
  T& append(Args&&... args) {
    return add(std::make_unique<T>(this, next(), std::forward<Args>(args)...));
  }

  size_t size() const { return members_.size(); }
  T& operator[](size_t i) const { return *members_.at(i); }
  const char* kind() const override { return "ModuleList"; }

 private:
  std::string next() const { return std::to_string(members_.size()); }
  T& add(std::unique_ptr<T> module) {
    members_.push_back(std::move(module));
    return *members_.back();
  }
  std::vector<std::unique_ptr<T>> members_;
};

}  // namespace sono
