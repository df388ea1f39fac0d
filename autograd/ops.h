#pragma once
// Every differentiable operation: the user's tensor API. All run on any device that has their kernels, for f32 and f64, and can be
// differentiated twice and more. Two-operand operations broadcast as NumPy does. Axes may be negative. Errors: ShapeError, DtypeError.
//
//   Tensor x = leaf(Tensor::ones({2, 3}));
//   Tensor y = mean(square(x * 2.0 - 1.0), {1});      // shape (2)
//   backward(sum(y));  gradient(x);
#include <array>
#include <optional>
#include <span>

#include "autograd/graph.h"
#include "tensor/cell.h"

namespace sono {

using Axes = std::vector<int64_t>;

// ---- elementwise (autograd/ops/elementwise.cpp) ------------------------------------------------------------------------------------------
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator+(const Tensor& a, double b);
Tensor operator-(const Tensor& a, double b);
Tensor operator*(const Tensor& a, double b);
Tensor operator/(const Tensor& a, double b);
Tensor operator+(double a, const Tensor& b);
Tensor operator-(double a, const Tensor& b);
Tensor operator*(double a, const Tensor& b);
Tensor operator/(double a, const Tensor& b);
Tensor operator-(const Tensor& x);

Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor square(const Tensor& x);
Tensor pow(const Tensor& x, double p);
Tensor pow(const Tensor& a, const Tensor& b);  // a > 0 where b is differentiated
Tensor abs(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor leaky_relu(const Tensor& x, double slope = 0.01);
Tensor prelu(const Tensor& x, const Tensor& slope);  // slope broadcasts: () or (C)
Tensor elu(const Tensor& x, double alpha = 1);
Tensor gelu(const Tensor& x);
Tensor silu(const Tensor& x);
Tensor softplus(const Tensor& x);
Tensor clamp(const Tensor& x, double low, double high);
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor bce_with_logits(const Tensor& logits, const Tensor& targets);  // per element

// Comparisons: u8 tensors of 0 and 1, no gradient.
Tensor operator<(const Tensor& a, const Tensor& b);
Tensor operator<=(const Tensor& a, const Tensor& b);
Tensor operator>(const Tensor& a, const Tensor& b);
Tensor operator>=(const Tensor& a, const Tensor& b);
Tensor operator<(const Tensor& a, double b);
Tensor operator<=(const Tensor& a, double b);
Tensor operator>(const Tensor& a, double b);
Tensor operator>=(const Tensor& a, double b);
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor select(const Tensor& mask, const Tensor& yes, const Tensor& no);  // mask u8; all three broadcast
inline Tensor where(const Tensor& mask, const Tensor& yes, const Tensor& no) { return select(mask, yes, no); }
Tensor zero_like(const Tensor& x);

Tensor cast(const Tensor& x, Dtype dtype);            // itself if it has that dtype; floats to integers round to nearest
Tensor to_device(const Tensor& x, Device device);     // itself if it is there

// ---- reductions (reduce.cpp): over the axes, all of them if none is given -----------------------------------------------------------------
Tensor sum(const Tensor& x, const Axes& axes = {}, bool keep = false);
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keep = false);
Tensor var(const Tensor& x, const Axes& axes = {}, bool keep = false, bool unbiased = false);
Tensor max(const Tensor& x, const Axes& axes = {}, bool keep = false);  // ties: the first one has the gradient
Tensor min(const Tensor& x, const Axes& axes = {}, bool keep = false);
Tensor argmax(const Tensor& x, int64_t axis = -1);                      // i32, no gradient
Tensor argmin(const Tensor& x, int64_t axis = -1);
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keep = false);
Tensor softmax(const Tensor& x, int64_t axis = -1);
Tensor log_softmax(const Tensor& x, int64_t axis = -1);
Tensor cumsum(const Tensor& x, int64_t axis = -1, bool reverse = false);
std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis = -1, bool descending = false);  // values and i32 indices; stable
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t axis = -1);               // the k largest, falling
Tensor sum_to(const Tensor& x, const Shape& shape);     // sums over broadcast dimensions
Tensor broadcast_to(const Tensor& x, const Shape& shape);  // its adjoint

