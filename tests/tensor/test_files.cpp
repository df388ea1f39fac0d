#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tensor/files.h"
#include "tensor/random.h"

using namespace sono;
namespace fs = std::filesystem;

namespace {

struct Folder {  // of its own, gone afterwards
  fs::path path = fs::temp_directory_path() / ("sono-files-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

void put(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string with_header(const std::string& json, const std::string& body = "") {
  std::string length(8, '\0');
  for (int i = 0; i < 8; i++) length[static_cast<size_t>(i)] = static_cast<char>(json.size() >> (8 * i));
  return length + json + body;
}

// The message of the FileError, or "" if there was none.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const FileError& e) { return e.what(); }
  return "";
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0);
}

}  // namespace

TEST_CASE("safetensors come back bit for bit, with names, order and metadata") {
  const Folder folder;
  const NamedTensors tensors = {{"conv1.weight", random_normal({3, 3, 1, 7}, 1, 1)},
                                {"empty", Tensor({0, 5}, Dtype::f64)},
                                {"scalar", Tensor::scalar(3, Dtype::f64)},
                                {"bytes", Tensor::from<uint8_t>({3}, {1, 2, 255})},
                                {"index", Tensor::from<int32_t>({2}, {-5, 7})}};
  write_safetensors(folder / "a.safetensors", tensors, {{"layout", "sonograd \"1\""}});
  const TensorFile back = read_safetensors(folder / "a.safetensors");
  REQUIRE(back.tensors.size() == tensors.size());
  for (size_t i = 0; i < tensors.size(); i++) {
    CHECK(back.tensors[i].first == tensors[i].first);
    CHECK(same(back.tensors[i].second, tensors[i].second));
  }
  CHECK(back.metadata.at("layout") == "sonograd \"1\"");
  CHECK_THROWS_AS(write_safetensors(folder / "b", {{"x", Tensor::scalar(1)}, {"x", Tensor::scalar(1)}}), FileError);
  CHECK_FALSE(fs::exists(folder / "b"));
}

TEST_CASE("damaged safetensors are refused with a line that names the file") {
  const Folder folder;
  const std::string path = folder / "damaged.safetensors";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "0 bytes"},
      {std::string(8, '\xff') + "{}", "claims"},
      {with_header("{broken"), "not a JSON object"},
      {with_header("[1]"), "not a JSON object"},
      {with_header(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "12345678"), "cut"},
      {with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                   std::string(12, 'x')),
       "inside"},
      {with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                   std::string(12, 'x')),
       "gap"},
      {with_header(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "12345678"), "wants 12"},
      {with_header(R"({"w":{"dtype":"F32","shape":[2147483648,2147483648,2147483648],"data_offsets":[0,8]}})", "12345678"), "too large"},
      {with_header(R"({"w":{"dtype":"Q7","shape":[2],"data_offsets":[0,8]}})", "12345678"), "Q7"},
      {with_header(R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "12345678"), "natural"},
      {with_header(R"({"w":{"dtype":"F32","shape":[2]}})", "12345678"), "data_offsets"},
      {with_header(R"({"w":7})"), "lacks"},
      {with_header("{}", "12345678"), "belong to no tensor"},
  };
  for (const auto& [bytes, word] : cases) {
    put(path, bytes);
    const std::string message = error_of([&] { read_safetensors(path); });
    CAPTURE(word);
    CAPTURE(message);
    CHECK(message.find("damaged.safetensors") != message.npos);
    CHECK(message.find(word) != message.npos);
    CHECK(message.find('\n') == message.npos);
  }
  CHECK(error_of([&] { read_safetensors(folder / "none"); }).find("does not exist") != std::string::npos);
}

