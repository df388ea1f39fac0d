#include "zoo/data/png_encode.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "tensor/files.h"
#include "zoo/data/image.h"

namespace sono::zoo {

namespace {

void append_u32(std::string& out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift & 255);
}

void append_chunk(std::string& png, const char* type, const std::string& body) {
  append_u32(png, static_cast<uint32_t>(body.size()));
  const std::string checked = type + body;
  png += checked;
  append_u32(png, static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()))));
}

int paeth(int left, int up, int corner) {
  const int p = left + up - corner, a = std::abs(p - left), b = std::abs(p - up), c = std::abs(p - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

// One row under filter 0 none, 1 left, 2 up, 3 average, 4 Paeth: the difference to what the neighbours foretell. Returns the sum of the
// differences. A loop per filter, so that it runs in vectors.
template <int filter>
int64_t filter_row(const uint8_t* row, const uint8_t* above, int64_t n, int64_t channels, uint8_t* out) {
  uint32_t sum = 0;
  const auto pixel = [&](int64_t i, int left, int corner) {
    const int up = above[i], foretold = filter == 0   ? 0
                                        : filter == 1 ? left
                                        : filter == 2 ? up
                                        : filter == 3 ? (left + up) / 2
                                                      : paeth(left, up, corner);
    const auto d = static_cast<int8_t>(row[i] - foretold);
    out[i] = static_cast<uint8_t>(d);
    sum += static_cast<uint32_t>(std::abs(static_cast<int>(d)));
  };
  for (int64_t i = 0; i < channels; i++) pixel(i, 0, 0);
  for (int64_t i = channels; i < n; i++) pixel(i, row[i - channels], above[i - channels]);
  return sum;
}

// Per row the filter whose differences are smallest, the standard's own advice.
std::string filtered(const uint8_t* pixels, int64_t height, int64_t row_bytes, int64_t channels) {
  constexpr decltype(&filter_row<0>) filters[] = {filter_row<0>, filter_row<1>, filter_row<2>, filter_row<3>, filter_row<4>};
  std::string all;
  all.reserve(static_cast<size_t>(height * (row_bytes + 1)));
  const std::vector<uint8_t> zeros(static_cast<size_t>(row_bytes), 0);
  std::vector<uint8_t> tried(zeros), best(zeros);
  for (int64_t y = 0; y < height; y++) {
    const uint8_t *row = pixels + y * row_bytes, *above = y ? row - row_bytes : zeros.data();
    int64_t least = -1;
    char chosen = 0;
    for (char filter = 0; filter < 5; filter++) {
      const int64_t size = filters[static_cast<size_t>(filter)](row, above, row_bytes, channels, tried.data());
      if (least < 0 || size < least) least = size, chosen = filter, best.swap(tried);
    }
    all += chosen;
    all.append(reinterpret_cast<const char*>(best.data()), best.size());
  }
  return all;
}

// Level 2 takes a third of the time of level 6 for a few percent more bytes: speckle hardly compresses.
std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(static_cast<uLong>(bytes.size()));
  std::string out(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uLong>(bytes.size()),
                2) != Z_OK)
    throw OutOfMemory("[encode_png] no memory to compress " + std::to_string(bytes.size()) + " bytes");
  out.resize(size);
  return out;
}

}  // namespace

std::string encode_png(const Tensor& image) {
  if (!image || (image.rank() != 2 && image.rank() != 3))
    throw ShapeError("[encode_png] wants (H, W) or (H, W, C), got " + to_string(image.shape()));
  if (image.dtype() != Dtype::u8) throw DtypeError(std::string("[encode_png] wants u8 pixels, got ") + to_string(image.dtype()));
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.rank() == 3 ? image.dim(2) : 1;
  if (height < 1 || width < 1 || (channels != 1 && channels != 3 && channels != 4))
    throw ShapeError("[encode_png] wants at least one pixel of 1, 3 or 4 channels, got " + to_string(image.shape()));
  std::string header;
  append_u32(header, static_cast<uint32_t>(width)), append_u32(header, static_cast<uint32_t>(height));
  header += {8,
             static_cast<char>(channels == 1   ? 0
                               : channels == 3 ? 2
                                               : 6),
             0, 0, 0};  // bits, colour type, deflate, filters, no interlace
  std::string png = "\x89PNG\r\n\x1a\n";
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", deflated(filtered(image.data<uint8_t>(), height, width * channels, channels)));
  append_chunk(png, "IEND", "");
  return png;
}

std::string base64(std::string_view bytes) {
  constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t three = 0;
    for (size_t k = 0; k < 3; k++) three = three << 8 | (k < n ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; k++) out += k <= n ? alphabet[three >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string png_uri(const Tensor& image) { return "data:image/png;base64," + base64(encode_png(image)); }

void write_png(const std::string& path, const Tensor& image) {
  const int64_t channels = image.rank() == 3 ? image.dim(2) : 1;
  if ((image.rank() != 2 && image.rank() != 3) || (channels != 1 && channels != 3) || image.size() == 0)
    throw ShapeError("[write_png] " + path + ": image " + to_string(image.shape()) + " must be (H, W), (H, W, 1) or (H, W, 3)");
  if (image.dtype() == Dtype::u8) return write_file_atomically(path, encode_png(image));
  const Tensor values = image.to(Dtype::f32);
  Tensor bytes(image.shape(), Dtype::u8);
  for (int64_t i = 0; i < bytes.size(); i++) {
    const float v = values.data<float>()[i];
    bytes.data<uint8_t>()[i] = static_cast<uint8_t>(std::lround(255.0f * (v > 0 ? std::min(v, 1.0f) : 0.0f)));  // NaN is black
  }
  write_file_atomically(path, encode_png(bytes));
}

}  // namespace sono::zoo
