#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {

float multiply_adds(int64_t steps);
void product(const Product& p);
bool has_narrow(int64_t width, int64_t stride, int64_t channels);
void narrow(const NarrowRow& n);
void narrow_weight(const NarrowRow& n);
void depthwise(const DepthwiseRow& d);
void depthwise_weight(const DepthwiseRow& d);
void add_column_sums(const float* x, int64_t rows, int64_t columns, int64_t ld, float* sums);
float sum(const float* x, int64_t n);
void column_extremes(const float* x, int64_t rows, int64_t columns, bool smallest, float* y);
void row_extremes(const float* x, int64_t rows, int64_t n, bool smallest, float* y);
void row_arguments(const float* x, int64_t rows, int64_t n, bool smallest, int32_t* y);
float extreme(const float* x, int64_t n, bool smallest);
void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t columns, float* to, int64_t ld_to);
extern const Winograd winograd4, winograd2, winograd_stride2;
void winograd_products(const WinogradProducts& p);
void winograd_sums(const WinogradSums& p);
void tiles(const Tiles& t);
void slivers(const float* a, int64_t lda, int64_t rows, int64_t depth, float* to);
void panels(const float* b, int64_t ldb, bool transposed, int64_t depth, int64_t columns, int64_t width, int64_t step, float* to);
void few_dots(const float* a, int64_t rows, const float* b, int64_t K, int64_t n, float* y, int64_t ldy);
void dots(const float* matrix, int64_t K, int64_t n, const float* v, float* y);
void combine(const float* matrix, int64_t K, int64_t ld, int64_t n, const float* v, float* y);
void activate(float* y, int64_t ldy, int64_t rows, int64_t columns, Epilogue kind);
void bernoulli(const float* y, int64_t n, uint64_t first, uint64_t seed, uint64_t stream, float* sample);
void cell(CellKind kind, const CellStep& s);
void cell_gradient(CellKind kind, const CellGradient& s);
void max_pool_row(const Windows& w, const float* x, float* y, int32_t* index);
bool max_pool_at_row(const Windows& w, const float* x, float* y, const int32_t* index);
bool max_unpool_row(const Windows& w, float* x, const float* y, const int32_t* index);
void avg_pool_row(const Windows& w, const float* x, float* y, float scale);
void avg_unpool_row(const Windows& w, float* x, const float* y, float scale);
void column_moments(const float* x, int64_t rows, int64_t columns, float* mean, float* squares);
void normalize(const float* x, const float* add, int64_t rows, int64_t columns, const Affine& a, float* y);
void gradient_sums(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const Affine& a, float* sum_g,
                   float* sum_gx);
void normalize_gradient(const float* gy, const float* x, const float* y, int64_t rows, int64_t columns, const Affine& a, const float* slope,
                        const float* offset, float* gx, float* gadd);
void normalize_pool_row(const Windows& w, const float* x, const Affine& a, float* y, float* pooled);
void pool_gradient_sums(const Windows& w, const float* gpooled, const float* gy, const float* x, const Affine& a, float* sum_g,
                        float* sum_gx);
void pool_gradient(const Windows& w, const float* gpooled, const float* gy, const float* x, const Affine& a, const float* slope,
                   const float* offset, float* gx);
void row_moments(const float* x, int64_t n, float* mean, float* squares);
void normalize_row(const float* x, int64_t n, float mean, float rstd, const float* scale, const float* shift, bool relu, float* y);
void normalize_row_gradient(const float* gy, const float* x, const float* y, int64_t n, float mean, float rstd, const float* scale,
                            const float* shift, bool relu, float* gscale, float* gshift, float* gx);
void softmax_rows(const float* x, int64_t rows, int64_t n, bool log, float* y);
void softmax_columns(const float* x, int64_t n, int64_t inner, bool log, float* y);
void weighted_rows(const float* const* rows, const float* weight, int64_t taps, int64_t n, float* to);
void weighted_pixels(const float* line, const int32_t* start, const int32_t* index, const float* weight, int64_t pixels, int64_t channels,
                     float* y);
