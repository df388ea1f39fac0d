#pragma once
// An adaptive deconvolutional network as a stage, with spatial pyramids on its maps: of visual words, and of how strong each map is.
// Pictures become rows of values from 0 on, for a machine with the histogram-intersection kernel.
#include "layers/deconvolutional.h"
#include "zoo/common/stage.h"
#include "zoo/heads/codebook.h"

namespace sono::zoo {

struct AdnStageOptions {
  int64_t size = 32;                           // rows and columns of the pictures in view 0
  std::vector<int64_t> maps = {12, 24};        // of each layer, 7 x 7 filters
  double lambda = 5;                           // weight of the reconstruction against sparsity
  int64_t epochs = 3, steps = 8, words = 150;  // words 0: the maps' pyramid alone
  int64_t reach = 1;                           // places around each one that its descriptor is a mean over
  bool energies = true;                        // the maps' pyramid beside that of the words
  double floor = 0.1;                          // added to a descriptor's norm before it is divided by it
  int64_t learn_from = 400;                    // pictures, at most, that filters and words are learnt from
};

class AdnStage : public Stage {
 public:
  explicit AdnStage(AdnStageOptions options) : options_(std::move(options)) {}
  std::string name() const override { return "adn"; }
  void fit(const Lesson& lesson) override;
  // (N, 21 words + columns): cells of 1 x 1, 2 x 2 and 4 x 4 grids. Of each map: root mean squares of what is above and below 0 in the
  // cell; with outlines in view 1, of what is inside and outside of them, and the outlines themselves. Over their means in training; the
  // columns of a level add up to about 1/3.
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  std::vector<Figure> figures() const override { return figures_; }

 private:
  using Maps = std::vector<DeconvolutionalNetwork::Maps>;
  void make();
  Tensor images(const Tensor& rows) const;  // (N, size, size, 1), mean 0
  void add_neighbourhoods(const Tensor& v, const Tensor& d, int64_t first) const;
  Tensor descriptors(const Maps& maps) const;                      // (N * places, maps of the last layer + what it saw)
  Tensor word_pyramids(const Maps& maps) const;                    // (N, 21 words)
  Tensor outlines(const Views& views) const;                       // (N, size, size); empty where there is no view of them
  Tensor energies(const Maps& maps, const Tensor& outline) const;  // not scaled
  AdnStageOptions options_;
  std::unique_ptr<DeconvolutionalNetwork> network_;
  std::optional<Codebook> words_;
  Tensor energy_scale_;  // 1 / (3 x columns of the level x mean in training)
  std::vector<Figure> figures_;
};

}  // namespace sono::zoo
