#pragma once
// Histograms of oriented gradients [Dalal and Triggs, CVPR 2005]: central differences (0 at the border), unsigned directions in
// `orientations` equal bins weighted by magnitude, averaged over cells; overlapping blocks of cells normalised by their L2 norm, cut at 0.2
// and normalised again. As scikit-image's hog(block_norm="L2-Hys"): no interpolation between bins or cells.
//
//   std::vector<float> h = hog(image, {.cell = 8, .block = 2});   // image (H, W) f32; blocks row by row, in them cells, in them bins
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct HogOptions {
  int64_t orientations = 9, cell = 8, block = 3;  // cell in pixels, block in cells
};
// What is left over at the right and at the bottom belongs to no cell. ShapeError: less than one block.
std::vector<float> hog(const Tensor& image, const HogOptions& options = {});

}  // namespace sono::zoo
