#pragma once
// Weights in PyTorch's layouts. Paths are the same; what differs is the order of a weight's dimensions, known by layer type:
//   Linear (in, out) <-> (out, in);  Conv (k…, in, out) <-> (out, in, k…);  ConvTranspose (k…, out, in) <-> (in, out, k…);
//   recurrent (in, gates hidden) <-> (gates hidden, in).  One rule: (k…, a, b) <-> (b, a, k…). The rest stays.
//
//   write_safetensors("unet.safetensors", state_to_pytorch(net), {{"format", "pt"}});   // torch's load_state_dict takes it
//   net.load(state_from_pytorch(net, read_safetensors(file).tensors));
#include "layers/module.h"

namespace sono {

Tensor to_pytorch(const Tensor& weight);    // (k…, a, b) -> (b, a, k…), a copy
Tensor from_pytorch(const Tensor& weight);  // back

State state_to_pytorch(const Module& module);

// Values of the module's own parameters are permuted, everything else is kept for Module::load to judge, except num_batches_tracked, which
// PyTorch's norms count and ours do not need. ShapeError: a weight of another rank than the module's.
State state_from_pytorch(const Module& module, const State& state);

}  // namespace sono
