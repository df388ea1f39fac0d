#include "optim/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "tensor/memory.h"
#include "tensor/random.h"

namespace sono {
namespace {

bool better(double score, double than, bool maximise) {
  if (std::isnan(score)) return false;
  return std::isnan(than) || (maximise ? score > than : score < than);
}

bool all_finite(const Tensor& t) { return std::isfinite(sum(abs(t.detach())).item()); }

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

}  // namespace

Trainer::Trainer(Module& model, Optimizer& optimizer, TrainerOptions options)
    : model_(model),
      optimizer_(optimizer),
      options_(std::move(options)),
      training_{.model = model, .optimizer = &optimizer, .recipe = options_.recipe} {
  if (options_.accumulate < 1 || options_.validate_every < 1) throw Error("[trainer] accumulate and validate_every must be at least 1");
  if (options_.monitor.empty()) options_.maximise = false;  // the training loss
  if (options_.ema > 0) training_.ema = &ema_.emplace(model, options_.ema);
  if (options_.plateau) {
    options_.plateau->maximise = options_.maximise;
    training_.plateau = &plateau_.emplace(*options_.plateau);
  }
}

double Trainer::seconds_since_start() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

Device Trainer::device() const {
  for (const auto& p : optimizer_.parameters()) return p.value->device();
  return Device::cpu;
}

bool Trainer::out_of_time(double needed) const {
  return options_.max_minutes > 0 && before_ + seconds_since_start() + needed >= 60 * options_.max_minutes;
}

bool Trainer::out_of_patience() const { return options_.patience > 0 && training_.epoch - training_.best_epoch >= options_.patience; }

// Makes the folder, removes what a killed process left half-written, loads the checkpoint if there is one, and opens the logs where it
// stands.
void Trainer::open_folder() {
  std::error_code error;
  std::filesystem::create_directories(options_.folder, error);
  if (error) throw FileError(options_.folder + ": cannot be made: " + error.message());
  const bool found = std::filesystem::exists(file("last.safetensors"));
  if (found && !options_.resume)
    throw FileError(options_.folder + ": already holds a training (last.safetensors); resume it, or choose another folder");
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, error)) {
    const std::string name = entry.path().filename().string();
    for (const char* ours : {"last.safetensors", "model.safetensors", "metrics.jsonl"})
      if (name.starts_with(std::string(ours) + ".writing-")) std::filesystem::remove(entry.path(), error);
  }
  if (found) load_checkpoint(file("last.safetensors"), training_);
  metrics_.emplace(file("metrics.jsonl"), training_.epoch);
  if (training_.epoch < options_.epochs) events_.emplace(options_.folder, training_.epoch + 1);
}

Report Trainer::run(const AnyTask& task) {
  start_ = std::chrono::steady_clock::now();
  if (!options_.folder.empty()) open_folder();
  before_ = training_.seconds;
  time_is_up_ = out_of_time(0);

  const bool live = options_.progress == ProgressStyle::live || (options_.progress == ProgressStyle::automatic && is_terminal());
  std::ostream silent(nullptr);
  ProgressBar bar(options_.progress == ProgressStyle::off ? silent : std::cerr, live);
  Report report;
  while (training_.epoch < options_.epochs && !time_is_up_ && !out_of_patience()) {
    EpochReport epoch = train_epoch(task, bar);
    training_.epoch = epoch.epoch;
    if (epoch.epoch % options_.validate_every == 0 || epoch.epoch == options_.epochs || time_is_up_) validate(task, epoch);
    judge(epoch);
    if (epoch.best) keep_best();
    training_.seconds = before_ + seconds_since_start();
    epoch.peak_memory = memory_stats(device()).peak;
    log(epoch, bar);
    if (!options_.folder.empty()) save_checkpoint(file("last.safetensors"), training_);  // from here on the epoch is done
    if (options_.on_epoch) options_.on_epoch(epoch);
    report.epochs.push_back(std::move(epoch));
    if (out_of_time(report.epochs.back().seconds)) time_is_up_ = true;
  }
  report.ended = out_of_patience() ? "patience" : training_.epoch < options_.epochs ? "time" : "epochs";
  if (options_.restore_best && training_.best_epoch > 0) restore_best();
  report.epoch = training_.epoch, report.best_epoch = training_.best_epoch, report.best = training_.best,
  report.seconds = training_.seconds;
  return report;
}

