#include "zoo/data/image_format.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>

#include "tensor/error.h"
#include "tensor/files.h"
#include "zoo/data/dicom.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, const std::string& why) { throw FileError("[read_image] " + shown(path) + ": " + why); }

[[noreturn]] void fail_cut(const std::string& path, Format format) {
  std::error_code ignored;
  fail(path, std::string("the ") + format_name(format) + " file is truncated or damaged (" + std::to_string(fs::file_size(path, ignored)) +
                 " bytes)");
}

uint64_t number(std::string_view bytes, size_t at, size_t width, bool big) {
  uint64_t value = 0;
  for (size_t i = 0; i < width && at + i < bytes.size(); i++)
    value |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << 8 * (big ? width - 1 - i : i);
  return value;
}

std::string first_bytes(const std::string& path, size_t n) {
  std::string bytes(n, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), static_cast<std::streamsize>(n));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

// Bytes that a zlib or gzip stream unpacks to, and the first of them; -1 if it is cut or damaged.
int64_t inflated(std::string_view bytes, std::string* head = nullptr) {
  z_stream z{};
  if (inflateInit2(&z, 15 + 32) != Z_OK) return -1;
  std::vector<Bytef> block(1 << 16);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(std::min<size_t>(bytes.size(), UINT32_MAX));
  int64_t total = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    z.next_out = block.data(), z.avail_out = static_cast<uInt>(block.size());
    state = inflate(&z, Z_NO_FLUSH);
    const size_t got = block.size() - z.avail_out;
    if (head && head->size() < 1024) head->append(reinterpret_cast<char*>(block.data()), std::min<size_t>(got, 1024 - head->size()));
    total += static_cast<int64_t>(got);
  }
  inflateEnd(&z);
  return state == Z_STREAM_END ? total : -1;
}

// IHDR: width, height, depth, colour type, compression, filter, interlace.
void take_png_sizes(const std::string& path, const std::string& bytes, FileHeader& header) {
  const uint64_t width = number(bytes, 16, 4, true), height = number(bytes, 20, 4, true);
  const auto type = static_cast<uint8_t>(bytes[25]);
  if (width == 0 || height == 0) fail(path, "the PNG file's sizes make no image");
  if (width > (1u << 28) || height > (1u << 28) || width * height > (1u << 28)) fail(path, "is larger than 2^28 pixels");
  header.width = static_cast<int64_t>(width), header.height = static_cast<int64_t>(height);
  header.channels = type == 2 || type == 6 ? 3 : 1;
  header.palette = type == 3;
}

// Signature, then chunks: length, type, data, CRC. Every chunk must fit, the first is IHDR, the last IEND.
void check_png(const std::string& path, const std::string& bytes, FileHeader& header) {
  size_t at = 8;
  bool pixels = false;
  while (at + 12 <= bytes.size()) {
    const uint64_t length = number(bytes, at, 4, true);
    const std::string_view type(bytes.data() + at + 4, 4);
    if (length > bytes.size() - at - 12) break;
    if (at == 8) {
      if (type != "IHDR" || length != 13) break;
      take_png_sizes(path, bytes, header);
    }
    pixels = pixels || type == "IDAT";
    if (type == "IEND" && pixels) return;
    at += 12 + length;
  }
  fail_cut(path, Format::png);
}

// Start of frame: length, precision, height, width, components.
void take_jpeg_sizes(const std::string& path, const std::string& bytes, size_t at, FileHeader& header) {
  header.height = static_cast<int64_t>(number(bytes, at + 5, 2, true)), header.width = static_cast<int64_t>(number(bytes, at + 7, 2, true));
  header.channels = static_cast<int64_t>(number(bytes, at + 9, 1, true));
  if (header.height == 0 || header.width == 0) fail(path, "the JPEG file's sizes make no image");
  if (header.channels != 1 && header.channels != 3)
    fail(path, "is a JPEG of " + std::to_string(header.channels) + " colours; grey or RGB is read");
}

// Markers FF xx: segments are jumped over, entropy-coded data is searched for the next marker; there must be a frame, a scan and the end,
// FF D9.
void check_jpeg(const std::string& path, const std::string& bytes, FileHeader& header) {
  size_t at = 2;
  bool scan = false;
  while (at + 1 < bytes.size()) {
    if (static_cast<uint8_t>(bytes[at]) != 0xFF) {
      const void* next = std::memchr(bytes.data() + at, 0xFF, bytes.size() - at);
      if (!next) break;
      at = static_cast<size_t>(static_cast<const char*>(next) - bytes.data());
      continue;
    }
    const auto marker = static_cast<uint8_t>(bytes[at + 1]);
    if (marker == 0xD9 && scan && header.channels) return;
    if (marker == 0xFF) {
      at++;  // fill byte
    } else if (marker == 0 || marker == 1 || (marker >= 0xD0 && marker <= 0xD9)) {
      at += 2;
    } else {
      const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
      if (frame && !header.channels) take_jpeg_sizes(path, bytes, at, header);
      scan = scan || marker == 0xDA;
      if (at + 4 > bytes.size()) break;
      at += 2 + number(bytes, at + 2, 2, true);
    }
  }
  fail_cut(path, Format::jpeg);
}

