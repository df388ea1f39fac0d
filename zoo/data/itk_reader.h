#pragma once
// The formats that ITK reads (internal to zoo/data): JPEG, TIFF, BMP, DICOM, NIfTI, MHD/MHA, NRRD.
#include <string>
#include <vector>

#include "zoo/data/image_format.h"

namespace sono::zoo {

enum class Component : uint8_t { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };

struct RawImage {
  Component component = Component::u8;
  std::vector<int64_t> sizes;   // x first
  std::vector<double> spacing;  // of each size
  int64_t channels = 1;         // with alpha
  std::string pixels;           // interleaved; empty if only the header was asked for
};

// In a child process. FileError.
RawImage read_with_itk(const std::string& path, Format format, bool with_pixels);

}  // namespace sono::zoo
