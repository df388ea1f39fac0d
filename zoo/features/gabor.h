#pragma once
// Gabor filters [Daugman 1985; Jain and Farrokhnia 1991]: g(x, y) = exp(-(x^2 + y^2) / 2 s^2) exp(2 pi i f (x cos a + y sin a)) / (2 pi s^2),
// s = sqrt(log 2 / 2) (2^b + 1) / (2^b - 1) / (pi f) for a bandwidth of b octaves; cut off at 3 s and mirrored at the borders, as
// scikit-image's gabor. An isotropic Gabor filter is separable: one complex pass along the rows, one along the columns.
//
//   Gabor g = gabor(image, {.frequency = 0.2, .angle = 0.785});   // image (H, W) f32; g.real, g.imaginary (H, W) f64
#include "tensor/tensor.h"

namespace sono::zoo {

struct GaborOptions {
  double frequency = 0.2;  // cycles per pixel, within (0, 0.5]
  double angle = 0;        // radians, of the wave
  double bandwidth = 1;    // octaves
};
struct Gabor {
  Tensor real, imaginary;
  Tensor magnitude() const;  // (H, W) f64
};
Gabor gabor(const Tensor& image, const GaborOptions& options);

}  // namespace sono::zoo
