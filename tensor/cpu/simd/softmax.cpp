// Softmax of short rows (classes) by transposing `lanes` rows at a time, of long rows and of columns directly. exp is a polynomial of
// degree 6 (tensor/scalar_math.h): some 20 operations a value.
#include "tensor/cpu/simd/vector.h"
#include "tensor/scalar_math.h"

namespace sono::cpu::SONO_ISA {

float extreme(const float* x, int64_t n, bool smallest);  // reduce.cpp

namespace {

constexpr int64_t short_row = 64;

// Columns [0, width), width <= W, of n rows that are `step` apart.
template <int W>
void columns(const float* x, int64_t n, int64_t step, int64_t width, bool log, float* y) {
  float largest[W], sum[W];
#pragma omp simd
  for (int64_t l = 0; l < width; l++) largest[l] = x[l], sum[l] = 0;
  for (int64_t i = 1; i < n; i++)
#pragma omp simd
    for (int64_t l = 0; l < width; l++) largest[l] = x[i * step + l] > largest[l] ? x[i * step + l] : largest[l];
  for (int64_t i = 0; i < n; i++)
#pragma omp simd
    for (int64_t l = 0; l < width; l++) {
      const float shifted = x[i * step + l] - largest[l], e = math::exp(shifted);
      sum[l] += e;
      y[i * step + l] = log ? shifted : e;
    }
#pragma omp simd
  for (int64_t l = 0; l < width; l++) sum[l] = log ? math::log(sum[l]) : 1 / sum[l];
  for (int64_t i = 0; i < n; i++)
#pragma omp simd
    for (int64_t l = 0; l < width; l++) y[i * step + l] = log ? y[i * step + l] - sum[l] : y[i * step + l] * sum[l];
}

void long_row(const float* x, int64_t n, bool log, float* y) {
  const float largest = extreme(x, n, false);
  float sum = 0;
  for (int64_t first = 0; first < n; first += 1024) {  // blocks: the error of long sums grows with their length
    const int64_t end = smaller(n, first + 1024);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t i = first; i < end; i++) {
      const float shifted = x[i] - largest, e = math::exp(shifted);
      part += e;
      y[i] = log ? shifted : e;
    }
    sum += part;
  }
  const float last = log ? math::log(sum) : 1 / sum;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) y[i] = log ? y[i] - last : y[i] * last;
}

}  // namespace

void softmax_rows(const float* x, int64_t rows, int64_t n, bool log, float* y) {
  if (n > short_row) {
    for (int64_t r = 0; r < rows; r++) long_row(x + r * n, n, log, y + r * n);
    return;
  }
  constexpr int W = 2 * lanes;
  float tile[short_row * W];
  for (int64_t r = 0; r < rows; r += W) {
    const int64_t width = smaller(W, rows - r);
    for (int64_t l = 0; l < W; l++)
      for (int64_t i = 0; i < n; i++) tile[i * W + l] = x[(r + (l < width ? l : 0)) * n + i];
    columns<W>(tile, n, W, W, log, tile);
    for (int64_t l = 0; l < width; l++)
      for (int64_t i = 0; i < n; i++) y[(r + l) * n + i] = tile[i * W + l];
  }
}

void softmax_columns(const float* x, int64_t n, int64_t inner, bool log, float* y) {
  constexpr int W = 4 * lanes;
  for (int64_t c = 0; c < inner; c += W) columns<W>(x + c, n, inner, smaller(W, inner - c), log, y + c);
}

}  // namespace sono::cpu::SONO_ISA
