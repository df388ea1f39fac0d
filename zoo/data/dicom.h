#pragma once
// A walk through a DICOM file's data elements [PS3.5 §7], before the decoder sees it: every length must fit into what holds it, and the
// pixels must all be there. The decoder of the field stops the whole program on some damaged files; what has passed here is safe to give to
// it. Reads what ITK does not hand over: the calibration of ultrasound regions (0018,6011). Looks at no identity field.
#include <array>
#include <optional>
#include <string>

namespace sono::zoo {

struct DicomHeader {
  int64_t rows = 0, columns = 0, frames = 1, samples = 1, bits = 8;
  bool inverted = false;  // MONOCHROME1: 0 is white
  bool compressed = false;
  std::optional<std::array<double, 2>> spacing;  // mm per pixel: x, y
};

// bytes: the whole file. FileError names `path` and what is wrong.
DicomHeader check_dicom(const std::string& path, const std::string& bytes);

}  // namespace sono::zoo
