#pragma once
// Sizes. Pixel (x, y) has its centre at (x, y) and covers [x - ½, x + ½): a resize by s maps x to (x + ½) s - ½.
//
//   Fit fit(sample.image.dim(0), sample.image.dim(1), 192, 128);   // the whole image, centred, its proportions kept
//   Tensor input = fit.image(sample.image);                        // (192, 128, C), 0 around it
//   Tensor mask = fit.restore_mask(predicted);                     // back to the size of the image
#include <array>
#include <cstdint>

#include "zoo/data/sample.h"

namespace sono::zoo {

// Triangle filter; when it shrinks the filter widens with the scale (antialias), as PIL and torch's antialias=True do.
// (H, W), (H, W, C) f32 -> the same rank. antialias = false: plain bilinear interpolation.
Tensor resize_bilinear(const Tensor& image, int64_t height, int64_t width, bool antialias = true);

// The value of the nearest pixel: source = floor((i + ½) source size / size). (H, W) or (H, W, C), any dtype.
Tensor resize_nearest(const Tensor& image, int64_t height, int64_t width);

// x' = xx x + xy y + x0;  y' = yx x + yy y + y0.
struct Affine {
  double xx = 1, xy = 0, x0 = 0, yx = 0, yy = 1, y0 = 0;
  std::array<double, 2> operator()(double x, double y) const { return {xx * x + xy * y + x0, yx * x + yy * y + y0}; }
  Affine inverse() const;
};
Affine operator*(const Affine& second, const Affine& first);  // second after first

Ellipse transformed(const Ellipse& e, const Affine& map);  // exact: an affine image of an ellipse is an ellipse
// The upright box around the transformed corners, cut off at a (height, width) image; width 0 if it lies outside.
Box transformed(const Box& box, const Affine& map, int64_t height, int64_t width);

enum class FitMode : uint8_t { letterbox, stretch };

// How an image of one size sits in another: it fills `rows` x `columns` from (top, left).
struct Fit {
  Fit(int64_t source_height, int64_t source_width, int64_t height, int64_t width, FitMode mode = FitMode::letterbox);

  int64_t source_height, source_width, height, width;
  int64_t top = 0, left = 0, rows = 0, columns = 0;

  Affine forward() const;                           // source pixels -> fitted pixels
  Tensor image(const Tensor& image) const;          // (H, W[, C]) f32, antialiased; 0 outside
  Tensor mask(const Tensor& mask) const;            // (H, W) u8, nearest; 0 outside
  Tensor restore_mask(const Tensor& mask) const;    // (height, width) u8 -> the source's size, nearest
  Tensor restore_image(const Tensor& image) const;  // (height, width[, C]) f32 -> the source's size, bilinear

  // Image, masks, score, boxes, landmarks, ellipse and spacing. With hide_outside the image is 0 where the scan mask is:
  // burnt-in names and dates do not reach a model.
  Sample sample(const Sample& sample, bool hide_outside = true) const;
};

// The part [top, top + rows) x [left, left + columns) of (H, W[, C]); 0 where it reaches beyond the image. Any dtype.
Tensor crop(const Tensor& image, int64_t top, int64_t left, int64_t rows, int64_t columns);

void hide_outside_scan(Sample& sample);  // the image := 0 where scan_mask is 0, in a tensor of its own

}  // namespace sono::zoo