// In the folder, or in memory without one.
void Trainer::keep_best() {
  std::optional<Ema::Swap> averaged;
  if (ema_) averaged.emplace(*ema_);
  if (!options_.folder.empty()) {
    Metadata notes = options_.notes;
    notes["epoch"] = std::to_string(training_.best_epoch);
    notes["score"] = format("%.17g", training_.best);
    save_weights(file("model.safetensors"), model_, notes);
  } else if (options_.restore_best) {
    best_.clear();
    for (const auto& [name, value] : model_.state()) best_.emplace_back(name, value.clone());
  }
}

void Trainer::restore_best() {
  if (options_.folder.empty())
    model_.load(best_);
  else
    load_weights(file("model.safetensors"), model_);
}

EpochReport Trainer::train_epoch(const AnyTask& task, ProgressBar& bar) {
  const double began = seconds_since_start();
  EpochReport epoch;
  epoch.epoch = training_.epoch + 1;
  const int64_t n = task.batches(epoch.epoch);
  if (n <= 0) throw Error("[trainer] epoch " + std::to_string(epoch.epoch) + " has no batches; is the training set empty?");
  bar.start(epoch.epoch, options_.epochs, n);
  Prefetch<std::any> batches(
      n, [&](int64_t i) { return task.make_batch(epoch.epoch, i); }, options_.prefetch);

  double loss = 0;
  int64_t images = 0;
  for (int64_t done = 0; done < n && !time_is_up_;) {
    std::vector<std::any> group;
    const double asked = seconds_since_start();
    for (; done < n && static_cast<int64_t>(group.size()) < options_.accumulate; done++) group.push_back(batches.next());
    epoch.waited += seconds_since_start() - asked;
    const Step s = step(task, group);
    loss += s.loss * static_cast<double>(s.images);
    images += s.images;
    epoch.images_per_second = static_cast<double>(images) / (seconds_since_start() - began);
    bar.update(done, loss / static_cast<double>(images), epoch.images_per_second);
    time_is_up_ = out_of_time(validation_seconds_);
  }
  epoch.train_loss = loss / static_cast<double>(images);
  epoch.rate = optimizer_.rate();
  epoch.seconds = seconds_since_start() - began;
  return epoch;
}

Trainer::Step Trainer::step(const AnyTask& task, const std::vector<std::any>& batches) {
  int64_t images = 0;
  for (const auto& b : batches) images += task.size(b);
  if (images <= 0) throw Error("[trainer] a batch has no images");
  const double plateau = plateau_ ? plateau_->factor() : 1;
  optimizer_.set_rate_factor((options_.schedule ? options_.schedule(training_.step) : 1) * plateau);
  const double loss = optimizer_.step([&] { return gradients(task, batches, images); });
  training_.step++;
  if (ema_) ema_->update();
  return {loss, images};
}

// Gradients of the mean loss over the images of all batches, clipped. Returns that loss.
double Trainer::gradients(const AnyTask& task, const std::vector<std::any>& batches, int64_t images) {
  const uint64_t stream = next_stream();
  set_next_stream(stream);
  optimizer_.zero_gradients();
  double total = 0;
  for (const auto& b : batches) {
    const double weight = static_cast<double>(task.size(b)) / static_cast<double>(images);
    const Tensor loss = task.loss(b);
    total += loss.item() * weight;
    if (!std::isfinite(total)) explain(task, batches, images, stream, "the loss");
    backward(weight == 1 ? loss : loss * weight);
  }
  const double norm =
      options_.clip_norm > 0 ? clip_norm(optimizer_.parameters(), options_.clip_norm) : gradient_norm(optimizer_.parameters());
  if (!std::isfinite(norm)) explain(task, batches, images, stream, "the gradient");
  if (options_.clip_value > 0) clip_value(optimizer_.parameters(), options_.clip_value);
  return total;
}

