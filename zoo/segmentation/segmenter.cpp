#include "zoo/segmentation/segmenter.h"

#include <cmath>

#include "layers/loss.h"
#include "zoo/data/open.h"
#include "zoo/metrics/segmentation.h"

namespace sono::zoo {

void SegmenterSettings::list(Settings& s) {
  s.add("widths", widths, 1, 4096, "channels of the U-Net's levels, finest first");
  s.add("normal", normal, "use images of category 'normal' too; they hold no lesion");
  s.add("target", target, {"mass", "liver", "all"}, "AUL-liver: what to segment");
  s.add("threshold", threshold, 0.01, 0.99, "probability from which a pixel is foreground (two labels)");
  NetworkSettings::list(s);
}

std::shared_ptr<const Dataset> Segmenter::open_folder(const std::string& folder) const {
  OpenOptions options;
  options.require_masks = true;
  options.mask_labels = static_cast<int64_t>(mask_labels().size());
  options.target = options_.target;
  std::shared_ptr<const Dataset> data = open_dataset(folder, options);
  if (options_.normal) return data;
  const std::vector<std::string> categories = data->categories();
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < data->size(); i++) {
    const auto category = data->category(i);
    if (!category || categories.empty() || categories.at(static_cast<size_t>(*category)) != "normal") kept.push_back(i);
  }
  if (static_cast<int64_t>(kept.size()) == data->size() || kept.empty()) return data;
  return std::make_shared<Subset>(data, kept);
}

std::unique_ptr<Module> Segmenter::build() {
  return std::make_unique<UNet>(UNet::Options{.in = 1, .out = labels() == 2 ? 1 : labels(), .widths = options_.widths});
}

Tensor Segmenter::loss(const Tensor& logits, const Batch& batch) {
  if (labels() > 2) return dice_ce_loss(logits, batch.masks.to(Dtype::i32).to(logits.device()));
  Shape shape = batch.masks.shape();
  shape.push_back(1);
  return dice_bce_loss(logits, batch.masks.to(Dtype::f32).view(shape).to(logits.device()));
}

Tensor Segmenter::activate(const Tensor& logits) const { return labels() == 2 ? sigmoid(logits) : softmax(logits); }

Tensor Segmenter::mask_of(const Tensor& probabilities) const {
  const int64_t pixels = probabilities.dim(0) * probabilities.dim(1), channels = probabilities.dim(2);
  Tensor mask({probabilities.dim(0), probabilities.dim(1)}, Dtype::u8);
  const float* p = probabilities.data<float>();
  for (int64_t i = 0; i < pixels; i++) {
    const float* values = p + i * channels;
    mask.data<uint8_t>()[i] = channels == 1 ? static_cast<double>(values[0]) >= options_.threshold : static_cast<uint8_t>(std::max_element(values, values + channels) - values);
  }
  return mask;
}

Labels Segmenter::decode(const Tensor& probabilities, const Fit& fit, const Sample& sample) const {
  Labels labels;
  const Tensor restored = fit.restore_image(probabilities);
  labels.mask = mask_of(restored);
  if (restored.dim(2) == 1) labels.score = restored.view({restored.dim(0), restored.dim(1)});
  if (sample.scan_mask)
    for (int64_t i = 0; i < labels.mask.size(); i++) labels.mask.data<uint8_t>()[i] *= sample.scan_mask.data<uint8_t>()[i] != 0;
  return labels;
}

std::vector<std::pair<std::string, double>> Segmenter::score(const std::vector<Tensor>& probabilities, const std::vector<Sample>& truths) const {
  double sum = 0, n = 0;
  for (size_t i = 0; i < truths.size(); i++) {
    const Tensor found = mask_of(probabilities[i]);
    double of_labels = 0, present = 0;
    for (int64_t label = 1; label < labels(); label++) {
      const double d = dice(overlap(label_mask(truths[i].labels.mask, static_cast<int>(label)), label_mask(found, static_cast<int>(label))));
      if (!std::isnan(d)) of_labels += d, present++;
    }
    if (present > 0) sum += of_labels / present, n++;
  }
  return {{"dice", n > 0 ? sum / n : 0}};
}

}  // namespace sono::zoo
