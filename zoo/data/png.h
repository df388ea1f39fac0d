#pragma once
// PNG from memory, the fast path (internal to zoo/data): most data sets are nothing else, and 1300 files are to be open in a second.
// Not through ITK, whose wrapper ends the process on some damaged files.
#include <string>

#include "tensor/tensor.h"
#include "zoo/data/image_format.h"

namespace sono::zoo {

// bytes: a file that check_file has passed. (H, W, C) without alpha; u8, or f32 for 16 bits. All kinds of PNG, interlaced ones included.
// indices: palette indices and grey values as stored; else colours, and grey of few bits spread over 0 … 255. FileError if it is damaged.
Tensor read_png(const std::string& path, const std::string& bytes, bool indices);

}  // namespace sono::zoo
