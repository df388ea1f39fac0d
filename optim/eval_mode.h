#pragma once
// While it lives, the model is in eval() and no graph is built; afterwards every module is in the mode that it was in.
//
//   { EvalMode eval(model); y = model(x); }
#include "layers/module.h"

namespace sono {

class EvalMode {
 public:
  explicit EvalMode(Module& model) {
    for (const auto& [path, module] : model.modules()) before_.emplace_back(module, module->training());
    model.eval();
  }
  ~EvalMode() {
    for (const auto& [module, training] : before_) module->train(training);  // parents first, so that each child's own mode is what stays
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  NoGrad no_grad_;
  std::vector<std::pair<Module*, bool>> before_;
};

}  // namespace sono
