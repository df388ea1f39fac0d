#include "zoo/common/stages.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace sono::zoo {

Tensor text_tensor(const std::string& text) {
  return Tensor::from<uint8_t>({static_cast<int64_t>(text.size())}, {text.begin(), text.end()});
}
std::string text_of(const Tensor& t) { return {reinterpret_cast<const char*>(t.data<uint8_t>()), static_cast<size_t>(t.size())}; }
Tensor category_tensor(const std::vector<int>& categories) {
  return Tensor::from<int32_t>({static_cast<int64_t>(categories.size())}, {categories.begin(), categories.end()});
}

// ---- heads -----------------------------------------------------------------------------------------------------------------------------

void HeadStage::fit(const Lesson& lesson) {
  const Cases cases{joined_views(lesson.views), lesson.categories, static_cast<int>(lesson.classes), lesson.groups};
  Choice settings = settings_;
  if (head_name_ == "mkl") {  // a kernel for each view
    std::string widths;
    for (const Tensor& v : lesson.views) widths += (widths.empty() ? "" : ",") + std::to_string(v.dim(1));
    settings.emplace_back("views", widths);
  }
  if (!grid_.empty()) {
    GridResult found = grid_search(head_name_, grid_, cases, {.seed = lesson.seed, .fixed = settings});
    if (lesson.log) lesson.log({{name_ + "_grid_auc", found.best.score}});
    head_ = std::move(found.head);
    return;
  }
  head_ = make_head(head_name_);
  for (const auto& [key, value] : settings) head_->settings().set(key, value);
  head_->fit(cases);
}

Views HeadStage::apply(const Views& views) const { return {head_->probabilities(joined_views(views))}; }

NamedTensors HeadStage::state() const {
  NamedTensors all = head_->tensors();
  all.emplace_back("description", text_tensor(head_->describe().dump()));
  return all;
}

void HeadStage::load(const NamedTensors& state) {
  const nlohmann::json description = nlohmann::json::parse(text_of(named_tensor(state, "description")), nullptr, false);
  if (!description.is_object() || !description.contains("head"))
    throw FileError("the model's '" + name_ + "' is damaged: it has no description");
  head_ = load_head(description, state);
}

Pipeline plain_pipeline(const std::string& head, Choice settings, Grid grid) {
  Pipeline p;
  p.add<HeadStage>(head, head, std::move(settings), std::move(grid));
  return p;
}

Tensor some_rows(const Tensor& x, int64_t most) {
  const int64_t shown = std::min(most, x.dim(0));
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < shown; i++) rows.push_back(i * x.dim(0) / shown);
  return rows_of(x, rows);
}

// ---- ranges ----------------------------------------------------------------------------------------------------------------------------

Range Range::fit(const Tensor& x, bool by_column) {
  const int64_t d = x.dim(1);
  Range range{};
  range.low_ = Tensor::full({d}, INFINITY), range.scale_ = Tensor::full({d}, -INFINITY);  // the highest, at first
  float *l = range.low_.data<float>(), *h = range.scale_.data<float>();
  for (int64_t i = 0; i < x.size(); i++) {
    const float v = x.data<float>()[i];
    if (!std::isfinite(v))
      throw NumericError("[unit-range] feature " + std::to_string(i % d) + " of training case " + std::to_string(i / d) + " is not finite");
    l[i % d] = std::min(l[i % d], v), h[i % d] = std::max(h[i % d], v);
  }
  const float least = *std::min_element(l, l + d), largest = *std::max_element(h, h + d);
  if (!by_column) std::fill(l, l + d, least), std::fill(h, h + d, largest);
  if (largest == least || std::equal(l, l + d, h))
    throw NumericError("[unit-range] the features have zero variance over the " + std::to_string(x.dim(0)) +
                       " training cases: there is nothing to learn from");
  for (int64_t j = 0; j < d; j++) h[j] = h[j] > l[j] ? 1 / (h[j] - l[j]) : 0;
  return range;
}

Tensor Range::operator()(const Tensor& x) const {
  if (x.rank() != 2 || x.dim(1) != low_.size())
    throw ShapeError("[unit-range] learnt " + std::to_string(low_.size()) + " features, got x " + to_string(x.shape()));
  return clamp((x - low_) * scale_, 0, 1);
}

Range Range::from(const NamedTensors& tensors) {
  Range range{};
  range.low_ = named_tensor(tensors, "low"), range.scale_ = named_tensor(tensors, "scale");
  return range;
}

}  // namespace sono::zoo
