#include "zoo/classification/adn_stage.h"

#include <algorithm>
#include <cmath>

#include "tensor/random.h"
#include "zoo/common/stages.h"
#include "zoo/heads/spatial_pyramid.h"

namespace sono::zoo {

void AdnStage::make() {
  DeconvolutionalOptions o{.channels = 1, .layers = {}, .steps = options_.steps};
  for (const int64_t maps : options_.maps) o.layers.push_back({.maps = maps, .kernel = 7, .lambda = options_.lambda});
  network_ = std::make_unique<DeconvolutionalNetwork>(o);
}

Tensor AdnStage::images(const Tensor& rows) const {
  const int64_t size = options_.size;
  if (rows.dim(1) != size * size)
    throw ShapeError("[adn] wants pictures of " + std::to_string(size * size) + " pixels, got rows of " + std::to_string(rows.dim(1)));
  Tensor y({rows.dim(0), size, size, 1});
  for (int64_t i = 0; i < rows.dim(0); i++) {
    const float* from = rows.data<float>() + i * size * size;
    double mean = 0;
    for (int64_t k = 0; k < size * size; k++) mean += static_cast<double>(from[k]) / static_cast<double>(size * size);
    for (int64_t k = 0; k < size * size; k++) y.data<float>()[i * size * size + k] = from[k] - static_cast<float>(mean);
  }
  return y;
}

// At each place of the last layer's maps: their magnitudes, and those of what the layer saw.
Tensor AdnStage::descriptors(const std::vector<DeconvolutionalNetwork::Maps>& maps) const {
  const Tensor& z = maps.back().z;
  const int64_t places = z.dim(0) * z.dim(1) * z.dim(2), k = z.dim(3);
  const Tensor below = maps.size() > 1 ? maps[maps.size() - 2].pooled : Tensor();
  const int64_t more = below ? below.dim(3) : 0;
  Tensor d({places, k + more});
  for (int64_t p = 0; p < places; p++) {
    float* row = d.data<float>() + p * (k + more);
    for (int64_t m = 0; m < k; m++) row[m] = std::abs(z.data<float>()[p * k + m]);
    for (int64_t m = 0; m < more; m++) row[k + m] = std::abs(below.data<float>()[p * more + m]);
  }
  return d;
}

void AdnStage::fit(const Lesson& lesson) {
  const Tensor all = images(lesson.views.at(0));
  std::vector<int64_t> some = Random(lesson.seed, "adn pictures").permutation(all.dim(0));
  some.resize(static_cast<size_t>(std::min(options_.learn_from, all.dim(0))));
  std::sort(some.begin(), some.end());
  const Tensor y = images(rows_of(lesson.views[0], some));
  make();
  DeconvolutionalNetwork::LearnOptions how{.epochs = options_.epochs, .seed = lesson.seed + 1};
  how.on_epoch = [&](int64_t layer, int64_t, double objective) {
    if (lesson.log) lesson.log({{"adn_layer" + std::to_string(layer) + "_loss", objective}});
  };
  network_->learn(y, how);
  const auto maps = network_->infer(y);
  const Tensor d = descriptors(maps);
  std::vector<int64_t> rows = Random(lesson.seed, "adn descriptors").permutation(d.dim(0));
  rows.resize(std::min<size_t>(rows.size(), 20000));
  words_ = Codebook::fit(rows_of(d, rows), {.words = options_.words, .iterations = 30, .seed = lesson.seed});
  const int64_t shown = std::min<int64_t>(12, y.dim(0)), size = options_.size;
  const auto few = network_->infer(y.rows(0, shown));
  figures_ = {
      tile_figure("filters of the first layer", permute(network_->layers[0].weight, {2, 0, 1, 3}).detach().view({options_.maps[0], 49}), 7,
                  7, TileScale::own, 64, 12),
      tile_figure("lesions, as the network sees them", y.rows(0, shown).view({shown, size * size}), size, size, TileScale::own, 12, 12),
      tile_figure("the same, explained by the last layer's maps", network_->reconstruct(few).detach().view({shown, size * size}), size,
                  size, TileScale::own, 12, 12)};
}

Views AdnStage::apply(const Views& views) const {
  const NoGrad off;
  const Tensor y = images(views.at(0));
  Tensor out;
  constexpr int64_t chunk = 64;
  for (int64_t first = 0; first < y.dim(0); first += chunk) {
    const int64_t n = std::min(chunk, y.dim(0) - first);
    const auto maps = network_->infer(y.rows(first, first + n));
    const int64_t h = maps.back().z.dim(1), w = maps.back().z.dim(2);
    const std::vector<int32_t> word = words_->assign(descriptors(maps));
    std::vector<double> px, py;
    for (int64_t k = 0; k < h * w; k++)
      px.push_back((static_cast<double>(k % w) + 0.5) / static_cast<double>(w)),
          py.push_back((static_cast<double>(k / w) + 0.5) / static_cast<double>(h));
    for (int64_t i = 0; i < n; i++) {
      const Tensor row = spatial_pyramid({word.begin() + i * h * w, word.begin() + (i + 1) * h * w}, px, py, words_->words().dim(0));
      if (!out) out = Tensor({y.dim(0), row.size()});
      std::copy_n(row.data<float>(), row.size(), out.data<float>() + (first + i) * row.size());
    }
  }
  return {out};
}

NamedTensors AdnStage::state() const {
  NamedTensors all;
  add_part(all, "network.", network_->state());
  all.emplace_back("words", words_->words());
  return all;
}

void AdnStage::load(const NamedTensors& state) {
  make();
  network_->load(part_of(state, "network."));
  words_ = Codebook(named_tensor(state, "words"));
  figures_.clear();
}

}  // namespace sono::zoo
