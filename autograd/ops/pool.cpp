// Pooling over 1 to 3 spatial dimensions. A maximum is a value read at an index; reading at indices and adding up at them are adjoint.
#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;
using kernels::PoolArgs;
using kernels::Resampling;

namespace {

struct Windows {
  std::array<int64_t, 3> window, stride, padding;
  Shape out;       // in the rank of the input
  bool overhangs;  // a last window reaches beyond the padding (ceil)
};

Windows windows_of(const char* name, const Shape& x, const PoolOptions& o) {
  with_3_spatial(name, x);
  const auto fail = [&](const std::string& why) {
    throw ShapeError(bracketed(name) + "input " + to_string(x) + ", window " + to_string(o.window.sizes) + ": " + why);
  };
  const auto dimensions = static_cast<int64_t>(x.size()) - 2;
  Windows w{
      o.window.spatial(dimensions, 1), o.stride.value_or(o.window).spatial(dimensions, 1), o.padding.spatial(dimensions, 0), {x[0]}, false};
  for (size_t d = 1; d + 1 < x.size(); d++) {
    const size_t k = d + 4 - x.size();  // among (D, H, W)
    const int64_t window = w.window[k], stride = w.stride[k], padding = w.padding[k], room = x[d] + 2 * padding - window;
    if (window < 1 || stride < 1 || padding < 0) fail("window and stride must be 1 or more, padding 0 or more");
    if (2 * padding > window) fail("padding must be at most half of the window");
    if (room < 0) fail("the window is larger than the padded input");
    int64_t n = (room + (o.ceil ? stride - 1 : 0)) / stride + 1;
    if (o.ceil && (n - 1) * stride >= x[d] + padding) n--;  // a window must begin inside
    w.overhangs |= (n - 1) * stride + window > x[d] + 2 * padding;
    w.out.push_back(n);
  }
  w.out.push_back(x.back());
  return w;
}

PoolArgs arguments(const Tensor& x, const Tensor& y, const Tensor& index, const Windows& w, bool count_padding = true) {
  const auto all = [](const Tensor& t) { return t ? t.view(with_3_spatial("pool", t.shape())) : t; };
  return {all(x), all(y), all(index), w.window, w.stride, w.padding, count_padding};
}

Attributes attributes_of(const PoolOptions& o) {
  return {{"window", o.window.sizes},
          {"stride", o.stride.value_or(o.window).sizes},
          {"padding", o.padding.sizes},
          {"ceil", int64_t{o.ceil}},
          {"count_padding", int64_t{o.count_padding}}};
}

void check_unpool(const char* name, const Tensor& y, const Tensor& index, const Shape& x_shape) {
  check_same(name, {&y});
  check_index(name, y, index);
  with_3_spatial(name, x_shape);
  if (y.shape() != index.shape() || x_shape.size() != y.shape().size() || x_shape[0] != y.dim(0) || x_shape.back() != y.dim(-1))
    throw ShapeError(bracketed(name) + "values " + to_string(y.shape()) + ", index " + to_string(index.shape()) + " and " +
                     to_string(x_shape) + " do not belong together");
}

}  // namespace

namespace {

// The windows that the indices were found in let fast kernels compare instead of follow; none: indices from anywhere.
Tensor unpooled(const Tensor& y, const Tensor& index, const Shape& x_shape, const Windows& w) {
  check_unpool("max_unpool", y, index, x_shape);
  const Tensor x(x_shape, y.dtype(), y.device());
  kernels::max_unpool(arguments(x, y, index, w));
  return differentiable("max_unpool", x,
                        {{y, [index = Saved(index, "index")](const Tensor& g) { return max_pool_at(g, *index); }}, {index, nullptr}}, [&] {
                          return Attributes{{"shape", x_shape}};
                        });
}

std::pair<Tensor, Tensor> max_pool_values(const Tensor& x, const PoolOptions& o) {
  check_same("max_pool", {&x});
  const Windows w = windows_of("max_pool", x.shape(), o);
  const Tensor y(w.out, x.dtype(), x.device()), index(w.out, Dtype::i32, x.device());
  kernels::max_pool(arguments(x, y, index, w));
  const auto back = [index = Saved(index, "index"), shape = x.shape(), w](const Tensor& g) { return unpooled(g, *index, shape, w); };
  return {differentiable("max_pool", y, {{x, back}}, [&] { return attributes_of(o); }), index};
}

}  // namespace

Tensor max_pool(const Tensor& x, const PoolOptions& o) { return max_pool_values(x, o).first; }

std::pair<Tensor, Tensor> max_pool_with_index(const Tensor& x, const PoolOptions& o) {
  const auto [y, index] = max_pool_values(x, o);
  return {y, differentiable("max_pool_index", index, {{x, nullptr}}, [&] { return attributes_of(o); })};
}

Tensor max_unpool(const Tensor& y, const Tensor& index, const Shape& x_shape) { return unpooled(y, index, x_shape, {}); }

