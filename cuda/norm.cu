// Normalisation of x seen as (A, L, G, K), statistics over L and K for each (a, g): a line of L K values, G lines side by side.
//   statistics   two passes over x, sums in double; then one thread per value applies them
//   backward     one pass for two sums per line, one to write; a second kernel sums the gradients of scale and shift per channel
#include "cuda/gpu.h"
#include "cuda/lines.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::NormArgs, kernels::NormBackwardArgs;

struct View {
  int64_t A, L, G, K;

  explicit View(const std::array<int64_t, 4>& v) : A(v[0]), L(v[1]), G(v[2]), K(v[3]) {}
  Lines lines() const { return {A, L * K, G}; }
  Lines channels() const { return {1, A * L, G * K}; }
  // Where value i of the line (a, g) is.
  SONO_INLINE int64_t place(int64_t line, int64_t i) const { return ((line / G * L + i / K) * G + line % G) * K + i % K; }
  SONO_INLINE int64_t channel(int64_t place) const { return place % (G * K); }
  SONO_INLINE int64_t line(int64_t place) const { return place / (L * G * K) * G + place / K % G; }
};

// Calls f(place) for this thread's values of its line.
template <class F>
__device__ void for_each_value(const View& v, const Line& line, F f) {
  for (int64_t i = threadIdx.y; line.exists && i < v.L * v.K; i += blockDim.y) f(v.place(line.number, i));
}

template <class T>
__global__ void statistics(View v, Lines lines, unsigned columns, const T* x, T* mean, T* rstd, double epsilon) {
  GPU_SHARED(double, shared, [threads_per_block]);
  const Line line(lines, columns);
  const double n = static_cast<double>(v.L * v.K);
  double sum = 0, squares = 0;
  for_each_value(v, line, [&](int64_t at) { sum += static_cast<double>(x[at]); });
  const double centre = join_rows(sum, shared, Sum{}) / n;
  for_each_value(v, line, [&](int64_t at) { squares += (static_cast<double>(x[at]) - centre) * (static_cast<double>(x[at]) - centre); });
  const double variance = join_rows(squares, shared, Sum{}) / n;
  if (!line.exists || threadIdx.y != 0) return;
  mean[line.number] = static_cast<T>(centre);
  rstd[line.number] = static_cast<T>(1 / math::sqrt(variance + epsilon));
}

// x's value i, of line `line` and channel c, normalised. Backward sees the same bits. scale null: 1; shift null: 0.
template <class T>
struct Affine {
  const T *x, *scale, *shift, *mean, *rstd;

  __device__ T at(int64_t i, int64_t line, int64_t c) const {
    return (x[i] - mean[line]) * rstd[line] * (scale ? scale[c] : T(1)) + (shift ? shift[c] : T(0));
  }
};

template <class T>
__global__ void apply(View v, Affine<T> a, const T* add, T* y, bool relu, int64_t size) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const T value = a.at(i, v.line(i), v.channel(i)) + (add ? add[i] : T(0));
    y[i] = relu && value < T(0) ? T(0) : value;
  }
}

// With h = (x - mean) * rstd and d = gy * scale, 0 where relu cut: read from y, or found again from x where y is null.
template <class T>
struct Backward {
  View v;
  Affine<T> affine;
  const T *gy, *x, *y, *scale, *mean, *rstd;
  bool relu;

  __device__ bool cut(int64_t i) const { return relu && (y ? y[i] : affine.at(i, v.line(i), v.channel(i))) <= T(0); }
  __device__ double g(int64_t i) const { return cut(i) ? 0.0 : static_cast<double>(gy[i]); }
  __device__ double d(int64_t i, int64_t c) const { return g(i) * static_cast<double>(scale ? scale[c] : T(1)); }
  __device__ double h(int64_t i, int64_t line) const { return static_cast<double>((x[i] - mean[line]) * rstd[line]); }
};

