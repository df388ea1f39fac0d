#pragma once
// One vector of everything that texture analysis measures on a lesion's crop, with a name for each value:
//   grey       mean, deviation, skewness, kurtosis, entropy of the pixels
//   glcm       seven properties at distances 1, 2 and 4: their mean over four directions, and their range
//   lbp        histograms of uniform patterns, 8 points at radius 1 and 16 at radius 2
//   gabor      mean and deviation of the magnitude, three frequencies, four directions
//   wavelet    mean magnitude, variance and energy of nine undecimated bands
// Statistics are over the pixels of the mask; without one over all.
//
//   TextureFeatures t = texture_features(image, mask);   // image (H, W) f32 in [0, 1], mask (H, W) u8 or none
//   t.names[5];                                          // "glcm.d1.contrast.mean"
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct TextureOptions {
  int64_t levels = 16;                                // of the co-occurrence
  std::vector<int64_t> distances = {1, 2, 4};
  std::vector<double> frequencies = {0.1, 0.2, 0.35};  // cycles per pixel
  int64_t wavelet_levels = 3;
};
struct TextureFeatures {
  std::vector<std::string> names;
  std::vector<float> values;
};
// NumericError: fewer than 16 pixels in the mask.
TextureFeatures texture_features(const Tensor& image, const Tensor& mask, const TextureOptions& options = {});

}  // namespace sono::zoo