// ---- shape (shape.cpp) ---------------------------------------------------------------------------------------------------------------------
Tensor reshape(const Tensor& x, Shape shape);           // one dimension may be -1; shares memory
Tensor permute(const Tensor& x, const Axes& order);
Tensor transpose(const Tensor& x, int64_t a = -2, int64_t b = -1);
Tensor slice(const Tensor& x, int64_t axis, int64_t first, int64_t last, int64_t step = 1);  // negative bounds count from the end
Tensor concat(const std::vector<Tensor>& xs, int64_t axis);
Tensor stack(const std::vector<Tensor>& xs, int64_t axis = 0);
std::vector<Tensor> split(const Tensor& x, int64_t parts, int64_t axis);
enum class Padding { zero, reflect, edge };
Tensor pad(const Tensor& x, const std::vector<std::pair<int64_t, int64_t>>& before_after, Padding mode = Padding::zero);  // one pair per dimension
Tensor flip(const Tensor& x, const Axes& axes);
Tensor roll(const Tensor& x, int64_t shift, int64_t axis);

// ---- indices (index.cpp): index i32, no gradient ---------------------------------------------------------------------------------------------
Tensor take(const Tensor& x, const Tensor& index, int64_t axis = 0);      // y[…, i…, …] = x[…, index[i…], …]; embedding rows with axis 0
Tensor gather(const Tensor& x, const Tensor& index, int64_t axis);        // y[i,j] = x[index[i,j], j] for axis 0; the other dimensions of x and index agree
Tensor scatter_add(const Tensor& x, const Tensor& index, const Shape& shape, int64_t axis);  // the adjoint: zeros(shape), then y[index[i,j], j] += x[i,j]
Tensor embedding(const Tensor& table, const Tensor& index);               // (V, C), (…) -> (…, C)
Tensor one_hot(const Tensor& index, int64_t classes, Dtype dtype = Dtype::f32);  // a value outside 0 … classes-1 is a ShapeError

// ---- matrix product (matmul.cpp) ---------------------------------------------------------------------------------------------------------------
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);  // (…, M, K) x (…, K, N); one of them may be (M, K)
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});  // (…, in) x (in, out) + (out)
// probability = sigmoid(x w + bias), (N, in) x (in, out) or, transpose_w, (out, in); sample = u < probability ? 1 : 0 with the u of
// random_uniform(its shape, seed, stream), drawn where the product is written. No gradient: binary units, as contrastive divergence draws them.
struct BinaryUnits { Tensor probability, sample; };
BinaryUnits sample_units(const Tensor& x, const Tensor& w, const Tensor& bias, bool transpose_w, uint64_t seed, uint64_t stream);

// ---- recurrent layers (recurrent.cpp): equations of tensor/kernels.h, weights (in, gates * H) and (H, gates * H), biases optional --------------------------
struct RecurrentState {
  Tensor h, c;  // c of an LSTM only
  RecurrentState detach() const { return {h.detach(), c ? c.detach() : Tensor()}; }  // cuts the graph: back-propagation stops here
};
struct RecurrentWeights { Tensor weight_ih, weight_hh, bias_ih, bias_hh; };
struct SequenceOptions {
  std::vector<int64_t> lengths = {};  // of each sequence, 0 … T; empty: all T. Steps beyond it change nothing and give zeros
  bool reverse = false;               // from the last step to the first
  int64_t truncate = 0;               // k > 0: the state is cut from the graph after every k steps [Williams and Peng 1990]
};
struct SequenceResult { Tensor y; RecurrentState state; };  // (N, T, H); (N, H), where each sequence ended
// x (N, T, in); the state before is (N, H), an empty one zeros. One kernel for all steps, and one for all their gradients.
SequenceResult recurrent(Cell cell, const Tensor& x, const RecurrentWeights& weights, const RecurrentState& before = {}, const SequenceOptions& options = {});
// One step, of elementwise operations: projected = x weight_ih + bias_ih, recurrent = h weight_hh + bias_hh, both (N, gates * H).
RecurrentState step(Cell cell, const Tensor& projected, const Tensor& recurrent, const RecurrentState& before);
// x (T, …) as T tensors that share its memory. Unlike T slices, whose gradients are each as large as x, its gradient is put together once:
// a sequence costs O(T) and not O(T^2).
std::vector<Tensor> unstack(const Tensor& x);

