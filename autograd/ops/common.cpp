#include "autograd/ops/common.h"

#include <algorithm>

namespace sono {

std::array<int64_t, 3> Extent::spatial(int64_t dimensions, int64_t missing) const {
  const auto given = static_cast<int64_t>(sizes.size());
  if (given != 1 && given != dimensions)
    throw ShapeError("[extent] " + to_string(sizes) + " has " + std::to_string(given) + " sizes for " + std::to_string(dimensions) +
                     " spatial dimensions; give one for all or one for each");
  std::array<int64_t, 3> all{missing, missing, missing};
  for (int64_t k = 0; k < dimensions; k++) all[static_cast<size_t>(3 - dimensions + k)] = sizes[given == 1 ? 0 : static_cast<size_t>(k)];
  return all;
}

}  // namespace sono

namespace sono::ops {

std::string bracketed(const char* name) { return std::string("[").append(name).append("] "); }

std::string shapes(Inputs inputs) {
  std::string s;
  for (const Tensor* t : inputs)
    if (*t) s += (s.empty() ? "" : ", ") + to_string(t->shape());
  return s;
}

void check_given(const char* name, Inputs inputs) {
  for (const Tensor* t : inputs)
    if (!*t) throw Error(bracketed(name) + "an input is an empty handle; give a tensor");
}

namespace {

std::string list(Inputs inputs, auto describe) {
  std::string s;
  for (const Tensor* t : inputs)
    if (*t) s += (s.empty() ? "" : ", ") + std::string(describe(*t));
  return s;
}

}  // namespace

void check_same(const char* name, Inputs inputs) {
  const Tensor* first = *inputs.begin();
  if (!*first) throw Error(bracketed(name) + "an input is an empty handle; give a tensor");
  for (const Tensor* t : inputs) {
    if (!*t) continue;
    if (t->device() != first->device())
      throw DeviceError(bracketed(name) + "inputs " + shapes(inputs) + " are on different devices: " +
                        list(inputs, [](const Tensor& v) { return to_string(v.device()); }) + "; move them with to_device()");
    if (t->dtype() != first->dtype())
      throw DtypeError(bracketed(name) + "inputs " + shapes(inputs) + " have different dtypes: " +
                       list(inputs, [](const Tensor& v) { return to_string(v.dtype()); }) + "; convert them with cast()");
  }
  if (first->dtype() != Dtype::f32 && first->dtype() != Dtype::f64)
    throw DtypeError(bracketed(name) + "wants f32 or f64, got " + to_string(first->dtype()) + " of shape " + to_string(first->shape()) +
                     "; convert it with cast()");
}

void check_index(const char* name, const Tensor& x, const Tensor& index) {
  check_given(name, {&x, &index});
  if (index.dtype() != Dtype::i32)
    throw DtypeError(bracketed(name) + "the index " + to_string(index.shape()) + " must be i32, got " + to_string(index.dtype()));
  if (index.device() != x.device())
    throw DeviceError(bracketed(name) + "the index " + to_string(index.shape()) + " is on " + to_string(index.device()) + ", the input " +
                      to_string(x.shape()) + " on " + to_string(x.device()));
}

int64_t axis_of(const char* name, int64_t axis, const Shape& shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  if (axis < -rank || axis >= rank)
    throw ShapeError(bracketed(name) + "axis " + std::to_string(axis) + " is outside of shape " + to_string(shape));
  return axis < 0 ? axis + rank : axis;
}

Axes axes_of(const char* name, const Axes& axes, const Shape& shape) {
  Axes all;
  if (axes.empty())
    for (size_t i = 0; i < shape.size(); i++) all.push_back(static_cast<int64_t>(i));
  for (int64_t a : axes) all.push_back(axis_of(name, a, shape));
  std::sort(all.begin(), all.end());
  if (std::adjacent_find(all.begin(), all.end()) != all.end())
    throw ShapeError(bracketed(name) + "axes " + to_string(axes) + " name a dimension of " + to_string(shape) + " twice");
  return all;
}

Shape strides_of(const Shape& shape) {
  Shape strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0; step *= shape[i]) strides[i] = step;
  return strides;
}

Shape without(const Shape& shape, const Axes& axes) {
  Shape rest;
  for (size_t i = 0; i < shape.size(); i++)
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) == axes.end()) rest.push_back(shape[i]);
  return rest;
}

Block block_of(const Shape& shape, int64_t first, int64_t last) {
  Block b;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); i++)
    (i < first ? b.outer : i < last ? b.n : b.inner) *= shape[static_cast<size_t>(i)];
  return b;
}

Shape with_3_spatial(const char* name, const Shape& shape) {
  if (shape.size() < 3 || shape.size() > 5)
    throw ShapeError(bracketed(name) + "wants (N, T, C), (N, H, W, C) or (N, D, H, W, C), got " + to_string(shape));
  Shape all{shape[0]};
  all.insert(all.end(), 5 - shape.size(), 1);
  all.insert(all.end(), shape.begin() + 1, shape.end());
  return all;
}

}  // namespace sono::ops
