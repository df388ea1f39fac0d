// Reading and writing of NumPy's npy and npz; the format is described in tensor/files.h.
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "tensor/files.h"

namespace sono {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) { throw FileError(path + ": not a sound npy file: " + why); }

struct Header {
  char kind = 'f';    // f, i, u, b
  int64_t width = 4;  // bytes per value
  bool fortran = false;
  Shape shape;
  size_t body = 0;  // where the values begin
};

// The text after 'key': in the Python dict of the header.
std::string_view value_of(const std::string& path, std::string_view dict, const std::string& key) {
  const size_t at = dict.find("'" + key + "':");
  if (at == dict.npos) fail(path, "the header lacks '" + key + "'");
  std::string_view rest = dict.substr(at + key.size() + 3);
  while (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
  return rest;
}

Shape parse_shape(const std::string& path, std::string_view text) {
  Shape shape;
  const size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == text.npos) fail(path, "the header's shape is no tuple");
  int64_t number = -1;  // -1: none begun
  for (const char c : text.substr(1, close)) {
    if (c >= '0' && c <= '9') {
      number = std::max<int64_t>(number, 0) * 10 + (c - '0');
      if (number > int64_t{1} << 48) fail(path, "a dimension is too large");
    } else if (c == ',' || c == ')') {
      if (number >= 0) shape.push_back(number);
      number = -1;
    } else if (c != ' ') {
      fail(path, "the header's shape is no tuple of numbers");
    }
  }
  return shape;
}

Header parse_header(const std::string& path, std::string_view bytes) {
  if (bytes.size() < 10 || bytes.substr(0, 6) != "\x93NUMPY") fail(path, "it does not begin as one");
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
  const bool wide = bytes[6] >= 2;  // versions 2 and 3 have a length of 4 bytes
  if (wide && bytes.size() < 12) fail(path, "it was cut in the header");
  const size_t start = wide ? 12 : 10, length = wide ? byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24 : byte(8) | byte(9) << 8;
  if (length > bytes.size() - start) fail(path, "it was cut in the header");
  const std::string_view dict = bytes.substr(start, length);
  Header h;
  h.body = start + length;
  const std::string_view descr = value_of(path, dict, "descr");
  if (descr.size() < 5 || descr[0] != '\'' || (descr[1] != '<' && descr[1] != '|') || descr[4] != '\'' || !std::strchr("fiub", descr[2]))
    fail(path,
         "values of type " + std::string(descr.substr(0, 8)) + " are not read; save as little-endian float32, float64, int32 or uint8");
  h.kind = descr[2];
  h.width = descr[3] - '0';
  h.fortran = value_of(path, dict, "fortran_order").substr(0, 4) == "True";
  h.shape = parse_shape(path, value_of(path, dict, "shape"));
  return h;
}

float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, mantissa = h & 0x3FF;
  const int exponent = h >> 10 & 31;
  uint32_t bits = sign;
  if (exponent == 31)
    bits |= 0x7F800000 | mantissa << 13;
  else if (exponent)
    bits |= static_cast<uint32_t>(exponent + 112) << 23 | mantissa << 13;
  float f;
  std::memcpy(&f, &bits, 4);
  if (!exponent) f = (sign ? -1.0f : 1.0f) * static_cast<float>(mantissa) * 0x1p-24f;
  return f;
}

Dtype dtype_for(const std::string& path, const Header& h) {
  if (h.kind == 'f' && (h.width == 2 || h.width == 4)) return Dtype::f32;
  if (h.kind == 'f' && h.width == 8) return Dtype::f64;
  if ((h.kind == 'u' || h.kind == 'b') && h.width == 1) return Dtype::u8;
  if ((h.kind == 'i' || h.kind == 'u') && (h.width == 1 || h.width == 2 || h.width == 4 || h.width == 8)) return Dtype::i32;
  fail(path, std::string("values of type ") + h.kind + std::to_string(h.width) + " are not read");
}

int32_t read_integer(const std::string& path, const char* p, const Header& h) {
  uint64_t u = 0;
  std::memcpy(&u, p, static_cast<size_t>(h.width));
  int64_t v = static_cast<int64_t>(u);
  if (h.kind == 'i' && h.width < 8) v = static_cast<int64_t>(u << (64 - 8 * h.width)) >> (64 - 8 * h.width);
  const bool huge = h.kind == 'u' && h.width == 8 && u >> 63;
  if (huge || v < std::numeric_limits<int32_t>::min() || v > std::numeric_limits<int32_t>::max())
    fail(path, "a value does not fit into 32 bits; save as int32 or float64");
  return static_cast<int32_t>(v);
}

void read_value(const std::string& path, const char* p, const Header& h, const Tensor& t, int64_t i) {
  if (t.dtype() == Dtype::i32) {
    t.data<int32_t>()[i] = read_integer(path, p, h);
  } else if (h.kind == 'f' && h.width == 2) {
    uint16_t half;
    std::memcpy(&half, p, 2);
    t.data<float>()[i] = half_to_float(half);
  } else {
    std::memcpy(static_cast<char*>(t.raw()) + i * byte_size(t.dtype()), p, static_cast<size_t>(byte_size(t.dtype())));
  }
}

// Where value i in row-major order stands in a Fortran-ordered file.
int64_t fortran_position(int64_t i, const Shape& shape) {
  int64_t position = 0, step = count(shape);
  for (size_t d = shape.size(); d-- > 0;) {
    step /= shape[d];
    position += i % shape[d] * step;
    i /= shape[d];
  }
  return position;
}

