#pragma once
// A Module owns parameters, buffers and children as plain members, each named once:
//
//   struct Block : Module {
//     using Module::Module;
//     Conv2d conv1{this, "conv1", {.in = 1, .out = 8, .padding = 1}};
//     Conv2d conv2{this, "conv2", {.in = 8, .out = 8, .padding = 1}};
//     Tensor operator()(const Tensor& x) { return relu(conv2(relu(conv1(x)))); }
//   };
//   Block block;  block.parameters();   // {"conv1.weight", …}, {"conv1.bias", …}, {"conv2.weight", …}: PyTorch's paths
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops.h"

namespace sono {

class Module {
 public:
  Module() = default;
  Module(Module* parent, std::string name);
  virtual ~Module() = default;
  Module(const Module&) = delete;  // the parent remembers where its children are
  Module& operator=(const Module&) = delete;

  struct Entry { std::string path; Tensor* value; };
  std::vector<Entry> parameters() const;  // what optimisers change, in order of construction, frozen ones included
  std::vector<Entry> trainable() const;   // those that want a gradient
  std::vector<Entry> buffers() const;     // running statistics: saved, not optimised
  std::vector<std::pair<std::string, Module*>> children() const { return children_; }
  std::vector<std::pair<std::string, Module*>> modules();  // itself ("") and all below, with paths

  virtual const char* kind() const { return "Module"; }      // "Conv2d", for the summary
  virtual std::string describe() const { return ""; }        // "1 -> 16, kernel 3x3, padding 1"

  void train(bool on = true);  // batch statistics and dropout on, here and below
  void eval() { train(false); }
  bool training() const { return training_; }

  // Parameters whose path matches the pattern (* any run of characters, ? one) no longer want a gradient. Returns how many; 0 is the caller's error to report.
  int64_t freeze(const std::string& pattern);
  int64_t unfreeze(const std::string& pattern);
  void zero_gradients();
  void to(Device device);
  void to(Dtype dtype);

  // Parameters and buffers by path. load checks names and shapes and changes nothing if they do not fit: ShapeError lists what is missing,
  // what is unknown and what differs. With strict = false only what fits is taken; returns the paths that were not.
  std::vector<std::pair<std::string, Tensor>> state() const;
  std::vector<std::string> load(const std::vector<std::pair<std::string, Tensor>>& state, bool strict = true);

 protected:
  void parameter(std::string name, Tensor& member, const Tensor& value);  // member = leaf(value), registered
  void buffer(std::string name, Tensor& member, const Tensor& value);

 private:
  std::vector<std::pair<std::string, Tensor*>> own_parameters_, own_buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = true;
};

}  // namespace sono
