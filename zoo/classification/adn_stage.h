#pragma once
// An adaptive deconvolutional network as a stage, with a dictionary of visual words and a spatial pyramid on its maps: pictures become
// histograms, for a machine with the histogram-intersection kernel.
#include "layers/deconvolutional.h"
#include "zoo/common/stage.h"
#include "zoo/heads/codebook.h"

namespace sono::zoo {

struct AdnStageOptions {
  int64_t size = 32;                     // rows and columns of the pictures in view 0
  std::vector<int64_t> maps = {12, 24};  // of each layer, 7 x 7 filters
  double lambda = 5;                     // weight of the reconstruction against sparsity
  int64_t epochs = 3, steps = 8, words = 150;
  int64_t reach = 1;         // places around each one that its descriptor is a mean over
  int64_t shares = 1;        // nearest words that a descriptor is shared among
  double sharpness = 10;     // of these shares, exp(-sharpness d²)
  double floor = 0.1;        // added to a descriptor's norm before it is divided by it
  int64_t learn_from = 400;  // pictures, at most, that filters and words are learnt from
};

class AdnStage : public Stage {
 public:
  explicit AdnStage(AdnStageOptions options) : options_(std::move(options)) {}
  std::string name() const override { return "adn"; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;  // (N, 21 words): pyramids 1 x 1, 2 x 2, 4 x 4
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  std::vector<Figure> figures() const override { return figures_; }

 private:
  void make();
  Tensor images(const Tensor& rows) const;  // (N, size, size, 1), mean 0
  void add_neighbourhoods(const Tensor& v, const Tensor& d, int64_t first) const;
  Tensor descriptors(const std::vector<DeconvolutionalNetwork::Maps>& maps) const;  // (N * places, maps of the last layer + what it saw)
  AdnStageOptions options_;
  std::unique_ptr<DeconvolutionalNetwork> network_;
  std::optional<Codebook> words_;
  std::vector<Figure> figures_;
};

}  // namespace sono::zoo
