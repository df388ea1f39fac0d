#pragma once
// Pictures of a sample with what is known (green) and what a system says (magenta, a thinner line on top: where they agree both are seen).
//
//   Tensor rgb = paint(sample, prediction);      // (H·s, W·s, 3) u8, for encode_png
//
// Nothing outside the scan mask is shown: names and dates are burnt in there. No text is drawn.
#include <array>
#include <vector>

#include "zoo/data/sample.h"

namespace sono::zoo {

using Polyline = std::vector<std::array<double, 2>>;  // x, y in pixels, (0, 0) the centre of the first pixel
using Colour = std::array<uint8_t, 3>;

// A green and a magenta that people with any of the common colour deficiencies tell apart, also on a bright image.
inline constexpr Colour truth_colour{0x2e, 0xe6, 0xa0}, prediction_colour{0xff, 0x5a, 0xd9};

struct PaintOptions {
  int64_t scale = 0;  // whole factor of enlargement; 0: the least with which the longer side has 512 pixels
  bool truth = true;
  Colour truth_line = truth_colour, prediction_line = prediction_colour;
};

// Masks become contours, and so do ellipses, boxes (rectangles) and landmarks (crosses).
Tensor paint(const Sample& sample, const Labels& prediction = {}, const PaintOptions& options = {});

// The image as shown: u8 (H, W) or, with three channels, (H, W, 3); black outside the scan mask, values cut to [0, 1], NaN black.
Tensor visible_image(const Sample& sample);

// Closed outlines of the foreground and of its holes, half a pixel outside its outermost centres, smoothed along their length;
// last point = first. mask (H, W) u8. One pixel gives a diamond.
std::vector<Polyline> contours(const Tensor& mask);
// What is drawn of labels: contours of each label of the mask, the ellipse, boxes, landmarks.
std::vector<Polyline> outlines(const Labels& labels);

// Antialiased line of the given width (pixels of canvas (H, W, 3) u8).
void draw(const Tensor& canvas, const Polyline& line, const Colour& colour, double width);

}  // namespace sono::zoo
