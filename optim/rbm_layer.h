#pragma once
// An RBM as a layer of any stack (optim/pretrain.h), beside autoencoders.
//
//   Stack stack;
//   stack.add<RbmLayer>(RbmOptions{.visible = 784, .hidden = 500}, RbmTraining{.epochs = 20});
//   stack.add<AutoencoderLayer>(…);
//   DeepClassifier net(stack, images.rows(0, 1), {.classes = 2});
#include "optim/contrastive_divergence.h"
#include "optim/pretrain.h"

namespace sono {

struct RbmTraining {
  int64_t epochs = 20, batch = 100;
  ContrastiveDivergenceOptions learning = {};
  bool fit_visible = true;  // Rbm::fit_visible on the data first
};

// Its code is P(h = 1 | v). Encoder: Linear (deviations of Gaussian units folded in), Sigmoid; decoder: Linear to logits or means.
class RbmLayer : public Pretrainable {
 public:
  explicit RbmLayer(const RbmOptions& options, RbmTraining training = {});
  Module& module() override { return rbm; }
  std::string recipe() const override { return recipe_; }
  void pretrain(const Tensor& x, const Stage& stage) override;
  Tensor code(const Tensor& x) const override;
  void append_encoder(Sequential& net) const override;
  void append_decoder(Sequential& net) const override;
  UnitType visible() const override { return rbm.units() == VisibleUnits::gaussian ? UnitType::linear : UnitType::sigmoid; }

  Rbm rbm;

 private:
  ContrastiveDivergenceOptions learning(uint64_t seed) const;
  RbmTraining training_;
  std::string recipe_;
};

}  // namespace sono
