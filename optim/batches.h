#pragma once
// How a set that lies in memory is cut into batches in an order of chance.
//
//   Tensor rows = batch_of(n, 50, seed, "fine_tune", epoch, index);   // i32
//   Tensor x = take(all_x, rows), y = take(all_y, rows);
#include <cstdint>

#include "tensor/tensor.h"

namespace sono {

inline int64_t batches_of(int64_t n, int64_t batch) { return (n + batch - 1) / batch; }

// The samples of batch `index`, those at [batch * index, …) of the epoch's order, which depends on (seed, purpose, epoch) alone.
Tensor batch_of(int64_t n, int64_t batch, uint64_t seed, const char* purpose, int64_t epoch, int64_t index);

}  // namespace sono
