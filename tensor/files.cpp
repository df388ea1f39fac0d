#include "tensor/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace sono {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) { throw FileError(path + ": " + why); }

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// A reason that helps: the system's words, with what to do for the commonest.
std::string reason() {
  if (errno == ENOSPC) return "no space left on the disk; free some or choose another folder";
  if (errno == EACCES || errno == EROFS) return "not writable; choose another folder";
  if (errno == ENOENT) return "does not exist";
  return std::strerror(errno);
}

void write_all(int fd, const std::string& bytes, const std::string& path) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path, reason());
    done += static_cast<size_t>(n);
  }
}

}  // namespace

std::string read_file(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info {};
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0) fail(path, errno == ENOENT ? "does not exist" : std::strerror(errno));
  if (S_ISDIR(info.st_mode)) fail(path, "is a folder, not a file");
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::read(file.fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(path, n == 0 ? "shrank while it was read" : std::strerror(errno));
    done += static_cast<size_t>(n);
  }
  return bytes;
}

namespace {

// A pipe or device (/dev/stdout) is written to, not replaced.
bool is_stream(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

void write_stream(const std::string& path, const std::string& bytes) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (file.fd < 0) fail(path, "cannot be written: " + reason());
  write_all(file.fd, bytes, path);
}

}  // namespace

void write_file_atomically(const std::string& path, const std::string& bytes) {
  if (is_stream(path)) return write_stream(path, bytes);
  const std::string temporary = path + ".writing-" + std::to_string(::getpid());
  try {
    Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (file.fd < 0) fail(path, "cannot be written: " + reason());
    write_all(file.fd, bytes, path);
    if (::fsync(file.fd) != 0) fail(path, reason());
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "cannot be replaced: " + reason());
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace sono
