#pragma once
// Tensors by name, as models and their parts are kept in model.safetensors: "rival1.svm.alpha".
#include <string>

#include "tensor/files.h"

namespace sono::zoo {

// The tensor of that name, in its dtype. FileError: it is missing.
const Tensor& named_tensor(const NamedTensors& tensors, const std::string& name);

// Those whose names begin with `prefix`, without it.
NamedTensors part_of(const NamedTensors& tensors, const std::string& prefix);

// Adds a part's tensors under a prefix: the other way.
void add_part(NamedTensors& all, const std::string& prefix, const NamedTensors& part);

}  // namespace sono::zoo
