// Normalisation. x is seen as (A, L, G, K), statistics over L and K (tensor/kernels.h); the four norms differ in nothing else. Forward and
// first backward are one kernel each; the gradient of the gradient comes from the same formula written with simple operations.
#include "autograd/ops/common.h"
#include "tensor/kernels.h"
#include "tensor/random.h"

namespace sono {

using namespace ops;

namespace {

using View = std::array<int64_t, 4>;

Tensor composed(const Tensor& x, const Tensor& scale, const Tensor& shift, const View& view, double epsilon, bool relu_after) {
  const Tensor v = reshape(x, {view[0], view[1], view[2], view[3]});
  const Tensor centred = v - mean(v, {1, 3}, true);
  Tensor y = centred / sqrt(mean(square(centred), {1, 3}, true) + epsilon);
  if (scale) y = y * reshape(scale, {view[2], view[3]});
  if (shift) y = y + reshape(shift, {view[2], view[3]});
  return reshape(relu_after ? relu(y) : y, x.shape());
}

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

NormResult norm(const char* name, const Tensor& x, Tensor scale, Tensor shift, const View& view, double epsilon, bool relu,
                int64_t groups = 0) {
  check_same(name, {&x, &scale, &shift});
  check_affine(name, x, scale, shift, view[2] * view[3]);
  if (view[1] * view[3] == 0) throw ShapeError(bracketed(name) + "there is nothing to take statistics of in " + to_string(x.shape()));
  complete(view, x, scale, shift);
  const Tensor y = Tensor::empty_like(x), mean({view[0] * view[2]}, x.dtype(), x.device()), rstd = Tensor::empty_like(mean);
  kernels::normalize({x, scale.detach(), shift.detach(), y, mean, rstd, view, epsilon, relu});

  const auto back = [x = Saved(x), scale = Saved(scale, "scale"), shift = Saved(shift, "shift"), y = SavedOutput(relu ? y : Tensor{}), mean,
                     rstd, view, epsilon, relu](const Tensor& g, const std::vector<bool>& wanted) -> std::vector<Tensor> {
    if (will_record(g, *x, *scale, *shift))
      return partial_gradients(composed(*x, *scale, *shift, view, epsilon, relu), {*x, *scale, *shift}, wanted, g);
    std::vector<Tensor> parts(3);
    parts[0] = Tensor::empty_like(*x);
    if (wanted[1]) parts[1] = Tensor::empty_like(*scale);
    if (wanted[2]) parts[2] = Tensor::empty_like(*shift);
    kernels::normalize_backward({g, *x, relu ? *y : Tensor{}, *scale, mean, rstd, parts[0], parts[1], parts[2], view, relu});
    return parts;
  };
  const auto attributes = [&] {
    Attributes all{{"epsilon", epsilon}, {"relu", int64_t{relu}}};
    if (groups) all.emplace_back("groups", groups);
    return all;
  };
  return {differentiable_jointly(name, y, {x, scale, shift}, back, attributes), mean, rstd};
}

void check_images(const char* name, const Tensor& x) {
  check_given(name, {&x});
  if (x.rank() < 2) throw ShapeError(bracketed(name) + "wants (N, …, C), got " + to_string(x.shape()));
}

int64_t pixels(const Tensor& x) { return count(Shape(x.shape().begin() + 1, x.shape().end() - 1)); }

}  // namespace

NormResult batch_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon, bool relu) {
  check_images("batch_norm", x);
  return norm("batch_norm", x, scale, shift, {1, x.dim(0) * pixels(x), x.dim(-1), 1}, epsilon, relu);
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
