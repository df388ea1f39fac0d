#pragma once
// Grey-level co-occurrence [Haralick, Shanmugam and Dinstein, IEEE Trans. SMC 3, 1973]: P(i, j) is the share of pixel pairs, `distance`
// apart in direction `angle`, whose levels are i and j. The pair of (row, column) is (row + round(d sin a), column + round(d cos a)), as in
// scikit-image. With a mask only pairs count whose pixels are both in it.
//
//   Tensor p = glcm(quantised_image(image, 16), {}, {.levels = 16, .distance = 2, .angle = 0.785});   // (16, 16) f64
//   GlcmProperties g = glcm_properties(p);   g.contrast;
#include "tensor/tensor.h"

namespace sono::zoo {

struct GlcmOptions {
  int64_t levels = 16;
  int64_t distance = 1;
  double angle = 0;       // radians
  bool symmetric = true;  // (i, j) counts as (j, i) too
};

// image (H, W) f32; floor(levels * (v - low) / (high - low)) within 0 … levels - 1, (H, W) u8. levels 2 … 256.
Tensor quantised_image(const Tensor& image, int64_t levels, double low = 0, double high = 1);

// levels (H, W) u8, mask (H, W) u8 or none -> (levels, levels) f64 that adds up to 1; all 0 where there is no pair.
Tensor glcm(const Tensor& levels, const Tensor& mask, const GlcmOptions& options);

struct GlcmProperties {
  double contrast;       // sum P (i - j)^2
  double dissimilarity;  // sum P |i - j|
  double homogeneity;    // sum P / (1 + (i - j)^2)
  double asm_;           // angular second moment, sum P^2
  double energy;         // sqrt(asm)
  double correlation;    // sum P (i - m_i) (j - m_j) / (s_i s_j); 1 where a deviation is 0
  double entropy;        // -sum P log P, nats
};
GlcmProperties glcm_properties(const Tensor& p);

}  // namespace sono::zoo