Tensor parse_npy(const std::string& path, std::string_view bytes) {
  const Header h = parse_header(path, bytes);
  const Dtype dtype = dtype_for(path, h);
  uint64_t wanted = static_cast<uint64_t>(h.width);
  for (const int64_t d : h.shape) {
    if (d && wanted > (uint64_t{1} << 60) / static_cast<uint64_t>(d)) fail(path, "its shape " + to_string(h.shape) + " is too large");
    wanted *= static_cast<uint64_t>(d);
  }
  if (bytes.size() - h.body < wanted)
    fail(path, "its shape " + to_string(h.shape) + " wants " + std::to_string(wanted) + " bytes of values, there are " +
                   std::to_string(bytes.size() - h.body));
  Tensor t(h.shape, dtype);
  const char* body = bytes.data() + h.body;
  if (!h.fortran && h.width == byte_size(dtype)) {
    if (t.bytes()) std::memcpy(t.raw(), body, static_cast<size_t>(t.bytes()));
    return t;
  }
  for (int64_t i = 0; i < t.size(); i++) read_value(path, body + (h.fortran ? fortran_position(i, h.shape) : i) * h.width, h, t, i);
  return t;
}

std::string npy_bytes(const Tensor& given) {
  const Tensor t = given.to(Device::cpu);
  constexpr const char* types[] = {"<f4", "<f8", "<i4", "|u1"};
  std::string shape;
  for (const int64_t d : t.shape()) shape += std::to_string(d) + ", ";
  std::string dict =
      "{'descr': '" + std::string(types[static_cast<int>(t.dtype())]) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  dict.resize((10 + dict.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  dict += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(dict.size() & 0xFF);
  bytes += static_cast<char>(dict.size() >> 8);
  bytes += dict;
  return bytes.append(static_cast<const char*>(t.raw()), static_cast<size_t>(t.bytes()));
}

struct CloseZip {
  void operator()(zip_t* z) const { zip_discard(z); }
};
struct CloseEntry {
  void operator()(zip_file_t* f) const { zip_fclose(f); }
};

std::string read_entry(const std::string& path, zip_t* archive, zip_uint64_t i, std::string& name) {
  zip_stat_t info;
  if (zip_stat_index(archive, i, 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE) || !(info.valid & ZIP_STAT_NAME))
    throw FileError(path + ": the zip directory is damaged");
  if (info.size > uint64_t{1} << 34 || ((info.valid & ZIP_STAT_COMP_SIZE) && info.size / 1100 > info.comp_size + 1))
    throw FileError(path + ": entry '" + info.name + "' claims an impossible size");
  name = info.name;
  const std::unique_ptr<zip_file_t, CloseEntry> file(zip_fopen_index(archive, i, 0));
  std::string bytes(info.size, '\0');
  if (!file || zip_fread(file.get(), bytes.data(), bytes.size()) != static_cast<zip_int64_t>(bytes.size()))
    throw FileError(path + ": entry '" + name + "' is damaged");
  return bytes;
}

}  // namespace

Tensor read_npy(const std::string& path) { return parse_npy(path, read_file(path)); }
void write_npy(const std::string& path, const Tensor& t) { write_file_atomically(path, npy_bytes(t)); }

NamedTensors read_npz(const std::string& path) {
  const std::string bytes = read_file(path);
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  const std::unique_ptr<zip_t, CloseZip> archive(source ? zip_open_from_source(source, ZIP_RDONLY, &error) : nullptr);
  if (!archive) {
    if (source) zip_source_free(source);
    throw FileError(path + ": not a sound npz file: " + zip_error_strerror(&error));
  }
  NamedTensors tensors;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); i++) {
    std::string name;
    const std::string entry = read_entry(path, archive.get(), static_cast<zip_uint64_t>(i), name);
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    tensors.emplace_back(name, parse_npy(path + " (" + name + ")", entry));
  }
  return tensors;
}

namespace {

// Adds the buffers as stored entries and closes the archive into memory.
std::string zip_bytes(const std::string& path, const std::vector<std::pair<std::string, std::string>>& entries) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_t* archive = source ? zip_open_from_source(source, ZIP_TRUNCATE, &error) : nullptr;
  if (!archive) throw FileError(path + ": cannot make a zip: " + zip_error_strerror(&error));
  zip_source_keep(source);
  for (const auto& [name, bytes] : entries) {
    zip_source_t* data = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t i = data ? zip_file_add(archive, (name + ".npy").c_str(), data, ZIP_FL_OVERWRITE | ZIP_FL_ENC_UTF_8) : -1;
    if (i < 0) throw FileError(path + ": cannot add '" + name + "': " + zip_strerror(archive));
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(i), ZIP_CM_STORE, 0);
    zip_file_set_mtime(archive, static_cast<zip_uint64_t>(i), 315532800, 0);  // 1980, so that equal tensors give equal bytes
  }
  if (zip_close(archive) != 0) throw FileError(path + ": cannot make a zip: " + zip_strerror(archive));
  zip_source_open(source);
  zip_source_seek(source, 0, SEEK_END);
  std::string out(static_cast<size_t>(zip_source_tell(source)), '\0');
  zip_source_seek(source, 0, SEEK_SET);
  zip_source_read(source, out.data(), out.size());
  zip_source_close(source);
  zip_source_free(source);
  return out;
}

}  // namespace

void write_npz(const std::string& path, const NamedTensors& tensors) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (const auto& [name, t] : tensors) entries.emplace_back(name, npy_bytes(t));
  write_file_atomically(path, zip_bytes(path, entries));
}

}  // namespace sono
