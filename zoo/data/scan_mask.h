#pragma once
// The ultrasound sector of an image, and polygons as masks.
#include <array>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

// Where the picture is: pixels above the threshold -> the largest connected piece (8 neighbours) -> its convex hull. (H, W, C) f32 -> (H,
// W) u8. Text beside the sector is another piece and falls away. All ones for an image without any pixel above the threshold. Lossy formats
// leave a little light in black areas: give them a threshold of 0.04.
Tensor find_scan_mask(const Tensor& image, float threshold = 0);

// Pixels (centres at integer coordinates) inside the polygon by the even-odd rule become `value`; the outline need not be closed.
void fill_polygon(const Tensor& mask, const std::vector<std::array<double, 2>>& polygon, uint8_t value);

// Corners of the convex hull, counter-clockwise in a y-up system [Andrew's monotone chain, 1979].
std::vector<std::array<double, 2>> convex_hull(std::vector<std::array<double, 2>> points);

}  // namespace sono::zoo
