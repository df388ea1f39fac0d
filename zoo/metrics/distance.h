#pragma once
// The exact Euclidean distance transform by lower envelopes of parabolas, one axis after the other, in time linear in the voxels
// [Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8, 2012].
//
//   Tensor d = distance_transform(mask, {.x = 0.2, .y = 0.1});   // d(p) = min over foreground q of |p - q| in mm
#include "tensor/tensor.h"

namespace sono::zoo {

struct Spacing {
  double x = 1, y = 1, z = 1;
};  // mm between neighbours along the width, height and depth; 1: in pixels

// mask (H, W) or (D, H, W) u8, foreground where not 0 -> the same shape, f64: 0 on the foreground, +inf everywhere if there is none.
Tensor distance_transform(const Tensor& mask, Spacing spacing = {});

// A mask as (D, H, W) extents, D = 1 for (H, W). ShapeError for other ranks, DtypeError unless u8; `operation` starts the message.
struct Extent {
  int64_t depth, height, width;
};
Extent mask_extent(const char* operation, const Tensor& mask);

}  // namespace sono::zoo