// gx = rstd * (d - mean of d - h * mean of d h)
template <class T>
__global__ void backward(View v, Lines lines, unsigned columns, Backward<T> b, T* gx, T* gadd) {
  GPU_SHARED(double, shared, [threads_per_block]);
  const Line line(lines, columns);
  const double n = static_cast<double>(v.L * v.K);
  double sum = 0, sum_h = 0;
  for_each_value(v, line, [&](int64_t at) {
    const double d = b.d(at, v.channel(at));
    sum += d;
    sum_h += d * b.h(at, line.number);
  });
  sum = join_rows(sum, shared, Sum{}) / n;
  sum_h = join_rows(sum_h, shared, Sum{}) / n;
  for_each_value(v, line, [&](int64_t at) {
    const double d = b.d(at, v.channel(at)) - sum - b.h(at, line.number) * sum_h;
    if (gadd) gadd[at] = static_cast<T>(b.g(at));  // may be gy itself, as may gx: written last
    gx[at] = static_cast<T>(static_cast<double>(b.rstd[line.number]) * d);
  });
}

// gscale = sum of g h, gshift = sum of g, per channel.
template <class T>
__global__ void backward_channels(View v, Lines lines, unsigned columns, Backward<T> b, T* gscale, T* gshift) {
  GPU_SHARED(double, shared, [threads_per_block]);
  const Line line(lines, columns);
  double scale = 0, shift = 0;
  for (int64_t i = line.first; i < line.last; i += line.step) {
    scale += b.g(i) * b.h(i, v.line(i));
    shift += b.g(i);
  }
  scale = join_rows(scale, shared, Sum{});
  shift = join_rows(shift, shared, Sum{});
  if (!line.exists || threadIdx.y != 0) return;
  if (gscale) gscale[line.number] = static_cast<T>(scale);
  if (gshift) gshift[line.number] = static_cast<T>(shift);
}

template <class Args>
bool always(const Args&) {
  return true;
}
template <class T>
T* optional(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

template <class T, class Args>
Affine<T> affine_of(const Args& a) {
  return {a.x.template data<T>(), optional<T>(a.scale), optional<T>(a.shift), a.mean.template data<T>(), a.rstd.template data<T>()};
}

void run_given(const NormArgs& a) {
  visit_real("normalize", a.x.dtype(), [&]<class T>() {
    gpu::launch_over(a.x.size(), "normalize", apply<T>, View(a.view), affine_of<T>(a), optional<T>(a.add), a.y.data<T>(), a.relu,
                     a.x.size());
  });
}

void run_normalize(const NormArgs& a) {
  const View v(a.view);
  const Lines lines = v.lines();
  if (v.A * v.G == 0) return;
  visit_real("normalize", a.x.dtype(), [&]<class T>() {
    gpu::launch("normalize", statistics<T>, lines.grid(), lines.block(), 0, v, lines, lines.columns(), a.x.data<T>(), a.mean.data<T>(),
                a.rstd.data<T>(), a.epsilon);
  });
  run_given(a);
}

// The channels first: gx may be written over gy.
void run_backward(const NormBackwardArgs& a) {
  const View v(a.view);
  const Lines lines = v.lines(), channels = v.channels();
  visit_real("normalize_backward", a.x.dtype(), [&]<class T>() {
    const Backward<T> b{v,
                        affine_of<T>(a),
                        a.gy.data<T>(),
                        a.x.data<T>(),
                        optional<T>(a.y),
                        optional<T>(a.scale),
                        a.mean.data<T>(),
                        a.rstd.data<T>(),
                        a.relu};
    if ((a.gscale || a.gshift) && v.G * v.K > 0)
      gpu::launch("normalize_backward", backward_channels<T>, channels.grid(), channels.block(), 0, v, channels, channels.columns(), b,
                  optional<T>(a.gscale), optional<T>(a.gshift));
    if (v.A * v.G > 0)
      gpu::launch("normalize_backward", backward<T>, lines.grid(), lines.block(), 0, v, lines, lines.columns(), b, a.gx.data<T>(),
                  optional<T>(a.gadd));
  });
}

constexpr kernels::Implementation<NormArgs> normalize_list[] = {{"lines", always<NormArgs>, run_normalize}};
constexpr kernels::Implementation<NormArgs> given_list[] = {{"plain", always<NormArgs>, run_given}};
constexpr kernels::Implementation<NormBackwardArgs> backward_list[] = {{"lines", always<NormBackwardArgs>, run_backward}};

}  // namespace

void register_norm() {
  kernels::normalize.cuda = normalize_list;
  kernels::normalize_given.cuda = given_list;
  kernels::normalize_backward.cuda = backward_list;
}

}  // namespace sono::cuda
