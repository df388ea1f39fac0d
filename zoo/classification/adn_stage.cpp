#include "zoo/classification/adn_stage.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "tensor/parallel.h"
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

// Means of max(v, 0) and of max(-v, 0) over (2 reach + 1)² places, those within the picture, into columns `first` … of d (N h w, columns).
// Bright on dark and dark on bright are different things.
void AdnStage::add_neighbourhoods(const Tensor& v, const Tensor& d, int64_t first) const {
  const int64_t h = v.dim(1), w = v.dim(2), k = v.dim(3), reach = options_.reach;
  parallel_for(v.dim(0) * h, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++)
      for (int64_t x = 0; x < w; x++) {
        const int64_t y = row % h, top = std::max<int64_t>(0, y - reach), bottom = std::min(h - 1, y + reach);
        const int64_t left = std::max<int64_t>(0, x - reach), right = std::min(w - 1, x + reach);
        const auto share = 1 / static_cast<float>((bottom - top + 1) * (right - left + 1));
        float* out = d.data<float>() + (row * w + x) * d.dim(1) + first;
        for (int64_t j = top; j <= bottom; j++)
          for (int64_t i = left; i <= right; i++) {
            const float* in = v.data<float>() + ((row - y + j) * w + i) * k;
            for (int64_t m = 0; m < k; m++) out[2 * m + (in[m] < 0)] += share * std::abs(in[m]);
          }
      }
  });
}

// At each place of the last layer's maps: how much there is of each map around it, and of what that layer saw; square roots (of
// histograms: the Hellinger distance), scaled to norm 1 except where there is next to nothing.
Tensor AdnStage::descriptors(const Maps& maps) const {
  const Tensor& z = maps.back().z;
  const Tensor below = maps.size() > 1 ? maps[maps.size() - 2].pooled : Tensor();
  const Tensor d = Tensor::zeros({z.dim(0) * z.dim(1) * z.dim(2), 2 * (z.dim(3) + (below ? below.dim(3) : 0))});
  add_neighbourhoods(z, d, 0);
  if (below) add_neighbourhoods(below, d, 2 * z.dim(3));
  for (int64_t p = 0; p < d.dim(0); p++) {
    float* row = d.data<float>() + p * d.dim(1);
    float sum = 0;
    for (int64_t m = 0; m < d.dim(1); m++) sum += row[m], row[m] = std::sqrt(row[m]);
    const float scale = 1 / (std::sqrt(sum) + static_cast<float>(options_.floor));
    for (int64_t m = 0; m < d.dim(1); m++) row[m] *= scale;
  }
  return d;
}

namespace {

constexpr int64_t grids[] = {1, 2, 4};

// What counts of a picture (N, size, size): all of it, or what lies inside or outside of an outline.
enum class Part { all, inside, outside };

// Root mean squares of what is above and below 0 in each map of z (N, h, w, K), in the cells of a grid: (N, grid * grid * 2 K).
Tensor cell_energies(const Tensor& z, int64_t grid, Part part = Part::all, const Tensor& outline = {}) {
  const int64_t n = z.dim(0), h = z.dim(1), w = z.dim(2), K = z.dim(3), width = grid * grid * 2 * K;
  const auto weight = [&](int64_t i, int64_t y, int64_t x) {
    if (part == Part::all) return 1.0f;
    const int64_t rows = outline.dim(1), columns = outline.dim(2);
    const float in = outline.data<float>()[(i * rows + (2 * y + 1) * rows / (2 * h)) * columns + (2 * x + 1) * columns / (2 * w)];
    return part == Part::inside ? in : 1 - in;
  };
  const Tensor all = Tensor::zeros({n, width});
  parallel_for(n, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      float* row = all.data<float>() + i * width;
      for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
          float* cell = row + (y * grid / h * grid + x * grid / w) * 2 * K;
          const float* at = z.data<float>() + ((i * h + y) * w + x) * K;
          const float counts = weight(i, y, x);
          for (int64_t k = 0; k < K; k++) cell[2 * k + (at[k] < 0)] += counts * at[k] * at[k];
        }
      const float share = static_cast<float>(grid * grid) / static_cast<float>(h * w);
      for (int64_t k = 0; k < width; k++) row[k] = std::sqrt(share * row[k]);
    }
  });
  return all;
}

// 1 / (3 x columns of the level x mean) of each column; 0 where it was always 0.
Tensor scale_of(const Tensor& energies) {
  const Tensor scale = mean(energies, {0});
  int64_t cells = 0, at = 0;
  for (const int64_t g : grids) cells += g * g;
  for (const int64_t g : grids) {
    const int64_t columns = scale.size() / cells * g * g;
    for (int64_t k = at; k < at + columns; k++) {
      float& v = scale.data<float>()[k];
      v = v > 0 ? 1 / (3 * static_cast<float>(columns) * v) : 0;
    }
    at += columns;
  }
  return scale;
}

}  // namespace

