#pragma once
// How rows of windows go through images that no cache holds: pool.cpp, norm.cpp.
#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "tensor/cpu/simd.h"

namespace sono::cpu {

constexpr int64_t cached_values = 1 << 22;  // 16 MB

// From a row of windows to the next one (`row` values), unless an image set of `values` is small enough for the cache: the processor's own
// prefetchers follow one row of pixels.
inline int64_t values_ahead(int64_t values, int64_t row) {
  constexpr int64_t longest = 1 << 15;
  return values > cached_values ? std::min(longest, row) : 0;
}

// Nobody reads `values` written ones again before they have left every cache, and their pixels are whole vectors. Null: not written.
inline bool goes_past(int64_t values, int64_t channels, std::initializer_list<const void*> written) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; };
  return values >= cached_values && channels % simd().lanes == 0 && std::all_of(written.begin(), written.end(), aligned);
}

}  // namespace sono::cpu
