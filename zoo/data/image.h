#pragma once
// Pictures and volumes from files. The format is told by the content, not by the name:
//   PNG, JPEG, TIFF, BMP             spacing unknown (their "dots per inch" says nothing of tissue)
//   DICOM (frames, compressed)       spacing from the ultrasound regions, else from Pixel Spacing
//   NIfTI, MHD/MHA, NRRD             spacing as stated
//   npy                              (H, W), (H, W, C) with C <= 4, or (D, H, W, C)
// DICOM identity fields are never looked at. Bad files: one FileError that names the file. libpng and libjpeg read PNG and JPEG, ITK the
// others, in a process of its own: a damaged file cannot take the program with it.
//
//   Image image = read_image("liver.dcm");            // image.values: (H, W, C), or (frames, H, W, C)
//   Tensor grey = to_unit(to_grey(image.values));     // (H, W, 1) f32 in [0, 1]
//   write_png("copy.png", grey);
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct ImageInfo {
  std::string format;           // "PNG", "DICOM" …
  Shape shape;                  // (H, W, C) or (D, H, W, C); C as read_image gives it, without alpha
  std::vector<double> spacing;  // mm: x, y (and z for a volume); empty: unknown
  bool palette = false;         // a PNG with a colour table
};

struct Image {
  Tensor values;  // u8 where the file has bytes, f32 otherwise (the file's values, not scaled)
  ImageInfo info;
};

enum class Palette : uint8_t {
  colours,  // a palette PNG becomes RGB
  indices,  // a PNG gives its palette indices or grey values as stored: what label masks want
};

// Everything but the pixels. Also finds files that end too early and names that lie, without decoding.
ImageInfo image_info(const std::string& path, Palette palette = Palette::colours);

// The pixels. FileError: missing, truncated, damaged, no image, too large (more than 2^28 pixels), NaN or infinity (named with its place).
Image read_image(const std::string& path, Palette palette = Palette::colours);

// A label mask's values, (H, W) u8: palette indices, grey values as they are; of RGB(A) the largest channel. FileError if they exceed 255
// or are no integers.
Tensor read_mask(const std::string& path);

Tensor to_grey(const Tensor& image);    // (…, 3) to (…, 1): 0.299 R + 0.587 G + 0.114 B; one channel passes through
Tensor to_colour(const Tensor& image);  // (…, 1) to (…, 3)

// f32 in [0, 1]. u8: /255. f32: as it is if within [0, 1], /255 if within [0, 255], else stretched from its smallest to its largest value.
Tensor to_unit(const Tensor& image);

// 8-bit PNG, written atomically. u8 or f32 in [0, 1] (clamped); (H, W), (H, W, 1) grey or (H, W, 3) RGB.
void write_png(const std::string& path, const Tensor& image);

bool has_image_name(const std::string& path);  // by extension: .png .jpg .jpeg .tif .tiff .bmp .dcm .nii .nii.gz .mha .mhd .nrrd .npy

}  // namespace sono::zoo
