#pragma once
// Folders and files that the data tests make, and where the public sets lie.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/random.h"
#include "tensor/tensor.h"
#include "zoo/data/image.h"
#include "zoo/data/sample.h"

namespace sono::zoo::tests {

namespace fs = std::filesystem;

// A folder that is there as long as this is.
struct TemporaryFolder {
  TemporaryFolder() {
    static int number = 0;
    path = fs::temp_directory_path() / ("sonograd-data-" + std::to_string(getpid()) + "-" + std::to_string(number++));
    fs::create_directories(path);
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  fs::path path;
  fs::path operator/(const std::string& name) const { return path / name; }
};

inline void write_bytes(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// (height, width) u8 of f(x, y).
inline Tensor drawn(int64_t height, int64_t width, const std::function<int(int64_t, int64_t)>& f) {
  Tensor t({height, width}, Dtype::u8);
  for (int64_t i = 0; i < t.size(); i++) t.data<uint8_t>()[i] = static_cast<uint8_t>(f(i % width, i / width));
  return t;
}

// Smooth random blobs with fine grain: an image that is like no other number's, and never 0.
inline Tensor picture(int64_t height, int64_t width, uint64_t number) {
  Random random(number, "picture");
  std::vector<double> c;
  for (int i = 0; i < 18; i++) c.push_back(random.uniform());
  Tensor t({height, width}, Dtype::u8);
  for (int64_t i = 0; i < t.size(); i++) {
    const double x = static_cast<double>(i % width) / static_cast<double>(width),
                 y = static_cast<double>(i / width) / static_cast<double>(height);
    double v = 0.25;
    for (size_t k = 0; k < 6; k++) {
      const double dx = x - c[3 * k], dy = y - c[3 * k + 1];
      v += (c[3 * k + 2] - 0.2) * std::exp(-30 * (dx * dx + dy * dy));
    }
    v *= 0.7 + 0.6 * random.uniform();
    t.data<uint8_t>()[i] = static_cast<uint8_t>(std::min(250.0, std::max(5.0, 220 * v)));
  }
  return t;
}

inline Tensor disc(int64_t height, int64_t width, double cx, double cy, double r, int value = 255) {
  return drawn(height, width,
               [=](int64_t x, int64_t y) { return std::hypot(static_cast<double>(x) - cx, static_cast<double>(y) - cy) <= r ? value : 0; });
}

inline void save(const fs::path& path, const Tensor& image) {
  fs::create_directories(path.parent_path());
  write_png(path.string(), image);
}

// What f throws, or "" if it does not.
inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "";
}

// One line for a person that holds the word.
inline bool is_clear(const std::string& message, const std::string& word) {
  const bool technical = message.find("itk") != std::string::npos || message.find("ITK") != std::string::npos ||
                         message.find("(0x") != std::string::npos || message.find("std::") != std::string::npos ||
                         message.find(".cxx") != std::string::npos;
  return message.size() > 10 && message.size() < 400 && message[0] == '[' && message.find('\n') == std::string::npos && !technical &&
         message.find(word) != std::string::npos;
}

// A public data set, under SONO_DATA or beside the repository; empty if it is not there.
inline std::string public_data(const std::string& name) {
  const char* set = std::getenv("SONO_DATA");
  const fs::path folder = (set ? fs::path(set) : fs::path(SONO_SOURCE_DIR) / ".." / "shared" / "data") / name;
  return fs::is_directory(folder) ? folder.string() : "";
}

// Samples from memory.
class MemoryDataset : public Dataset {
 public:
  std::vector<Sample> samples;
  int64_t size() const override { return static_cast<int64_t>(samples.size()); }
  Sample get(int64_t i) const override { return samples.at(static_cast<size_t>(i)); }
  Meta meta(int64_t i) const override { return get(i).meta; }
  std::optional<int> category(int64_t i) const override { return get(i).labels.category; }
  std::string name() const override { return "memory"; }
  void add(const Tensor& grey, const std::string& id, std::optional<int> category = {}, const std::string& patient = "",
           const std::string& video = "") {
    Sample s;
    s.image = to_unit(grey.view({grey.dim(0), grey.dim(1), 1}));
    s.meta.id = id, s.meta.patient = patient, s.meta.video = video, s.labels.category = category;
    samples.push_back(s);
  }
};

}  // namespace sono::zoo::tests