// An uncompressed BMP has rows of 4-byte multiples from the stated offset on.
void check_bmp(const std::string& path, const std::string& head, uint64_t size) {
  if (head.size() < 54) fail_cut(path, Format::bmp);
  const uint64_t offset = number(head, 10, 4, false), bits = number(head, 28, 2, false), compression = number(head, 30, 4, false);
  const auto width = static_cast<int32_t>(number(head, 18, 4, false)), height = static_cast<int32_t>(number(head, 22, 4, false));
  const auto rows = static_cast<uint64_t>(std::abs(static_cast<int64_t>(height)));
  if (width <= 0 || rows == 0 || bits > 32 || static_cast<uint64_t>(width) * rows > (1u << 28))
    fail(path, "the BMP file's sizes make no image");
  const uint64_t row = (static_cast<uint64_t>(width) * bits + 31) / 32 * 4;
  if (offset > size || (compression == 0 && row * rows > size - offset) || (compression != 0 && number(head, 34, 4, false) > size - offset))
    fail_cut(path, Format::bmp);
}

// NIfTI-1: 348 bytes, dim[8] at 40, datatype at 70, bitpix at 72, vox_offset at 108. NIfTI-2: 540 bytes, the same in 64 bits.
void check_nifti(const std::string& path, bool packed, uint64_t size) {
  std::string head = first_bytes(path, 1024);
  if (packed) {
    head.clear();
    const int64_t total = inflated(read_file(path), &head);
    if (total < 0) fail_cut(path, Format::nifti);
    size = static_cast<uint64_t>(total);
  }
  if (head.size() < 348) fail_cut(path, Format::nifti);
  const bool big = number(head, 0, 4, true) == 348 || number(head, 0, 4, true) == 540, second = number(head, 0, 4, big) == 540;
  const auto field = [&](size_t at1, size_t width1, size_t at2, size_t width2) {
    return second ? number(head, at2, width2, big) : number(head, at1, width1, big);
  };
  const uint64_t dims = field(40, 2, 16, 8), bits = field(72, 2, 14, 2);
  if (dims < 1 || dims > 7 || bits < 8 || bits > 128) fail(path, "the NIfTI file's header is damaged");
  double values = 1;
  for (size_t d = 1; d <= dims; d++) {
    const auto n = static_cast<double>(static_cast<int64_t>(second ? number(head, 16 + 8 * d, 8, big) : number(head, 40 + 2 * d, 2, big)));
    if (n < 1) fail(path, "the NIfTI file's header is damaged");
    values *= n;
  }
  const uint64_t raw = field(108, 4, 168, 8);
  const double offset = second ? static_cast<double>(raw) : static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(raw)));
  if (!(offset >= 0) || offset + values * static_cast<double>(bits) / 8 > static_cast<double>(size)) fail_cut(path, Format::nifti);
}

std::string trimmed(const std::string& s) {
  const size_t first = s.find_first_not_of(" \t\r"), last = s.find_last_not_of(" \t\r");
  return first == std::string::npos ? "" : s.substr(first, last - first + 1);
}

