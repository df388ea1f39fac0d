// Convolutions and their adjoints. conv is linear in x and in w; each of the three is the gradient of the other two, so they close under
// differentiation.
#include "autograd/ops/common.h"
#include "tensor/kernels.h"
#include "tensor/precision.h"

namespace sono {

using namespace ops;
using kernels::ConvArgs;
using kernels::ConvGeometry;

namespace {

struct Names {
  const char *conv, *input, *weight;
};
Names names(const Shape& w) {
  if (w.size() == 3) return {"conv1d", "conv1d_input", "conv1d_weight"};
  if (w.size() == 4) return {"conv2d", "conv2d_input", "conv2d_weight"};
  return {"conv3d", "conv3d_input", "conv3d_weight"};
}

// A weight as (kD, kH, kW, C / groups, O).
Shape weight_5d(const Shape& w) {
  Shape all(5 - w.size(), 1);
  all.insert(all.end(), w.begin(), w.end());
  return all;
}

ConvGeometry geometry_of(const ConvOptions& o, const Shape& w) {
  const auto dimensions = static_cast<int64_t>(w.size()) - 2;
  return {o.stride.spatial(dimensions, 1), o.padding.spatial(dimensions, 0), o.dilation.spatial(dimensions, 1), o.groups};
}

// The shape of conv's output; everything that can be wrong with a convolution is found here.
Shape output_shape(const char* name, const Shape& x, const Shape& w, const ConvOptions& o) {
  const auto fail = [&](const std::string& why) {
    throw ShapeError(bracketed(name) + "input " + to_string(x) + ", weight " + to_string(w) + ": " + why);
  };
  if (w.size() < 3 || w.size() > 5 || x.size() != w.size())
    fail("expected (N, …, C) and (k…, C / groups, O) with 1 to 3 spatial dimensions");
  const int64_t channels = x.back(), per_group = w[w.size() - 2], out = w.back();
  if (o.groups < 1 || channels % o.groups || out % o.groups)
    fail(std::to_string(o.groups) + " groups do not divide " + std::to_string(channels) + " input and " + std::to_string(out) +
         " output channels");
  if (channels != per_group * o.groups)
    fail("the input has " + std::to_string(channels) + " channels, the weight expects " + std::to_string(per_group * o.groups));
  const ConvGeometry g = geometry_of(o, w);
  Shape y{x[0]};
  for (size_t d = 0; d + 2 < w.size(); d++) {
    const size_t k = d + 5 - w.size();  // among (D, H, W)
    if (g.stride[k] < 1 || g.dilation[k] < 1 || g.padding[k] < 0) fail("stride and dilation must be 1 or more, padding 0 or more");
    const int64_t reach = g.dilation[k] * (w[d] - 1) + 1, room = x[d + 1] + 2 * g.padding[k] - reach;
    if (w[d] < 1 || room < 0) fail("the kernel is larger than the padded input");
    y.push_back(room / g.stride[k] + 1);
  }
  y.push_back(out);
  return y;
}

Attributes attributes_of(const ConvOptions& o) {
  return {{"stride", o.stride.sizes}, {"padding", o.padding.sizes}, {"dilation", o.dilation.sizes}, {"groups", o.groups}};
}

}  // namespace

namespace ops {

ConvArgs conv_arguments(const Tensor& x, const Tensor& w, const Tensor& y, const ConvOptions& o, const Tensor& bias) {
  Shape xs = with_3_spatial("conv", x.shape()), ys = with_3_spatial("conv", y.shape());
  const ConvGeometry g = geometry_of(o, w.shape());
  const Shape ws = weight_5d(w.shape());
  if (ws[0] == 1 && g.stride[0] == 1 && g.padding[0] == 0) {
    xs = {xs[0] * xs[1], 1, xs[2], xs[3], xs[4]};
    ys = {ys[0] * ys[1], 1, ys[2], ys[3], ys[4]};
  }
  return {x.view(xs), w.view(ws), y.view(ys), g, bias.detach()};
}

bool is_flat(const ConvArgs& a) { return a.x.dim(1) == 1 && a.w.dim(0) == 1 && a.y.dim(1) == 1 && a.geometry.padding[0] == 0; }

}  // namespace ops

namespace {

void run_conv(const ConvArgs& a) { is_flat(a) ? kernels::conv2d(a) : kernels::conv3d(a); }
void run_weight(const ConvArgs& a) { is_flat(a) ? kernels::conv2d_weight(a) : kernels::conv3d_weight(a); }

Tensor sum_of_pixels(const Tensor& g) {
  Axes pixels;
  for (int64_t i = 0; i + 1 < g.rank(); i++) pixels.push_back(i);
  return sum(g, pixels);
}

// w's and the bias's gradients, from one pass over the data where the gradients themselves are not differentiated.
std::pair<Tensor, Tensor> weight_gradients(const Tensor& x, const Tensor& g, const Shape& w_shape, const ConvOptions& o, bool wants_w,
                                           bool wants_bias) {
  if (!wants_w) return {Tensor{}, wants_bias ? sum_of_pixels(g) : Tensor{}};
  if (!wants_bias || will_record(x, g)) return {conv_weight(x, g, w_shape, o), wants_bias ? sum_of_pixels(g) : Tensor{}};
  const Tensor w(w_shape, g.dtype(), g.device()), bias({g.dim(-1)}, g.dtype(), g.device());
  run_weight(conv_arguments(x, w, g, o, bias));
  return {w, bias};
}

}  // namespace

Tensor conv(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& o) {
  check_given("conv", {&x, &w});
  const char* name = names(w.shape()).conv;
  check_same(name, {&x, &w, &bias});
  const Tensor y(output_shape(name, x.shape(), w.shape(), o), x.dtype(), x.device());
  if (bias && bias.shape() != Shape{w.dim(-1)})
    throw ShapeError(bracketed(name) + "the bias " + to_string(bias.shape()) + " does not fit the weight " + to_string(w.shape()));
  run_conv(conv_arguments(x, w, y, o, bias));
  if (!observed() && !will_record(x, w, bias)) return y;

  // x is kept for w's gradient, w for x's: what is not wanted is not kept.
  const Saved kept_x = wants_gradient(w) ? Saved(x) : Saved(), kept_w = wants_gradient(x) ? Saved(w, "weight") : Saved();
  const auto back = [kept_x, kept_w, o, x_shape = x.shape(), w_shape = w.shape()](const Tensor& g, const std::vector<bool>& wanted) {
    std::vector<Tensor> parts(3);
    if (wanted[0]) parts[0] = conv_input(g, *kept_w, x_shape, o);
    std::tie(parts[1], parts[2]) =
        weight_gradients(wanted[1] ? *kept_x : Tensor{}, g, w_shape, o, wanted[1], wanted.size() > 2 && wanted[2]);
    return parts;
  };
  std::vector<Tensor> inputs{x, w};
  if (bias) inputs.push_back(bias);
  return differentiable_jointly(name, y, inputs, back, [&] { return attributes_of(o); });
}

Tensor conv_input(const Tensor& y, const Tensor& w, const Shape& x_shape, const ConvOptions& o) {
  check_given("conv_input", {&y, &w});
  const char* name = names(w.shape()).input;
  check_same(name, {&y, &w});
  if (const Shape made = output_shape(name, x_shape, w.shape(), o); made != y.shape())
    throw ShapeError(bracketed(name) + "an input " + to_string(x_shape) + " would make " + to_string(made) + ", got " +
                     to_string(y.shape()));
  const Tensor x(x_shape, y.dtype(), y.device());
  const ConvArgs a = conv_arguments(x, w, y, o);
  is_flat(a) ? kernels::conv2d_input(a) : kernels::conv3d_input(a);
  if (!observed() && !will_record(y, w)) return x;
  return differentiable(name, x,
                        {{y, [w = Saved(w, "weight"), o](const Tensor& g) { return conv(g, *w, {}, o); }},
                         {w, [y = Saved(y), shape = w.shape(), o](const Tensor& g) { return conv_weight(g, *y, shape, o); }}},
                        [&] { return attributes_of(o); });
}

Tensor conv_weight(const Tensor& x, const Tensor& y, const Shape& w_shape, const ConvOptions& o) {
  check_given("conv_weight", {&x, &y});
  const char* name = names(w_shape).weight;
  check_same(name, {&x, &y});
  if (const Shape made = output_shape(name, x.shape(), w_shape, o); made != y.shape())
    throw ShapeError(bracketed(name) + "input " + to_string(x.shape()) + " and weight " + to_string(w_shape) + " would make " +
                     to_string(made) + ", got " + to_string(y.shape()));
  const Tensor w(w_shape, y.dtype(), y.device());
  run_weight(conv_arguments(x, w, y, o));
  if (!observed() && !will_record(x, y)) return w;
  return differentiable(name, w,
                        {{x, [y = Saved(y, "output"), shape = x.shape(), o](const Tensor& g) { return conv_input(*y, g, shape, o); }},
                         {y, [x = Saved(x), o](const Tensor& g) { return conv(*x, g, {}, o); }}},
                        [&] { return attributes_of(o); });
}

namespace {

kernels::InputNorm input_norm(const Tensor& mean, const Tensor& rstd, const Tensor& scale, const Tensor& shift) {
  const NoGrad constants;
  return {mean, scale * rstd, shift.detach()};
}

// The gradients of x, scale, shift and w of batch_norm_conv.
struct NormConvBackward {
  Saved x, scale, shift, w;
  Tensor mean, rstd;
  ConvOptions options;
  double epsilon;

