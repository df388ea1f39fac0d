// PNG [W3C, "Portable Network Graphics", 3rd edition]: a signature; chunks of length, type, data, CRC: IHDR, PLTE, IDAT …, IEND. The IDATs
// together are one zlib stream of rows, each a filter number and its bytes as differences to their neighbours.
#include "zoo/data/png.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "tensor/files.h"
#include "zoo/data/image.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

struct Header {
  int64_t width = 0, height = 0;
  int depth = 0, type = 0;  // type 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGB + alpha
  bool interlaced = false;
  int samples() const { return type == 2 ? 3 : type == 4 ? 2 : type == 6 ? 4 : 1; }
  int64_t stride(int64_t pixels) const { return (pixels * samples() * depth + 7) / 8; }
};

struct Parts {
  Header header;
  std::string palette, packed;
};

[[noreturn]] void damaged(const std::string& path, const std::string& why) {
  throw FileError("[read_image] " + shown(path) + ": the PNG file is damaged: " + why);
}

uint32_t big_endian_at(const std::string& bytes, size_t at) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; i++) v = v << 8 | static_cast<uint8_t>(bytes[at + i]);
  return v;
}

Header header_of(const std::string& path, const std::string& bytes, size_t at) {
  Header h{big_endian_at(bytes, at), big_endian_at(bytes, at + 4), bytes[at + 8], bytes[at + 9], bytes[at + 12] == 1};
  const bool depth =
      h.depth == 8 || (h.depth == 16 && h.type != 3) || ((h.depth == 1 || h.depth == 2 || h.depth == 4) && (h.type == 0 || h.type == 3));
  const bool type = h.type == 0 || h.type == 2 || h.type == 3 || h.type == 4 || h.type == 6;
  if (!depth || !type || bytes[at + 10] || bytes[at + 11] || static_cast<uint8_t>(bytes[at + 12]) > 1)
    damaged(path, "its header is none of PNG's kinds");
  return h;
}

Parts parts_of(const std::string& path, const std::string& bytes) {
  Parts parts;
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const size_t length = big_endian_at(bytes, at);
    const std::string_view type(bytes.data() + at + 4, 4);
    const bool critical = !(type[0] & 0x20);
    if (critical &&
        crc32(0, reinterpret_cast<const Bytef*>(type.data()), static_cast<uInt>(length + 4)) != big_endian_at(bytes, at + 8 + length))
      damaged(path, "a checksum is wrong");
    if (type == "IHDR")
      parts.header = header_of(path, bytes, at + 8);
    else if (type == "PLTE")
      parts.palette = bytes.substr(at + 8, length);
    else if (type == "IDAT")
      parts.packed.append(bytes, at + 8, length);
    else if (type == "IEND")
      break;
    else if (critical)
      damaged(path, "it has a part of unknown kind");
    at += 12 + length;
  }
  return parts;
}

// Of Adam7's seven passes, or the only one: which pixels it holds.
struct Pass {
  int64_t x0, y0, dx, dy;
};

