// Shapes: reshape shares memory, the rest are strided copies. pad and slice are each other's gradients.
#include <algorithm>

#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;

Tensor reshape(const Tensor& x, Shape shape) {
  check_given("reshape", {&x});
  if (x.shape() == shape) return x;
  const Tensor y = x.view(std::move(shape));
  if (!observed() && !will_record(x)) return y;
  return differentiable("reshape", y, {{x, [from = x.shape()](const Tensor& g) { return reshape(g, from); }}}, [&] {
    return Attributes{{"shape", y.shape()}};
  });
}

Tensor permute(const Tensor& x, const Axes& order) {
  check_given("permute", {&x});
  const Axes sorted = axes_of("permute", order, x.shape());
  if (order.size() != sorted.size() || sorted.size() != x.shape().size())
    throw ShapeError("[permute] order " + to_string(order) + " must name every dimension of " + to_string(x.shape()) + " once");
  const Shape strides = strides_of(x.shape());
  Shape shape, x_stride;
  Axes inverse(order.size());
  for (size_t i = 0; i < order.size(); i++) {
    const auto from = static_cast<size_t>(axis_of("permute", order[i], x.shape()));
    shape.push_back(x.shape()[from]);
    x_stride.push_back(strides[from]);
    inverse[from] = static_cast<int64_t>(i);
  }
  const Tensor y(shape, x.dtype(), x.device());
  kernels::strided_copy({x, y, shape, x_stride, strides_of(shape)});
  return differentiable("permute", y, {{x, [inverse](const Tensor& g) { return permute(g, inverse); }}}, [&] {
    return Attributes{{"order", order}};
  });
}

Tensor transpose(const Tensor& x, int64_t a, int64_t b) {
  Axes order;
  for (int64_t i = 0; i < x.rank(); i++) order.push_back(i);
  std::swap(order[static_cast<size_t>(axis_of("transpose", a, x.shape()))], order[static_cast<size_t>(axis_of("transpose", b, x.shape()))]);
  return permute(x, order);
}

namespace {

// Copies between a whole tensor and the part of it that starts at `first` of one axis and takes every step-th.
void copy_part(const Tensor& whole, const Tensor& part, int64_t axis, int64_t first, int64_t step, bool into_part) {
  const Shape contiguous = strides_of(part.shape());
  Shape strided = strides_of(whole.shape());
  const int64_t offset = first * strided[static_cast<size_t>(axis)];
  strided[static_cast<size_t>(axis)] *= step;
  if (into_part)
    kernels::strided_copy({whole, part, part.shape(), strided, contiguous, offset, 0});
  else
    kernels::strided_copy({part, whole, part.shape(), contiguous, strided, 0, offset});
}

}  // namespace

Tensor slice(const Tensor& x, int64_t axis, int64_t first, int64_t last, int64_t step) {
  check_given("slice", {&x});
  axis = axis_of("slice", axis, x.shape());
  const int64_t n = x.dim(axis), from = first < 0 ? first + n : first, to = last < 0 ? last + n : last;
  if (step < 1 || from < 0 || to < from || to > n)
    throw ShapeError("[slice] " + std::to_string(first) + " to " + std::to_string(last) + " by " + std::to_string(step) +
                     " does not fit dimension " + std::to_string(axis) + " of " + to_string(x.shape()));
  Tensor y;
  if (axis == 0 && step == 1) {
    y = x.rows(from, to);  // shares memory
  } else {
    Shape shape = x.shape();
    shape[static_cast<size_t>(axis)] = (to - from + step - 1) / step;
    y = Tensor(shape, x.dtype(), x.device());
    copy_part(x, y, axis, from, step, true);
  }
  if (!observed() && !will_record(x)) return y;
  return differentiable("slice", y,
                        {{x, [shape = x.shape(), axis, from, step](const Tensor& g) { return unslice(g, shape, axis, from, step); }}}, [&] {
                          return Attributes{{"axis", axis}, {"first", from}, {"last", to}, {"step", step}};
                        });
}

namespace ops {

Tensor unslice(const Tensor& x, const Shape& shape, int64_t axis, int64_t first, int64_t step) {
  const Tensor y = Tensor::zeros(shape, x.dtype(), x.device());
  copy_part(y, x, axis, first, step, false);
  const int64_t last = first + (x.dim(axis) - 1) * step + 1;
  return differentiable(
      "unslice", y, {{x, [axis, first, last, step](const Tensor& g) { return slice(g, axis, first, std::max(first, last), step); }}}, [&] {
        return Attributes{{"shape", shape}, {"axis", axis}, {"first", first}, {"step", step}};
      });
}

}  // namespace ops

