// Softmax of short rows (classes) by transposing `lanes` rows at a time, of long rows and of columns directly. Some 25 operations a value,
// most of them in exp.
#include "tensor/cpu/simd/math.h"
#include "tensor/scalar_math.h"

namespace sono::cpu::SONO_ISA {

float extreme(const float* x, int64_t n, bool smallest);  // reduce.cpp
void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to, int64_t ld_to);

namespace {

constexpr int64_t short_row = 64;

// One vector of columns, n rows that are `step` apart.
template <int L>
void columns(const float* x, int64_t n, int64_t step, bool log, float* y) {
  using F = typename VectorOf<L>::Float;
  F largest = load<F>(x), sum{};
  for (int64_t i = 1; i < n; i++) {
    const F value = load<F>(x + i * step);
    largest = value > largest ? value : largest;
  }
  for (int64_t i = 0; i < n; i++) {
    const F shifted = load<F>(x + i * step) - largest, e = exp_negative<L>(shifted);
    sum += e;
    store(y + i * step, log ? shifted : e);
  }
  F last = 1.0f / sum;
  for (int l = 0; log && l < L; l++) last[l] = math::log(sum[l]);
  for (int64_t i = 0; i < n; i++) {
    const F value = load<F>(y + i * step);
    store<F>(y + i * step, log ? F(value - last) : F(value * last));
  }
}

void long_row(const float* x, int64_t n, bool log, float* y) {
  const float largest = extreme(x, n, false);
  float sum = 0;
  for (int64_t first = 0; first < n; first += 2048) {  // blocks: the error of long sums grows with their length
    Vec wide{};
    float rest = 0;
    for_each_vector(smaller(2048, n - first), [&]<int L>(int64_t c) {
      using F = typename VectorOf<L>::Float;
      const F shifted = load<F>(x + first + c) - largest, e = exp_negative<L>(shifted);
      if constexpr (L == lanes)
        wide += e;
      else
        rest += total<L>(e);
      store(y + first + c, log ? shifted : e);
    });
    sum += total<lanes>(wide) + rest;
  }
  const float last = log ? math::log(sum) : 1 / sum;
  for_each_vector(n, [&]<int L>(int64_t c) {
    using F = typename VectorOf<L>::Float;
    const F value = load<F>(y + c);
    store<F>(y + c, log ? F(value - last) : F(value * last));
  });
}

}  // namespace

void softmax_rows(const float* x, int64_t rows, int64_t n, bool log, float* y) {
  if (n > short_row) {
    for (int64_t r = 0; r < rows; r++) long_row(x + r * n, n, log, y + r * n);
    return;
  }
  float tile[short_row * lanes] = {};  // (n, lanes): lanes rows, transposed
  for (int64_t r = 0; r < rows; r += lanes) {
    const int64_t height = smaller(lanes, rows - r);
    transpose(x + r * n, n, height, n, tile, lanes);
    columns<lanes>(tile, n, lanes, log, tile);
    transpose(tile, lanes, n, height, y + r * n, n);
  }
}

void softmax_columns(const float* x, int64_t n, int64_t inner, bool log, float* y) {
  for_each_vector(inner, [&]<int L>(int64_t c) { columns<L>(x + c, n, inner, log, y + c); });
}

}  // namespace sono::cpu::SONO_ISA