std::vector<Pass> passes_of(const Header& h) {
  if (!h.interlaced) return {{0, 0, 1, 1}};
  return {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
}

int64_t held(int64_t size, int64_t first, int64_t step) { return size > first ? (size - first + step - 1) / step : 0; }

std::vector<uint8_t> inflated(const std::string& path, const Parts& parts) {
  const Header& h = parts.header;
  int64_t size = 0;
  for (const Pass& p : passes_of(h))
    if (const int64_t columns = held(h.width, p.x0, p.dx)) size += held(h.height, p.y0, p.dy) * (1 + h.stride(columns));
  if (static_cast<uint64_t>(size) / 1100 > parts.packed.size()) damaged(path, "its pixels are missing");  // deflate packs 1032 : 1 at most
  std::vector<uint8_t> rows(static_cast<size_t>(size));
  uLongf got = rows.size();
  if (uncompress(rows.data(), &got, reinterpret_cast<const Bytef*>(parts.packed.data()), parts.packed.size()) != Z_OK || got != rows.size())
    damaged(path, "its pixels cannot be unpacked");
  return rows;
}

uint8_t paeth(int left, int up, int corner) {
  const int p = left + up - corner, a = std::abs(p - left), b = std::abs(p - up), c = std::abs(p - corner);
  return static_cast<uint8_t>(a <= b && a <= c ? left : b <= c ? up : corner);
}

// Undoes a row's filter in place. above: the row before, zeros for the first; step: bytes of a pixel, at least 1.
bool unfilter(int filter, uint8_t* row, const uint8_t* above, int64_t n, int64_t step) {
  const auto add = [](uint8_t& to, int v) { to = static_cast<uint8_t>(to + v); };
  switch (filter) {
    case 0:
      return true;
    case 1:
      for (int64_t i = step; i < n; i++) add(row[i], row[i - step]);
      return true;
    case 2:
      for (int64_t i = 0; i < n; i++) add(row[i], above[i]);
      return true;
    case 3:
      for (int64_t i = 0; i < n; i++) add(row[i], ((i >= step ? row[i - step] : 0) + above[i]) / 2);
      return true;
    case 4:
      for (int64_t i = 0; i < n; i++) add(row[i], i >= step ? paeth(row[i - step], above[i], above[i - step]) : above[i]);
      return true;
    default:
      return false;
  }
}

int sample(const uint8_t* row, int64_t i, int depth) {
  if (depth == 8) return row[i];
  if (depth == 16) return row[2 * i] << 8 | row[2 * i + 1];
  const int64_t bit = i * depth;
  return row[bit / 8] >> (8 - depth - bit % 8) & ((1 << depth) - 1);
}

// A row of samples to its pixels of the image, `step` channels apart.
template <class T>
void spread(const std::string& path, const Parts& parts, const uint8_t* row, int64_t pixels, bool indices, int64_t channels, T* to,
            int64_t step) {
  const Header& h = parts.header;
  const int samples = h.samples(), scale = h.depth < 8 && h.type == 0 && !indices ? 255 / ((1 << h.depth) - 1) : 1;
  if (sizeof(T) == 1 && h.depth == 8 && samples == channels && step == channels) {  // most rows of most files
    std::memcpy(to, row, static_cast<size_t>(pixels * channels));
    return;
  }
  for (int64_t x = 0; x < pixels; x++, to += step) {
    if (h.type == 3 && !indices) {
      const auto entry = static_cast<size_t>(sample(row, x, h.depth)) * 3;
      if (entry + 3 > parts.palette.size()) damaged(path, "a pixel has no colour in the palette");
      for (size_t c = 0; c < 3; c++) to[c] = static_cast<T>(static_cast<uint8_t>(parts.palette[entry + c]));
      continue;
    }
    for (int64_t c = 0; c < channels; c++) to[c] = static_cast<T>(sample(row, x * samples + c, h.depth) * scale);
  }
}

}  // namespace

Tensor read_png(const std::string& path, const std::string& bytes, bool indices) {
  const Parts parts = parts_of(path, bytes);
  const Header& h = parts.header;
  std::vector<uint8_t> rows = inflated(path, parts);
  const int64_t channels = h.type == 2 || h.type == 6 || (h.type == 3 && !indices) ? 3 : 1,
                step = std::max<int64_t>(1, h.samples() * h.depth / 8);
  Tensor image({h.height, h.width, channels}, h.depth == 16 ? Dtype::f32 : Dtype::u8);
  uint8_t* at = rows.data();
  for (const Pass& p : passes_of(h)) {
    const int64_t columns = held(h.width, p.x0, p.dx), n = h.stride(columns);
    const std::vector<uint8_t> zeros(static_cast<size_t>(n));
    const uint8_t* above = zeros.data();
    for (int64_t y = p.y0; y < h.height && columns; y += p.dy, above = at + 1, at += n + 1) {
      if (!unfilter(at[0], at + 1, above, n, step)) damaged(path, "a row has an unknown filter");
      const int64_t first = (y * h.width + p.x0) * channels;
      if (h.depth == 16)
        spread(path, parts, at + 1, columns, indices, channels, image.data<float>() + first, p.dx * channels);
      else
        spread(path, parts, at + 1, columns, indices, channels, image.data<uint8_t>() + first, p.dx * channels);
    }
  }
  return image;
}

}  // namespace sono::zoo
