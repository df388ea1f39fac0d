#pragma once
// What one instruction set brings: plain functions on raw pointers, each a chunk of work for one thread (tensor/cpu/simd/*.cpp).
#include <cstdint>

namespace sono::cpu {

// Rows of a matrix product whose left operand is gathered from several places: convolutions and matrix products alike.
//   y[r * ldy + o] = start + sum over t < taps, k < depth of  x[t][r * row + k * step] * w[t][k * ldw + o],   r < rows, o < columns
// start is bias[o], or 0 without bias, or y itself where accumulate is set. Either row or step is 1.
// Rows of w and bias are readable up to padded_columns(columns) (tensor/cpu/simd.h).
struct Product {
  const float* const* x;
  const float* const* w;
  int64_t taps, depth, rows, columns, row, step, ldw;
  float* y;
  int64_t ldy;
  const float* bias = nullptr;
  bool accumulate = false;
};

// Windows of a row of output pixels: pixel j sees the positions at[p] + j * step of its image, p < positions (at least one).
struct Windows {
  const int64_t* at;
  int64_t positions, pixels, step, channels;
};

// How a block of rows x columns is normalised: y = (x - mean) * scale + shift, mean, scale and shift per column.
struct Affine {
  const float *mean, *scale, *shift;
  bool relu;
};

// Which pixels of a tile lie inside its image: rows [top, bottom), columns [left, right). The others are 0 and not read.
struct Square {
  int64_t top, left, bottom, right;
};

struct Simd {
  const char* name;
  int lanes;                              // floats of the widest vector
  float (*multiply_adds)(int64_t steps);  // steps * 12 (of 16 lanes: 16) * lanes multiply-adds on registers: the peak, for benchmarks
  void (*product)(const Product&);
  // sums[(3 * i + v) * columns + o] += sum over p < pixels of x[i][p * step + v] * y[p * ldy + o], i < 3, v < 3. columns: of
  // padded_columns.
  void (*nine_taps)(const float* const* x, int64_t pixels, int64_t step, const float* y, int64_t ldy, int64_t columns, float* sums);
  // sums[o] += the sum of x[r * ld + o] over r < rows, for o < columns.
  void (*add_column_sums)(const float* x, int64_t rows, int64_t columns, int64_t ld, float* sums);
  float (*sum)(const float* x, int64_t n);
  // The largest (or smallest) value of each column of contiguous rows (at least one), or of n values; NaN wins.
  void (*column_extremes)(const float* x, int64_t rows, int64_t columns, bool smallest, float* y);
  float (*extreme)(const float* x, int64_t n, bool smallest);
  void (*transpose)(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to,
                    int64_t ld_to);  // to[c * ld_to + r] = from[r * ld_from + c]

  // Winograd's F(4x4, 3x3), for one tile and all its channels (a multiple of 16); `step` apart lie the 36 results.
  void (*winograd_input)(const float* x, int64_t row, int64_t pixel, int64_t channels, const Square& inside, float* v,
                         int64_t step);  // B^T x B of 6 x 6 pixels
  void (*winograd_output)(const float* m, int64_t step, int64_t channels, const float* bias, float* y, int64_t row, int64_t pixel,
                          int64_t rows, int64_t columns);  // A^T m A, the first rows x columns of 4 x 4 pixels
  void (*winograd_gradient)(const float* y, int64_t row, int64_t pixel, int64_t channels, const Square& inside, float* z,
                            int64_t step);                                                              // A y A^T of 4 x 4 pixels
  void (*winograd_weight)(const float* w, int64_t tap, int64_t size, float* u, int64_t step);           // G w G^T of `size` filters
  void (*winograd_weight_gradient)(const float* u, int64_t step, int64_t size, float* w, int64_t tap);  // G^T u G

  // Pooling of a row; x is an image, y and index the row's first pixel. *_at and *_unpool say whether every index lay in its window;
  // *_unpool write all positions of the windows.
  void (*max_pool_row)(const Windows&, const float* x, float* y, int32_t* index);
  bool (*max_pool_at_row)(const Windows&, const float* x, float* y, const int32_t* index);
  bool (*max_unpool_row)(const Windows&, float* x, const float* y, const int32_t* index);
  void (*avg_pool_row)(const Windows&, const float* x, float* y, float scale);
  void (*avg_unpool_row)(const Windows&, float* x, const float* y, float scale);

  // Blocks of contiguous rows of `columns` values: mean and sum of squared deviations of each column.
  void (*column_moments)(const float* x, int64_t rows, int64_t columns, float* mean, float* squares);
  void (*normalize)(const float* x, int64_t rows, int64_t columns, const Affine&, float* y);
  // g = gy, or 0 where y <= 0 (y may be null); sum_g[c] = sum g, sum_gx[c] = sum g * (x - mean[c]).
  void (*gradient_sums)(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const float* mean, float* sum_g,
                        float* sum_gx);
  // gx = scale * g + (x - mean) * slope + offset, all per column.
  void (*normalize_gradient)(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const float* mean,
                             const float* scale, const float* slope, const float* offset, float* gx);
  // One row with statistics of its own (layer norm): its moments, its output, its gradient. scale and shift may be null.
  void (*row_moments)(const float* x, int64_t n, float* mean, float* squares);
  void (*normalize_row)(const float* x, int64_t n, float mean, float rstd, const float* scale, const float* shift, bool relu, float* y);
  // Adds g * h and g to gscale and gshift (h = (x - mean) * rstd), writes gx.
  void (*normalize_row_gradient)(const float* gy, const float* x, const float* y, int64_t n, float mean, float rstd, const float* scale,
                                 float* gscale, float* gshift, float* gx);

  // Softmax (or its logarithm) of rows of n contiguous values, and over n rows of `inner` columns.
  void (*softmax_rows)(const float* x, int64_t rows, int64_t n, bool log, float* y);
  void (*softmax_columns)(const float* x, int64_t n, int64_t inner, bool log, float* y);
};

namespace baseline {
extern const Simd table;
}
namespace v3 {
extern const Simd table;
}
namespace v4 {
extern const Simd table;
}

}  // namespace sono::cpu
