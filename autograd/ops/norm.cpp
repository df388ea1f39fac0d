// Normalisation. x is seen as (A, L, G, K), statistics over L and K (tensor/kernels.h); the four norms differ in nothing else. Forward and
// first backward are one kernel each; the gradient of the gradient comes from the same formula written with simple operations.
#include <algorithm>

#include "autograd/ops/common.h"
#include "tensor/kernels.h"
#include "tensor/random.h"

namespace sono {

using namespace ops;

namespace {

using View = std::array<int64_t, 4>;

Tensor composed(const Tensor& x, const Tensor& scale, const Tensor& shift, const View& view, double epsilon, bool relu_after,
                const Tensor& add = {}) {
  const Tensor v = reshape(x, {view[0], view[1], view[2], view[3]});
  const Tensor centred = v - mean(v, {1, 3}, true);
  Tensor y = centred / sqrt(mean(square(centred), {1, 3}, true) + epsilon);
  if (scale) y = y * reshape(scale, {view[2], view[3]});
  if (shift) y = y + reshape(shift, {view[2], view[3]});
  y = reshape(y, x.shape());
  if (add) y = y + add;
  return relu_after ? relu(y) : y;
}

// The gradient's own memory, if nobody else sees it.
Tensor over(const Tensor& g) { return g.sole_owner() ? g : Tensor::empty_like(g); }

// scale or shift alone: the kernel wants both or none.
void complete(const View& view, const Tensor& x, Tensor& scale, Tensor& shift) {
  const Shape channels{view[2] * view[3]};
  if (scale && !shift) shift = Tensor::zeros(channels, x.dtype(), x.device());
  if (shift && !scale) scale = Tensor::ones(channels, x.dtype(), x.device());
}

void check_affine(const char* name, const Tensor& x, const Tensor& scale, const Tensor& shift, int64_t channels) {
  for (const Tensor* t : {&scale, &shift})
    if (*t && t->shape() != Shape{channels})
      throw ShapeError(bracketed(name) + "scale and shift must be (" + std::to_string(channels) + ") for an input " + to_string(x.shape()) +
                       ", got " + to_string(t->shape()));
}

// x, scale and shift as the kernels want them.
void prepare(const char* name, const Tensor& x, Tensor& scale, Tensor& shift, const View& view) {
  check_affine(name, x, scale, shift, view[2] * view[3]);
  if (view[1] * view[3] == 0) throw ShapeError(bracketed(name) + "there is nothing to take statistics of in " + to_string(x.shape()));
  complete(view, x, scale, shift);
}

// Where relu cut is found again from x; with `add` it is read from y, which the next layer keeps anyway.
NormResult norm(const char* name, const Tensor& x, Tensor scale, Tensor shift, const View& view, double epsilon, bool relu,
                int64_t groups = 0, const Tensor& add = {}) {
  check_same(name, {&x, &scale, &shift, &add});
  prepare(name, x, scale, shift, view);
  if (add && add.shape() != x.shape())
    throw ShapeError(bracketed(name) + "add " + to_string(add.shape()) + " must be like the input " + to_string(x.shape()));
  const Tensor y = Tensor::empty_like(x), mean({view[0] * view[2]}, x.dtype(), x.device()), rstd = Tensor::empty_like(mean);
  kernels::normalize({x, scale.detach(), shift.detach(), y, mean, rstd, view, epsilon, relu, add.detach()});

  const bool reads_y = relu && add;
  const auto back = [x = Saved(x), scale = Saved(scale, "scale"), shift = Saved(shift, "shift"), y = SavedOutput(reads_y ? y : Tensor{}),
                     add = Saved(recording() && wants_gradient(add) ? add : Tensor{}, "add"), joined = bool(add), mean, rstd, view, epsilon,
                     relu, reads_y](const Tensor& g, const std::vector<bool>& wanted) -> std::vector<Tensor> {
    if (will_record(g, *x, *scale, *shift, *add))
      return partial_gradients(composed(*x, *scale, *shift, view, epsilon, relu, *add), {*x, *scale, *shift, *add}, wanted, g);
    std::vector<Tensor> parts(4);
    if (wanted[1]) parts[1] = Tensor::empty_like(*scale);
    if (wanted[2]) parts[2] = Tensor::empty_like(*shift);
    const bool shared = wanted[3] && !relu;  // add's gradient is g itself
    if (wanted[3]) parts[3] = relu ? over(g) : g;
    parts[0] = wanted[3] ? Tensor::empty_like(g) : over(g);
    kernels::normalize_backward({g, *x, reads_y ? *y : Tensor{}, *scale, *shift, mean, rstd, parts[0], parts[1], parts[2], view, relu,
                                 shared ? Tensor{} : parts[3]});
    return parts;
  };
  const auto attributes = [&] {
    Attributes all{{"epsilon", epsilon}, {"relu", int64_t{relu}}};
    if (groups) all.emplace_back("groups", groups);
    return all;
  };
  return {differentiable_jointly(name, y, add ? std::vector<Tensor>{x, scale, shift, add} : std::vector<Tensor>{x, scale, shift, {}}, back,
                                 attributes),
          mean, rstd};
}

void check_images(const char* name, const Tensor& x) {
  check_given(name, {&x});
  if (x.rank() < 2) throw ShapeError(bracketed(name) + "wants (N, …, C), got " + to_string(x.shape()));
}

int64_t pixels(const Tensor& x) { return count(Shape(x.shape().begin() + 1, x.shape().end() - 1)); }

}  // namespace

NormResult batch_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon, bool relu, const Tensor& add) {
  check_images("batch_norm", x);
  return norm("batch_norm", x, scale, shift, {1, x.dim(0) * pixels(x), x.dim(-1), 1}, epsilon, relu, 0, add);
}

