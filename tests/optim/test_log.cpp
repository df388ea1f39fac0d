#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <map>
#include <sstream>

#include "optim/checksum.h"
#include "optim/log.h"
#include "tensor/files.h"
#include "tests/folder.h"

using namespace sono;

namespace {

// CRC-32C bit by bit, and TensorFlow's mask.
uint32_t slow_crc(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const unsigned char b : bytes) {
    crc ^= b;
    for (int i = 0; i < 8; i++) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0u);
  }
  return ~crc;
}
uint32_t masked(const std::string& bytes) {
  const uint32_t crc = slow_crc(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <class T>
T read(const std::string& bytes, size_t at) {
  T value;
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::vector<std::string> read_records(const std::string& bytes) {
  std::vector<std::string> records;
  for (size_t at = 0; at < bytes.size();) {
    const auto n = read<uint64_t>(bytes, at);
    CHECK(read<uint32_t>(bytes, at + 8) == masked(bytes.substr(at, 8)));
    records.push_back(bytes.substr(at + 12, n));
    REQUIRE(records.back().size() == n);
    CHECK(read<uint32_t>(bytes, at + 12 + n) == masked(records.back()));
    at += 16 + n;
  }
  return records;
}

std::multimap<int, std::string> read_message(const std::string& bytes) {
  std::multimap<int, std::string> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto b = read<unsigned char>(bytes, at++);
      value |= static_cast<uint64_t>(b & 127) << shift;
      if (b < 128) return value;
    }
  };
  while (at < bytes.size()) {
    const uint64_t key = varint();
    const int wire = static_cast<int>(key & 7);
    REQUIRE((wire == 0 || wire == 1 || wire == 2 || wire == 5));
    if (wire == 0) {
      fields.emplace(key >> 3, std::to_string(varint()));
      continue;
    }
    const size_t n = wire == 2 ? varint() : wire == 1 ? 8 : 4;
    fields.emplace(key >> 3, bytes.substr(at, n));
    at += n;
  }
  return fields;
}
std::string one(const std::multimap<int, std::string>& fields, int number) {
  REQUIRE(fields.count(number) == 1);
  return fields.find(number)->second;
}

}  // namespace

TEST_CASE("CRC-32C gives the published values") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  std::string text;
  for (int i = 0; i < 100; i++) {
    CHECK(crc32c(text) == slow_crc(text));
    CHECK(crc32c(text.substr(text.size() / 3), crc32c(text.substr(0, text.size() / 3))) == slow_crc(text));
    text += static_cast<char>(i * 37);
  }
}

TEST_CASE("TensorBoard events read back") {
  const Folder folder("events");
  std::string path;
  {
    EventWriter events(folder.path);
    events.scalars(1, {{"train/loss", 0.5}, {"val/dice", 0.25}});
    events.scalars(300, {{"lr", 1e-3}});
    path = events.path();
  }
  CHECK(std::filesystem::path(path).filename().string().starts_with("events.out.tfevents."));
  const std::vector<std::string> records = read_records(read_file(path));
  REQUIRE(records.size() == 3);
  CHECK(one(read_message(records[0]), 3) == "brain.Event:2");

  const auto first = read_message(records[1]);
  CHECK(read<double>(one(first, 1), 0) > 1.5e9);  // seconds since 1970
  CHECK(one(first, 2) == "1");
  std::map<std::string, float> values;
  const auto summary = read_message(one(first, 5));
  for (const auto& [number, bytes] : summary) {
    CHECK(number == 1);
    const auto value = read_message(bytes);
    values[one(value, 1)] = read<float>(one(value, 2), 0);
  }
  CHECK(values == std::map<std::string, float>{{"train/loss", 0.5f}, {"val/dice", 0.25f}});
  CHECK(one(read_message(records[2]), 2) == "300");
}

