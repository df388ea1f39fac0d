#pragma once
// Indices beyond an image's border: … 1 0 | 0 1 2 … n-1 | n-1 n-2 …
#include <cstdint>

namespace sono::zoo {

inline int64_t mirrored(int64_t i, int64_t n) {
  const int64_t period = 2 * n, k = ((i % period) + period) % period;
  return k < n ? k : period - 1 - k;
}

}  // namespace sono::zoo