namespace {

// What batch_norm_max_pool and its gradient work on; the kernel sees every x as (N, D, H, W, C).
struct NormPool {
  Tensor x, scale, shift, mean, rstd;
  std::array<int64_t, 3> window;
  PoolOptions pool;
  double epsilon;
  bool relu;

  View view() const { return {1, x.dim(0) * pixels(x), x.dim(-1), 1}; }
  Shape pooled_shape() const {
    Shape shape = x.shape();
    for (size_t d = 1; d + 1 < shape.size(); d++) shape[d] /= window[d + 4 - shape.size()];
    return shape;
  }
  static Tensor all(const Tensor& t) { return t ? t.view(with_3_spatial("batch_norm_max_pool", t.shape())) : t; }
};

using SavedNormPool = std::array<Saved, 3>;  // x, scale, shift

std::vector<Tensor> norm_pool_gradients(const NormPool& a, const Tensor& gy, const Tensor& gpooled, const std::vector<bool>& wanted) {
  std::vector<Tensor> parts(3);
  if (wanted[1]) parts[1] = Tensor::empty_like(a.scale);
  if (wanted[2]) parts[2] = Tensor::empty_like(a.shift);
  parts[0] = gy ? over(gy) : Tensor::empty_like(a.x);
  const auto all = NormPool::all;
  if (gpooled)
    kernels::normalize_pool_backward(
        {all(gy), all(gpooled), all(a.x), a.scale, a.shift, a.mean, a.rstd, all(parts[0]), parts[1], parts[2], a.window, a.relu});
  else
    kernels::normalize_backward({gy, a.x, {}, a.scale, a.shift, a.mean, a.rstd, parts[0], parts[1], parts[2], a.view(), a.relu});
  return parts;
}

// The gradient of y that follows from one of the maxima alone: y is made again.
Tensor unpooled(const NormPool& a, const Tensor& gpooled) {
  const Tensor y = Tensor::empty_like(a.x);
  kernels::normalize_given({a.x.detach(), a.scale.detach(), a.shift.detach(), y, a.mean, a.rstd, a.view(), a.epsilon, a.relu});
  return max_unpool(gpooled, max_pool_with_index(y, a.pool).second, a.x.shape());
}

}  // namespace