Tensor concat(const std::vector<Tensor>& xs, int64_t axis) {
  if (xs.empty()) throw ShapeError("[concat] there is nothing to join");
  std::string all;
  for (const Tensor& x : xs) {
    check_given("concat", {&x});
    all += (all.empty() ? "" : ", ") + to_string(x.shape());
  }
  axis = axis_of("concat", axis, xs[0].shape());
  Shape shape = xs[0].shape();
  int64_t& n = shape[static_cast<size_t>(axis)];
  n = 0;
  for (const Tensor& x : xs) {
    if (x.dtype() != xs[0].dtype()) throw DtypeError("[concat] tensors " + all + " have different dtypes; convert them with cast()");
    if (x.device() != xs[0].device())
      throw DeviceError("[concat] tensors " + all + " are on different devices; move them with to_device()");
    if (without(x.shape(), {axis}) != without(shape, {axis}) || x.rank() != xs[0].rank())
      throw ShapeError("[concat] shapes " + all + " differ outside of dimension " + std::to_string(axis));
    n += x.dim(axis);
  }
  const Tensor y(shape, xs[0].dtype(), xs[0].device());
  std::vector<Edge> edges;
  int64_t first = 0;
  for (const Tensor& x : xs) {
    const int64_t last = first + x.dim(axis);
    copy_part(y, x, axis, first, 1, false);
    edges.push_back({x, wants_gradient(x) ? [axis, first, last](const Tensor& g) { return slice(g, axis, first, last); } : Vjp{}});
    first = last;
  }
  return differentiable("concat", y, std::move(edges), [&] { return Attributes{{"axis", axis}}; });
}

Tensor stack(const std::vector<Tensor>& xs, int64_t axis) {
  if (xs.empty()) throw ShapeError("[stack] there is nothing to join");
  check_given("stack", {&xs[0]});
  Shape shape = xs[0].shape();
  shape.push_back(1);  // an axis may also come behind the last
  axis = axis_of("stack", axis, shape);
  shape.pop_back();
  std::vector<Tensor> parts;
  for (const Tensor& x : xs) {
    check_given("stack", {&x});
    if (x.shape() != shape) throw ShapeError("[stack] shapes " + to_string(shape) + " and " + to_string(x.shape()) + " differ");
    Shape with_axis = shape;
    with_axis.insert(with_axis.begin() + axis, 1);
    parts.push_back(reshape(x, with_axis));
  }
  return concat(parts, axis);
}

std::vector<Tensor> split(const Tensor& x, int64_t parts, int64_t axis) {
  check_given("split", {&x});
  axis = axis_of("split", axis, x.shape());
  const int64_t n = x.dim(axis);
  if (parts < 1 || n % parts)
    throw ShapeError("[split] dimension " + std::to_string(axis) + " of " + to_string(x.shape()) + " does not divide into " +
                     std::to_string(parts) + " parts");
  std::vector<Tensor> all;
  for (int64_t k = 0; k < parts; k++) all.push_back(slice(x, axis, k * (n / parts), (k + 1) * (n / parts)));
  return all;
}

