#pragma once
// What one instruction set brings: plain functions on raw pointers, each a chunk of work for one thread (tensor/cpu/simd/*.cpp).
#include <cstdint>

namespace sono::cpu {

// tensor/cpu/optimizer_rules.h
template <class T>
struct Piece;
template <class T>
struct SgdRule;
template <class T>
struct AdagradRule;
template <class T>
struct RmspropRule;
template <class T>
struct AdamRule;
template <class T>
struct AverageRule;

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
  bool accumulate = false, relu = false;  // relu: y = max(0, …)
};

// A row of pixels of a convolution of few channels. A part is one channel of one kernel row of `width` taps, the channel running fastest:
// of it pixel j reads x[part][(j * stride + v) * channels], v < width.
//   narrow          y[j * ldy + o] = bias[o] + sum over part and v of that times w[part][v * channels * ldw + o], o < columns; relu
//   narrow_weight   sums[((part / channels * width + v) * channels + part % channels) * ldw + o] += sum over j of that times y[j * ldy + o]
//                   bias_sums[o] += sum over j of y[j * ldy + o]
// Rows of w, bias, sums and (narrow_weight) y hold padded_columns(columns) values.
// paired: columns fill half a vector, stride and channels are 1, pixels even. Two pixels share a vector: rows of w and bias hold each value
// twice, side by side, and rows of sums and bias_sums two parts of each, which are to be added.
struct NarrowRow {
  const float* const* x;
  const float* const* w;
  int64_t parts, width, stride, channels, pixels, columns, ldw;
  float* y;
  int64_t ldy;
  const float* bias = nullptr;
  bool relu = false, paired = false;
  float *sums = nullptr, *bias_sums = nullptr;
};

// Pixels of a depthwise convolution that are read by the same taps: pixel j reads x[t][j * step + c], t < taps, c < channels.
//   depthwise          y[j * ldy + c] = bias[c] + sum over t of that times w[t][c]; relu
//   depthwise_weight   sums[t][c] += sum over j < pixels of that times y[j * ldy + c]
struct DepthwiseRow {
  const float* const* x;
  const float* const* w;
  int64_t taps, pixels, channels, step;
  float* y;
  int64_t ldy;
  const float* bias = nullptr;
  bool relu = false;
  float* const* sums = nullptr;
};

// Windows of a row of output pixels: pixel j sees the positions at[p] + j * step of its image, p < positions (at least one). `ahead` values
// further on in the image lies what to ask the memory for (0: it is in the cache). past: what is written is too large to be read from the
// cache; whole cache lines of it may go past it. Only with ahead.
struct Windows {
  const int64_t* at;
  int64_t positions, pixels, step, channels;
  int64_t ahead = 0;
  bool past = false;
};

// How a block of rows x columns is normalised: y = (x - mean) * scale + shift, mean, scale and shift per column.
struct Affine {
  const float *mean, *scale, *shift;
  bool relu;
};

// Neighbouring tiles of one row of tiles. rows[i] is row i of their pixels, at column 0 of its image: tile t sees columns left + t * tile …,
// those outside of [0, width) count as zeros. A row outside of the image points to zeros, or, where it is written, to nothing.
struct WinogradRun {
  const float* rows[6];
  int64_t left, width, pixel, tiles;  // pixel: floats from one pixel to the next
  bool few_rows = false, short_rows = false;  // input(): the last pair of rows of positions, the last of each row, is not wanted
};

// Memory that will be wanted soon: `count` places, `stride` floats apart. Kernels that compute fetch a list of these into the second-level
// cache on the way.
struct Ahead {
  const float* at;
  int64_t count, stride;
};

// Winograd's F(tile x tile, taps x taps): buffers hold blocks of 16 channels; tensor/cpu/simd/winograd.h says how they lie in memory.
struct Winograd {
  int64_t tile, taps, size, positions;  // outputs per side; taps; tile + taps - 1 inputs; size^2 products
  int64_t tiles, step, block;           // a buffer's tiles at most; its floats from position to position, from 16 channels to the next 16
  // B^T x B, and A y A^T.
  void (*input)(const WinogradRun&, int64_t channels, float* v);
  void (*gradient)(const WinogradRun&, int64_t channels, float* z);
  // A^T m A + bias of `channels` <= 16 into the first `count` of the run's rows.
  void (*output)(const float* m, int64_t channels, const float* bias, bool relu, const WinogradRun&, float* const* rows, int64_t count);
  // u (position, C + 1, 16) = G w G^T of `columns` <= 16 columns of w, whose taps are at w[taps^2] + column, each (C, O), or null where
  // they are zero; but for positions in `without`.
  void (*weight)(const float* const* w, int64_t column, int64_t columns, int64_t C, int64_t O, uint64_t without, float* u);
  // Channel c of C of the taps w (those that are not null) = G^T s G. s: the sum of `chunks` such as winograd_sums makes, `chunk` floats
  // apart, O wide and zero at positions in `without`.
  void (*weight_gradient)(const float* s, int64_t chunk, int64_t chunks, int64_t c, int64_t C, int64_t O, uint64_t without,
                          float* const* w);
};

