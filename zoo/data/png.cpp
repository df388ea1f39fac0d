// The PNG writer [W3C PNG, 3rd edition]: signature, IHDR, one IDAT, IEND. Each row is stored as its difference to the row above (filter 2).
#include <zlib.h>

#include <algorithm>
#include <cmath>

#include "tensor/files.h"
#include "zoo/data/image.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

std::string big_endian(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(crc);
}

std::vector<uint8_t> as_bytes(const Tensor& image) {
  if (image.dtype() == Dtype::u8) return image.to_vector<uint8_t>();
  const std::vector<float> values = image.to_vector<float>();
  std::vector<uint8_t> bytes(values.size());
  std::transform(values.begin(), values.end(), bytes.begin(),
                 [](float v) { return static_cast<uint8_t>(std::lround(255.0f * std::clamp(v > 0 ? v : 0.0f, 0.0f, 1.0f))); });
  return bytes;
}

}  // namespace

void write_png(const std::string& path, const Tensor& image) {
  const int64_t channels = image.rank() == 3 ? image.dim(2) : 1;
  if ((image.rank() != 2 && image.rank() != 3) || (channels != 1 && channels != 3) || image.size() == 0)
    throw ShapeError("[write_png] " + shown(path) + ": image " + to_string(image.shape()) + " must be (H, W), (H, W, 1) or (H, W, 3)");
  const int64_t height = image.dim(0), width = image.dim(1), stride = width * channels;
  const std::vector<uint8_t> pixels = as_bytes(image);
  std::vector<Bytef> rows(static_cast<size_t>(height * (stride + 1)));
  for (int64_t y = 0; y < height; y++) {
    Bytef* row = rows.data() + y * (stride + 1);
    *row++ = 2;
    for (int64_t i = 0; i < stride; i++)
      row[i] =
          static_cast<Bytef>(pixels[static_cast<size_t>(y * stride + i)] - (y ? pixels[static_cast<size_t>((y - 1) * stride + i)] : 0));
  }
  uLongf size = compressBound(static_cast<uLong>(rows.size()));
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, rows.data(), static_cast<uLong>(rows.size()), 6) != Z_OK)
    throw FileError("[write_png] " + shown(path) + ": out of memory");
  packed.resize(size);
  std::string header = big_endian(static_cast<uint32_t>(width)) + big_endian(static_cast<uint32_t>(height));
  header += {8, static_cast<char>(channels == 3 ? 2 : 0), 0, 0, 0};
  write_file_atomically(path, "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", packed) + chunk("IEND", ""));
}

}  // namespace sono::zoo
