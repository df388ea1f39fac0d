// Reading and writing of safetensors; the format is described in tensor/files.h.
#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "tensor/files.h"

namespace sono {
namespace {

using Json = nlohmann::ordered_json;
constexpr uint64_t largest_header = 100u << 20;

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw FileError(path + ": not a sound safetensors file: " + why);
}

const char* dtype_name(Dtype dtype) {
  constexpr const char* names[] = {"F32", "F64", "I32", "U8"};
  return names[static_cast<int>(dtype)];
}

Dtype dtype_from(const std::string& path, const std::string& tensor, const std::string& name) {
  for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::i32, Dtype::u8})
    if (name == dtype_name(d)) return d;
  fail(path, "tensor '" + tensor + "' has dtype '" + name.substr(0, 16) + "'; known are F32, F64, I32 and U8");
}

struct Entry {
  std::string name;
  Dtype dtype;
  Shape shape;
  uint64_t from, to;
};

Json parse_header(const std::string& path, const std::string& bytes, uint64_t& body) {
  if (bytes.size() < 8) fail(path, "it has " + std::to_string(bytes.size()) + " bytes, the header's length alone takes 8");
  uint64_t length = 0;
  for (int i = 0; i < 8; i++) length |= uint64_t{static_cast<unsigned char>(bytes[static_cast<size_t>(i)])} << (8 * i);
  if (length > bytes.size() - 8 || length > largest_header)
    fail(path, "the header claims " + std::to_string(length) + " bytes, the file has " + std::to_string(bytes.size()) +
                   "; it was cut or is something else");
  body = 8 + length;
  Json header = Json::parse(bytes.begin() + 8, bytes.begin() + static_cast<std::ptrdiff_t>(body), nullptr, false);
  if (!header.is_object()) fail(path, "the header is not a JSON object");
  return header;
}

uint64_t byte_count(const std::string& path, const std::string& name, const Json& dimensions, Dtype dtype, Shape& shape) {
  uint64_t n = static_cast<uint64_t>(byte_size(dtype));
  for (const auto& d : dimensions) {
    if (!d.is_number_unsigned()) fail(path, "tensor '" + name + "' has a dimension that is no natural number");
    const uint64_t size = d.get<uint64_t>();
    if (size > uint64_t{1} << 60 || (size && n > (uint64_t{1} << 60) / size))
      fail(path, "tensor '" + name + "' has a shape too large for any file");
    n *= size;
    shape.push_back(static_cast<int64_t>(size));
  }
  return n;
}

Entry parse_entry(const std::string& path, const std::string& name, const Json& value, uint64_t body_bytes) {
  const auto has = [&](const char* key) { return value.is_object() && value.contains(key); };
  if (!has("dtype") || !has("shape") || !has("data_offsets") || !value["dtype"].is_string() || !value["shape"].is_array() ||
      !value["data_offsets"].is_array() || value["data_offsets"].size() != 2 || !value["data_offsets"][0].is_number_unsigned() ||
      !value["data_offsets"][1].is_number_unsigned())
    fail(path, "tensor '" + name + "' lacks a proper dtype, shape or data_offsets");
  Entry e{name, dtype_from(path, name, value["dtype"]), {}, value["data_offsets"][0], value["data_offsets"][1]};
  const uint64_t wanted = byte_count(path, name, value["shape"], e.dtype, e.shape);
  if (e.from > e.to || e.to > body_bytes)
    fail(path, "tensor '" + name + "' ends at byte " + std::to_string(e.to) + " of " + std::to_string(body_bytes) + "; the file was cut");
  if (e.to - e.from != wanted)
    fail(path, "tensor '" + name + "' has " + std::to_string(e.to - e.from) + " bytes, its shape " + to_string(e.shape) + " wants " +
                   std::to_string(wanted));
  return e;
}

// The values must tile the body: no gaps, no overlap.
void check_layout(const std::string& path, std::vector<Entry> entries, uint64_t body_bytes) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::pair(a.from, a.to) < std::pair(b.from, b.to); });
  uint64_t end = 0;
  for (const Entry& e : entries) {
    if (e.from != end)
      fail(path, "tensor '" + e.name + "' starts at byte " + std::to_string(e.from) +
                     (e.from < end ? ", inside the one before it" : ", after a gap"));
    end = e.to;
  }
  if (end != body_bytes) fail(path, std::to_string(body_bytes - end) + " bytes at the end belong to no tensor");
}

}  // namespace

TensorFile read_safetensors(const std::string& path) {
  const std::string bytes = read_file(path);
  uint64_t body = 0;
  const Json header = parse_header(path, bytes, body);
  TensorFile file;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, text] : value.items())
        if (text.is_string())
          file.metadata[key] = text;
        else
          fail(path, "metadata '" + key + "' is not a string");
    } else {
      entries.push_back(parse_entry(path, name, value, bytes.size() - body));
    }
  }
  check_layout(path, entries, bytes.size() - body);
  for (const Entry& e : entries) {
    Tensor t(e.shape, e.dtype);
    if (t.bytes()) std::memcpy(t.raw(), bytes.data() + body + e.from, static_cast<size_t>(t.bytes()));
    file.tensors.emplace_back(e.name, t);
  }
  return file;
}

void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t end = 0;
  for (const auto& [name, t] : tensors) {
    if (header.contains(name) || name == "__metadata__") throw FileError(path + ": two tensors are called '" + name + "'");
    const uint64_t from = end;
    end += static_cast<uint64_t>(t.bytes());
    header[name] = {{"dtype", dtype_name(t.dtype())}, {"shape", t.shape()}, {"data_offsets", {from, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // values stay aligned
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; i++) bytes[static_cast<size_t>(i)] = static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * i));
  bytes += text;
  bytes.reserve(bytes.size() + end);
  for (const auto& [name, t] : tensors) {
    const Tensor host = t.to(Device::cpu);
    bytes.append(static_cast<const char*>(host.raw()), static_cast<size_t>(host.bytes()));
  }
  write_file_atomically(path, bytes);
}

}  // namespace sono