TEST_CASE("events of a resumed training are a new file that declares the old steps void") {
  const Folder folder("resumed_events");
  EventWriter first(folder.path), second(folder.path, 7);
  CHECK(first.path() != second.path());
  const std::vector<std::string> records = read_records(read_file(second.path()));
  REQUIRE(records.size() == 2);
  const auto start = read_message(records[1]);
  CHECK(one(start, 2) == "7");
  CHECK(one(read_message(one(start, 7)), 1) == "1");
  CHECK_THROWS_AS(EventWriter(folder / "none"), FileError);
}

TEST_CASE("events on a full disk: a FileError, and only whole records stay") {
  const Folder folder("full_events");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // a limit on the size of files stands for a full disk
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{200, 200};
    int code = ::setrlimit(RLIMIT_FSIZE, &limit) == 0 ? 1 : 2;
    try {
      EventWriter events(folder.path);
      for (int i = 0; i < 10; i++) events.scalars(i, {{"train/loss", 0.5}});
    } catch (const FileError&) { code = 0; }
    ::_exit(code);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  REQUIRE(folder.names().size() == 1);
  CHECK(read_records(read_file(folder / folder.names()[0])).size() >= 2);  // fails at a half record
}

TEST_CASE("metrics are JSON lines, and those beyond the checkpoint are dropped") {
  const Folder folder("metrics");
  const std::string path = folder / "metrics.jsonl";
  {
    MetricsLog log(path, 0);
    CHECK(read_file(path).empty());
    log.add(1, {{"train_loss", 0.5}, {"lr", 1e-3}});
    log.add(2, {{"train_loss", 1.0 / 3}, {"val_dice", NAN}});
    log.add(3, {{"train_loss", 0.25}});
  }
  CHECK(read_file(path) ==
        "{\"epoch\":1,\"train_loss\":0.5,\"lr\":0.001}\n{\"epoch\":2,\"train_loss\":0.3333333333333333,\"val_dice\":null}\n"
        "{\"epoch\":3,\"train_loss\":0.25}\n");
  const auto lines = read_metrics(path);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1].epoch == 2);
  CHECK(lines[1].scores[0].second == 1.0 / 3);
  CHECK(std::isnan(lines[1].scores[1].second));
  {
    MetricsLog log(path, 2);
    log.add(3, {{"train_loss", 0.125}});
  }
  CHECK(read_metrics(path).size() == 3);
  CHECK(read_metrics(path)[2].scores[0].second == 0.125);
  MetricsLog(path, 0);
  CHECK(read_file(path).empty());

  write_file_atomically(path, "{\"epoch\":1}\n{\"epo");  // cut
  CHECK_THROWS_WITH_AS(read_metrics(path), (path + ": line 2 is not a JSON object with an epoch").c_str(), FileError);
  MetricsLog(path, 5);
  CHECK(read_file(path) == "{\"epoch\":1}\n");
  CHECK_THROWS_AS(MetricsLog(folder / "none/metrics.jsonl", 0), FileError);
}

TEST_CASE("progress: one live line on a terminal, a line per epoch elsewhere") {
  std::ostringstream terminal, file;
  ProgressBar live(terminal, true, 80), lines(file, false);
  for (ProgressBar* bar : {&live, &lines}) {
    bar->start(1, 2, 10);
    CHECK(bar->eta() == "?");
    for (int i = 1; i <= 10; i++) bar->update(i, 0.5, 84);
    CHECK(bar->eta() == "0:00");  // as much again as has passed: nothing
    bar->finish("epoch 1/2 done");
  }
  CHECK(file.str() == "epoch 1/2 done\n");
  const std::string text = terminal.str();
  CHECK(text.find("100%  loss 0.5000  84 images/s  ETA 0:00") != std::string::npos);
  CHECK(text.find("[====") != std::string::npos);
  CHECK(text.substr(text.rfind('\r')) == "\r\033[Kepoch 1/2 done\n");
  CHECK(text.find('\n') == text.size() - 1);
  for (size_t at = 0, end; (end = text.find("\033[K", at)) != std::string::npos; at = end + 3)
    CHECK(end - at <= 80);  // never wider than the terminal, so that it stays on one line
  CHECK(clock_text(75) == "1:15");
  CHECK(clock_text(3675.4) == "1:01:15");
}
