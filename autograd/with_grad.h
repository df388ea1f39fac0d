#pragma once
// For a value that is made of gradients: a graph is built while one of these lives, inside NoGrad too.
//
//   const WithGrad record;  Tensor slope = grad(sum(f(x)), {x})[0];
#include "autograd/graph.h"

namespace sono {

class WithGrad {
 public:
  WithGrad();
  ~WithGrad();
  WithGrad(const WithGrad&) = delete;

 private:
  bool before_;
};

}  // namespace sono
