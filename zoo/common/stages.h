#pragma once
// Stages that many systems share (stage.h).
#include <algorithm>

#include "autograd/ops.h"
#include "zoo/common/stage.h"
#include "zoo/heads/grid_search.h"
#include "zoo/heads/pca.h"
#include "zoo/heads/standardize.h"

namespace sono::zoo {

// A classical classifier on all views side by side: features (N, D) -> probabilities (N, classes). With a grid, the settings that do best
// in a cross-validation by patients are taken, and logged.
class HeadStage : public Stage {
 public:
  HeadStage(std::string name, std::string head, Choice settings = {}, Grid grid = {})
      : name_(std::move(name)), head_name_(std::move(head)), settings_(std::move(settings)), grid_(std::move(grid)) {}
  std::string name() const override { return name_; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;
  const Head& head() const { return *head_; }

 private:
  std::string name_, head_name_;
  Choice settings_;
  Grid grid_;
  std::unique_ptr<Head> head_;
};

// A map learnt for each view by itself, from view number `first` on; those before stay as they are. Map has operator()(x (N, D)), tensors()
// and a static from(tensors).
template <class Map>
class PerView : public Stage {
 public:
  using Learn = std::function<Map(const Tensor& x)>;
  PerView(std::string name, Learn learn, size_t first = 0) : name_(std::move(name)), learn_(std::move(learn)), first_(first) {}
  std::string name() const override { return name_; }
  void fit(const Lesson& lesson) override {
    maps_.clear();
    for (size_t v = first_; v < lesson.views.size(); v++) maps_.push_back(learn_(lesson.views[v]));
  }
  Views apply(const Views& views) const override {
    Views all = views;
    for (size_t v = first_; v < views.size(); v++) all[v] = maps_.at(v - first_)(views[v]);
    return all;
  }
  NamedTensors state() const override {
    NamedTensors all;
    for (size_t k = 0; k < maps_.size(); k++) add_part(all, prefix(k), maps_[k].tensors());
    return all;
  }
  void load(const NamedTensors& state) override {
    maps_.clear();
    for (NamedTensors part; !(part = part_of(state, prefix(maps_.size()))).empty();) maps_.push_back(Map::from(part));
  }

 private:
  static std::string prefix(size_t k) { return "view" + std::to_string(k) + "."; }
  std::string name_;
  Learn learn_;
  size_t first_;
  std::vector<Map> maps_;
};

// (x - mean) / deviation (zoo/heads/standardize.h): constant columns become 0.
struct Standardise : PerView<Standardizer> {
  explicit Standardise(size_t first = 0) : PerView("standardise", Standardizer::fit, first) {}
};

// x' = (x - low) / (high - low), cut to [0, 1]: low and high of each column over the training cases, or of the whole view. A column that
// does not vary becomes 0. NumericError: none varies, or a value is not finite.
class Range {
 public:
  static Range fit(const Tensor& x, bool by_column);
  Tensor operator()(const Tensor& x) const;
  NamedTensors tensors() const { return {{"low", low_}, {"scale", scale_}}; }
  static Range from(const NamedTensors& tensors);

 private:
  Tensor low_, scale_;  // (D) f32
};

// For binary visible units.
struct UnitRange : PerView<Range> {
  explicit UnitRange(bool by_column = true) : PerView("unit-range", [by_column](const Tensor& x) { return Range::fit(x, by_column); }) {}
};

// ZCA (zoo/heads/pca.h), `ridge` of the mean variance added to each.
struct Whiten : PerView<Pca> {
  explicit Whiten(double ridge = 1e-3)
      : PerView("whiten", [ridge](const Tensor& x) { return Pca::fit(x, {.whitening = "zca", .epsilon = 0, .ridge = ridge}); }) {}
};

// The leading principal components of each view, `components` of them at most.
struct Principal : PerView<Pca> {
  explicit Principal(int64_t components)
      : PerView("principal", [components](const Tensor& x) {
          return Pca::fit(x, {.components = std::min({components, x.dim(1), x.dim(0) - 1})});
        }) {}
};

// Networks of other first weights, whose probabilities are averaged: their mean, and their weights as net0.…, net1.….
template <class Net, class F>
Tensor mean_probabilities(const std::vector<std::unique_ptr<Net>>& nets, F logits) {
  Tensor sum;
  for (const auto& net : nets) {
    const Tensor p = softmax(logits(*net));
    sum = sum ? sum + p : p;
  }
  return sum * (1.0 / static_cast<double>(nets.size()));
}
inline std::string member_prefix(size_t k) { return "net" + std::to_string(k) + "."; }
template <class Net>
NamedTensors members_state(const std::vector<std::unique_ptr<Net>>& nets) {
  NamedTensors all;
  for (size_t k = 0; k < nets.size(); k++) add_part(all, member_prefix(k), nets[k]->state());
  return all;
}

Tensor some_rows(const Tensor& x, int64_t most = 12);  // spread evenly over all: what pictures show

// Standardise and a classifier: what most rivals are.
Pipeline plain_pipeline(const std::string& head, Choice settings = {}, Grid grid = {});

Tensor text_tensor(const std::string& text);  // (bytes) u8
std::string text_of(const Tensor& t);
Tensor category_tensor(const std::vector<int>& categories);  // (N) i32

}  // namespace sono::zoo
