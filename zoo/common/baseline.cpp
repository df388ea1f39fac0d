#include "zoo/common/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "zoo/data/resize.h"
#include "zoo/metrics/segmentation.h"

namespace sono::zoo {
namespace {

struct Small { Tensor image, mask; };  // (grid, grid): grey, and 0 or 1

double mean_dice(const std::vector<Small>& cases, const std::function<bool(const Small&, int64_t)>& foreground) {
  double sum = 0;
  for (const Small& c : cases) {
    int64_t both = 0, total = 0;
    for (int64_t i = 0; i < c.mask.size(); i++) {
      const bool truth = c.mask.data<uint8_t>()[i], found = foreground(c, i);
      both += truth && found;
      total += truth + found;
    }
    sum += total ? 2.0 * static_cast<double>(both) / static_cast<double>(total) : 1;
  }
  return cases.empty() ? 0 : sum / static_cast<double>(cases.size());
}

Tensor grey(const Tensor& image) {  // (H, W)
  Tensor g({image.dim(0), image.dim(1)});
  const int64_t channels = image.dim(2);
  for (int64_t i = 0; i < g.size(); i++) g.data<float>()[i] = image.data<float>()[i * channels];
  return g;
}

Tensor binary(const Tensor& mask) {
  Tensor b(mask.shape(), Dtype::u8);
  for (int64_t i = 0; i < b.size(); i++) b.data<uint8_t>()[i] = mask.data<uint8_t>()[i] != 0;
  return b;
}

}  // namespace

Baseline Baseline::learn(const Dataset& data, const std::vector<int64_t>& train, bool masks) {
  Baseline b;
  b.categories_ = data.categories();
  std::vector<Small> cases;
  std::vector<float> frequency(static_cast<size_t>(grid * grid), 0.0f);
  std::map<std::string, std::pair<Measurement, int>> sums;
  b.shares_.assign(b.categories_.size(), 0);
  for (const int64_t i : train) {
    const Sample s = data.get(i);
    if (s.labels.category && static_cast<size_t>(*s.labels.category) < b.shares_.size()) b.shares_[static_cast<size_t>(*s.labels.category)] += 1.0f / static_cast<float>(train.size());
    for (const Measurement& m : s.labels.measurements) {
      auto& [sum, n] = sums.try_emplace(m.name, Measurement{m.name, 0, m.unit}, 0).first->second;
      sum.value += m.value, n++;
    }
    if (!masks || !s.labels.mask) continue;
    cases.push_back({resize_bilinear(grey(s.image), grid, grid), resize_nearest(binary(s.labels.mask), grid, grid)});
    for (size_t k = 0; k < frequency.size(); k++) frequency[k] += cases.back().mask.data<uint8_t>()[k];
  }
  for (auto& [name, sum] : sums) b.measurements_.push_back({name, sum.first.value / sum.second, sum.first.unit});
  if (cases.empty()) return b;

  double best = -1;
  for (int t = 0; t < 20; t++) {
    const float share = 0.05f * static_cast<float>(t) * static_cast<float>(cases.size());
    const double constant = mean_dice(cases, [&](const Small&, int64_t i) { return frequency[static_cast<size_t>(i)] > share; });
    const double level = 0.025 * (t + 1), darker = mean_dice(cases, [&](const Small& c, int64_t i) { return c.image.data<float>()[i] < level; });
    if (constant > best) {
      best = constant, b.threshold_ = -1;
      b.mask_.resize(frequency.size());
      std::transform(frequency.begin(), frequency.end(), b.mask_.begin(), [&](float f) { return f > share; });
    }
    if (darker > best) best = darker, b.threshold_ = level;
  }
  if (b.threshold_ >= 0) b.mask_.clear();
  return b;
}

Labels Baseline::predict(const Sample& sample) const {
  Labels labels;
  const int64_t H = sample.image.dim(0), W = sample.image.dim(1), C = sample.image.dim(2);
  if (threshold_ >= 0) {
    labels.mask = Tensor({H, W}, Dtype::u8);
    for (int64_t i = 0; i < H * W; i++) labels.mask.data<uint8_t>()[i] = sample.image.data<float>()[i * C] < threshold_ && (!sample.scan_mask || sample.scan_mask.data<uint8_t>()[i]);
  } else if (!mask_.empty()) {
    labels.mask = resize_nearest(Tensor::from<uint8_t>({grid, grid}, mask_), H, W);
  }
  if (!shares_.empty()) {
    labels.probabilities = shares_;
    labels.category = static_cast<int>(std::max_element(shares_.begin(), shares_.end()) - shares_.begin());
  }
  labels.measurements = measurements_;
  return labels;
}

std::string Baseline::name() const {
  if (threshold_ >= 0) return fmt::format("everything darker than {:.3g}", threshold_);
  if (!mask_.empty()) return "best constant mask";
  if (shares_.empty()) return "mean of the training cases";
  return "always " + categories_[static_cast<size_t>(std::max_element(shares_.begin(), shares_.end()) - shares_.begin())];
}

nlohmann::json Baseline::to_json() const {
  nlohmann::json j = {{"name", name()}, {"threshold", threshold_}, {"shares", shares_}, {"categories", categories_}, {"measurements", nlohmann::json::array()}, {"mask", nlohmann::json::array()}};
  for (size_t y = 0; y < mask_.size(); y += grid) {
    std::string row;
    for (size_t x = 0; x < grid; x++) row += mask_[y + x] ? '#' : '.';
    j["mask"].push_back(row);
  }
  for (const Measurement& m : measurements_) j["measurements"].push_back({{"name", m.name}, {"value", m.value}, {"unit", m.unit}});
  return j;
}

Baseline Baseline::from_json(const nlohmann::json& j) {
  Baseline b;
  b.threshold_ = j.at("threshold");
  b.shares_ = j.at("shares").get<std::vector<float>>();
  b.categories_ = j.at("categories").get<std::vector<std::string>>();
  for (const auto& m : j.at("measurements")) b.measurements_.push_back({m.at("name"), m.at("value"), m.at("unit")});
  for (const std::string row : j.at("mask"))
    for (const char c : row) b.mask_.push_back(c == '#');
  if (!b.mask_.empty() && b.mask_.size() != static_cast<size_t>(grid * grid)) throw Error("config.json: the baseline's mask must have " + std::to_string(grid) + " rows of as many characters");
  return b;
}

}  // namespace sono::zoo