// The products of Winograd's algorithm at all `positions`: m = the sum over t < taps of v[t] u[t], for tiles x columns; u_block: from 16
// columns of u to the next. without: null, or per t (of at most 4) a set of positions, one bit each, where u[t] is zero.
struct WinogradProducts {
  int64_t positions;
  const float *const *v, *const *u;
  const uint64_t* without;
  int64_t taps, C, tiles, columns, u_block;
  float* m;
  const Ahead* ahead;
  int64_t aheads;
};
// Its adjoint, at positions [first, last) but those in `without`: s = or += the sum over i < count of v[i]^T z[i], each of tiles[i] tiles.
// s (position, C / 16, O / 16, 16, 16), and 16 floats between positions.
struct WinogradSums {
  int64_t positions;
  const float *const *v, *const *z;
  uint64_t without;
  const int64_t* tiles;
  int64_t count, C, O, first, last;
  bool accumulate;
  float* s;
  const Ahead* ahead;
  int64_t aheads;
};

// How the left operand of `tiles` lies: a[r * lda + k]; a[k * lda + r]; or as `slivers` copied it.
enum class Left : uint8_t { rows, columns, slivers };

// y[r * ldy + o] = start + sum over k < depth of a[r][k] * b[k * ldb + o], r < rows, o < columns <= 2 * lanes, with AVX-512 and
// up to 8 rows as they lie 3 * lanes; start as in Product. Rows of b and bias are readable up to whole vectors.
struct Tiles {
  Left left;
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb, rows, columns, depth;
  float* y;
  int64_t ldy;
  const float* bias = nullptr;
  bool accumulate = false;
};
enum class Epilogue : uint8_t { none, relu, sigmoid, tanh };  // as kernels::Activation

// How an image is sampled at the points of a grid, axes x, y, z: a coordinate g lies at (g + 1) * slope - shift, in pixels. Neighbours from
// `from` up to `to` take part; step is the distance of neighbours along an axis, in pixels.
struct GridFrame {
  int64_t dims, channels, size[3], step[3], from[3], to[3];
  double slope[3], shift[3];
  bool nearest;
};

// A pass of a Fourier transform of radix * m * s numbers (tensor/cpu/simd/fft.cpp). twiddle (m, radix - 1) and root (radix) are complex;
// exchanged: real and imaginary parts have changed places, which makes it an inverse one.
struct FftPass {
  int64_t radix, m, s;
  const float *twiddle, *root;
  bool exchanged = false;
};

// Rows of contiguous logits with the class that each should be. weight (classes) may be null.
struct ClassRows {
  const float* x;
  const int32_t* target;
  const float* weight;
  int64_t rows, classes, ignore;
  float smoothing;
};

// A step of a recurrent layer for n hidden units of one sequence (tensor/kernels.h). Gates lie gate_step apart in p, kept and the
// gradients, recurrent_step apart in r.
enum class CellKind : uint8_t { tanh, relu, lstm, gru };  // as sono::Cell
struct CellStep {
  const float *p, *r, *h_before;
  float *c, *h, *kept, *extra;  // c: in place; kept and extra may be null
  int64_t n, gate_step, recurrent_step;
};
struct CellGradient {
  const float *g, *kept, *extra, *y;  // g: the gradient of h'
  const float* before;                // an LSTM's c, a GRU's h, before the step
  float *gc, *gh;                     // gc: of c', becomes that of c. gh: written, what of h does not pass through r
  float *gx, *gr;                     // written: the gradients of p and r
  int64_t n, gate_step;
};

