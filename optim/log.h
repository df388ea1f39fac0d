#pragma once
// What a training leaves to read: metrics.jsonl, TensorBoard events, and the progress on the terminal.
#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

namespace sono {

using Scores = std::vector<std::pair<std::string, double>>;  // {"dice", 0.91} …

// One JSON object per line and epoch: {"epoch":3,"train_loss":0.21,"val_dice":0.87,"lr":0.001,"seconds":4.2,"wait_seconds":0.1,
// "validation_seconds":0.4,"peak_mib":176}; of the seconds some went by in waiting for batches and in validation. NaN and infinity become
// null. The file is replaced as a whole with each line, so that it is never cut.
class MetricsLog {
 public:
  MetricsLog(std::string path, int64_t epochs);  // keeps the lines of epochs 1 … epochs of an existing file, drops the others
  void add(int64_t epoch, const Scores& scores);

 private:
  std::string path_, text_;
};

struct EpochLine {
  int64_t epoch;
  Scores scores;
};
std::vector<EpochLine> read_metrics(const std::string& path);  // FileError if a line is not such an object; null reads as NaN

// TensorBoard scalars: a file events.out.tfevents.* of TFRecords (length, masked CRC-32C of it, Event message, masked CRC-32C of that).
//
//   EventWriter events("run"); events.scalars(3, {{"val/dice", 0.87}});      // tensorboard --logdir run
class EventWriter {
 public:
  explicit EventWriter(const std::string& folder, int64_t first_step = 0);  // steps from first_step on that an older file has are void
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;
  void scalars(int64_t step, const Scores& values);
  const std::string& path() const { return path_; }

 private:
  void record(const std::string& event);
  std::string path_;
  int file_ = -1;
};

// "epoch 3/40 [=====>      ]  45%  loss 0.2134  84 images/s  ETA 12:31", redrawn in place when `live`; otherwise nothing until the epoch is
// done.
class ProgressBar {
 public:
  ProgressBar(std::ostream& out, bool live, int columns = 80);
  void start(int64_t epoch, int64_t epochs, int64_t batches);
  void update(int64_t batches_done, double loss, double images_per_second);
  void finish(const std::string& summary);  // ends the epoch with a line of its own
  std::string eta() const;                  // for what is left after the epochs and batches so far: "12:31", "?" before anything is done

 private:
  double seconds() const;
  std::ostream& out_;
  bool live_;
  int columns_;
  int64_t epoch_ = 0, epochs_ = 0, batches_ = 0, done_ = 0, first_epoch_ = 0;
  double drawn_ = -1;
  std::chrono::steady_clock::time_point start_;
};
bool is_terminal();                      // stderr
std::string clock_text(double seconds);  // 75 -> "1:15", 3675 -> "1:01:15"

}  // namespace sono
