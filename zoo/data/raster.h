#pragma once
// PNG and JPEG from memory, the fast path (internal to zoo/data): most data sets are nothing else, and 1300 files are to be open in a
// second. libpng and libjpeg directly, not through ITK, whose wrappers end the process on some damaged files.
#include <string>

#include "tensor/tensor.h"
#include "zoo/data/image_format.h"

namespace sono::zoo {

// (H, W, C) without alpha; u8, or f32 for 16-bit PNGs. `header` is check_file's; indices: a palette or grey PNG's values as stored.
// FileError.
Tensor read_png(const std::string& path, const std::string& bytes, const FileHeader& header, bool indices);
Tensor read_jpeg(const std::string& path, const std::string& bytes, const FileHeader& header);

}  // namespace sono::zoo
