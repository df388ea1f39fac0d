#include "optim/batches.h"

#include <algorithm>

#include "tensor/random.h"

namespace sono {

Tensor batch_of(int64_t n, int64_t batch, uint64_t seed, const char* purpose, int64_t epoch, int64_t index) {
  const std::vector<int64_t> order = Random(seed, purpose, static_cast<uint64_t>(epoch)).permutation(n);
  const int64_t first = std::min(n, index * batch), last = std::min(n, first + batch);
  return Tensor::from<int32_t>({last - first}, std::vector<int32_t>(order.begin() + first, order.begin() + last));
}

}  // namespace sono
