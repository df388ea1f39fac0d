#include "optim/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "optim/checksum.h"
#include "tensor/files.h"

namespace sono {
namespace {

using Json = nlohmann::ordered_json;

// Calls f(line, object) for each line of the text. False, and nothing more, at a line that is no object with a whole number "epoch".
template <class F>
bool for_lines(const std::string& text, const F& f) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const Json object = Json::parse(line, nullptr, false);
    if (!object.is_object() || !object.contains("epoch") || !object["epoch"].is_number_integer()) return false;
    f(line, object);
  }
  return true;
}

}  // namespace

// ---- metrics.jsonl
// ---------------------------------------------------------------------------------------------------------------------------
MetricsLog::MetricsLog(std::string path, int64_t epochs) : path_(std::move(path)) {
  if (epochs > 0 && std::filesystem::exists(path_))
    for_lines(read_file(path_), [&](const std::string& line, const Json& object) {
      if (object["epoch"] <= epochs) text_ += line + "\n";
    });
  write_file_atomically(path_, text_);
}

void MetricsLog::add(int64_t epoch, const Scores& scores) {
  Json object{{"epoch", epoch}};
  for (const auto& [name, value] : scores) object[name] = std::isfinite(value) ? Json(value) : Json();
  text_ += object.dump() + "\n";
  write_file_atomically(path_, text_);
}

std::vector<EpochLine> read_metrics(const std::string& path) {
  std::vector<EpochLine> lines;
  const bool sound = for_lines(read_file(path), [&](const std::string&, const Json& object) {
    EpochLine line{object["epoch"].get<int64_t>(), {}};
    for (const auto& [name, value] : object.items())
      if (name != "epoch" && (value.is_number() || value.is_null()))
        line.scores.emplace_back(name, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
    lines.push_back(std::move(line));
  });
  if (!sound) throw FileError(path + ": line " + std::to_string(lines.size() + 1) + " is not a JSON object with an epoch");
  return lines;
}

// ---- TensorBoard
// ----------------------------------------------------------------------------------------------------------------------------- Protocol
// buffers by hand: a field is its number and wire type in one varint, then a varint (0), 8 bytes (1), length and bytes (2) or 4 bytes (5).
//   Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
//   Summary { repeated Value value = 1; }  Value { string tag = 1; float simple_value = 2; }  SessionLog { enum status = 1 (START = 1); }
namespace {

template <class T>
std::string little_endian(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  std::string bytes;
  for (size_t i = 0; i < sizeof value; i++) bytes += static_cast<char>(bits >> (8 * i));
  return bytes;
}
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
  return bytes + static_cast<char>(value);
}
std::string key(int field, int wire) { return varint(static_cast<uint64_t>(field << 3 | wire)); }
std::string message(int field, const std::string& bytes) { return key(field, 2) + varint(bytes.size()) + bytes; }

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }
std::string event(int64_t step) { return key(1, 1) + little_endian(now()) + key(2, 0) + varint(static_cast<uint64_t>(step)); }

uint32_t masked(const std::string& bytes) {  // so that a checksum of data that holds checksums stays a good one
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

}  // namespace

EventWriter::EventWriter(const std::string& folder, int64_t first_step) {
  const std::string name = folder + "/events.out.tfevents." + std::to_string(static_cast<int64_t>(now())) + ".sonograd.";
  for (int i = 0; file_ < 0; i++) {
    path_ = name + std::to_string(i);
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file_ < 0 && errno != EEXIST) throw FileError(path_ + ": cannot be written: " + std::strerror(errno));
  }
  record(key(1, 1) + little_endian(now()) + message(3, "brain.Event:2"));
  if (first_step > 0) record(event(first_step) + message(7, key(1, 0) + varint(1)));
}
EventWriter::~EventWriter() { ::close(file_); }

void EventWriter::scalars(int64_t step, const Scores& values) {
  std::string summary;
  for (const auto& [tag, value] : values) summary += message(1, message(1, tag) + key(2, 5) + little_endian(static_cast<float>(value)));
  record(event(step) + message(5, summary));
}

void EventWriter::record(const std::string& event) {
  const std::string length = little_endian(static_cast<uint64_t>(event.size()));
  const std::string bytes = length + little_endian(masked(length)) + event + little_endian(masked(event));
  struct stat info {};
  const bool known = ::fstat(file_, &info) == 0;
  const ssize_t written = ::write(file_, bytes.data(), bytes.size());
  if (written == static_cast<ssize_t>(bytes.size())) return;
  const std::string reason = written < 0 ? std::strerror(errno) : "no space left on the disk";
  const bool cut = known && ::ftruncate(file_, info.st_size) == 0;  // no half record stays
  throw FileError(path_ + ": " + reason + (cut ? "" : "; its last record is not whole"));
}

// ---- the terminal
// ----------------------------------------------------------------------------------------------------------------------------
bool is_terminal() { return ::isatty(STDERR_FILENO) != 0; }

std::string clock_text(double seconds) {
  const auto s = static_cast<long long>(std::llround(seconds));
  char text[40];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  return text;
}

ProgressBar::ProgressBar(std::ostream& out, bool live, int columns)
    : out_(out), live_(live), columns_(columns), start_(std::chrono::steady_clock::now()) {}

double ProgressBar::seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

void ProgressBar::start(int64_t epoch, int64_t epochs, int64_t batches) {
  if (first_epoch_ == 0) first_epoch_ = epoch;
  epoch_ = epoch, epochs_ = epochs, batches_ = std::max<int64_t>(1, batches), done_ = 0;
  drawn_ = -1;
}

std::string ProgressBar::eta() const {
  const double part = static_cast<double>(done_) / static_cast<double>(batches_), done = static_cast<double>(epoch_ - first_epoch_) + part;
  return done > 0 ? clock_text(seconds() / done * (static_cast<double>(epochs_ - epoch_) + 1 - part)) : "?";
}

void ProgressBar::update(int64_t batches_done, double loss, double images_per_second) {
  done_ = batches_done;
  if (!live_ || (drawn_ >= 0 && seconds() - drawn_ < 0.1 && done_ < batches_)) return;
  drawn_ = seconds();
  const double part = static_cast<double>(done_) / static_cast<double>(batches_);
  char head[64], tail[128];
  std::snprintf(head, sizeof head, "epoch %lld/%lld ", static_cast<long long>(epoch_), static_cast<long long>(epochs_));
  std::snprintf(tail, sizeof tail, " %3.0f%%  loss %.4f  %.4g images/s  ETA %s", 100 * part, loss, images_per_second, eta().c_str());
  const int room = columns_ - static_cast<int>(std::strlen(head) + std::strlen(tail)) - 3,
            filled = static_cast<int>(part * std::max(0, room));
  std::string bar =
      room >= 5 ? "[" + std::string(static_cast<size_t>(filled), '=') + std::string(static_cast<size_t>(room - filled), ' ') + "]" : "";
  out_ << "\r" << (head + bar + tail).substr(0, static_cast<size_t>(columns_ - 1)) << "\033[K" << std::flush;
}

void ProgressBar::finish(const std::string& summary) {
  done_ = batches_;
  if (live_) out_ << "\r\033[K";
  out_ << summary << std::endl;
}

}  // namespace sono
