// Pooling of a row of windows. All channels of a pixel are contiguous, so a window is a handful of vector loads and compares.
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {
namespace {

// Positions: how many a window has, known at compile time; 0: w.positions.
template <int Positions>
void max_pool(const Windows& w, const float* x, float* y, int32_t* index) {
  const int64_t positions = Positions ? Positions : w.positions;
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      using I = typename VectorOf<L>::Int;
      F best = load<F>(x + (w.at[0] + j * w.step) * w.channels + c);
      I where = static_cast<int32_t>(w.at[0] + j * w.step) - I{};
#pragma GCC unroll 4
      for (int64_t p = 1; p < positions; p++) {
        const int64_t at = w.at[p] + j * w.step;
        const F value = load<F>(x + at * w.channels + c);
        const I take = (value > best) | ((value != value) & (best == best));
        best = take ? value : best;
        where = take ? static_cast<int32_t>(at) - I{} : where;
      }
      store(y + j * w.channels + c, best);
      store(index + j * w.channels + c, where);
    });
}

}  // namespace

void max_pool_row(const Windows& w, const float* x, float* y, int32_t* index) {
  if (w.positions == 4)
    max_pool<4>(w, x, y, index);
  else
    max_pool<0>(w, x, y, index);
}

bool max_pool_at_row(const Windows& w, const float* x, float* y, const int32_t* index) {
  bool found = true;
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      using I = typename VectorOf<L>::Int;
      const I where = load<I>(index + j * w.channels + c);
      F value{};
      I seen{};
      for (int64_t p = 0; p < w.positions; p++) {
        const int64_t at = w.at[p] + j * w.step;
        const I here = where == static_cast<int32_t>(at) - I{};
        value = here ? load<F>(x + at * w.channels + c) : value;
        seen |= here;
      }
      store(y + j * w.channels + c, value);
      for (int l = 0; l < L; l++) found &= seen[l] != 0;
    });
  return found;
}

bool max_unpool_row(const Windows& w, float* x, const float* y, const int32_t* index) {
  bool found = true;
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      using I = typename VectorOf<L>::Int;
      const F value = load<F>(y + j * w.channels + c);
      const I where = load<I>(index + j * w.channels + c);
      I seen{};
      for (int64_t p = 0; p < w.positions; p++) {
        const int64_t at = w.at[p] + j * w.step;
        const I here = where == static_cast<int32_t>(at) - I{};
        store(x + at * w.channels + c, here ? value : F{});
        seen |= here;
      }
      for (int l = 0; l < L; l++) found &= seen[l] != 0;
    });
  return found;
}

void avg_pool_row(const Windows& w, const float* x, float* y, float scale) {
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      F total{};
      for (int64_t first = 0; first < w.positions; first += 256) {  // blocks: the error of long sums grows with their length
        F sum[4] = {};
        for (int64_t p = first; p < smaller(w.positions, first + 256); p++)
          sum[p & 3] += load<F>(x + (w.at[p] + j * w.step) * w.channels + c);
        total += (sum[0] + sum[1]) + (sum[2] + sum[3]);
      }
      store(y + j * w.channels + c, total * scale);
    });
}

void avg_unpool_row(const Windows& w, float* x, const float* y, float scale) {
  for (int64_t j = 0; j < w.pixels; j++)
    for_each_vector(w.channels, [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      const F value = load<F>(y + j * w.channels + c) * scale;
      for (int64_t p = 0; p < w.positions; p++) store(x + (w.at[p] + j * w.step) * w.channels + c, value);
    });
}

}  // namespace sono::cpu::SONO_ISA
