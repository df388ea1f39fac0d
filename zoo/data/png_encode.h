#pragma once
// PNG in memory: 8 bytes of signature, then chunks (length, type, body, CRC-32); the pixels are filtered row by row and deflated (zlib).
//
//   write_file_atomically("overlay.png", encode_png(paint(sample, prediction)));
//   html += "<img src='" + png_uri(grey) + "'>";
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace sono::zoo {

// image (H, W) or (H, W, C) u8; C = 1 grey, 3 RGB, 4 RGBA. Lossless. ShapeError or DtypeError for anything else.
std::string encode_png(const Tensor& image);

std::string base64(std::string_view bytes);
std::string png_uri(const Tensor& image);  // "data:image/png;base64,…"

}  // namespace sono::zoo
