#pragma once
// Deep canonical correlation as a stage: of every pair of views two networks whose outputs are correlated most, then linear canonical
// correlation of these outputs. Three views leave six: two projections per pair.
#include "layers/deep_cca.h"
#include "zoo/common/stage.h"

namespace sono::zoo {

struct DccaStageOptions {
  std::vector<int64_t> hidden = {64};
  int64_t out = 10, epochs = 100;
  double rate = 1e-3, weight_decay = 1e-5;
  double ridge = 1e-3;  // on the covariances
  bool inputs = false;  // the views themselves go on, too
};

class DccaStage : public Stage {
 public:
  explicit DccaStage(DccaStageOptions options) : options_(std::move(options)) {}
  std::string name() const override { return "dcca"; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  std::vector<Figure> figures() const override { return figures_; }

 private:
  struct Pair {
    size_t a, b;
    std::unique_ptr<DeepCca> net;
    LinearCca linear;
  };
  void make_pairs(const std::vector<int64_t>& widths);
  DccaStageOptions options_;
  std::vector<Pair> pairs_;
  std::vector<Figure> figures_;
};

}  // namespace sono::zoo
