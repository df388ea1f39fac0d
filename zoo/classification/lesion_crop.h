#pragma once
// Lesions as small pictures: the box around the lesion's mask (or around its boxes), and what its size and outline say.
#include "zoo/data/sample.h"

namespace sono::zoo {

struct CropOptions {
  int64_t height = 28, width = 28;
  double margin = 0.1;              // of the box, added on each side
  double shift_x = 0, shift_y = 0;  // of the box's size
  bool stretch = true;              // the box fills the picture; false: its longer side does, proportions are kept
};

// The lesion's extent {left, top, width, height} in pixels; the whole picture where nothing is marked: it is taken to be a crop already.
Box lesion_extent(const Sample& sample);
Tensor lesion_crop(const Sample& sample,
                   const CropOptions& options = {});  // (height, width) in [0, 1]: grey, its contrast set to mean 0.5 and deviation 0.2
Tensor outline_crop(const Sample& sample, const CropOptions& options = {});  // (height, width): 1 inside the lesion
Sample mirrored(const Sample& sample);                                       // image, scan mask, lesion mask, elastogram; boxes go
// Width and height as shares of the picture, and height over width: what resizing the crop destroys.
Tensor lesion_sizes(const Sample& sample);  // (3)
// Of the lesion's mask: compactness 4π area / perimeter², area over its convex hull's, how far the radius varies, number of turns of the
// outline, log area share, height over width, depth of the centre. 0 throughout where there is no mask.
Tensor lesion_shape(const Sample& sample);  // (7)

}  // namespace sono::zoo
