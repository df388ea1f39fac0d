#pragma once
// Stacked denoising autoencoders as a stage: greedy pre-training of each layer on noisy input, then a softmax on the codes and on whatever
// stands beside them (views 1, 2 …: sizes that the crop has lost), fine-tuned. Leaves probabilities.
#include "optim/pretrain.h"
#include "zoo/common/stage.h"

namespace sono::zoo {

struct SdaeStageOptions {
  std::string name = "sdae";
  std::vector<int64_t> hidden = {200, 100};
  Corruption corruption = {Noise::masking, 0.25};
  bool pretrain = true;
  int64_t pretrain_epochs = 15, batch = 50;
  double pretrain_rate = 1e-3;
  int64_t epochs = 40;
  double rate = 1e-3, weight_decay = 1e-3, dropout = 0.3;
  int64_t members = 1;            // networks of other seeds, whose probabilities are averaged
  int64_t height = 0, width = 0;  // of the pictures in view 0, for the report
};

class SdaeStage : public Stage {
 public:
  explicit SdaeStage(SdaeStageOptions options) : options_(std::move(options)) {}
  std::string name() const override { return options_.name; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  std::vector<Figure> figures() const override { return figures_; }

 private:
  Stack stack_of(int64_t inputs) const;
  void picture(const Stack& stack, const Tensor& x, const Lesson& lesson);

  SdaeStageOptions options_;
  std::vector<std::unique_ptr<DeepClassifier>> nets_;
  std::vector<Figure> figures_;
};

}  // namespace sono::zoo
