#pragma once
// A deep belief network as a stage: greedy pre-training of its RBMs by CD-1, then either its codes, or, fine-tuned with a softmax on top,
// probabilities. For comparison the pre-training can be left out: what remains is a back-propagation network. Rows of the lesson whose
// category is below 0 have no label: the pre-training alone sees them.
#include "layers/dbn.h"
#include "zoo/common/stage.h"

namespace sono::zoo {

struct DbnStageOptions {
  std::string name = "dbn";
  std::vector<int64_t> hidden = {100, 50};
  bool gaussian = false;  // visible units; the input must then be standardised, otherwise within [0, 1]
  bool pretrain = true;
  int64_t pretrain_epochs = 30, batch = 20;
  double pretrain_rate = 0.05;    // of binary layers; Gaussian visible units learn at a tenth of it
  double sparsity = 0;            // target of the hidden units' means; 0: none
  int64_t fine_tune_epochs = 60;  // 0: none, the stage leaves codes as the RBMs give them
  double rate = 0.1, weight_decay = 1e-4;
  int64_t members = 1;  // networks of other seeds, whose probabilities are averaged
  bool codes = false;   // after fine-tuning: leave the last hidden layer's values, not probabilities (one member)
};

class DbnStage : public Stage {
 public:
  explicit DbnStage(DbnStageOptions options) : options_(std::move(options)) {}
  std::string name() const override { return options_.name; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  std::vector<Figure> figures() const override { return figures_; }
  bool fine_tuned() const { return options_.fine_tune_epochs > 0; }

 private:
  std::unique_ptr<Dbn> pretrained(const Lesson& lesson, const Tensor& x, int64_t member) const;
  std::unique_ptr<Sequential> plain(int64_t inputs, int64_t classes) const;
  void picture(const Dbn& dbn, const Tensor& x);

  DbnStageOptions options_;
  std::vector<std::unique_ptr<Sequential>> nets_;  // fine-tuned
  std::unique_ptr<Dbn> dbn_;                       // otherwise
  std::vector<Figure> figures_;
};

}  // namespace sono::zoo
