#pragma once
// From the acquisition grid to pixels.
//
//   ScanConverter convert(grid, {.height = 128, .width = 192, .spacing = 0.7, .left = -67, .top = 0});
//   Tensor image = convert(grey);         // (H, W), 0 outside the sector
//   Tensor mask = convert.scan_mask();    // (H, W) u8, 1 inside
#include <vector>

#include "zoo/sim/engine.h"

namespace sono::zoo::sim {

// A picture in the image plane: pixel (i, j) covers the square of `spacing` mm whose centre is x = left + (j + 1/2) spacing, z = top + (i +
// 1/2) spacing. x runs along the probe, 0 at the middle of a convex face (at beam 0's edge of a linear one); z is depth, 0 at the face's
// front.
struct Frame {
  int64_t height = 0, width = 0;
  double spacing = 1, left = 0, top = 0;
  double x(double column) const { return left + (column + 0.5) * spacing; }
  double z(double row) const { return top + (row + 0.5) * spacing; }
};

// Bilinear conversion between a convex (or linear) grid and pixels; the positions and weights are computed once.
// Convex: r = sqrt(x² + (z + R)²) - R, θ = atan2(x, z + R).
class ScanConverter {
 public:
  ScanConverter(const Grid& grid, const Frame& frame);
  Tensor operator()(const Tensor& polar) const;  // (rows, beams) → (H, W), 0 outside the sector
  const Tensor& scan_mask() const { return mask_; }

 private:
  Frame frame_;
  int64_t beams_ = 0, rows_ = 0;
  std::vector<int32_t> from_;   // upper left neighbour of each pixel; -1 outside
  std::vector<float> wz_, wx_;  // weight of the lower and of the right neighbour
  Tensor mask_;
};

// The other way: samples a picture (H, W) at the points of the grid, bilinear, held at the border.
class InverseScanConverter {
 public:
  InverseScanConverter(const Grid& grid, const Frame& frame);
  Tensor operator()(const Tensor& picture) const;  // (H, W) → (rows, beams)

 private:
  Grid grid_;
  Frame frame_;
  std::vector<int32_t> from_;
  std::vector<float> wz_, wx_;
};

// Linear grids to pixels of the same plane: separable, bilinear when it enlarges, averaging over the pixel when it shrinks (no aliasing of
// fine speckle).
Tensor resample(const Tensor& picture, const Grid& grid, const Frame& frame);

// Means of `n` rows: brings a finely sampled polar picture to about the pixel's size before conversion. The grid of the result is
// thinned(grid, n).
Tensor mean_rows(const Tensor& picture, int64_t n);
Grid thinned(const Grid& grid, int64_t n);

}  // namespace sono::zoo::sim
