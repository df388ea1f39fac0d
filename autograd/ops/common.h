#pragma once
// What the operations share: checks with messages that name the op and all shapes, axes, and tensors seen as (outer, n, inner).
#include <initializer_list>
#include <string>

#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace sono::ops {

using Inputs = std::initializer_list<const Tensor*>;

std::string bracketed(const char* name);  // "[conv2d] "
std::string shapes(Inputs inputs);  // "(2, 3), (3, 4)"

// All given inputs (an empty handle is none) share one dtype, f32 or f64, and one device: DtypeError, DeviceError.
void check_same(const char* name, Inputs inputs);
// index is i32 and on x's device.
void check_index(const char* name, const Tensor& x, const Tensor& index);
void check_given(const char* name, Inputs inputs);  // Error if a handle is empty

int64_t axis_of(const char* name, int64_t axis, const Shape& shape);  // counted from the front; ShapeError outside
Axes axes_of(const char* name, const Axes& axes,
             const Shape& shape);      // rising, all of them if none is given; ShapeError if one comes twice
Shape strides_of(const Shape& shape);  // of contiguous memory, in values
Shape without(const Shape& shape, const Axes& axes);

// A shape as (outer, n, inner), n the dimensions first … last - 1.
struct Block {
  int64_t outer = 1, n = 1, inner = 1;
};
Block block_of(const Shape& shape, int64_t first, int64_t last);
inline Block block_at(const Shape& shape, int64_t axis) { return block_of(shape, axis, axis + 1); }

// Images, sequences and volumes as (N, D, H, W, C); ShapeError for other ranks.
Shape with_3_spatial(const char* name, const Shape& shape);

// A convolution's kernel arguments: everything 3D; a volume whose kernel has no depth is a batch of images. Flat: conv2d's kernels run it.
kernels::ConvArgs conv_arguments(const Tensor& x, const Tensor& w, const Tensor& y, const ConvOptions& o, const Tensor& bias = {});
bool is_flat(const kernels::ConvArgs& a);

// Inverse of slice: a tensor of zeros with x at first, first + step …
Tensor unslice(const Tensor& x, const Shape& shape, int64_t axis, int64_t first, int64_t step);
Tensor max_pool_at(const Tensor& x, const Tensor& index);  // y[n, …, c] = x[n, index[n, …, c], c]

}  // namespace sono::ops
