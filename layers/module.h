#pragma once
// A Module owns parameters, buffers and children as plain members, each named once:
//
//   struct Block : Module {
//     using Module::Module;
//     Conv2d conv1{this, "conv1", {.in = 1, .out = 8, .padding = 1}};
//     Conv2d conv2{this, "conv2", {.in = 8, .out = 8, .padding = 1}};
//     Tensor operator()(const Tensor& x) const { return relu(conv2(relu(conv1(x)))); }
//   };
//   Block block;  block.parameters();   // {"conv1.weight", …}, {"conv1.bias", …}, {"conv2.weight", …}: PyTorch's paths
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops.h"

namespace sono {

// How PyTorch stores the same parameter: as it is, or our (k…, in, out) as its (out, in, k…); see layers/pytorch.h.
enum class Layout : uint8_t { same, filters };

using State = std::vector<std::pair<std::string, Tensor>>;  // values by path

class Module {
 public:
  Module() = default;
  Module(Module* parent, std::string name);  // a null parent: stands alone. Error: the name is taken, empty or has a dot
  virtual ~Module();                         // leaves its parent's list
  Module(const Module&) = delete;            // the parent remembers where its children are
  Module& operator=(const Module&) = delete;

  struct Entry {
    std::string path;
    Tensor* value;
  };
  std::vector<Entry> parameters()
      const;  // what optimisers change: own ones, then the children's, in order of construction; frozen ones included
  std::vector<Entry> trainable() const;                         // those that want a gradient
  std::vector<Entry> buffers() const;                           // running statistics: saved, not optimised
  std::vector<std::pair<std::string, Layout>> layouts() const;  // of each parameter, by path
  std::vector<std::pair<std::string, Module*>> children() const { return children_; }
  std::vector<std::pair<std::string, Module*>> modules();  // itself ("") and all below, with paths

  virtual const char* kind() const { return "Module"; }  // "Conv2d", for the summary
  virtual std::string describe() const { return ""; }    // "1 -> 16, kernel 3x3, padding 1"

  void train(bool on = true);  // batch statistics and dropout on, here and below
  void eval() { train(false); }
  bool training() const { return training_; }

  // Parameters whose path matches the pattern (* any run of characters, ? one) no longer want a gradient. Returns how many; 0 is the
  // caller's error to report. Running statistics follow the data until the norm is in eval(): freezing leaves them alone.
  int64_t freeze(const std::string& pattern);
  int64_t unfreeze(const std::string& pattern);
  void zero_gradients();
  void to(Device device);  // parameters become new leaves: make the optimiser afterwards
  void to(Dtype dtype);

  // Parameters and buffers by path, as handles on the model's own memory. load copies values in (converted to the model's dtype); it checks
  // names and shapes and changes nothing if they do not fit: ShapeError lists in one line what is missing, what is unknown and what
  // differs. With strict = false only what fits is taken; returns the paths that were not.
  State state() const;
  std::vector<std::string> load(const State& state, bool strict = true);

  // Says which module runs, while it lives: every layer's operator() makes one, so that the summary and the profiler can tell whose op they
  // see.
  class Scope {
   public:
    explicit Scope(const Module& module);
    ~Scope();
    Scope(const Scope&) = delete;
    static const Scope* current();  // the innermost of this thread, or null
    const Module& module() const { return module_; }
    const Scope* outer() const { return outer_; }

   private:
    const Module& module_;
    const Scope* outer_;
  };

 protected:
  void parameter(std::string name, Tensor& member, const Tensor& value, Layout layout = Layout::same);  // member = leaf(value), registered
  void buffer(std::string name, Tensor& member, const Tensor& value);

 private:
  struct Parameter {
    std::string name;
    Tensor* value;
    Layout layout;
  };
  void claim(const std::string& name) const;
  template <class F>
  void visit_modules(const std::string& prefix, F&& f) const;

  Module* parent_ = nullptr;
  std::vector<Parameter> parameters_;
  std::vector<std::pair<std::string, Tensor*>> buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = true;
};

bool matches(const std::string& pattern, const std::string& path);  // * any run of characters, ? one

}  // namespace sono