void AdnStage::fit(const Lesson& lesson) {
  const Tensor all = images(lesson.views.at(0));
  std::vector<int64_t> some = Random(lesson.seed, "adn pictures").permutation(all.dim(0));
  some.resize(static_cast<size_t>(std::min(options_.learn_from, all.dim(0))));
  std::sort(some.begin(), some.end());
  const Tensor y = images(rows_of(lesson.views[0], some));
  make();
  DeconvolutionalNetwork::LearnOptions how{.epochs = options_.epochs, .seed = lesson.seed + 1};
  how.batch = 50;
  how.on_epoch = [&](int64_t layer, int64_t, double objective) {
    if (lesson.log) lesson.log({{"adn_layer" + std::to_string(layer) + "_loss", objective}});
  };
  network_->learn(y, how);
  const Maps maps = network_->infer(y);
  if (options_.words) {
    const Tensor d = descriptors(maps);
    std::vector<int64_t> rows = Random(lesson.seed, "adn descriptors").permutation(d.dim(0));
    rows.resize(std::min<size_t>(rows.size(), 20000));
    words_ = Codebook::fit(rows_of(d, rows), {.words = options_.words, .iterations = 30, .seed = lesson.seed});
  }
  if (options_.energies) energy_scale_ = scale_of(energies(maps, outlines(taken_rows(lesson.views, some))));
  const int64_t shown = std::min<int64_t>(12, y.dim(0)), size = options_.size;
  const auto few = network_->infer(y.rows(0, shown));
  figures_ = {
      tile_figure("filters of the first layer", permute(network_->layers[0].weight, {2, 0, 1, 3}).detach().view({options_.maps[0], 49}), 7,
                  7, TileScale::own, 64, 12),
      tile_figure("lesions, as the network sees them", y.rows(0, shown).view({shown, size * size}), size, size, TileScale::own, 12, 12),
      tile_figure("the same, explained by the last layer's maps", network_->reconstruct(few).detach().view({shown, size * size}), size,
                  size, TileScale::own, 12, 12)};
}

Tensor AdnStage::word_pyramids(const Maps& maps) const {
  const int64_t n = maps.back().z.dim(0), h = maps.back().z.dim(1), w = maps.back().z.dim(2), words = words_->words().dim(0);
  const std::vector<int32_t> word = words_->assign(descriptors(maps));
  std::vector<double> x, y;
  for (int64_t k = 0; k < h * w; k++)
    x.push_back((static_cast<double>(k % w) + 0.5) / static_cast<double>(w)),
        y.push_back((static_cast<double>(k / w) + 0.5) / static_cast<double>(h));
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < n; i++) rows.push_back(spatial_pyramid({word.begin() + i * h * w, word.begin() + (i + 1) * h * w}, x, y, words));
  return stack(rows, 0);
}

Tensor AdnStage::energies(const Maps& maps, const Tensor& outline) const {
  std::vector<Tensor> levels;
  const std::vector<Part> parts = outline ? std::vector{Part::inside, Part::outside} : std::vector{Part::all};
  for (const int64_t grid : grids) {
    for (const auto& layer : maps)
      for (const Part part : parts) levels.push_back(cell_energies(layer.z, grid, part, outline));
    if (outline) levels.push_back(cell_energies(outline.view({outline.dim(0), options_.size, options_.size, 1}), grid));
  }
  return concat(levels, 1);
}

Tensor AdnStage::outlines(const Views& views) const {
  return views.size() > 1 ? views[1].view({views[1].dim(0), options_.size, options_.size}) : Tensor{};
}

Views AdnStage::apply(const Views& views) const {
  const NoGrad off;
  const Tensor y = images(views.at(0)), outline = outlines(views);
  std::vector<Tensor> all;
  constexpr int64_t chunk = 64;
  for (int64_t first = 0; first < y.dim(0); first += chunk) {
    const int64_t last = std::min(y.dim(0), first + chunk);
    const Maps maps = network_->infer(y.rows(first, last));
    Views parts;
    if (words_) parts.push_back(word_pyramids(maps));
    if (energy_scale_) parts.push_back(energies(maps, outline ? outline.rows(first, last) : outline) * energy_scale_);
    all.push_back(joined_views(parts));
  }
  return {concat(all, 0)};
}

NamedTensors AdnStage::state() const {
  NamedTensors all;
  add_part(all, "network.", network_->state());
  if (words_) all.emplace_back("words", words_->words());
  if (energy_scale_) all.emplace_back("energy_scale", energy_scale_);
  return all;
}

void AdnStage::load(const NamedTensors& state) {
  make();
  network_->load(part_of(state, "network."));
  if (options_.words) words_ = Codebook(named_tensor(state, "words"));
  if (options_.energies) energy_scale_ = named_tensor(state, "energy_scale");
  figures_.clear();
}

}  // namespace sono::zoo
