#pragma once
// A point-wise gated Boltzmann machine as a stage [Sohn et al., ICML 2013]: an RBM is learnt, its units are split by a t-test on the labels
// into relevant and irrelevant ones, the gated machine learns from there; a second RBM stands on the relevant units. Leaves its codes.
#include "layers/gated_rbm.h"
#include "zoo/common/stage.h"

namespace sono::zoo {

struct GatedStageOptions {
  int64_t first = 300, relevant = 120, irrelevant = 120, second = 60;  // units: of the first RBM, of either component, of the RBM on top
  int64_t pretrain_epochs = 30, epochs = 30, top_epochs = 30, batch = 50;
  double rate = 0.05, gated_rate = 0.01;
  int64_t height = 0, width = 0;  // of the pictures, for the report
};

class GatedStage : public Stage {
 public:
  explicit GatedStage(GatedStageOptions options) : options_(options) {}
  std::string name() const override { return "gated"; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;  // relevant units, and the codes on top of them
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  std::vector<Figure> figures() const override { return figures_; }

 private:
  void make(int64_t visible);
  void picture(const Tensor& x, const Lesson& lesson);
  GatedStageOptions options_;
  std::unique_ptr<GatedRbm> gated_;
  std::unique_ptr<Rbm> top_;
  std::vector<Figure> figures_;
};

// |Welch's t| of each column between category `positive` and the others: (D) f32; 0 where nothing varies.
Tensor t_scores(const Tensor& rows, const std::vector<int>& categories, int positive = 1);

}  // namespace sono::zoo
