#pragma once
// A whole training in one call: epochs of steps, validation, the best weights, checkpoints, logs, early stop.
//
//   Trainer trainer(model, adam, {.epochs = 40, .folder = "run", .monitor = "dice"});
//   Report report = trainer.fit(Task<Batch>{.batches = …, .make_batch = …, .loss = …, .validate = …});
//
// The folder then has model.safetensors (the weights of the best epoch, averaged if ema is on), last.safetensors (the checkpoint to resume
// from), metrics.jsonl and events.out.tfevents.* for TensorBoard. Killed at any moment and resumed, the training gives bitwise the same
// weights, if make_batch is a pure function of (epoch, index) and max_minutes is off. Loss and gradients that are not finite end it with a
// NumericError that names the operation.
#include <any>
#include <memory>

#include "optim/checkpoint.h"
#include "optim/clip.h"
#include "optim/eval_mode.h"
#include "optim/log.h"
#include "optim/prefetch.h"

namespace sono {

// What is learnt from; the trainer knows nothing else of it. Epochs count from 1, batches from 0.
template <class Batch>
struct Task {
  std::function<int64_t(int64_t epoch)> batches;                  // how many the epoch has
  std::function<Batch(int64_t epoch, int64_t index)> make_batch;  // runs on a background thread (see optim/prefetch.h)
  std::function<Tensor(const Batch&)> loss;                       // one value, the mean over the batch
  std::function<int64_t(const Batch&)> size = {};                 // images in it; none: 1
  std::function<Scores()> validate = {};                          // in eval mode, without graph; none: no validation
};

enum class ProgressStyle { automatic, off, lines, live };  // on stderr; automatic: live on a terminal, otherwise a line per epoch

struct EpochReport {
  int64_t epoch = 0;
  double train_loss = 0, rate = 0, seconds = 0, images_per_second = 0;
  double waited = 0, validation = 0;  // of the seconds: for batches that were not made yet, in validate()
  int64_t peak_memory = 0;            // bytes of tensors on the model's device, most at one time since the program began
  Scores scores;                      // of validate()
  bool best = false;
};

struct TrainerOptions {
  int64_t epochs = 10;
  std::string folder = {};  // made if needed; empty: nothing is written
  bool resume = false;      // go on from the folder's checkpoint, if there is one; false: a folder that has one is refused
  Schedule schedule = {};   // of optimiser steps; none: constant
  std::optional<PlateauOptions> plateau = {};  // on the monitored score, on top of the schedule; its `maximise` is this one's
  std::string monitor = {};                    // the score of validate() that says which epoch is best; empty: the training loss
  bool maximise = true;                        // of the monitored score; the training loss is minimised
  int64_t patience = 0;                        // stop after so many epochs without a better score; 0: never
  int64_t validate_every = 1;                  // epochs; the last one is always validated
  double clip_norm = 0, clip_value = 0;        // 0: off
  int64_t accumulate = 1;                      // batches per optimiser step; as one batch of all their images
  double ema = 0;                              // decay of the weights' average; 0: off
  double max_minutes = 0;    // stop cleanly within this time, over all resumptions; 0: no limit. Weights then depend on the machine's speed
  int64_t prefetch = 2;      // batches made ahead; 0: none, in the same thread
  bool restore_best = true;  // at the end the model has the weights of the best epoch; false: those of the last
  ProgressStyle progress = ProgressStyle::automatic;
  std::string recipe = {};  // settings that must be the same on resuming; any text, JSON for example
  Metadata notes = {};      // for the metadata of model.safetensors
  std::function<void(const EpochReport&)> on_epoch = {};
};

struct Report {
  std::vector<EpochReport> epochs;  // of this call
  int64_t epoch = 0, best_epoch = 0;
  double best = 0, seconds = 0;  // of the whole training
  std::string ended;             // "epochs", "patience" or "time"
};

class Trainer {
 public:
  Trainer(Module& model, Optimizer& optimizer, TrainerOptions options);
  template <class Batch>
  Report fit(const Task<Batch>& task);

 private:
  struct AnyTask {
    std::function<int64_t(int64_t)> batches;
    std::function<std::any(int64_t, int64_t)> make_batch;
    std::function<Tensor(const std::any&)> loss;
    std::function<int64_t(const std::any&)> size;
    std::function<Scores()> validate;
  };
  struct Step {
    double loss = 0;
    int64_t images = 0;
  };

  Report run(const AnyTask& task);
  void open_folder();
  std::string file(const char* name) const { return options_.folder + "/" + name; }
  EpochReport train_epoch(const AnyTask& task, ProgressBar& bar);
  Step step(const AnyTask& task, const std::vector<std::any>& batches);
  double gradients(const AnyTask& task, const std::vector<std::any>& batches, int64_t images);
  [[noreturn]] void explain(const AnyTask& task, const std::vector<std::any>& batches, int64_t images, uint64_t stream,
                            const std::string& what);
  void validate(const AnyTask& task, EpochReport& epoch);
  void judge(EpochReport& epoch);
  void keep_best();
  void restore_best();
  void log(const EpochReport& epoch, ProgressBar& bar);
  Device device() const;  // where the model is
  bool out_of_time(double needed) const;
  bool out_of_patience() const;
  double seconds_since_start() const;

  Module& model_;
  Optimizer& optimizer_;
  TrainerOptions options_;
  std::optional<Ema> ema_;
  std::optional<Plateau> plateau_;
  Training training_;
  State best_;  // the best weights, if there is no folder to keep them in
  std::optional<MetricsLog> metrics_;
  std::optional<EventWriter> events_;
  std::chrono::steady_clock::time_point start_;
  double before_ = 0, validation_seconds_ = 0;  // before_: seconds of the training before this call
  bool time_is_up_ = false;
};

template <class Batch>
Report Trainer::fit(const Task<Batch>& task) {
  const auto batch = [](const std::any& b) -> const Batch& { return *std::any_cast<Batch>(&b); };
  AnyTask any;
  any.batches = task.batches;
  any.make_batch = [&](int64_t epoch, int64_t index) { return std::any(task.make_batch(epoch, index)); };
  any.loss = [&](const std::any& b) { return task.loss(batch(b)); };
  any.size = [&](const std::any& b) { return task.size ? task.size(batch(b)) : 1; };
  any.validate = task.validate;
  return run(any);
}

}  // namespace sono