struct Simd {
  const char* name;
  int lanes;                              // floats of the widest vector
  float (*multiply_adds)(int64_t steps);  // steps * 12 (of 16 lanes: 16) * lanes multiply-adds on registers: the peak, for benchmarks
  void (*product)(const Product&);
  bool (*has_narrow)(int64_t width, int64_t stride, int64_t channels);  // which of the next two there are
  void (*narrow)(const NarrowRow&);
  void (*narrow_weight)(const NarrowRow&);
  void (*depthwise)(const DepthwiseRow&);
  void (*depthwise_weight)(const DepthwiseRow&);
  // sums[o] += the sum of x[r * ld + o] over r < rows, for o < columns.
  void (*add_column_sums)(const float* x, int64_t rows, int64_t columns, int64_t ld, float* sums);
  float (*sum)(const float* x, int64_t n);
  // The largest (or smallest) value of each column of contiguous rows (at least one), or of n values; NaN wins.
  void (*column_extremes)(const float* x, int64_t rows, int64_t columns, bool smallest, float* y);
  float (*extreme)(const float* x, int64_t n, bool smallest);
  // The same of rows of n values (at least one), and the first place where it is.
  void (*row_extremes)(const float* x, int64_t rows, int64_t n, bool smallest, float* y);
  void (*row_arguments)(const float* x, int64_t rows, int64_t n, bool smallest, int32_t* y);
  void (*transpose)(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to,
                    int64_t ld_to);  // to[c * ld_to + r] = from[r * ld_from + c]

  const Winograd *winograd4, *winograd2, *winograd_stride2;  // F(4x4, 3x3), F(2x2, 3x3), F(4x4, 2x2)
  int winograd_columns;                                      // channels of y that one call of winograd_products takes at most
  void (*winograd_products)(const WinogradProducts&);
  void (*winograd_sums)(const WinogradSums&);
  void (*tiles)(const Tiles&);
  void (*slivers)(const float* a, int64_t lda, int64_t rows, int64_t depth, float* to);  // of a[k * lda + r]; rows * (depth + 16) values
  // Rows of b (or, transposed, its columns) as panels of `width` (of lanes or 2 * lanes) columns, `step` apart: to[k * width + o].
  void (*panels)(const float* b, int64_t ldb, bool transposed, int64_t depth, int64_t columns, int64_t width, int64_t step, float* to);
  // y[r * ldy + j] = the product of row r of a (rows, K) and row j of b (n, K).
  void (*few_dots)(const float* a, int64_t rows, const float* b, int64_t K, int64_t n, float* y, int64_t ldy);
  void (*dots)(const float* matrix, int64_t K, int64_t n, const float* v, float* y);                 // y[i] = sum of matrix[i * K + k] * v[k]
  void (*combine)(const float* matrix, int64_t K, int64_t ld, int64_t n, const float* v, float* y);  // y[j] = sum of v[k] * matrix[k * ld + j]
  void (*activate)(float* y, int64_t ldy, int64_t rows, int64_t columns, Epilogue kind);                  // in place

  // sample[i] = u < y[i], u the (first + i)-th of random_uniform(…, seed, stream).
  void (*bernoulli)(const float* y, int64_t n, uint64_t first, uint64_t seed, uint64_t stream, float* sample);
  void (*cell)(CellKind, const CellStep&);
  void (*cell_gradient)(CellKind, const CellGradient&);

  // Pooling of a row; x is an image, y and index the row's first pixel. *_at and *_unpool say whether every index lay in its window;
  // *_unpool write all positions of the windows.
  void (*max_pool_row)(const Windows&, const float* x, float* y, int32_t* index);
  bool (*max_pool_at_row)(const Windows&, const float* x, float* y, const int32_t* index);
  bool (*max_unpool_row)(const Windows&, float* x, const float* y, const int32_t* index);
  void (*avg_pool_row)(const Windows&, const float* x, float* y, float scale);
  void (*avg_unpool_row)(const Windows&, float* x, const float* y, float scale);