Tensor ops::max_pool_at(const Tensor& x, const Tensor& index) {
  const Tensor y(index.shape(), x.dtype(), x.device());
  check_unpool("max_pool_at", y, index, x.shape());
  kernels::max_pool_at(arguments(x, y, index, {}));
  return differentiable("max_pool_at", y,
                        {{x, [index = Saved(index, "index"), shape = x.shape()](const Tensor& g) { return max_unpool(g, *index, shape); }},
                         {index, nullptr}});
}

namespace {

Tensor avg_pool_adjoint(const Tensor& y, const Shape& x_shape, const Windows& w, bool count_padding);

Tensor avg_pool_values(const Tensor& x, const Windows& w, bool count_padding, LazyAttributes attributes) {
  const Tensor y(w.out, x.dtype(), x.device());
  kernels::avg_pool(arguments(x, y, {}, w, count_padding));
  return differentiable(
      "avg_pool", y, {{x, [w, count_padding, shape = x.shape()](const Tensor& g) { return avg_pool_adjoint(g, shape, w, count_padding); }}},
      attributes);
}

Tensor avg_pool_adjoint(const Tensor& y, const Shape& x_shape, const Windows& w, bool count_padding) {
  const Tensor x(x_shape, y.dtype(), y.device());
  kernels::avg_pool_adjoint(arguments(x, y, {}, w, count_padding));
  return differentiable("avg_pool_adjoint", x,
                        {{y, [w, count_padding](const Tensor& g) { return avg_pool_values(g, w, count_padding, {}); }}});
}

}  // namespace

Tensor avg_pool(const Tensor& x, const PoolOptions& o) {
  check_same("avg_pool", {&x});
  const Windows w = windows_of("avg_pool", x.shape(), o);
  if (!o.count_padding || !w.overhangs) return avg_pool_values(x, w, o.count_padding, [&] { return attributes_of(o); });
  // What overhangs does not count, the padding does (as in PyTorch): pad first, then divide by what is inside.
  std::vector<std::pair<int64_t, int64_t>> margins(x.shape().size());
  for (size_t d = 1; d + 1 < margins.size(); d++) margins[d] = {w.padding[d + 4 - margins.size()], w.padding[d + 4 - margins.size()]};
  PoolOptions inside = o;
  inside.padding = 0;
  inside.count_padding = false;
  return avg_pool(pad(x, margins), inside);
}

Tensor global_avg_pool(const Tensor& x) {
  check_given("global_avg_pool", {&x});
  with_3_spatial("global_avg_pool", x.shape());
  Axes spatial;
  for (int64_t i = 1; i + 1 < x.rank(); i++) spatial.push_back(i);
  return mean(x, spatial);
}

namespace {

Shape adaptive_shape(const char* name, const Tensor& x, const Extent& size) {
  check_same(name, {&x});
  with_3_spatial(name, x.shape());
  const auto wanted = size.spatial(x.rank() - 2, 1);
  Shape shape = x.shape();
  for (size_t d = 1; d + 1 < shape.size(); d++) {
    if (wanted[d + 4 - shape.size()] < 1 || shape[d] < 1)
      throw ShapeError(bracketed(name) + "input " + to_string(x.shape()) + " cannot be pooled to the size " + to_string(size.sizes));
    shape[d] = wanted[d + 4 - shape.size()];
  }
  return shape;
}

Tensor adaptive_adjoint(const Tensor& y, const Shape& x_shape);

Tensor adaptive_average(const Tensor& x, const Shape& y_shape) {
  const Tensor y(y_shape, x.dtype(), x.device());
  kernels::resample({x.view(with_3_spatial("pool", x.shape())), y.view(with_3_spatial("pool", y_shape)), Resampling::average});
  return differentiable("adaptive_avg_pool", y, {{x, [shape = x.shape()](const Tensor& g) { return adaptive_adjoint(g, shape); }}}, [&] {
    return Attributes{{"shape", y_shape}};
  });
}

Tensor adaptive_adjoint(const Tensor& y, const Shape& x_shape) {
  const Tensor x(x_shape, y.dtype(), y.device());
  kernels::resample_adjoint({x.view(with_3_spatial("pool", x_shape)), y.view(with_3_spatial("pool", y.shape())), Resampling::average});
  return differentiable("adaptive_avg_pool_adjoint", x, {{y, [shape = y.shape()](const Tensor& g) { return adaptive_average(g, shape); }}});
}

}  // namespace

Tensor adaptive_avg_pool(const Tensor& x, const Extent& size) { return adaptive_average(x, adaptive_shape("adaptive_avg_pool", x, size)); }

Tensor adaptive_max_pool(const Tensor& x, const Extent& size) {
  const Tensor index(adaptive_shape("adaptive_max_pool", x, size), Dtype::i32, x.device());
  kernels::adaptive_max_index({x.view(with_3_spatial("pool", x.shape())), index.view(with_3_spatial("pool", index.shape()))});
  return max_pool_at(x, differentiable("adaptive_max_index", index, {{x, nullptr}}, [&] { return Attributes{{"shape", index.shape()}}; }));
}

}  // namespace sono