  std::vector<Tensor> operator()(const Tensor& g, const std::vector<bool>& wanted) const {
    if (will_record(g, *x, *scale, *shift, *w))
      return partial_gradients(conv(batch_norm(*x, *scale, *shift, epsilon, true).y, *w, {}, options), {*x, *scale, *shift, *w}, wanted, g);
    std::vector<Tensor> parts(4);
    if (wanted[3]) {
      parts[3] = Tensor::empty_like(*w);
      ConvArgs a = conv_arguments(x->detach(), parts[3], g, options);
      a.norm = input_norm(mean, rstd, *scale, *shift);
      run_weight(a);
    }
    if (!wanted[0] && !wanted[1] && !wanted[2]) return parts;
    if (wanted[1]) parts[1] = Tensor::empty_like(*scale);
    if (wanted[2]) parts[2] = Tensor::empty_like(*shift);
    parts[0] = conv_input(g, *w, x->shape(), options);
    const int64_t C = x->dim(-1);
    kernels::normalize_backward({parts[0],
                                 x->detach(),
                                 {},
                                 scale->detach(),
                                 shift->detach(),
                                 mean,
                                 rstd,
                                 parts[0],
                                 parts[1],
                                 parts[2],
                                 {1, x->size() / C, C, 1},
                                 true});
    return parts;
  }
};

}  // namespace

NormResult batch_norm_conv(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& w, const ConvOptions& o,
                           double epsilon) {
  const char* name = "batch_norm_conv";
  check_given(name, {&x, &scale, &shift, &w});
  check_same(name, {&x, &scale, &shift, &w});
  const auto apart = [&]() -> NormResult {
    const NormResult r = batch_norm(x, scale, shift, epsilon, true);
    return {conv(r.y, w, {}, o), r.mean, r.rstd};
  };
  const Shape channels{x.rank() ? x.dim(-1) : 0};
  if (observed() || x.dtype() != Dtype::f32 || scale.shape() != channels || shift.shape() != channels) return apart();
  const Tensor y(output_shape(name, x.shape(), w.shape(), o), x.dtype(), x.device());
  ConvArgs a = conv_arguments(x.detach(), w.detach(), y, o);
  if (x.size() <= x.dim(-1) || y.size() == 0 || !kernels::conv_takes_norm(a)) return apart();
  const Tensor mean(channels), rstd(channels);
  kernels::normalize({x.detach(), scale.detach(), shift.detach(), {}, mean, rstd, {1, x.size() / x.dim(-1), x.dim(-1), 1}, epsilon, true});
  a.norm = input_norm(mean, rstd, scale, shift);
  run_conv(a);
  if (!will_record(x, scale, shift, w)) return {y, mean, rstd};
  const NormConvBackward back{Saved(x), Saved(scale, "scale"), Saved(shift, "shift"), Saved(w, "weight"), mean, rstd, o, epsilon};
  return {differentiable_jointly(name, y, {x, scale, shift, w}, back, [&] { return attributes_of(o); }), mean, rstd};
}

namespace {

// The gradients of a, b and w of concat_conv.
struct ConcatConvBackward {
  Saved a, b, w;
  ConvOptions options;

