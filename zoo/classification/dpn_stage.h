#pragma once
// Deep polynomial networks as a stage: one network, or two on top of each other; leaves a view per layer (of the last network), so that a
// linear machine can take them side by side, or kernels of one each.
#include "layers/deep_polynomial.h"
#include "zoo/common/stage.h"

namespace sono::zoo {

struct DpnStageOptions {
  std::vector<DeepPolynomialOptions> networks = {{}};
  bool inputs = true;  // the standardised features themselves are a view, too
};

class DpnStage : public Stage {
 public:
  explicit DpnStage(DpnStageOptions options) : options_(std::move(options)), network_(options_.networks) {}
  std::string name() const override { return "dpn"; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  std::vector<Figure> figures() const override { return figures_; }

 private:
  DpnStageOptions options_;
  StackedDeepPolynomial network_;
  std::vector<Figure> figures_;
};

}  // namespace sono::zoo