NormPoolResult batch_norm_max_pool(const Tensor& x, const Tensor& given_scale, const Tensor& given_shift, const Extent& window,
                                   double epsilon, bool relu, bool with_y) {
  const char* name = "batch_norm_max_pool";
  check_same(name, {&x, &given_scale, &given_shift});
  with_3_spatial(name, x.shape());
  NormPool a{x, given_scale, given_shift, {}, {}, window.spatial(x.rank() - 2, 1), {.window = window}, epsilon, relu};
  prepare(name, x, a.scale, a.shift, a.view());
  const Shape shape = a.pooled_shape();
  if (x.device() != Device::cpu || count(shape) == 0) {  // step by step; max_pool names a window that is too large
    const NormResult r = batch_norm(x, given_scale, given_shift, epsilon, relu);
    return {with_y ? r.y : Tensor{}, max_pool(r.y, a.pool), r.mean, r.rstd};
  }
  const Tensor y = with_y ? Tensor::empty_like(x) : Tensor{}, pooled(shape, x.dtype(), x.device());
  a.mean = Tensor({x.dim(-1)}, x.dtype(), x.device()), a.rstd = Tensor::empty_like(a.mean);
  kernels::normalize_pool({NormPool::all(x.detach()), a.scale.detach(), a.shift.detach(), NormPool::all(y), NormPool::all(pooled), a.mean,
                           a.rstd, a.window, epsilon, relu});
  const std::vector<Tensor> inputs{x, a.scale, a.shift};
  const SavedNormPool saved{Saved(x), Saved(a.scale, "scale"), Saved(a.shift, "shift")};
  a.x = a.scale = a.shift = {};  // they come from `saved`, which sees whether somebody has written to them
  const auto restored = [a, saved] {
    NormPool b = a;
    b.x = *saved[0], b.scale = *saved[1], b.shift = *saved[2];
    return b;
  };
  const auto norm_attributes = [&] { return Attributes{{"epsilon", epsilon}, {"relu", int64_t{relu}}}; };
  const auto pool_attributes = [&] { return Attributes{{"window", window.sizes}}; };
  const auto composed_of = [](const NormPool& b) { return composed(b.x, b.scale, b.shift, b.view(), b.epsilon, b.relu); };
  if (!with_y) {
    const auto back = [restored, composed_of](const Tensor& g, const std::vector<bool>& wanted) {
      const NormPool b = restored();
      if (will_record(g, b.x, b.scale, b.shift))
        return partial_gradients(max_pool(composed_of(b), b.pool), {b.x, b.scale, b.shift}, wanted, g);
      return norm_pool_gradients(b, {}, g, wanted);
    };
    const auto attributes = [&] {
      Attributes both = norm_attributes();
      both.emplace_back("window", window.sizes);
      return both;
    };
    return {{}, differentiable_jointly(name, pooled, inputs, back, attributes), a.mean, a.rstd};
  }
  const auto back = [restored, composed_of](const Tensor& gy, const Tensor& gpooled, const std::vector<bool>& wanted) {
    const NormPool b = restored();
    if (will_record(gy, b.x, b.scale, b.shift)) return partial_gradients(composed_of(b), {b.x, b.scale, b.shift}, wanted, gy);
    return norm_pool_gradients(b, gy, gpooled, wanted);
  };
  const auto apart = [restored](const Tensor& g) { return unpooled(restored(), g); };
  const auto [first, second] =
      differentiable_pair({"batch_norm", "max_pool"}, y, pooled, inputs, back, apart, {norm_attributes, pool_attributes});
  return {first, second, a.mean, a.rstd};
}

