// Indexing. take and gather read at an index, their adjoints add up there; each is the gradient of its adjoint.
#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;

namespace {

// x, of the shape that take makes, added up into zeros(shape) at the index.
Tensor take_adjoint(const Tensor& x, const Saved& index, const Shape& shape, int64_t axis) {
  const Block b = block_at(shape, axis);
  const Tensor y(shape, x.dtype(), x.device());
  kernels::take_adjoint({y, index->detach(), x, b.outer, b.n, index->size(), b.inner});
  return differentiable("take_adjoint", y, {{x, [index, axis](const Tensor& g) { return take(g, *index, axis); }}, {*index, nullptr}}, [&] {
    return Attributes{{"shape", shape}, {"axis", axis}};
  });
}

}  // namespace

Tensor take(const Tensor& x, const Tensor& index, int64_t axis) {
  check_index("take", x, index);
  axis = axis_of("take", axis, x.shape());
  const Block b = block_at(x.shape(), axis);
  Shape shape(x.shape().begin(), x.shape().begin() + axis);
  shape.insert(shape.end(), index.shape().begin(), index.shape().end());
  shape.insert(shape.end(), x.shape().begin() + axis + 1, x.shape().end());
  const Tensor y(shape, x.dtype(), x.device());
  kernels::take({x, index, y, b.outer, b.n, index.size(), b.inner});
  const auto back = [kept = Saved(index, "index"), from = x.shape(), axis](const Tensor& g) { return take_adjoint(g, kept, from, axis); };
  return differentiable("take", y, {{x, back}, {index, nullptr}}, [&] { return Attributes{{"axis", axis}}; });
}

Tensor embedding(const Tensor& table, const Tensor& index) {
  check_given("embedding", {&table, &index});
  if (table.rank() != 2) throw ShapeError("[embedding] the table must be (rows, features), got " + to_string(table.shape()));
  return take(table, index, 0);
}

namespace {

void check_same_outside(const char* name, const Shape& a, const Shape& b, int64_t axis) {
  if (a.size() != b.size() || without(a, {axis}) != without(b, {axis}))
    throw ShapeError(bracketed(name) + "shapes " + to_string(a) + " and " + to_string(b) + " differ outside of dimension " +
                     std::to_string(axis));
}

}  // namespace

Tensor gather(const Tensor& x, const Tensor& index, int64_t axis) {
  check_index("gather", x, index);
  axis = axis_of("gather", axis, x.shape());
  check_same_outside("gather", x.shape(), index.shape(), axis);
  const Block b = block_at(x.shape(), axis);
  const Tensor y(index.shape(), x.dtype(), x.device());
  kernels::gather({x, index, y, b.outer, b.n, index.dim(axis), b.inner});
  const auto back = [kept = Saved(index, "index"), from = x.shape(), axis](const Tensor& g) { return scatter_add(g, *kept, from, axis); };
  return differentiable("gather", y, {{x, back}, {index, nullptr}}, [&] { return Attributes{{"axis", axis}}; });
}

Tensor scatter_add(const Tensor& x, const Tensor& index, const Shape& shape, int64_t axis) {
  check_index("scatter_add", x, index);
  check_same("scatter_add", {&x});
  axis = axis_of("scatter_add", axis, shape);
  if (x.shape() != index.shape())
    throw ShapeError("[scatter_add] values " + to_string(x.shape()) + " and index " + to_string(index.shape()) + " differ");
  check_same_outside("scatter_add", shape, index.shape(), axis);
  const Block b = block_at(shape, axis);
  const Tensor y(shape, x.dtype(), x.device());
  kernels::gather_adjoint({y, index, x, b.outer, b.n, index.dim(axis), b.inner});
  const auto back = [kept = Saved(index, "index"), axis](const Tensor& g) { return gather(g, *kept, axis); };
  return differentiable("scatter_add", y, {{x, back}, {index, nullptr}}, [&] { return Attributes{{"shape", shape}, {"axis", axis}}; });
}

Tensor one_hot(const Tensor& index, int64_t classes, Dtype dtype) {
  check_index("one_hot", index, index);
  Shape shape = index.shape();
  shape.push_back(classes);
  const Tensor y(shape, dtype, index.device());
  kernels::one_hot({index, y, classes});
  return differentiable("one_hot", y, {{index, nullptr}}, [&] { return Attributes{{"classes", classes}}; });
}

}  // namespace sono