// MetaImage: "Key = value" lines up to ElementDataFile; then LOCAL data, or the name of a file beside it.
std::map<std::string, std::string> meta_header(const std::string& bytes, size_t& end) {
  std::map<std::string, std::string> fields;
  end = 0;
  while (end < bytes.size() && !fields.count("ElementDataFile")) {
    const size_t stop = std::min(bytes.find('\n', end), bytes.size());
    const std::string line = bytes.substr(end, stop - end);
    end = std::min(stop + 1, bytes.size());
    const size_t equals = line.find('=');
    if (equals != std::string::npos) fields[trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
  }
  return fields;
}

uint64_t meta_value_bytes(const std::string& type) {
  static const std::map<std::string, uint64_t> sizes = {{"MET_CHAR", 1},      {"MET_UCHAR", 1},      {"MET_SHORT", 2}, {"MET_USHORT", 2},
                                                        {"MET_INT", 4},       {"MET_UINT", 4},       {"MET_LONG", 4},  {"MET_ULONG", 4},
                                                        {"MET_LONG_LONG", 8}, {"MET_ULONG_LONG", 8}, {"MET_FLOAT", 4}, {"MET_DOUBLE", 8}};
  const auto found = sizes.find(type);
  return found == sizes.end() ? 0 : found->second;
}

void check_meta(const std::string& path, FileHeader& header) {
  size_t start = 0;
  std::string bytes = first_bytes(path, 1 << 20);
  auto fields = meta_header(bytes, start);
  std::istringstream dims(fields["DimSize"]);
  double wanted = 1, n = 0;
  while (dims >> n) wanted *= n;
  const uint64_t width = meta_value_bytes(fields["ElementType"]);
  const double channels = fields.count("ElementNumberOfChannels") ? std::atof(fields["ElementNumberOfChannels"].c_str()) : 1;
  wanted *= static_cast<double>(width) * channels;
  if (!fields.count("DimSize") || !width || !(wanted >= 1) || wanted > 1e11 || !fields.count("ElementDataFile"))
    fail(path, "the MetaImage header is damaged or incomplete");
  header.has_spacing = fields.count("ElementSpacing") || fields.count("ElementSize");
  fs::path data = path;
  const std::string file = fields["ElementDataFile"];
  if (file != "LOCAL" && file != "Local" && file != "local") {
    if (file == "LIST" || file.find('%') != std::string::npos) fail(path, "MetaImages spread over several data files are not read");
    data = fs::path(path).parent_path() / file;
    start = 0;
  }
  std::error_code error;
  const uint64_t size = fs::file_size(data, error);
  if (error) fail(path, "its data file " + file + " is missing");
  const bool packed = fields["CompressedData"] == "True" || fields["CompressedData"] == "true" || fields["CompressedData"] == "1";
  const double there =
      packed
          ? static_cast<double>(inflated(std::string_view(bytes = read_file(data.string())).substr(std::min<size_t>(start, bytes.size()))))
          : static_cast<double>(size) - static_cast<double>(start);
  if (there < wanted) fail_cut(path, Format::meta);
}

void check_nrrd(const std::string& path, const std::string& head, FileHeader& header) {
  const size_t end = std::min(head.find("\n\n"), head.find("\r\n\r\n"));
  const std::string text = head.substr(0, end);
  if (text.find("\nsizes:") == std::string::npos) fail(path, "the NRRD header is damaged or incomplete");
  header.has_spacing = text.find("\nspacings:") != std::string::npos || text.find("\nspace directions:") != std::string::npos;
}

// A name that ends in .mha or .mhd, or a text that begins as MetaImages do.
bool is_meta(const std::string& head) {
  const std::string start = head.substr(0, 200);
  return start.starts_with("ObjectType") || start.starts_with("NDims") || start.starts_with("Comment") ||
         start.find("\nNDims") != std::string::npos;
}

Format format_of(const std::string& path, const std::string& head, bool& packed) {
  const std::string_view s(head);
  const uint64_t nifti_size = number(head, 0, 4, false), nifti_size_big = number(head, 0, 4, true);
  packed = s.starts_with("\x1f\x8b");
  if (s.size() >= 132 && s.substr(128, 4) == "DICM") return Format::dicom;  // first: its preamble may be another format's
  if (s.starts_with("\x89PNG\r\n\x1a\n")) return Format::png;
  if (s.starts_with("\xff\xd8\xff")) return Format::jpeg;
  if (s.starts_with(std::string_view("II*\0", 4)) || s.starts_with(std::string_view("MM\0*", 4))) return Format::tiff;
  if (s.starts_with("BM")) return Format::bmp;
  if (s.starts_with("\x93NUMPY")) return Format::npy;
  if (s.starts_with("NRRD000")) return Format::nrrd;
  if (s.size() >= 348 && (nifti_size == 348 || nifti_size_big == 348) && s.substr(344, 3) == "n+1") return Format::nifti;
  if (s.size() >= 348 && (nifti_size == 540 || nifti_size_big == 540) && s.substr(4, 3) == "n+2") return Format::nifti;
  if (packed && path.ends_with(".gz")) return Format::nifti;
  if (is_meta(head)) return Format::meta;
  fail(path, "is no image that can be read: its content is not PNG, JPEG, TIFF, BMP, DICOM, NIfTI, MHD/MHA, NRRD or npy");
}

}  // namespace

const char* format_name(Format format) {
  static const char* const names[] = {"PNG", "JPEG", "TIFF", "BMP", "DICOM", "NIfTI", "MetaImage", "NRRD", "npy"};
  return names[static_cast<size_t>(format)];
}

FileHeader check_file(const std::string& path, std::string& bytes) {
  std::error_code error;
  if (!fs::exists(path, error)) fail(path, "no such file");
  if (fs::is_directory(path, error)) fail(path, "is a folder, not an image");
  const uint64_t size = fs::file_size(path, error);
  if (error) fail(path, "cannot be read");
  if (!size) fail(path, "the file is empty");
  const std::string head = first_bytes(path, 4096);
  if (head.empty()) fail(path, "cannot be read");
  bool packed = false;
  FileHeader header;
  header.format = format_of(path, head, packed);
  switch (header.format) {
    case Format::png:
      check_png(path, bytes = read_file(path), header);
      break;
    case Format::jpeg:
      check_jpeg(path, bytes = read_file(path), header);
      break;
    case Format::bmp:
      check_bmp(path, head, size);
      break;
    case Format::nifti:
      check_nifti(path, packed, size), header.has_spacing = true;
      break;
    case Format::meta:
      check_meta(path, header);
      break;
    case Format::nrrd:
      check_nrrd(path, head, header);
      break;
    case Format::dicom: {
      const DicomHeader dicom = check_dicom(shown(path), bytes = read_file(path));
      header.inverted = dicom.inverted;
      if (dicom.spacing) header.spacing = {(*dicom.spacing)[0], (*dicom.spacing)[1]};
      break;
    }
    case Format::tiff:
    case Format::npy:
      break;
  }
  return header;
}

}  // namespace sono::zoo