void grid_sample(const GridFrame& f, const float* x, const float* grid, int64_t points, float* y);
void grid_scatter(const GridFrame& f, const float* grid, const float* gy, int64_t points, float* gx);
void grid_slopes(const GridFrame& f, const float* x, const float* grid, const float* gy, int64_t points, float* ggrid);
void fft_pass(const FftPass& f, const float* x, float* y);
void symmetric_filter(const float* centre, int64_t step, const float* w, int64_t reach, int64_t n, float* to);
void philox(uint64_t first, uint64_t stream, uint64_t seed, uint32_t* out);
void cross_entropy_rows(const ClassRows& c, float* y, float* row_weight, float* log_sum);
void cross_entropy_gradient(const ClassRows& c, const float* log_sum, const float* gy, float* gx);
void logit_sums(const float* x, const float* t, int64_t n, int64_t wide, bool squared, float* sums);
void logit_gradient(const float* x, const float* t, int64_t n, int64_t wide, bool squared, const float* g, float* gx);
void sgd_step(const Piece<float>& p, const SgdRule<float>& rule);
void adagrad_step(const Piece<float>& p, const AdagradRule<float>& rule);
void rmsprop_step(const Piece<float>& p, const RmspropRule<float>& rule);
void adam_step(const Piece<float>& p, const AdamRule<float>& rule);
void average_step(const Piece<float>& p, const AverageRule<float>& rule);

#define SONO_TEXT(x) #x
#define SONO_STRING(x) SONO_TEXT(x)

const Simd table = {
    .name = SONO_STRING(SONO_ISA),
    .lanes = lanes,
    .multiply_adds = multiply_adds,
    .product = product,
    .has_narrow = has_narrow,
    .narrow = narrow,
    .narrow_weight = narrow_weight,
    .depthwise = depthwise,
    .depthwise_weight = depthwise_weight,
    .add_column_sums = add_column_sums,
    .sum = sum,
    .column_extremes = column_extremes,
    .extreme = extreme,
    .row_extremes = row_extremes,
    .row_arguments = row_arguments,
    .transpose = transpose,
    .winograd4 = &winograd4,
    .winograd2 = &winograd2,
    .winograd_stride2 = &winograd_stride2,
    .winograd_columns = lanes == 16 ? 32 : 16,
    .winograd_products = winograd_products,
    .winograd_sums = winograd_sums,
    .tiles = tiles,
    .slivers = slivers,
    .panels = panels,
    .few_dots = few_dots,
    .dots = dots,
    .combine = combine,
    .activate = activate,
    .bernoulli = bernoulli,
    .cell = cell,
    .cell_gradient = cell_gradient,
    .max_pool_row = max_pool_row,
    .max_pool_at_row = max_pool_at_row,
    .max_unpool_row = max_unpool_row,
    .avg_pool_row = avg_pool_row,
    .avg_unpool_row = avg_unpool_row,
    .column_moments = column_moments,
    .normalize = normalize,
    .gradient_sums = gradient_sums,
    .normalize_gradient = normalize_gradient,
    .normalize_pool_row = normalize_pool_row,
    .pool_gradient_sums = pool_gradient_sums,
    .pool_gradient = pool_gradient,
    .row_moments = row_moments,
    .normalize_row = normalize_row,
    .normalize_row_gradient = normalize_row_gradient,
    .softmax_rows = softmax_rows,
    .softmax_columns = softmax_columns,
    .weighted_rows = weighted_rows,
    .weighted_pixels = weighted_pixels,
    .grid_sample = grid_sample,
    .grid_scatter = grid_scatter,
    .grid_slopes = grid_slopes,
    .fft_pass = fft_pass,
    .symmetric_filter = symmetric_filter,
    .philox = philox,
    .cross_entropy_rows = cross_entropy_rows,
    .cross_entropy_gradient = cross_entropy_gradient,
    .logit_sums = logit_sums,
    .logit_gradient = logit_gradient,
    .sgd_step = sgd_step,
    .adagrad_step = adagrad_step,
    .rmsprop_step = rmsprop_step,
    .adam_step = adam_step,
    .average_step = average_step,
};

}  // namespace sono::cpu::SONO_ISA
