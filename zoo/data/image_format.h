#pragma once
// Which format a file has, and whether it is whole, told from its bytes before a decoder sees it (internal to zoo/data).
// Decoders of the field fill what is missing with grey, print, or stop the program; what has passed here they read or refuse quietly.
#include <cstdint>
#include <string>
#include <vector>

namespace sono::zoo {

enum class Format : uint8_t { png, jpeg, tiff, bmp, dicom, nifti, meta, nrrd, npy };
const char* format_name(Format format);

struct FileHeader {
  Format format = Format::png;
  int64_t height = 0, width = 0, channels = 0;  // PNG (a palette has one channel) and JPEG; without alpha
  bool palette = false;                         // PNG colour type 3
  bool inverted = false;                        // DICOM MONOCHROME1
  bool has_spacing = false;                     // ITK's spacing is the file's, not its default
  std::vector<double> spacing;                  // mm: x, y, where ITK does not know it (DICOM)
};

// bytes: of PNG, JPEG and DICOM files the whole file, which was read for the check. FileError: "[read_image] PATH: …", for a person.
FileHeader check_file(const std::string& path, std::string& bytes);

}  // namespace sono::zoo
