#pragma once
// Pictures of what was learnt, for the report: filters, reconstructions, samples as tiles; codes as points; curves.
//
//   Figure filters = tile_figure("filters of the first layer", rbm.weight_rows, 28, 28);
//   Figure codes = code_figure("codes, first two principal components", features, categories);
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct Figure {
  std::string title;
  Tensor image;  // (H, W) or (H, W, 3) f32 in [0, 1]
};

enum class TileScale { own, common, unit };  // grey from the least to the largest value of each tile, of all of them, or from 0 to 1

// Rows of (N, height * width) as pictures side by side, at most `most` of them, on a grid as near to a square as may be, or of `columns`.
Figure tile_figure(std::string title, const Tensor& rows, int64_t height, int64_t width, TileScale scale = TileScale::own,
                   int64_t most = 64, int64_t columns = 0);

// Rows of (N, D) as curves over their index, each in a panel of its own, several panels per row.
Figure curve_figure(std::string title, const Tensor& rows, int64_t most = 24);

// Rows of (N, D) projected on their first two principal components, a dot each, coloured by category.
Figure code_figure(std::string title, const Tensor& rows, const std::vector<int>& categories);

// The first `k` principal components of the rows, (N, k): scores, largest variance first; the sign of each makes its largest value
// positive.
Tensor principal_components(const Tensor& rows, int64_t k);

}  // namespace sono::zoo
