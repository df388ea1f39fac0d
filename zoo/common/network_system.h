#pragma once
// A system of one network and one loss: a subclass says which network, how a batch becomes a loss, and how outputs become labels. Caching,
// augmentation, the Trainer, mirrored averaging, checkpoints and files are here.
#include <optional>

#include "autograd/plan.h"
#include "layers/module.h"
#include "optim/optimizer.h"
#include "zoo/common/system.h"
#include "zoo/data/augment.h"
#include "zoo/data/cache.h"

namespace sono::zoo {

// Settings that all network systems share; each system has its own defaults.
struct NetworkSettings {
  int64_t height = 128, width = 128;
  int64_t epochs = 60, batch = 8, validate_every = 1;
  double rate = 2e-3, weight_decay = 1e-4, ema = 0.99, clip = 5, validation = 0.15;
  std::string optimizer = "adamw", schedule = "one-cycle";
  std::string split = "grouped";
  bool mirror = true;
  int64_t cases = 1000;
  Augmentation augmentation;
  virtual ~NetworkSettings() = default;
  virtual void list(Settings& settings);
};

struct Batch {
  Tensor images;      // (N, H, W, C), standardised
  Tensor masks;       // (N, H, W) u8; empty if there are none
  Tensor categories;  // (N) i32; empty if there are none
  int64_t size = 0;
};

class NetworkSystem : public System {
 public:
  Settings& settings() override { return settings_; }
  double validation_share() const override { return base().validation; }
  bool random_split() const override { return base().split == "random"; }
  std::shared_ptr<const Dataset> open(const Source& source) const override;
  void prepare_training(const Data& data, const Run& run) override;
  void train(const Data& data, const Run& run) override;
  Labels predict(const Sample& sample) override;
  nlohmann::json describe() const override;
  void load(const std::string& folder, const nlohmann::json& description) override;
  std::string summary() override;
  EvaluateOptions evaluation() const override;
  bool segments() const override { return spatial(); }

 protected:
  virtual NetworkSettings& base() = 0;
  const NetworkSettings& base() const { return const_cast<NetworkSystem*>(this)->base(); }

  virtual std::shared_ptr<const Dataset> open_folder(const std::string& folder) const = 0;
  virtual Sample prepare(const Sample& sample) const { return sample; }  // before it is fitted to the network's size: crop a lesion
  virtual std::vector<std::string> measurements() const { return {}; }   // what decode() measures: "head circumference"
  virtual Tensor input(const Sample& fitted) const;                      // (height, width, channels()), standardised
  virtual int64_t channels() const { return 1; }
  virtual std::unique_ptr<Module> build() = 0;                           // from the settings and label names
  virtual Tensor forward(Module& network, const Tensor& images) = 0;     // logits
  virtual Tensor loss(const Tensor& logits, const Batch& batch) = 0;     // one value
  virtual Tensor activate(const Tensor& logits) const = 0;               // probabilities; mirrored passes are averaged here
  virtual bool spatial() const = 0;                                      // the output is an image and mirrors with the input
  virtual FitMode fit_mode() const { return FitMode::letterbox; }
  // One case's probabilities ((h, w, K), or (K)) at the network's size into labels at the sample's.
  virtual Labels decode(const Tensor& probabilities, const Fit& fit, const Sample& sample) const = 0;
  // What is watched in training: scores of the validation cases at the network's size; the first one chooses the best epoch.
  virtual std::vector<std::pair<std::string, double>> score(const std::vector<Tensor>& probabilities, const std::vector<Sample>& truths) const = 0;

  void list_settings() { base().list(settings_); }
  const std::vector<std::string>& mask_labels() const { return mask_labels_; }
  const std::vector<std::string>& categories() const { return categories_; }

 private:
  std::shared_ptr<CachedDataset> cache(const Data& data) const;
  Batch make_batch(const std::vector<Sample>& samples) const;
  Batch training_batch(const CachedDataset& data, const std::vector<int64_t>& train, uint64_t seed, int64_t epoch, int64_t index) const;
  // What `pass` gives for images, averaged with what it gives for their mirror images.
  Tensor averaged(const Tensor& images, const std::function<Tensor(const Tensor&)>& pass) const;
  std::vector<Tensor> probabilities(const Tensor& images, bool mirror);  // one per case
  // Scores of single passes, in half of the time that mirrored ones take.
  std::vector<std::pair<std::string, double>> validate(const CachedDataset& data, const std::vector<int64_t>& cases);

  Settings settings_;
  std::vector<std::string> mask_labels_, categories_;
  std::unique_ptr<Module> network_;
  std::optional<Plan> plan_;  // of a pass, once probabilities were asked for; whoever changes weights takes it away
  Device device_ = Device::cpu;
};

// Subtracts the mean and divides by the standard deviation of what is inside the scan mask; outside becomes 0. image (H, W, C).
Tensor standardised(const Tensor& image, const Tensor& scan_mask);

}  // namespace sono::zoo