// ---- convolution (conv.cpp) ----------------------------------------------------------------------------------------------------------------------
// A size per spatial dimension: {3} for all, {3, 5} for (H, W), {1, 3, 5} for (D, H, W).
struct Extent {
  std::vector<int64_t> sizes;
  Extent(int64_t all) : sizes{all} {}
  Extent(std::initializer_list<int64_t> each) : sizes(each) {}
  std::array<int64_t, 3> spatial(int64_t dimensions, int64_t missing) const;  // (D, H, W); ShapeError if the count does not fit
};
struct ConvOptions {
  Extent stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
};
// x (N, T, C) | (N, H, W, C) | (N, D, H, W, C); w (kT, C/groups, O) | (kH, kW, C/groups, O) | (kD, kH, kW, C/groups, O); bias (O), optional.
Tensor conv(const Tensor& x, const Tensor& w, const Tensor& bias = {}, const ConvOptions& options = {});
Tensor conv_input(const Tensor& y, const Tensor& w, const Shape& x_shape, const ConvOptions& options = {});   // adjoint in x = transposed convolution
Tensor conv_weight(const Tensor& x, const Tensor& y, const Shape& w_shape, const ConvOptions& options = {});  // adjoint in w
inline Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias = {}, const ConvOptions& options = {}) { return conv(x, w, bias, options); }
// conv(concat({a, b}, -1), w): where the convolution's kernels can read both as they lie, without the copy. The same bits.
Tensor concat_conv(const Tensor& a, const Tensor& b, const Tensor& w, const ConvOptions& options = {});
// Transposed convolution: x (N, …, C), w (k…, O, C) as conv's weight from O to C; output size (size-1)*stride - 2*padding + dilation*(k-1) + output_padding + 1.
Tensor conv_transpose(const Tensor& x, const Tensor& w, const Tensor& bias = {}, const ConvOptions& options = {}, const Extent& output_padding = 0);

// ---- pooling (pool.cpp): 1 to 3 spatial dimensions -------------------------------------------------------------------------------------------------
struct PoolOptions {
  Extent window = 2;
  std::optional<Extent> stride = {};  // none: the window
  Extent padding = 0;
  bool ceil = false;             // a last window that is partly outside counts
  bool count_padding = true;     // averages
};
Tensor max_pool(const Tensor& x, const PoolOptions& options = {});
std::pair<Tensor, Tensor> max_pool_with_index(const Tensor& x, const PoolOptions& options = {});  // i32 positions in the D*H*W of each image
Tensor max_unpool(const Tensor& y, const Tensor& index, const Shape& x_shape);                    // zeros, then values at the indices
Tensor avg_pool(const Tensor& x, const PoolOptions& options = {});
Tensor global_avg_pool(const Tensor& x);                     // (N, …, C) -> (N, C)
Tensor adaptive_avg_pool(const Tensor& x, const Extent& size);  // windows floor(i*n/size) … ceil((i+1)*n/size), as PyTorch
Tensor adaptive_max_pool(const Tensor& x, const Extent& size);

// ---- normalisation (norm.cpp): scale and shift (C), both optional --------------------------------------------------------------------------------------
struct NormResult { Tensor y, mean, rstd; };  // statistics carry no gradient
NormResult batch_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon = 1e-5, bool relu = false,
                      const Tensor& add = {});  // statistics of the batch; y = … + add (like x), then the relu: the join of a residual block
