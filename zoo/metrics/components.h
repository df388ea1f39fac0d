#pragma once
// Connected pieces of a mask, and the two repairs that masks of one organ need: keep the largest piece, fill the holes.
//
//   Tensor head = fill_holes(largest_component(mask));
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

enum class Neighbours { faces, all };  // 4 or 8 in 2D, 6 or 26 in 3D

// Pieces of equal non-zero value. labels (like the mask, i32): 0 background, 1 … n in raster order of their first voxel;
// sizes[k - 1]: voxels of piece k; values[k - 1]: its mask value.
struct Components {
  Tensor labels;
  std::vector<int64_t> sizes;
  std::vector<uint8_t> values;
};
Components components(const Tensor& mask, Neighbours neighbours = Neighbours::all);

// Of each label value the largest piece, the first of equals; the rest becomes 0. mask (H, W) or (D, H, W) u8.
Tensor largest_component(const Tensor& mask, Neighbours neighbours = Neighbours::all);

// A hole is a background piece (across faces) that does not reach the image's edge and touches a single label: it takes that label.
Tensor fill_holes(const Tensor& mask);

}  // namespace sono::zoo
