#pragma once
// What a model is made of, found by running it once and watching its operations (autograd/graph.h, Observer): nothing has to be declared.
//
//   const Summary s = summarize(net, [&] { net(Tensor::zeros({1, 128, 128, 1})); });
//   std::cout << s.table();
//
//   layer            kind    what                                       output             parameters   FLOPs  activations
//   encoder.0.conv1  Conv2d  1 -> 16, kernel 3x3, padding 1x1, no bias  (1, 128, 128, 16)         144  4.72 M     1.00 MiB
//   …
#include <functional>

#include "layers/module.h"

namespace sono {

struct SummaryRow {
  std::string path, kind, what;
  Shape output;  // of its last run; empty with `ran` off
  bool ran = false;
  int64_t parameters = 0;  // its own, children have rows of their own
  int64_t trainable = 0;
  int64_t flops = 0;        // of the operations that ran while it was the innermost module
  int64_t activations = 0;  // bytes that these operations wrote: what training keeps for backward, at most
};

struct Summary {
  std::vector<SummaryRow> rows;  // modules with parameters or operations of their own, in order of construction
  int64_t parameters = 0, trainable = 0, parameter_bytes = 0, buffer_bytes = 0, flops = 0, activations = 0;
  std::string table() const;
};

// Runs `run` (which calls the model, on any input) in eval(), without a graph, and restores training as it was.
Summary summarize(Module& model, const std::function<void()>& run);

// Multiplications and additions of one op call: 2 per multiply-add of convolutions and matrix products; 0 for what only moves values; else
// one per value of its output or of its first input, whichever has more.
int64_t flops(const OpCall& call);

}  // namespace sono
