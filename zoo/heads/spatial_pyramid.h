#pragma once
// Spatial-pyramid matching [Lazebnik, Schmid and Ponce, CVPR 2006]: histograms of visual words over the cells of 1 x 1, 2 x 2 and 4 x 4
// grids, weighted 1/4, 1/4 and 1/2. Cells of one level share one count, so that each level's histogram adds up to 1 before its weight;
// the histogram-intersection kernel of two images is then within [0, 1], and 1 for an image with itself.
//
//   Tensor h = spatial_pyramid(word, x, y, 200);            // (21 * 200) f32, of one image
//   Tensor k = histogram_intersection(rows, rows);          // kernel_matrix.h; an svm with kernel=precomputed or kernel=intersection
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct PyramidOptions {
  std::vector<int64_t> grids = {1, 2, 4};  // cells per side
  std::vector<double> weights = {0.25, 0.25, 0.5};
};

// word[i] within 0 … words - 1 at (x[i], y[i]), shares of the image's width and height within [0, 1]. Cells row by row, levels in order.
Tensor spatial_pyramid(const std::vector<int32_t>& word, const std::vector<double>& x, const std::vector<double>& y, int64_t words,
                       const PyramidOptions& options = {});

}  // namespace sono::zoo
