#pragma once
// What every heavy kernel computes. How the CPU does it is in tensor/cpu/, one file per kernel; how a GPU does it is in cuda/.
//
// A kernel has an ordered list of implementations, fastest first; the first that fits runs, and the plain reference is always last: it is
// the specification and the oracle of the tests. Where several good entries fit, those that state a cost compete: the cheapest runs.
// SONO_KERNEL=conv2d:reference,matmul:reference forces an entry by name.
// Outputs are allocated by the caller and need not be initialised. All tensors of a call share dtype (f32 or f64) and device, except indices.
#include <array>
#include <span>
#include <string_view>

#include "tensor/cell.h"
#include "tensor/elementwise.h"
#include "tensor/tensor.h"

namespace sono::kernels {

template <class Args> struct Implementation {
  const char* name;
  bool (*fits)(const Args&);
  void (*run)(const Args&);
  // Predicted time, in multiply-adds on whole vectors of the instruction set in use; null: the place in the list decides.
  double (*cost)(const Args&) = nullptr;
  // The constant operand (weights) as run() reads it, to be given as Args::packed in later calls of this entry; null: it is read as it is.
  Tensor (*pack)(const Args&) = nullptr;
};

template <class Args> struct Kernel {
  const char* name;
  std::span<const Implementation<Args>> cpu;
  std::span<const Implementation<Args>> cuda;  // empty until cuda::start()

  // Runs the implementation that is chosen, or the one that SONO_KERNEL names. DeviceError if the device has none.
  void operator()(const Args& a) const { choose(a).run(a); }
  const Implementation<Args>& choose(const Args& a) const;
};

// What a product may do with its result before it is written.
enum class Activation : uint8_t { none, relu, sigmoid, tanh };

// ---- matrix product ------------------------------------------------------------------------------------------------------------------
// y[b] = A[b] B[b] (+ bias per column), A (M, K), B (K, N), y (batch, M, N). transpose_a: a is stored (batch, K, M); transpose_b: b is stored
// (batch, N, K). A batch of 1 in a or b is used for every y. bias (N) is optional (empty handle).
struct MatmulArgs {
  Tensor a, b, y;
  bool transpose_a = false, transpose_b = false;
  Tensor bias = {};
  Activation activation = Activation::none;  // y = activation(A B + bias)
  Tensor packed = {};                        // b, as pack() of the entry that runs made it
  // Optional, like y: 1 where the i-th of random_uniform(…, seed, stream) is below y's i-th value, else 0.
  Tensor sample = {};
  uint64_t seed = 0, stream = 0;
};
extern Kernel<MatmulArgs> matmul;

// ---- recurrent layers ------------------------------------------------------------------------------------------------------------------
// One layer over whole sequences, in one direction. With p = x[n,t], r = h weight + bias and the state (h, c) before the step:
//   tanh, relu  h' = f(p + r)
//   lstm        i, f, o = sigmoid, g = tanh of p + r;  c' = f c + i g;  h' = o tanh(c')
//   gru         r, z = sigmoid(p + r), n = tanh(p_n + r r_n);  h' = (1 - z) n + z h
// Steps beyond a sequence's length leave its state alone and give y = 0.
struct RecurrentArgs {
  Cell cell = Cell::lstm;
  Tensor x;               // (N, T, gates * H): what comes from below, bias included
  Tensor weight, bias;    // (H, gates * H); (gates * H), optional
  Tensor h0, c0;          // (N, H); c0 of an LSTM only
  Tensor y, h, c;         // (N, T, H): h' of each step; (N, H): where each sequence ended
  Tensor kept, extra;     // for backward, or empty. kept like x (it may be x): the gates; extra (N, T, H): an LSTM's c', a GRU's r_n
  std::vector<int64_t> lengths = {};  // N of 0 … T; empty: all T
  bool reverse = false;               // from the last step to the first
  Tensor packed = {};                 // weight, as pack() of the entry that runs made it
};
extern Kernel<RecurrentArgs> recurrent;

// The gradients of recurrent: from those of y, h, c (gy, gh, gc; each may be empty: zero) to those of x, h0 and c0.
struct RecurrentBackwardArgs {
  Cell cell = Cell::lstm;
  Tensor gy, gh, gc;
  Tensor weight, h0, c0, y, kept, extra;  // of the forward pass
  Tensor gx, gh0, gc0;                    // written; gc0 of an LSTM only
  Tensor gr;      // (N, T, gates * H), GRU only: the gradient of r; of the other cells it is gx
  Tensor before;  // (N, T, H), written: h before each step (0 beyond the length), so that the gradient of weight is before^T gr
  std::vector<int64_t> lengths = {};
  bool reverse = false;
  int64_t truncate = 0;  // k > 0: no gradient from step k i to the one before it
};
extern Kernel<RecurrentBackwardArgs> recurrent_backward;

// ---- convolution ---------------------------------------------------------------------------------------------------------------------
// Everything is 3D: x (N, D, H, W, C), w (kD, kH, kW, C / groups, O), y (N, Do, Ho, Wo, O); images have D = 1. Outside x is zero.
//   y[n,i,j,k,o] = bias[o] + sum over u,v,t,c of x[n, i*stride+u*dilation-padding, …, c] * w[u,v,t,c,o]
struct ConvGeometry {
  std::array<int64_t, 3> stride{1, 1, 1}, padding{0, 0, 0}, dilation{1, 1, 1};
  int64_t groups = 1;
};
// What conv* and conv*_weight see instead of x, inside of the image: relu((x - mean) * scale + shift), all (C); none: mean is empty.
struct InputNorm {
  Tensor mean, scale, shift;
};
struct ConvArgs {
  Tensor x, w, y;
  ConvGeometry geometry;
  Tensor bias = {};  // optional, (O). conv*: added. conv*_weight: written, the sum of y over pixels. conv*_input: not used
  Activation activation = Activation::none;  // conv*: y = activation(… + bias); none in the others
  Tensor packed = {};                        // conv*, conv*_input: w, as pack() of the entry that runs made it
  InputNorm norm = {};                       // conv*, conv*_weight; few entries take one: conv_takes_norm
  Tensor more = {};                          // like x: further channels of it, after x's own; few entries take it: conv_takes_more