  std::vector<Tensor> operator()(const Tensor& g, const std::vector<bool>& wanted) const {
    if (will_record(g, *a, *b, *w)) return partial_gradients(conv(concat({*a, *b}, -1), *w, {}, options), {*a, *b, *w}, wanted, g);
    std::vector<Tensor> parts(3);
    if (wanted[2]) {
      parts[2] = Tensor::empty_like(*w);
      run_weight(arguments(a->detach(), b->detach(), parts[2], g, options));
    }
    if (!wanted[0] && !wanted[1]) return parts;
    parts[0] = Tensor::empty_like(*a), parts[1] = Tensor::empty_like(*b);
    const ConvArgs args = arguments(parts[0], parts[1], w->detach(), g, options);
    is_flat(args) ? kernels::conv2d_input(args) : kernels::conv3d_input(args);
    return parts;
  }
  static ConvArgs arguments(const Tensor& a, const Tensor& b, const Tensor& w, const Tensor& y, const ConvOptions& o) {
    ConvArgs args = conv_arguments(a, w, y, o);
    Shape more = args.x.shape();
    more.back() = b.dim(-1);
    args.more = b.view(more);
    return args;
  }
};

}  // namespace

Tensor concat_conv(const Tensor& a, const Tensor& b, const Tensor& w, const ConvOptions& o) {
  const char* name = "concat_conv";
  check_given(name, {&a, &b, &w});
  check_same(name, {&a, &b, &w});
  const auto apart = [&] { return conv(concat({a, b}, -1), w, {}, o); };
  if (observed() || a.dtype() != Dtype::f32 || a.rank() != b.rank() || a.rank() != w.rank()) return apart();
  Shape both = a.shape();
  both.back() = b.dim(-1);
  if (both != b.shape()) return apart();
  both.back() += a.dim(-1);
  const Tensor y(output_shape(name, both, w.shape(), o), a.dtype(), a.device());
  // What would be joined: for the choice alone, which looks at nothing but its sizes.
  if (y.size() == 0 || !kernels::conv_takes_more(conv_arguments(Tensor(both, a.dtype(), a.device()), w.detach(), y, o), a.dim(-1)))
    return apart();
  run_conv(ConcatConvBackward::arguments(a.detach(), b.detach(), w.detach(), y, o));
  if (!will_record(a, b, w)) return y;
  return differentiable_jointly(name, y, {a, b, w}, ConcatConvBackward{Saved(a), Saved(b), Saved(w, "weight"), o},
                                [&] { return attributes_of(o); });
}

namespace {

// Whether kernels::up_conv does a transposed convolution.
bool fits_up_conv(const Tensor& x, const Tensor& w, const Tensor& bias, const Shape& y, const ConvOptions& o) {
  const ConvGeometry g = geometry_of(o, w.shape());
  bool yes = !observed() && x.device() == Device::cpu && precision() == Precision::f32 && o.groups == 1 && x.dtype() == w.dtype() &&
             x.dtype() == bias.dtype() && bias.shape() == Shape{y.back()} && w.device() == x.device() && bias.device() == x.device();
  for (int64_t d = 0; d + 2 < w.rank(); d++) {
    const auto k = static_cast<size_t>(d + 5 - w.rank());
    yes = yes && kernels::side_by_side(w.dim(d), g.stride[k], g.padding[k], g.dilation[k], x.dim(d + 1), y[static_cast<size_t>(d) + 1]);
  }
  return yes;
}

// conv_input(x, w) + bias of windows side by side, in one pass.
Tensor up_conv(const Tensor& x, const Tensor& w, const Tensor& bias, const Shape& shape, const ConvOptions& o) {
  const Tensor y(shape, x.dtype());
  const auto volume = [](const Tensor& t) { return t.detach().view(with_3_spatial("conv_transpose", t.shape())); };
  kernels::up_conv({volume(x), w.detach().view(weight_5d(w.shape())), volume(y), 0, bias.detach()});
  if (!will_record(x, w, bias)) return y;
  return differentiable("conv_transpose", y,
                        {{x, [w = Saved(w, "weight"), o](const Tensor& g) { return conv(g, *w, {}, o); }},
                         {w, [x = Saved(x), w_shape = w.shape(), o](const Tensor& g) { return conv_weight(g, *x, w_shape, o); }},
                         {bias, sum_of_pixels}},
                        [&] { return attributes_of(o); });
}

}  // namespace

Tensor conv_transpose(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& o, const Extent& output_padding) {
  check_given("conv_transpose", {&x, &w});
  const auto fail = [&](const std::string& why) {
    throw ShapeError("[conv_transpose] input " + to_string(x.shape()) + ", weight " + to_string(w.shape()) + ": " + why);
  };
  if (w.rank() < 3 || w.rank() > 5 || x.rank() != w.rank())
    fail("expected (N, …, C) and (k…, O / groups, C) with 1 to 3 spatial dimensions");
  if (x.dim(-1) != w.dim(-1))
    fail("the input has " + std::to_string(x.dim(-1)) + " channels, the weight expects " + std::to_string(w.dim(-1)));
  const ConvGeometry g = geometry_of(o, w.shape());
  const auto extra = output_padding.spatial(w.rank() - 2, 0);
  Shape shape{x.dim(0)};
  for (int64_t d = 0; d < w.rank() - 2; d++) {
    const auto k = static_cast<size_t>(d + 5 - w.rank());
    if (extra[k] < 0 || extra[k] >= std::max(g.stride[k], g.dilation[k]))
      fail("output_padding must be smaller than the stride or the dilation");
    shape.push_back((x.dim(d + 1) - 1) * g.stride[k] - 2 * g.padding[k] + g.dilation[k] * (w.dim(d) - 1) + extra[k] + 1);
    if (shape.back() < 1) fail("the output would be empty");
  }
  shape.push_back(w.dim(-2) * o.groups);
  if (!bias) return conv_input(x, w, shape, o);
  return fits_up_conv(x, w, bias, shape, o) ? up_conv(x, w, bias, shape, o) : conv_input(x, w, shape, o) + bias;
}

}  // namespace sono
