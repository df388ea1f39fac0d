#pragma once
// A folder of its own for a test, removed at its end; in memory where the system has such a place, so that syncing does not wait for a busy
// disk.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

struct Folder {
  explicit Folder(const std::string& name) : path((root() / ("sonograd_" + name + "_" + std::to_string(::getpid()))).string()) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path)) all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }
  const std::string path;

 private:
  static std::filesystem::path root() {
    const std::filesystem::path memory = "/dev/shm";
    return ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
  }
};
