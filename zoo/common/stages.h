#pragma once
// Stages that many systems share (stage.h).
#include "zoo/common/stage.h"
#include "zoo/heads/grid_search.h"

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

// x' = (x - low) / (high - low), cut to [0, 1]: low and high of each column over the training cases, or of the whole view. For binary
// visible units. NumericError: a view that never changes.
class UnitRange : public Stage {
 public:
  explicit UnitRange(bool by_column = true) : by_column_(by_column) {}
  std::string name() const override { return "unit-range"; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;

 private:
  bool by_column_;
  std::vector<Tensor> low_, scale_;
};

// ZCA: x' = (x - mean) C^(-1/2), C the covariance with `ridge` of its mean variance added to the diagonal [Bell and Sejnowski 1997].
class Whiten : public Stage {
 public:
  explicit Whiten(double ridge = 1e-3) : ridge_(ridge) {}
  std::string name() const override { return "whiten"; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;

 private:
  double ridge_;
  std::vector<Tensor> mean_, matrix_;
};

// The leading principal components of each view, `components` of them at most.
class Principal : public Stage {
 public:
  explicit Principal(int64_t components) : components_(components) {}
  std::string name() const override { return "principal"; }
  void fit(const Lesson& lesson) override;
  Views apply(const Views& views) const override;
  NamedTensors state() const override;
  void load(const NamedTensors& state) override;

 private:
  int64_t components_;
  std::vector<Tensor> mean_, matrix_;
};

// Standardise and a classifier: what most rivals are.
Pipeline plain_pipeline(const std::string& head, Choice settings = {}, Grid grid = {});

Tensor text_tensor(const std::string& text);  // (bytes) u8
std::string text_of(const Tensor& t);
Tensor category_tensor(const std::vector<int>& categories);  // (N) i32

}  // namespace sono::zoo
