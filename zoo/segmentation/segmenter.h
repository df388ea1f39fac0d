#pragma once
// What segmentation systems share: a U-Net, Dice + cross-entropy, masks at the size of the image.
#include "layers/networks.h"
#include "zoo/common/network_system.h"

namespace sono::zoo {

struct SegmenterSettings : NetworkSettings {
  std::vector<int64_t> widths = {16, 32, 64, 128};
  bool normal = false;          // images of category "normal" hold no lesion
  std::string target = "mass";  // AUL-liver
  double threshold = 0.5;
  void list(Settings& settings) override;
};

class Segmenter : public NetworkSystem {
 protected:
  SegmenterSettings& base() override { return options_; }
  std::shared_ptr<const Dataset> open_folder(const std::string& folder) const override;
  std::unique_ptr<Module> build() override;
  Tensor forward(Module& network, const Tensor& images) override { return static_cast<UNet&>(network)(images); }
  Tensor loss(const Tensor& logits, const Batch& batch) override;
  Tensor activate(const Tensor& logits) const override;
  bool spatial() const override { return true; }
  Labels decode(const Tensor& probabilities, const Fit& fit, const Sample& sample) const override;
  std::vector<std::pair<std::string, double>> score(const std::vector<Tensor>& probabilities, const std::vector<Sample>& truths) const override;

  // Probabilities (h, w, K) of the foreground labels to label values (h, w) u8.
  Tensor mask_of(const Tensor& probabilities) const;
  int64_t labels() const { return std::max<int64_t>(2, static_cast<int64_t>(mask_labels().size())); }

  SegmenterSettings options_;
};

}  // namespace sono::zoo
