#include "zoo/classification/classifier.h"

#include <algorithm>
#include <cmath>

#include "zoo/common/categories.h"
#include "zoo/data/companions.h"

namespace sono::zoo {

void ClassifierSettings::list(Settings& s) {
  s.add("crop", crop, {"none", "lesion"}, "what the network sees: the whole image, or the square around the lesion's mask");
  s.add("margin", margin, 0, 4, "crop=lesion: share of the lesion's size added on each side");
  s.add("outline", outline, "crop=lesion: the lesion's mask is a second channel, so that its shape is seen");
  s.add("smoothing", smoothing, 0, 0.5, "label smoothing of the cross-entropy");
  s.add("normal", normal, "BUSI, AUL-liver: 'normal' is a category too");
  NetworkSettings::list(s);
}

std::shared_ptr<const Dataset> Classifier::open_folder(const std::string& folder) const {
  return open_categories(folder, categories(), base().normal);
}

namespace {

// Where the mask is not 0: {left, top, right, bottom}, the last two outside.
std::optional<std::array<int64_t, 4>> extent(const Sample& sample) {
  std::array<int64_t, 4> e{sample.image.dim(1), sample.image.dim(0), 0, 0};
  const auto include = [&](int64_t x, int64_t y) {
    e = {std::min(e[0], x), std::min(e[1], y), std::max(e[2], x + 1), std::max(e[3], y + 1)};
  };
  if (const Tensor& mask = sample.labels.mask) {
    for (int64_t i = 0; i < mask.size(); i++)
      if (mask.data<uint8_t>()[i]) include(i % mask.dim(1), i / mask.dim(1));
  } else {
    for (const Box& box : sample.labels.boxes) {
      include(std::lround(box.x), std::lround(box.y));
      include(std::lround(box.x + box.width) - 1, std::lround(box.y + box.height) - 1);
    }
  }
  if (e[2] <= e[0] || e[3] <= e[1]) return {};
  return e;
}

}  // namespace

Sample crop_to_lesion(const Sample& sample, double margin) {
  const auto e = extent(sample);
  if (!e) return sample;
  const auto [left, top, right, bottom] = *e;
  const auto side = std::max<int64_t>(8, std::lround(static_cast<double>(std::max(right - left, bottom - top)) * (1 + 2 * margin)));
  const int64_t x = (left + right - side) / 2, y = (top + bottom - side) / 2;
  Sample s = sample;
  s.image = crop(sample.image, y, x, side, side);
  if (sample.labels.mask) s.labels.mask = crop(sample.labels.mask, y, x, side, side);
  const Tensor inside = sample.scan_mask ? sample.scan_mask : Tensor::ones({sample.image.dim(0), sample.image.dim(1)}, Dtype::u8);
  s.scan_mask = crop(inside, y, x, side, side);
  s.labels.boxes.clear();
  s.labels.ellipse.reset();
  return s;
}

std::vector<Sample> Classifier::read(const std::string& path) const {
  return base().crop == "lesion" ? read_with_companions(path) : NetworkSystem::read(path);
}

Sample Classifier::prepare(const Sample& sample) const { return base().crop == "lesion" ? crop_to_lesion(sample, base().margin) : sample; }

Tensor Classifier::input(const Sample& fitted) const {
  const Tensor image = standardised(fitted.image, fitted.scan_mask);
  if (!sees_outline()) return image;
  if (!fitted.labels.mask)
    throw Error(fitted.meta.id + ": has no mask, which crop=lesion shows to the network; give one, or train with --set outline=false");
  return concat({image, fitted.labels.mask.to(Dtype::f32).view({image.dim(0), image.dim(1), 1})}, 2);
}

Tensor Classifier::loss(const Tensor& logits, const Batch& batch) {
  if (!batch.categories) throw Error("a classifier wants a category of every case");
  Tensor target = batch.categories;
  if (logits.rank() == 3) {  // every member learns from every case
    target = Tensor({logits.dim(0), logits.dim(1)}, Dtype::i32);
    for (int64_t i = 0; i < target.size(); i++) target.data<int32_t>()[i] = batch.categories.data<int32_t>()[i / logits.dim(1)];
  }
  return cross_entropy(logits, target.to(logits.device()), {.smoothing = base().smoothing});
}

Tensor Classifier::activate(const Tensor& logits) const { return logits.rank() == 3 ? mean(softmax(logits), {1}) : softmax(logits); }

Labels Classifier::decode(const Tensor& probabilities, const Fit&, const Sample&) const { return category_labels(probabilities); }

std::vector<std::pair<std::string, double>> Classifier::score(const std::vector<Tensor>& probabilities,
                                                              const std::vector<Sample>& truths) const {
  if (truths.empty()) return {{"auc", 0.5}, {"accuracy", 0}, {"log_loss", 0}};
  std::vector<int> truth;
  std::vector<std::vector<float>> p;
  double log_loss = 0;
  for (size_t i = 0; i < truths.size(); i++) {
    truth.push_back(truths[i].labels.category.value_or(0));
    p.push_back(probabilities[i].to_vector<float>());
    log_loss -= std::log(std::max(1e-7, static_cast<double>(p.back().at(static_cast<size_t>(truth.back())))));
  }
  const auto [area, accuracy] = category_scores(truth, p);
  return {{"auc", std::isnan(area) ? 0.5 : area}, {"accuracy", accuracy}, {"log_loss", log_loss / static_cast<double>(truths.size())}};
}

}  // namespace sono::zoo
