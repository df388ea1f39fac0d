#pragma once
// A training or a model in one safetensors file. Tensors: the model's parameters and buffers by path; "optimizer/…", "ema/…" and
// "plateau/…" for the rest. __metadata__: format, version, layout, checksum (CRC-32C of everything else), kind of optimiser, epoch, step,
// best score, random state. Written atomically; a file that is damaged, of another version or of another model is refused with one
// FileError, and nothing is changed then.
//
//   save_checkpoint("last.safetensors", {.model = model, .optimizer = &adam, .epoch = 3});
//   Training training{.model = model, .optimizer = &adam};  load_checkpoint("last.safetensors", training);  training.epoch;   // 3
#include <limits>

#include "optim/ema.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

namespace sono {

// All that a training hands on from one epoch to the next, besides the random state (seed and next stream), which is saved by itself.
struct Training {
  Module& model;
  Optimizer* optimizer = nullptr;  // these three: null if there is none
  Ema* ema = nullptr;
  Plateau* plateau = nullptr;
  int64_t epoch = 0, step = 0;                             // epochs and optimiser steps that are done
  double best = std::numeric_limits<double>::quiet_NaN();  // the best score, and the epoch that made it
  int64_t best_epoch = 0;
  double seconds = 0;       // spent so far
  std::string recipe = {};  // what was trained and how; a checkpoint of another recipe is refused unless this is empty
};

void save_checkpoint(const std::string& path, const Training& training);
void load_checkpoint(const std::string& path, Training& training);  // sets the random state too

// The weights alone. notes go into __metadata__ (the system's name, its options …).
void save_weights(const std::string& path, const Module& model, const Metadata& notes = {});
void save_weights(const std::string& path, const State& weights, const Metadata& notes = {});  // of what is no Module; names without a slash

struct WeightsFile {
  State weights;
  Metadata notes;
};
WeightsFile read_weights(const std::string& path);  // of a weights file or of a checkpoint

// Puts them into the model; returns the notes. With strict = false only what fits is taken.
Metadata load_weights(const std::string& path, Module& model, bool strict = true);

}  // namespace sono
