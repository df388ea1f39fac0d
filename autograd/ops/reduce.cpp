// Reductions, softmax, running sums and orders. Every tensor is seen as (outer, n, inner) around the reduced dimensions.
#include <limits>

#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;
using kernels::Reduction;

namespace {

// Neighbouring axes (dimensions of 1 between them do not part them) are reduced as one; the result keeps their dimensions as 1.
Tensor reduce_values(Reduction kind, const Tensor& x, const Axes& axes) {
  Tensor y = x.detach();
  for (size_t last = axes.size(); last-- > 0;) {
    size_t first = last;
    while (first > 0 && block_of(x.shape(), axes[first - 1] + 1, axes[first]).n == 1) first--;
    const Block b = block_of(y.shape(), axes[first], axes[last] + 1);
    Shape shape = y.shape();
    for (size_t k = first; k <= last; k++) shape[static_cast<size_t>(axes[k])] = 1;
    const Tensor part(shape, y.dtype(), y.device());
    kernels::reduce({y.view({b.outer, b.n, b.inner}), part.view({b.outer, b.inner}), b.outer, b.n, b.inner, kind});
    y = part;
    last = first;
  }
  return y;
}

bool adjacent(const Axes& axes, const Shape& shape) {
  for (size_t k = 1; k < axes.size(); k++)
    if (block_of(shape, axes[k - 1] + 1, axes[k]).n != 1) return false;
  return true;
}

Shape with_ones(Shape shape, const Axes& axes) {
  for (int64_t a : axes) shape[static_cast<size_t>(a)] = 1;
  return shape;
}

Attributes axes_attributes(const Axes& axes, bool keep) { return {{"axes", axes}, {"keep", int64_t{keep}}}; }

Tensor sum_or_mean(const char* name, Reduction kind, const Tensor& x, const Axes& given, bool keep) {
  check_same(name, {&x});
  const Axes axes = axes_of(name, given, x.shape());
  const Tensor y = reduce_values(kind, x, axes);
  const double scale = kind == Reduction::mean ? static_cast<double>(y.size()) / static_cast<double>(x.size()) : 1;
  const auto back = [scale, kept = y.shape(), shape = x.shape()](const Tensor& g) {
    return broadcast_to(reshape(scale == 1 ? g : g * scale, kept), shape);
  };
  return differentiable(name, keep ? y : y.view(without(x.shape(), axes)), {{x, back}}, [&] { return axes_attributes(axes, keep); });
}

// The gradient goes to the one value that was found: gather's adjoint.
Tensor extreme(const char* name, Reduction kind, const Tensor& x, const Axes& given, bool keep) {
  check_same(name, {&x});
  const Axes axes = axes_of(name, given, x.shape());
  const Shape kept = with_ones(x.shape(), axes), shape = keep ? kept : without(x.shape(), axes);
  if (!adjacent(axes, x.shape())) {  // bring the reduced axes together, behind the others
    Axes order;
    for (int64_t i = 0; i < x.rank(); i++)
      if (kept[static_cast<size_t>(i)] != 1 || x.dim(i) == 1) order.push_back(i);
    const auto others = static_cast<int64_t>(order.size());
    for (int64_t i = 0; i < x.rank(); i++)
      if (kept[static_cast<size_t>(i)] == 1 && x.dim(i) != 1) order.push_back(i);
    Axes behind;
    for (int64_t i = others; i < x.rank(); i++) behind.push_back(i);
    return reshape(extreme(name, kind, permute(x, order), behind, false), shape);
  }
  const Block b = axes.empty() ? Block{} : block_of(x.shape(), axes.front(), axes.back() + 1);
  if (b.n == 0) throw ShapeError(bracketed(name) + "there is no value to choose from in " + to_string(x.shape()));
  const Shape rows{b.outer, b.n, b.inner};
  const Tensor y(shape, x.dtype(), x.device());
  kernels::reduce({x.view(rows), y.view({b.outer, b.inner}), b.outer, b.n, b.inner, kind});
  const auto attributes = [&] { return axes_attributes(axes, keep); };
  if (!will_record(x)) return differentiable(name, y, {{x, nullptr}}, attributes);
  const Tensor index({b.outer, 1, b.inner}, Dtype::i32, x.device());
  kernels::reduce({x.view(rows), index.view({b.outer, b.inner}), b.outer, b.n, b.inner,
                   kind == Reduction::max ? Reduction::argmax : Reduction::argmin});
  const auto back = [index, rows, x_shape = x.shape()](const Tensor& g) {
    return reshape(scatter_add(reshape(g, index.shape()), index, rows, 1), x_shape);
  };
  return differentiable(name, y, {{x, back}}, attributes);
}

Tensor where_extreme(const char* name, Reduction kind, const Tensor& x, int64_t axis) {
  check_same(name, {&x});
  axis = axis_of(name, axis, x.shape());
  const Block b = block_at(x.shape(), axis);
  if (b.n == 0) throw ShapeError(bracketed(name) + "there is no value to choose from in " + to_string(x.shape()));
  const Tensor y(without(x.shape(), {axis}), Dtype::i32, x.device());
  kernels::reduce({x.view({b.outer, b.n, b.inner}), y.view({b.outer, b.inner}), b.outer, b.n, b.inner, kind});
  return differentiable(name, y, {{x, nullptr}}, [&] { return Attributes{{"axis", axis}}; });
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keep) { return sum_or_mean("sum", Reduction::sum, x, axes, keep); }
Tensor mean(const Tensor& x, const Axes& axes, bool keep) { return sum_or_mean("mean", Reduction::mean, x, axes, keep); }
Tensor max(const Tensor& x, const Axes& axes, bool keep) { return extreme("max", Reduction::max, x, axes, keep); }
Tensor min(const Tensor& x, const Axes& axes, bool keep) { return extreme("min", Reduction::min, x, axes, keep); }
Tensor argmax(const Tensor& x, int64_t axis) { return where_extreme("argmax", Reduction::argmax, x, axis); }
Tensor argmin(const Tensor& x, int64_t axis) { return where_extreme("argmin", Reduction::argmin, x, axis); }

Tensor var(const Tensor& x, const Axes& axes, bool keep, bool unbiased) {
  const Tensor y = mean(square(x - mean(x, axes, true)), axes, keep);
  if (!unbiased) return y;
  const double n = static_cast<double>(x.size()) / static_cast<double>(y.size());
  return y * (n / (n - 1));
}

// m + log(sum(exp(x - m))), m = max x. Its gradient is exp(x - y), the softmax.
Tensor logsumexp(const Tensor& x, const Axes& given, bool keep) {
  check_same("logsumexp", {&x});
  const Axes axes = axes_of("logsumexp", given, x.shape());
  const auto finite = [](const Tensor& t) {  // 0 instead of infinity and NaN, so that differences to it are right
    return select(abs(t) <= (t.dtype() == Dtype::f32 ? double(std::numeric_limits<float>::max()) : std::numeric_limits<double>::max()), t,
                  zero_like(t));
  };
  Tensor y;
  {
    const NoGrad values;
    const Tensor m = finite(max(x, axes, true));
    y = log(sum(exp(x - m), axes, true)) + m;
  }
  if (!keep) y = y.view(without(x.shape(), axes));
  const auto back = [x = Saved(x), y = SavedOutput(y), kept = with_ones(x.shape(), axes), finite](const Tensor& g) {
    return reshape(g, kept) * exp(*x - finite(reshape(*y, kept)));
  };
  return differentiable("logsumexp", y, {{x, back}}, [&] { return axes_attributes(axes, keep); });
}

namespace {

Tensor softmax_values(const char* name, const Tensor& x, int64_t axis, bool log) {
  check_same(name, {&x});
  const Block b = block_at(x.shape(), axis_of(name, axis, x.shape()));
  const Tensor y = Tensor::empty_like(x);
  const Shape rows{b.outer, b.n, b.inner};
  if (x.size()) kernels::softmax({x.view(rows), y.view(rows), b.outer, b.n, b.inner, log});
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) {
  const Tensor y = softmax_values("softmax", x, axis, false);
  const auto back = [y = SavedOutput(y), axis](const Tensor& g) {
    const Tensor p = *y, gp = g * p;
    return gp - p * sum(gp, {axis}, true);
  };
  return differentiable("softmax", y, {{x, back}}, [&] { return Attributes{{"axis", axis}}; });
}

Tensor log_softmax(const Tensor& x, int64_t axis) {
  const Tensor y = softmax_values("log_softmax", x, axis, true);
  const auto back = [y = SavedOutput(y), axis](const Tensor& g) { return g - exp(*y) * sum(g, {axis}, true); };
  return differentiable("log_softmax", y, {{x, back}}, [&] { return Attributes{{"axis", axis}}; });
}

Tensor cumsum(const Tensor& x, int64_t axis, bool reverse) {
  check_same("cumsum", {&x});
  const Block b = block_at(x.shape(), axis_of("cumsum", axis, x.shape()));
  const Tensor y = Tensor::empty_like(x);
  kernels::cumsum({x, y, b.outer, b.n, b.inner, reverse});
  return differentiable("cumsum", y, {{x, [axis, reverse](const Tensor& g) { return cumsum(g, axis, !reverse); }}}, [&] {
    return Attributes{{"axis", axis}, {"reverse", int64_t{reverse}}};
  });
}

namespace {

std::pair<Tensor, Tensor> first_sorted(const char* name, const Tensor& x, int64_t k, int64_t axis, bool descending) {
  check_same(name, {&x});
  axis = axis_of(name, axis, x.shape());
  const Block b = block_at(x.shape(), axis);
  if (k < 0) k = b.n;
  if (k > b.n)
    throw ShapeError(bracketed(name) + "wants " + std::to_string(k) + " values of dimension " + std::to_string(axis) + " of " +
                     to_string(x.shape()));
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = k;
  const Tensor y(shape, x.dtype(), x.device()), index(shape, Dtype::i32, x.device());
  kernels::sort({x, y, index, b.outer, b.n, b.inner, k, descending});
  const auto back = [index, axis, x_shape = x.shape()](const Tensor& g) { return scatter_add(g, index, x_shape, axis); };
  const auto attributes = [&] { return Attributes{{"axis", axis}, {"k", k}, {"descending", int64_t{descending}}}; };
  return {differentiable(name, y, {{x, back}}, attributes), differentiable("sort_index", index, {{x, nullptr}}, attributes)};
}

}  // namespace

std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis, bool descending) { return first_sorted("sort", x, -1, axis, descending); }

std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t axis) {
  if (k < 0) throw ShapeError("[topk] k must not be negative, got " + std::to_string(k));
  return first_sorted("topk", x, k, axis, true);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  check_same("sum_to", {&x});
  if (shape.size() > x.shape().size() || kernels::broadcast_shape("sum_to", x.shape(), shape) != x.shape())
    throw ShapeError("[sum_to] " + to_string(shape) + " does not broadcast to " + to_string(x.shape()));
  const size_t missing = x.shape().size() - shape.size();
  Axes axes;
  for (size_t i = 0; i < x.shape().size(); i++)
    if (i < missing || (shape[i - missing] == 1 && x.shape()[i] != 1)) axes.push_back(static_cast<int64_t>(i));
  const Tensor y = reduce_values(Reduction::sum, x, axes).view(shape);
  return differentiable("sum_to", y, {{x, [from = x.shape()](const Tensor& g) { return broadcast_to(g, from); }}}, [&] {
    return Attributes{{"shape", shape}};
  });
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  check_same("broadcast_to", {&x});
  if (x.shape().size() > shape.size() || kernels::broadcast_shape("broadcast_to", x.shape(), shape) != shape)
    throw ShapeError("[broadcast_to] " + to_string(x.shape()) + " does not broadcast to " + to_string(shape));
  const Tensor y(shape, x.dtype(), x.device());
  kernels::map(elementwise::Linear{1, -0.0}, x, y);  // 1 * x + -0 is x
  return differentiable("broadcast_to", y, {{x, [from = x.shape()](const Tensor& g) { return sum_to(g, from); }}}, [&] {
    return Attributes{{"shape", shape}};
  });
}

}  // namespace sono