  // Blocks of contiguous rows of `columns` values: mean and sum of squared deviations of each column.
  void (*column_moments)(const float* x, int64_t rows, int64_t columns, float* mean, float* squares);
  void (*normalize)(const float* x, const float* add, int64_t rows, int64_t columns, const Affine&, float* y);  // add may be null
  // With g = gy, 0 where the affine's relu cut (read from y, or if it is null found from x): sum_g[c] += g, sum_gx[c] += g * (x - mean[c]).
  void (*gradient_sums)(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const Affine&, float* sum_g,
                        float* sum_gx);
  // gx = scale * g + (x - mean) * slope + offset, all per column; gadd = g, may be null. gx or gadd may be gy.
  void (*normalize_gradient)(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const Affine&,
                             const float* slope, const float* offset, float* gx, float* gadd);
  // The same for a row of pooling windows; x, y, gy, gx are images, pooled and gpooled the row's first pixel. y and gy may be null.
  void (*normalize_pool_row)(const Windows&, const float* x, const Affine&, float* y, float* pooled);
  void (*pool_gradient_sums)(const Windows&, const float* gpooled, const float* gy, const float* x, const Affine&, float* sum_g,
                             float* sum_gx);
  void (*pool_gradient)(const Windows&, const float* gpooled, const float* gy, const float* x, const Affine&, const float* slope,
                        const float* offset, float* gx);
  // One row with statistics of its own (layer norm): its moments, its output, its gradient. scale and shift may be null.
  void (*row_moments)(const float* x, int64_t n, float* mean, float* squares);
  void (*normalize_row)(const float* x, int64_t n, float mean, float rstd, const float* scale, const float* shift, bool relu, float* y);
  // Adds g * h and g to gscale and gshift (h = (x - mean) * rstd), writes gx.
  void (*normalize_row_gradient)(const float* gy, const float* x, const float* y, int64_t n, float mean, float rstd, const float* scale,
                                 const float* shift, bool relu, float* gscale, float* gshift, float* gx);

  // Softmax (or its logarithm) of rows of n contiguous values, and over n rows of `inner` columns.
  void (*softmax_rows)(const float* x, int64_t rows, int64_t n, bool log, float* y);
  void (*softmax_columns)(const float* x, int64_t n, int64_t inner, bool log, float* y);

  // Resampling. to[i] = sum over k < taps of weight[k] * rows[k][i], i < n.
  void (*weighted_rows)(const float* const* rows, const float* weight, int64_t taps, int64_t n, float* to);
  // y[p] = sum of weight[k] * line[index[k]] over k from start[p] to start[p + 1], for pixels of `channels` floats.
  void (*weighted_pixels)(const float* line, const int32_t* start, const int32_t* index, const float* weight, int64_t pixels,
                          int64_t channels, float* y);
  // grid (points, dims). y (points, channels) from x; gx += …, its adjoint; ggrid like grid, the gradient by the points.
  void (*grid_sample)(const GridFrame&, const float* x, const float* grid, int64_t points, float* y);
  void (*grid_scatter)(const GridFrame&, const float* grid, const float* gy, int64_t points, float* gx);
  void (*grid_slopes)(const GridFrame&, const float* x, const float* grid, const float* gy, int64_t points, float* ggrid);
  // x and y (radix * m * s, 2, lanes): the real parts of `lanes` rows, then the imaginary ones.
  void (*fft_pass)(const FftPass&, const float* x, float* y);

  // to[i] = w[0] * centre[i] + sum over k from 1 to reach of w[k] * (centre[i - k * step] + centre[i + k * step]), i < n.
  void (*symmetric_filter)(const float* centre, int64_t step, const float* w, int64_t reach, int64_t n, float* to);
  // out[w][k]: word w of Philox4x32-10's block first + k, k < 32.
  void (*philox)(uint64_t first, uint64_t stream, uint64_t seed, uint32_t* out);

  // Rows of logits whose target (a class, or `ignore`) is one of at most 64 classes: loss, its weight and log-sum-exp of each row, and
  // from the last and gy the gradient (tensor/kernels.h). Targets have been checked.
  void (*cross_entropy_rows)(const ClassRows&, float* y, float* row_weight, float* log_sum);
  void (*cross_entropy_gradient)(const ClassRows&, const float* log_sum, const float* gy, float* gx);
  // Values of an image with a channel for each value of a row of `wide`: adds to sums (4, wide); gx from g (4, wide).
  void (*logit_sums)(const float* x, const float* t, int64_t n, int64_t wide, bool squared, float* sums);
  void (*logit_gradient)(const float* x, const float* t, int64_t n, int64_t wide, bool squared, const float* g, float* gx);

  // Optimizer steps.
  void (*sgd_step)(const Piece<float>&, const SgdRule<float>&);
  void (*adagrad_step)(const Piece<float>&, const AdagradRule<float>&);
  void (*rmsprop_step)(const Piece<float>&, const RmspropRule<float>&);
  void (*adam_step)(const Piece<float>&, const AdamRule<float>&);
  void (*average_step)(const Piece<float>&, const AverageRule<float>&);
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