TEST_CASE("any cut and any flipped byte of a safetensors header gives a FileError or a sound file, never a crash") {
  const Folder folder;
  const std::string path = folder / "fuzz.safetensors";
  write_safetensors(path, {{"w", random_normal({2, 3}, 1, 1)}, {"b", Tensor::zeros({3})}}, {{"k", "v"}});
  const std::string sound = read_file(path);
  for (size_t n = 0; n < sound.size(); n++) {
    put(path, sound.substr(0, n));
    CHECK_FALSE(error_of([&] { read_safetensors(path); }).empty());
  }
  Random random(3);
  for (int round = 0; round < 3000; round++) {
    std::string bytes = sound;
    for (int64_t k = random.below(3); k >= 0; k--)
      bytes[static_cast<size_t>(random.below(static_cast<int64_t>(sound.size()) - 36))] = static_cast<char>(random.bits());
    put(path, bytes);
    error_of([&] { read_safetensors(path); });
  }
}

TEST_CASE("npy and npz come back bit for bit") {
  const Folder folder;
  for (const Tensor& t : {random_normal({2, 3, 5}, 1, 1), Tensor::scalar(2.5, Dtype::f64), Tensor::from<int32_t>({2}, {-1, 9}),
                          Tensor::from<uint8_t>({1, 2}, {3, 255}), Tensor({0, 4})}) {
    write_npy(folder / "t.npy", t);
    CHECK(same(read_npy(folder / "t.npy"), t));
  }
  const NamedTensors tensors = {{"arr_0", random_normal({4, 4}, 1, 2)}, {"arr_1", Tensor::scalar(1)}};
  write_npz(folder / "t.npz", tensors);
  const NamedTensors back = read_npz(folder / "t.npz");
  REQUIRE(back.size() == 2);
  CHECK(back[0].first == "arr_0");
  CHECK(same(back[0].second, tensors[0].second));
  CHECK(same(back[1].second, tensors[1].second));
}

TEST_CASE("npy of other types and orders are read, what does not fit is refused") {
  const Folder folder;
  const auto npy = [&](const std::string& dict, const std::string& body) {
    std::string head("\x93NUMPY\x01\x00", 8);
    head += static_cast<char>(dict.size());
    head += '\0';
    put(folder / "x.npy", head + dict + body);
    return folder / "x.npy";
  };
  const auto bytes = [](const auto& values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  const std::vector<int16_t> shorts = {-3, 300, 5, 6};
  CHECK(read_npy(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (4,), }\n", bytes(shorts))).to_vector<int32_t>() ==
        std::vector<int32_t>{-3, 300, 5, 6});
  CHECK(read_npy(npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2), }\n", bytes(shorts))).to_vector<int32_t>() ==
        std::vector<int32_t>{-3, 5, 300, 6});
  const std::vector<uint16_t> halves = {0x3C00, 0xC000, 0x7C00, 0x0001};
  const Tensor h = read_npy(npy("{'descr': '<f2', 'fortran_order': False, 'shape': (4,), }\n", bytes(halves)));
  CHECK(h.to_vector<float>() == std::vector<float>{1, -2, INFINITY, 0x1p-24f});
  const std::vector<int64_t> large = {1, int64_t{1} << 40};
  CHECK(error_of([&] { read_npy(npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", bytes(large))); }).find("32 bits") !=
        std::string::npos);
  for (const char* dict :
       {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }\n", "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }\n",
        "{'descr': '<f4', 'shape': (1,), }\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 3, }\n"})
    CHECK_FALSE(error_of([&] { read_npy(npy(dict, "12345678")); }).empty());
  put(folder / "x.npz", "PK not a zip");
  CHECK_FALSE(error_of([&] { read_npz(folder / "x.npz"); }).empty());
}

TEST_CASE("writing is atomic: a failure leaves the old file and no other") {
  const Folder folder;
  write_file_atomically(folder / "f", "old");
  CHECK(read_file(folder / "f") == "old");
  CHECK_FALSE(error_of([&] { write_file_atomically(folder / "no/such/folder", "x"); }).empty());
  if (fs::exists("/dev/full")) CHECK(error_of([&] { write_file_atomically("/dev/full", "x"); }).find("no space") != std::string::npos);
  CHECK(read_file(folder / "f") == "old");
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}