  bool plain() const { return !norm.mean && !more; }  // x is all there is to see
};
extern Kernel<ConvArgs> conv2d, conv2d_input, conv2d_weight;  // D = kD = 1. _input writes x from y and w; _weight writes w (and bias) from x and y
extern Kernel<ConvArgs> conv3d, conv3d_input, conv3d_weight;
bool conv_takes_norm(const ConvArgs& a);  // whether the entries that a convolution and its gradient of the weights would run take a norm
// Whether those that a convolution and both its gradients would run take x in two tensors, the first channels and the others.
bool conv_takes_more(const ConvArgs& a, int64_t first);

// Transposed convolution whose windows lie side by side (stride = kernel, no padding), into the channels first … first + O - 1 of y; the
// others are left alone. x (N, D, H, W, C), w (kD, kH, kW, O, C), y (N, D kD, H kH, W kW, channels).
//   y[n, d kD + u, i kH + v, j kW + t, first + o] = activation(bias[o] + sum over c of x[n,d,i,j,c] * w[u,v,t,o,c])
struct UpConvArgs {
  Tensor x, w, y;
  int64_t first = 0;
  Tensor bias = {};
  Activation activation = Activation::none;
  Tensor packed = {};  // w, as pack() of the entry that runs made it
};
extern Kernel<UpConvArgs> up_conv;
// Whether the windows of a transposed convolution lie so in one direction, from x to y pixels.
constexpr bool side_by_side(int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, int64_t x, int64_t y) {
  return stride == kernel && padding == 0 && dilation == 1 && y == x * kernel;
}

// ---- pooling -------------------------------------------------------------------------------------------------------------------------
// x (N, D, H, W, C), y (N, Do, Ho, Wo, C), index like y (i32): where in the D*H*W positions of its image a maximum was found (the first one;
// NaN counts as the largest).
struct PoolArgs {
  Tensor x, y, index;  // index is empty for averages
  std::array<int64_t, 3> window, stride, padding{0, 0, 0};
  bool count_padding = true;  // averages divide by the whole window, or only by the positions inside x
};
extern Kernel<PoolArgs> max_pool;      // writes y and index (on the CPU, an empty index is not written)
extern Kernel<PoolArgs> max_pool_at;   // y = x[index]
extern Kernel<PoolArgs> max_unpool;    // x = 0, then x[index] += y: the adjoint of max_pool_at
extern Kernel<PoolArgs> avg_pool;      // writes y
extern Kernel<PoolArgs> avg_pool_adjoint;  // writes x from y

// ---- normalisation -------------------------------------------------------------------------------------------------------------------
// x is seen as (A, L, G, K); mean and variance are taken over L and K for each (a, g); channel c = g * K + k has its scale and shift.
// batch norm: A = 1, L = N*H*W, G = C, K = 1; instance: A = N, L = H*W, G = C, K = 1; group: A = N, L = H*W, G groups; layer: A = N*H*W, L = G = 1, K = C.
//   y = (x - mean) * rstd * scale + shift,  rstd = 1 / sqrt(variance + epsilon), variance biased
struct NormArgs {
  Tensor x, scale, shift;  // scale, shift (G * K), both empty: 1 and 0
  Tensor y, mean, rstd;    // y like x, or empty: statistics alone; mean, rstd (A * G)
  std::array<int64_t, 4> view;
  double epsilon = 1e-5;
  bool relu = false;       // y = max(0, …) in the same pass
  Tensor add = {};         // like x, optional: y = … + add before the relu, the join of a residual block
};
extern Kernel<NormArgs> normalize;        // writes y, mean, rstd
extern Kernel<NormArgs> normalize_given;  // reads mean and rstd, writes y (evaluation)

// The gradients of normalize: from gy, x, mean, rstd to gx, gscale, gshift. Where relu cut is read from y, or if y is empty found again
// from x, in forward's arithmetic, so that it is the same to the bit.
struct NormBackwardArgs {
  Tensor gy, x, y, scale, shift, mean, rstd;
  Tensor gx, gscale, gshift;  // gx may be gy itself; gscale, gshift (G * K), empty if not wanted
  std::array<int64_t, 4> view;
  bool relu = false;
  Tensor gadd = {};  // like x, optional, may be gy itself if gx is not: gy, 0 where relu cut; needs y
};
extern Kernel<NormBackwardArgs> normalize_backward;

// Batch norm and max pooling in one: x (N, D, H, W, C), statistics per channel, windows side by side without padding. What they leave over
// at the ends is not pooled. Of equal maxima the first has the gradient, NaN is the largest.
struct NormPoolArgs {
  Tensor x, scale, shift;
  Tensor y, pooled, mean, rstd;  // y like x, empty if only its maxima are wanted; pooled (N, D / window, …, C)
  std::array<int64_t, 3> window;
  double epsilon = 1e-5;
  bool relu = false;
};
extern Kernel<NormPoolArgs> normalize_pool;  // writes y, pooled, mean, rstd

struct NormPoolBackwardArgs {
  Tensor gy, gpooled;  // gy empty: zero
  Tensor x, scale, shift, mean, rstd;
  Tensor gx, gscale, gshift;  // gx may be gy itself; gscale, gshift empty if not wanted
  std::array<int64_t, 3> window;
  bool relu = false;
};
extern Kernel<NormPoolBackwardArgs> normalize_pool_backward;

// ---- reductions over the middle of (outer, n, inner) -----------------------------------------------------------------------------------
enum class Reduction { sum, mean, max, min, argmax, argmin };
struct ReduceArgs {
  Tensor x, y;  // y (outer, inner); of i32 for argmax and argmin. NaN wins max and min; ties go to the first
  int64_t outer, n, inner;
  Reduction kind = Reduction::sum;
};
extern Kernel<ReduceArgs> reduce;

// y = softmax or log_softmax of x over the middle axis.
struct SoftmaxArgs { Tensor x, y; int64_t outer, n, inner; bool log = false; };
extern Kernel<SoftmaxArgs> softmax;

// ---- elementwise maps: one function per operation of tensor/elementwise.h, device and pass ----------------------------------------------
// Operands are read with strides (0 along broadcast dimensions) over `shape`, the output is contiguous. Neighbouring dimensions that can be
// joined have been joined.
constexpr int max_map_rank = 8;
struct MapArgs {
  const void* op = nullptr;  // the operation's struct
  const char* name = "";
  Dtype dtype = Dtype::f32;  // of the operands; the output has it too, but u8 for comparisons
  int inputs = 1;
  const void* in[3] = {};
  void* out = nullptr;
  int rank = 1;
  int64_t size = 0, shape[max_map_rank] = {}, stride[3][max_map_rank] = {};
};
using MapFunction = void (*)(const MapArgs&);
enum class Pass { value, vjp, vjp_left, vjp_right };

// The functions of one device, row i for the i-th operation of its list; null: the device has none.
struct MapTable {
  static constexpr int unary_count = std::tuple_size_v<elementwise::Unary>, binary_count = std::tuple_size_v<elementwise::Binary>,
                       compare_count = std::tuple_size_v<elementwise::Compare>;
  MapFunction unary[unary_count], unary_vjp[unary_count];                                   // in: x | g and what is kept
  MapFunction binary[binary_count], binary_left[binary_count], binary_right[binary_count];  // in: a, b | g, a, b
  MapFunction compare[compare_count];
  MapFunction select;  // in: a u8 mask in in[0], then two operands
};
const MapTable& map_table(Device device);  // DeviceError if the device is not there
void register_map_table(Device device, const MapTable& table);

// Shape of a and b broadcast against one another (NumPy's rule). ShapeError names the operation.
Shape broadcast_shape(const char* name, const Shape& a, const Shape& b);

MapArgs map_arguments(const char* name, const void* op, std::span<const Tensor> in, const Tensor& out);  // broadcast, checked, joined
void run_map(MapFunction function, const char* name, const void* op, std::initializer_list<Tensor> in, const Tensor& out);

template <class Op> void map(const Op& op, const Tensor& x, const Tensor& y) {
  run_map(map_table(y.device()).unary[elementwise::IndexOf<Op, elementwise::Unary>::value], Op::name, &op, {x}, y);
}
template <class Op> void map_vjp(const Op& op, const Tensor& g, const Tensor& kept, const Tensor& out) {
  run_map(map_table(out.device()).unary_vjp[elementwise::IndexOf<Op, elementwise::Unary>::value], Op::name, &op, {g, kept}, out);
}
template <class Op> void map(const Op& op, const Tensor& a, const Tensor& b, const Tensor& y) {
  run_map(map_table(y.device()).binary[elementwise::IndexOf<Op, elementwise::Binary>::value], Op::name, &op, {a, b}, y);
}
// out has the shape of g, that of f's value; the caller sums over broadcast dimensions.
template <class Op> void map_vjp_left(const Op& op, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& out) {
  run_map(map_table(out.device()).binary_left[elementwise::IndexOf<Op, elementwise::Binary>::value], Op::name, &op, {g, a, b}, out);
}
template <class Op> void map_vjp_right(const Op& op, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& out) {
  run_map(map_table(out.device()).binary_right[elementwise::IndexOf<Op, elementwise::Binary>::value], Op::name, &op, {g, a, b}, out);
}
template <class Op> void compare(const Op& op, const Tensor& a, const Tensor& b, const Tensor& y) {
  run_map(map_table(y.device()).compare[elementwise::IndexOf<Op, elementwise::Compare>::value], Op::name, &op, {a, b}, y);
}
void select(const Tensor& mask, const Tensor& yes, const Tensor& no, const Tensor& y);

// ---- optimizer steps -------------------------------------------------------------------------------------------------------------------
// In place, one pass over all slots. A slot is a parameter w, its gradient g and what the optimiser keeps for it, all of one shape and dtype.
// Hyper-parameters are doubles; the arithmetic is in the dtype of the slot.
struct OptimizerSlot {
  Tensor parameter, gradient;
  Tensor first, second, third;  // state; which of them exist is said below
  int64_t step = 1;             // of this parameter, counted from 1: this call is its step-th
};

// SGD [Sutskever et al., ICML 2013, in PyTorch's form]: g += weight_decay * w; with momentum: v = momentum * v + (1 - dampening) * g,
// at step 1 v = g (v need not be initialised), then g = nesterov ? g + momentum * v : v; w -= rate * g.
struct SgdArgs {
  std::span<const OptimizerSlot> slots;  // first: v, empty handles if momentum is 0
  double rate = 0.01, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};
extern Kernel<SgdArgs> sgd_step;

// Adagrad [Duchi et al., JMLR 2011]: g += weight_decay * w; s += g^2; w -= rate / (1 + (step - 1) * rate_decay) * g / (sqrt(s) + epsilon).
struct AdagradArgs {
  std::span<const OptimizerSlot> slots;  // first: s
  double rate = 0.01, rate_decay = 0, weight_decay = 0, epsilon = 1e-10;
};
extern Kernel<AdagradArgs> adagrad_step;

// RMSProp [Tieleman and Hinton, 2012; Graves 2013 where centred]: g += weight_decay * w; s = decay * s + (1 - decay) * g^2;
// centred: m = decay * m + (1 - decay) * g, a = sqrt(s - m^2), otherwise a = sqrt(s); u = g / (a + epsilon);
// with momentum: b = momentum * b + u, u = b; w -= rate * u.
struct RmspropArgs {
  std::span<const OptimizerSlot> slots;  // first: s; second: b, if momentum is not 0; third: m, if centred
  double rate = 0.01, decay = 0.99, epsilon = 1e-8, weight_decay = 0, momentum = 0;
  bool centred = false;
};
extern Kernel<RmspropArgs> rmsprop_step;

// Adam [Kingma and Ba, ICLR 2015] and AdamW [Loshchilov and Hutter, ICLR 2019]: weight decay is added to g, or, decoupled, w *= 1 - rate * weight_decay;
// m = beta1 * m + (1 - beta1) * g; s = beta2 * s + (1 - beta2) * g^2; amsgrad: s_max = max(s_max, s) takes the place of s in
// w -= rate / (1 - beta1^step) * m / (sqrt(s / (1 - beta2^step)) + epsilon).
struct AdamArgs {
  std::span<const OptimizerSlot> slots;  // first: m; second: s; third: s_max, if amsgrad
  double rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false, amsgrad = false;
};
extern Kernel<AdamArgs> adam_step;

// A running average: parameter = decay * parameter + (1 - decay) * gradient, where gradient holds the new values.
struct AverageArgs {
  std::span<const OptimizerSlot> slots;  // no state
  double decay = 0.999;
};
extern Kernel<AverageArgs> average_step;

// ---- copies (tensor/cpu/copy.cpp): any dtype -----------------------------------------------------------------------------------------------
// y[y_offset + sum over d of i_d * y_stride[d]] = x[x_offset + sum over d of i_d * x_stride[d]] for every i inside shape; strides count
// values and may be 0 (in x) or negative; the rest of y is left alone. permute, slice, flip, concat, pad and broadcast are all this.
struct CopyArgs {
  Tensor x, y;
  Shape shape, x_stride, y_stride;
  int64_t x_offset = 0, y_offset = 0;
};
extern Kernel<CopyArgs> strided_copy;

// ---- indices (tensor/cpu/index.cpp): i32, checked against their bounds (ShapeError) ----------------------------------------------------------
// x (outer, n, inner), index (m), y (outer, m, inner).
struct TakeArgs {
  Tensor x, index, y;
  int64_t outer, n, m, inner;
};
extern Kernel<TakeArgs> take;          // y[o, j, i] = x[o, index[j], i]
extern Kernel<TakeArgs> take_adjoint;  // x = 0, then x[o, index[j], i] += y[o, j, i], in the order of j

// x (outer, n, inner), index and y (outer, m, inner).
using GatherArgs = TakeArgs;
extern Kernel<GatherArgs> gather;          // y[o, j, i] = x[o, index[o, j, i], i]
extern Kernel<GatherArgs> gather_adjoint;  // x = 0, then x[o, index[o, j, i], i] += y[o, j, i], in the order of j

struct OneHotArgs {
  Tensor x, y;  // x (n) i32, y (n, classes) of f32 or f64
  int64_t classes;
};
extern Kernel<OneHotArgs> one_hot;

// ---- scans and orders along the middle of (outer, n, inner) (tensor/cpu/scan.cpp) -----------------------------------------------------------
struct ScanArgs {
  Tensor x, y;
  int64_t outer, n, inner;
  bool reverse = false;  // sums from the end
};
extern Kernel<ScanArgs> cumsum;

// The first k of the sorted values, and where they were. Ties keep their order; NaN counts as the largest.
struct SortArgs {
  Tensor x, y, index;  // x (outer, n, inner); y, index (outer, k, inner)
  int64_t outer, n, inner, k;
  bool descending = false;
};
extern Kernel<SortArgs> sort;

// ---- dropout (tensor/cpu/dropout.cpp) -------------------------------------------------------------------------------------------------------
// y[i] = u[i] < p ? 0 : x[i] / (1 - p), u[i] the i-th of random_uniform(…, seed, stream): nothing but the stream is kept for backward.
struct DropoutArgs {
  Tensor x, y;
  double p;
  uint64_t seed, stream;
};
extern Kernel<DropoutArgs> dropout;

// ---- cross-entropy (tensor/cpu/cross_entropy.cpp) --------------------------------------------------------------------------------------------
// x (rows, classes) logits, target (rows) i32, weight (classes) optional; p = softmax of a row, t its target, s the smoothing:
//   y = -(1 - s) weight[t] log p[t] - s / classes * sum over c of weight[c] log p[c],  0 where t is `ignore`
// A target outside 0 … classes-1 is a ShapeError.
struct CrossEntropyArgs {
  Tensor x, target, weight;
  Tensor y, row_weight, log_sum;  // (rows) each: the loss, weight[t] or 0 where ignored, log of the sum of exp(x)
  int64_t ignore = -100;
  double smoothing = 0;
};
extern Kernel<CrossEntropyArgs> cross_entropy;

// gx = gy * dy/dx.
struct CrossEntropyBackwardArgs {
  Tensor x, target, weight, log_sum, gy, gx;
  int64_t ignore = -100;
  double smoothing = 0;
};
extern Kernel<CrossEntropyBackwardArgs> cross_entropy_backward;

// ---- what binary cross-entropy and Dice are made of (tensor/cpu/logit_sums.cpp) --------------------------------------------------------------
// x logits, t targets (N, positions, C); s = 1 / (1 + exp(-x)). y (N, C, 4): sums over positions of s t, of s, of t, and of the cross-entropy
// max(x, 0) - x t + log(1 + exp(-|x|)). squared: s^2 and t^2 in place of s and t.
struct LogitSumsArgs {
  Tensor x, t, y;
  bool squared = false;
};
extern Kernel<LogitSumsArgs> logit_sums;

// gx = gy * dy/dx.
struct LogitSumsBackwardArgs {
  Tensor x, t, gy, gx;
  bool squared = false;
};
extern Kernel<LogitSumsBackwardArgs> logit_sums_backward;

// ---- resampling (tensor/cpu/resample.cpp): x (N, D, H, W, C), y (N, Do, Ho, Wo, C), separable -----------------------------------------------
// nearest: floor(i * n / m). linear: centres of pixels aligned ((i + 1/2) * n / m - 1/2, clamped); linear_corners: corners aligned
// (i * (n - 1) / (m - 1)). average: the mean over floor(i * n / m) … ceil((i + 1) * n / m) (adaptive pooling).
enum class Resampling { nearest, linear, linear_corners, average };
struct ResampleArgs {
  Tensor x, y;
  Resampling mode;
};
extern Kernel<ResampleArgs> resample;          // y from x
extern Kernel<ResampleArgs> resample_adjoint;  // x from y

// Where the largest value of each of those windows lies: index like y (i32), positions in the D*H*W of its image; the first one, NaN is largest.
struct AdaptiveMaxArgs {
  Tensor x, y;  // y is the index
};
extern Kernel<AdaptiveMaxArgs> adaptive_max_index;

// x (N, D, H, W, C), grid (N, Do, Ho, Wo, 3) of (x, y, z) in [-1, 1], y (N, Do, Ho, Wo, C); images have D = Do = 1 and a grid of 2. Zero outside.
struct GridSampleArgs {
  Tensor x, grid, y;
  bool nearest = false, align_corners = false;
};
extern Kernel<GridSampleArgs> grid_sample;
struct GridSampleBackwardArgs {
  Tensor x, grid, gy, gx, ggrid;  // gx, ggrid: empty if not wanted
  bool nearest = false, align_corners = false;
};
extern Kernel<GridSampleBackwardArgs> grid_sample_backward;

// ---- Fourier transform (tensor/cpu/fft.cpp) ---------------------------------------------------------------------------------------------------
// x, y (rows, n, 2): y[k] = sum over t of x[t] exp(-+ 2 pi i k t / n), + where inverse; not divided by n.
struct FftArgs {
  Tensor x, y;
  bool inverse = false;
};
extern Kernel<FftArgs> fft;

// ---- the choice ------------------------------------------------------------------------------------------------------------------------
// The entry that SONO_KERNEL names for a kernel, or null.
const char* forced_implementation(const char* kernel);
[[noreturn]] void no_implementation(const char* kernel, Device device, const char* forced);

template <class Args> Device device_of(const Args& a) {
  if constexpr (requires { a.slots; }) return a.slots.empty() ? Device::cpu : a.slots[0].parameter.device();
  else if constexpr (requires { a.gx; }) return a.x.device();
  else return a.y ? a.y.device() : a.x.device();
}
template <> inline Device device_of(const MatmulArgs& a) { return a.y.device(); }
template <> inline Device device_of(const RecurrentBackwardArgs& a) { return a.gx.device(); }

template <class Args> const Implementation<Args>& Kernel<Args>::choose(const Args& a) const {
  const Device device = device_of(a);
  const char* forced = forced_implementation(name);
  const Implementation<Args>* best = nullptr;
  double least = 0;
  for (const auto& implementation : device == Device::cpu ? cpu : cuda) {
    if ((forced && std::string_view(forced) != implementation.name) || !implementation.fits(a)) continue;
    if (best && !(best->cost && implementation.cost)) continue;
    const double cost = implementation.cost ? implementation.cost(a) : 0;
    if (best && cost >= least) continue;
    best = &implementation, least = cost;
  }
  if (best) return *best;
  no_implementation(name, device, forced);
}

}  // namespace sono::kernels
