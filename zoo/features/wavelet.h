#pragma once
// The undecimated (stationary, a trous) wavelet transform [Nason and Silverman 1995]: every band has the image's size, so statistics do not
// depend on a shift. Level j filters the level before with taps 2^(j-1) apart. The image is mirrored at its borders far enough for all
// levels; any size will do. Values and their places are those of PyWavelets' swt2 of the mirrored image.
//
//   std::vector<WaveletLevel> levels = undecimated_wavelet(image, {.levels = 3});   // levels[0] is the finest
//   levels[0].horizontal;   // (H, W) f64: high-pass down the columns, low-pass along the rows
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct WaveletOptions {
  int64_t levels = 3;
  bool haar = false;  // Haar's two taps; else Daubechies' four (db2)
};
struct WaveletLevel {
  Tensor approximation, horizontal, vertical, diagonal;  // (H, W) f64
};
std::vector<WaveletLevel> undecimated_wavelet(const Tensor& image, const WaveletOptions& options = {});

}  // namespace sono::zoo