namespace {

using Margins = std::vector<std::pair<int64_t, int64_t>>;

Tensor crop(const Tensor& x, const Margins& margins, const Shape& shape);

Tensor pad_zero(const Tensor& x, const Margins& margins, const Shape& shape) {
  const Tensor y = Tensor::zeros(shape, x.dtype(), x.device());
  const Shape strides = strides_of(shape);
  int64_t offset = 0;
  for (size_t i = 0; i < shape.size(); i++) offset += margins[i].first * strides[i];
  kernels::strided_copy({x, y, x.shape(), strides_of(x.shape()), strides, 0, offset});
  Axes attribute;
  for (auto [before, after] : margins) attribute.push_back(before), attribute.push_back(after);
  return differentiable("pad", y, {{x, [margins, from = x.shape()](const Tensor& g) { return crop(g, margins, from); }}}, [&] {
    return Attributes{{"before_after", attribute}, {"mode", std::string("zero")}};
  });
}

Tensor crop(const Tensor& x, const Margins& margins, const Shape& shape) {
  const Tensor y(shape, x.dtype(), x.device());
  const Shape strides = strides_of(x.shape());
  int64_t offset = 0;
  for (size_t i = 0; i < shape.size(); i++) offset += margins[i].first * strides[i];
  kernels::strided_copy({x, y, shape, strides, strides_of(shape), offset, 0});
  return differentiable("crop", y, {{x, [margins, from = x.shape()](const Tensor& g) { return pad_zero(g, margins, from); }}});
}

// Where the values of a padded axis come from: reflect mirrors without repeating the border, edge repeats it.
Tensor border_index(int64_t n, int64_t before, int64_t after, Padding mode) {
  const Tensor index({before + n + after}, Dtype::i32);
  for (int64_t i = 0; i < index.size(); i++) {
    int64_t k = i - before;
    if (mode == Padding::reflect) k = k < 0 ? -k : k >= n ? 2 * (n - 1) - k : k;
    index.data<int32_t>()[i] = static_cast<int32_t>(std::clamp<int64_t>(k, 0, n - 1));
  }
  return index;
}

}  // namespace

Tensor pad(const Tensor& x, const Margins& before_after, Padding mode) {
  check_given("pad", {&x});
  const auto fail = [&](const std::string& why) { throw ShapeError("[pad] input " + to_string(x.shape()) + ": " + why); };
  if (before_after.size() != x.shape().size()) fail("wants one pair of margins per dimension, got " + std::to_string(before_after.size()));
  Shape shape = x.shape();
  for (size_t i = 0; i < shape.size(); i++) {
    const auto [before, after] = before_after[i];
    if (before < 0 || after < 0) fail("margins must not be negative; use slice to cut");
    if (mode == Padding::reflect && std::max(before, after) > 0 && std::max(before, after) >= shape[i])
      fail("reflecting wants margins smaller than dimension " + std::to_string(i));
    if (mode == Padding::edge && before + after > 0 && shape[i] == 0) fail("dimension " + std::to_string(i) + " has no edge to repeat");
    shape[i] += before + after;
  }
  if (mode == Padding::zero) return pad_zero(x, before_after, shape);
  Tensor y = x;
  for (size_t i = 0; i < shape.size(); i++)
    if (const auto [before, after] = before_after[i]; before + after > 0)
      y = take(y, border_index(x.dim(static_cast<int64_t>(i)), before, after, mode).to(x.device()), static_cast<int64_t>(i));
  return y;
}

Tensor flip(const Tensor& x, const Axes& axes) {
  check_given("flip", {&x});
  Shape x_stride = strides_of(x.shape());
  int64_t offset = 0;
  if (!axes.empty())
    for (int64_t a : axes_of("flip", axes, x.shape())) {
      int64_t& stride = x_stride[static_cast<size_t>(a)];
      offset += (x.dim(a) - 1) * stride;
      stride = -stride;
    }
  const Tensor y = Tensor::empty_like(x);
  kernels::strided_copy({x, y, x.shape(), x_stride, strides_of(x.shape()), offset, 0});
  return differentiable("flip", y, {{x, [axes](const Tensor& g) { return flip(g, axes); }}}, [&] { return Attributes{{"axes", axes}}; });
}

// y[(i + shift) mod n] = x[i]: two pieces change places.
Tensor roll(const Tensor& x, int64_t shift, int64_t axis) {
  check_given("roll", {&x});
  axis = axis_of("roll", axis, x.shape());
  const int64_t n = x.dim(axis), by = n ? ((shift % n) + n) % n : 0;
  const Tensor y = Tensor::empty_like(x);
  const Shape strides = strides_of(x.shape());
  const int64_t step = strides[static_cast<size_t>(axis)];
  Shape part = x.shape();
  part[static_cast<size_t>(axis)] = n - by;
  kernels::strided_copy({x, y, part, strides, strides, 0, by * step});
  part[static_cast<size_t>(axis)] = by;
  kernels::strided_copy({x, y, part, strides, strides, (n - by) * step, 0});
  return differentiable("roll", y, {{x, [shift, axis](const Tensor& g) { return roll(g, -shift, axis); }}}, [&] {
    return Attributes{{"shift", shift}, {"axis", axis}};
  });
}

}  // namespace sono