// Something is NaN or infinite: runs the step once more, watched, to name the operation that made it.
void Trainer::explain(const AnyTask& task, const std::vector<std::any>& batches, int64_t images, uint64_t stream, const std::string& what) {
  const std::string where = "[trainer] epoch " + std::to_string(training_.epoch + 1) + ", step " + std::to_string(training_.step) + ": " +
                            what + " is not finite: ";
  const std::string advice =
      "; lower the learning rate or clip gradients" +
      (options_.folder.empty() || training_.epoch == 0 ? "" : "; the epochs before are in " + file("last.safetensors"));
  for (const auto& p : optimizer_.parameters())
    if (!all_finite(*p.value)) throw NumericError(where + p.path + " has lost its values in an earlier step" + advice);
  set_next_stream(stream);  // the same draws
  optimizer_.zero_gradients();
  try {
    const AnomalyMode watch;
    for (const auto& b : batches) {
      const Tensor loss = task.loss(b);
      if (!std::isfinite(loss.item())) break;  // and no operation was to blame
      backward(loss * (static_cast<double>(task.size(b)) / static_cast<double>(images)));
    }
  } catch (const NumericError& e) { throw NumericError(where + e.what() + advice); }
  throw NumericError(where + "no operation made it from finite values, so an input or a target is not finite; look at the data");
}

void Trainer::validate(const AnyTask& task, EpochReport& epoch) {
  if (!task.validate) return;
  const double began = seconds_since_start();
  {
    std::optional<Ema::Swap> averaged;
    if (ema_) averaged.emplace(*ema_);
    const EvalMode eval(model_);
    epoch.scores = task.validate();
  }
  validation_seconds_ = seconds_since_start() - began;
  epoch.validation = validation_seconds_;
  epoch.seconds += epoch.validation;
}

// Is this the best epoch so far? Tells the plateau as well.
void Trainer::judge(EpochReport& epoch) {
  double score = epoch.train_loss;
  if (!options_.monitor.empty()) {
    if (epoch.scores.empty()) return;  // not validated in this epoch
    const auto found = std::find_if(epoch.scores.begin(), epoch.scores.end(), [&](const auto& s) { return s.first == options_.monitor; });
    if (found == epoch.scores.end()) {
      std::string names;
      for (const auto& [name, value] : epoch.scores) names += (names.empty() ? "" : ", ") + name;
      throw Error("[trainer] there is no score '" + options_.monitor + "' to monitor; validation gives " + names);
    }
    score = found->second;
  }
  if (plateau_) plateau_->see(score);
  epoch.best = better(score, training_.best, options_.maximise) || training_.best_epoch == 0;
  if (epoch.best) training_.best = score, training_.best_epoch = epoch.epoch;
}

void Trainer::log(const EpochReport& epoch, ProgressBar& bar) {
  const double peak_mib = static_cast<double>(epoch.peak_memory) / 1048576;
  std::string line =
      format("epoch %lld/%lld  loss %.4f", static_cast<long long>(epoch.epoch), static_cast<long long>(options_.epochs), epoch.train_loss);
  Scores row{{"train_loss", epoch.train_loss}}, events{{"train/loss", epoch.train_loss}};
  for (const auto& [name, value] : epoch.scores) {
    row.emplace_back("val_" + name, value);
    events.emplace_back("val/" + name, value);
    line += "  " + name + format(" %.4g", value);
  }
  row.insert(row.end(), {{"lr", epoch.rate},
                         {"seconds", epoch.seconds},
                         {"wait_seconds", epoch.waited},
                         {"validation_seconds", epoch.validation},
                         {"peak_mib", peak_mib}});
  events.insert(events.end(),
                {{"lr", epoch.rate}, {"seconds", epoch.seconds}, {"images_per_second", epoch.images_per_second}, {"peak_mib", peak_mib}});
  if (metrics_) metrics_->add(epoch.epoch, row);
  if (events_) events_->scalars(epoch.epoch, events);
  line += format("  lr %.3g  %.1f s  %.4g images/s  %.0f MiB", epoch.rate, epoch.seconds, epoch.images_per_second, peak_mib);
  if (epoch.epoch < options_.epochs) line += "  ETA " + bar.eta();
  bar.finish(line + (epoch.best ? "  best" : ""));
}

}  // namespace sono