// max_pool(batch_norm(x), {.window = window}) in one pass; what is only needed to be pooled is not kept, and y is empty unless asked for.
struct NormPoolResult { Tensor y, pooled, mean, rstd; };
NormPoolResult batch_norm_max_pool(const Tensor& x, const Tensor& scale, const Tensor& shift, const Extent& window = 2, double epsilon = 1e-5,
                                   bool relu = false, bool with_y = false);
// conv(relu(batch_norm(x)), w): where the convolution's kernel can normalise what it reads, that is neither written nor kept. The same bits.
NormResult batch_norm_conv(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& w, const ConvOptions& options = {},
                           double epsilon = 1e-5);
Tensor batch_norm_eval(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& mean, const Tensor& variance, double epsilon = 1e-5);
Tensor layer_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon = 1e-5);     // over the last axis
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& scale, const Tensor& shift, double epsilon = 1e-5);
Tensor instance_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon = 1e-5);
// x / (k + alpha/size * sum of x^2 over `size` neighbouring channels)^beta [Krizhevsky et al., NIPS 2012; alpha/size as PyTorch].
Tensor local_response_norm(const Tensor& x, int64_t size = 5, double alpha = 1e-4, double beta = 0.75, double k = 1);
Tensor dropout(const Tensor& x, double p, bool training);    // kept values are divided by 1 - p; draws from next_stream()

// ---- losses with kernels of their own (loss.cpp) ----------------------------------------------------------------------------------------------------------
enum class Average { none, mean, sum };
struct CrossEntropyOptions {
  Tensor weight = {};            // (classes), optional
  int64_t ignore = -100;         // targets of this value take no part
  double smoothing = 0;
  Average average = Average::mean;  // mean: divided by the weights of the targets, as PyTorch
};
Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});  // (…, classes), target (…) i32

// What binary cross-entropy and Dice are made of: (N, …, C) twice -> (N, C, 4), the sums over space of s t, s, t and the cross-entropy, s the
// logistic function of the logits and t the targets; squared: of s^2 and t^2. One pass over both, and one for the gradient.
Tensor logit_sums(const Tensor& logits, const Tensor& targets, bool squared = false);

// ---- sampling (resample.cpp) --------------------------------------------------------------------------------------------------------------------------
enum class Interpolation { nearest, linear };
// To the spatial size given; linear as PyTorch's align_corners=false (true on request), nearest floor(i * in / out).
Tensor interpolate(const Tensor& x, const Extent& size, Interpolation mode = Interpolation::linear, bool align_corners = false);
// x (N, H, W, C), grid (N, Ho, Wo, 2) of (x, y) in [-1, 1]; or (N, D, H, W, C), grid (…, 3) of (x, y, z). Zero outside. Differentiable in x and grid.
Tensor grid_sample(const Tensor& x, const Tensor& grid, Interpolation mode = Interpolation::linear, bool align_corners = false);
Tensor affine_grid(const Tensor& theta, const Shape& size, bool align_corners = false);  // theta (N, 2, 3) | (N, 3, 4); size (N, H, W, C) | (N, D, H, W, C)

// ---- Fourier (fft.cpp): complex numbers are a last axis of 2 (real, imaginary); along the axis before it ------------------------------------------------
Tensor fft(const Tensor& x);                  // (…, n, 2) -> (…, n, 2)
Tensor ifft(const Tensor& x);                 // divided by n
Tensor rfft(const Tensor& x);                 // (…, n) -> (…, n/2+1, 2)
Tensor irfft(const Tensor& x, int64_t n);     // (…, n/2+1, 2) -> (…, n)
Tensor hilbert(const Tensor& x);              // analytic signal (…, n) -> (…, n, 2); its length is the envelope

}  // namespace sono