Tensor layer_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon) {
  check_given("layer_norm", {&x});
  if (x.rank() < 1) throw ShapeError("[layer_norm] wants (…, C), got a single value");
  return norm("layer_norm", x, scale, shift, {count(Shape(x.shape().begin(), x.shape().end() - 1)), 1, 1, x.dim(-1)}, epsilon, false).y;
}

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& scale, const Tensor& shift, double epsilon) {
  check_images("group_norm", x);
  if (groups < 1 || x.dim(-1) % groups)
    throw ShapeError("[group_norm] " + std::to_string(groups) + " groups do not divide the channels of " + to_string(x.shape()));
  return norm("group_norm", x, scale, shift, {x.dim(0), pixels(x), groups, x.dim(-1) / groups}, epsilon, false, groups).y;
}

Tensor instance_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon) {
  check_images("instance_norm", x);
  return norm("instance_norm", x, scale, shift, {x.dim(0), pixels(x), x.dim(-1), 1}, epsilon, false).y;
}

// With fixed statistics this is one line per channel: its gradients are simple operations.
Tensor batch_norm_eval(const Tensor& x, const Tensor& given_scale, const Tensor& given_shift, const Tensor& mean, const Tensor& variance,
                       double epsilon) {
  const char* name = "batch_norm_eval";
  check_images(name, x);
  check_given(name, {&mean, &variance});
  check_same(name, {&x, &given_scale, &given_shift, &mean, &variance});
  const View view{1, x.dim(0) * pixels(x), x.dim(-1), 1};
  check_affine(name, x, given_scale, given_shift, x.dim(-1));
  check_affine(name, x, mean, variance, x.dim(-1));
  Tensor scale = given_scale, shift = given_shift, rstd;
  complete(view, x, scale, shift);
  {
    const NoGrad values;
    rstd = 1.0 / sqrt(variance.detach() + epsilon);
  }
  const Tensor y = Tensor::empty_like(x);
  kernels::normalize_given({x, scale.detach(), shift.detach(), y, mean.detach(), rstd, view, epsilon});
  if (!observed() && !will_record(x, scale, shift)) return y;
  Axes others;
  for (int64_t i = 0; i + 1 < x.rank(); i++) others.push_back(i);
  const Saved kept_x(x), kept_scale = scale ? Saved(scale, "scale") : Saved(), kept_mean(mean.detach(), "mean");
  return differentiable(
      name, y,
      {{x, [kept_scale, rstd](const Tensor& g) { return *kept_scale ? g * (*kept_scale * rstd) : g * rstd; }},
       {scale, [kept_x, kept_mean, rstd, others](const Tensor& g) { return sum(g * (*kept_x - *kept_mean), others) * rstd; }},
       {shift, [others](const Tensor& g) { return sum(g, others); }},
       {mean, nullptr},
       {variance, nullptr}},
      [&] {
        return Attributes{{"epsilon", epsilon}};
      });
}

Tensor local_response_norm(const Tensor& x, int64_t size, double alpha, double beta, double k) {
  check_images("local_response_norm", x);
  if (size < 1) throw ShapeError("[local_response_norm] the window must hold one channel or more, got " + std::to_string(size));
  std::vector<std::pair<int64_t, int64_t>> margins(x.shape().size());
  margins.back() = {size / 2, (size - 1) / 2};
  const Tensor padded = pad(square(x), margins);
  const Tensor rows = reshape(padded, {-1, padded.dim(-1), 1});  // the channels as a sequence
  const Tensor mean_square = reshape(avg_pool(rows, {.window = size, .stride = Extent(1)}), x.shape());
  return x / pow(mean_square * alpha + k, beta);
}

namespace {

// Linear in x: its gradient is the same mask on g.
Tensor masked(const Tensor& x, double p, uint64_t seed, uint64_t stream) {
  const Tensor y = Tensor::empty_like(x);
  kernels::dropout({x, y, p, seed, stream});
  return differentiable("dropout", y, {{x, [=](const Tensor& g) { return masked(g, p, seed, stream); }}}, [&] {
    return Attributes{{"p", p}};
  });
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training) {
  check_same("dropout", {&x});
  if (!(p >= 0 && p < 1)) throw Error("[dropout] p must be in [0, 1), got " + std::to_string(p));
  return training && p > 0 ? masked(x, p, global_seed(), next_stream()) : x;
}

}  // namespace sono
