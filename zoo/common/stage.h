#pragma once
// Systems that are learnt in stages, one after the other: standardise, pre-train an RBM, whiten, a support vector machine … Each stage
// learns from what the stages before it make of the training cases, and then hands on what it makes of it.
//
//   Pipeline pipeline;
//   pipeline.add<Standardise>();
//   pipeline.add<HeadStage>("svm", …);
//   pipeline.fit(lesson);                                 // lesson: features, categories and patients of the training cases
//   Tensor p = pipeline.apply(views);                     // (N, classes) probabilities of other cases
//
// What flows between stages are views: matrices (N, D) f32, one row per case. A system has one of them (a curve), or several (pixels and
// sizes; one per contrast phase). The last stage leaves a single one: probabilities. A stage draws from Random(lesson.seed, its name, …)
// and from the program's generator, which is set anew for each stage: a training that was killed gives the same bits when it goes on.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor/files.h"
#include "zoo/common/named_tensors.h"
#include "zoo/common/system.h"

namespace sono::zoo {

using Views = std::vector<Tensor>;
using Values = std::vector<std::pair<std::string, double>>;  // {"reconstruction", 0.12} …

// What a stage learns from; row i of every view is of case i.
struct Lesson {
  Views views;
  std::vector<int> categories;
  std::vector<int64_t> groups;  // patients: rows of one of them never part in a stage's own cross-validation
  int64_t classes = 2;
  uint64_t seed = 0;
  std::function<void(const Values&)> log = {};  // one line of metrics.jsonl: of an epoch, or of a choice made
  int64_t rows() const { return views.empty() ? 0 : views[0].dim(0); }
};

class Stage {
 public:
  virtual ~Stage() = default;
  virtual std::string name() const = 0;  // one of its own within the pipeline, without dots or slashes
  virtual void fit(const Lesson& lesson) = 0;
  virtual Views apply(const Views& views) const = 0;
  virtual NamedTensors state() const = 0;  // all that apply() needs
  virtual void load(const NamedTensors& state) = 0;
  virtual std::vector<Figure> figures() const { return {}; }
  virtual int64_t parameters() const;  // numbers in state()
};

class Pipeline {
 public:
  Pipeline() = default;
  template <class S, class... Arguments>
  S& add(Arguments&&... arguments) {
    auto stage = std::make_unique<S>(std::forward<Arguments>(arguments)...);
    S& reference = *stage;
    add(std::move(stage));
    return reference;
  }
  void add(std::unique_ptr<Stage> stage);  // Error: its name is taken

  // Fits the stages from number `first` on (those before are loaded already); `done` is told when each one is.
  void fit(Lesson lesson, size_t first = 0, const std::function<void(size_t)>& done = {});
  Tensor apply(const Views& views) const;                   // what the last stage makes of them
  Views features(const Views& views, size_t stages) const;  // what the first `stages` stages make of them

  size_t size() const { return stages_.size(); }
  const Stage& stage(size_t i) const { return *stages_.at(i); }
  NamedTensors state(size_t stages) const;  // of the first so many, by "stage.name"
  void load(const NamedTensors& state, size_t stages);
  std::vector<Figure> figures() const;

 private:
  std::vector<std::unique_ptr<Stage>> stages_;
};

// Rows of all of a lesson's parts; of a matrix alone: rows_of (zoo/heads/head.h).
Views taken_rows(const Views& views, const std::vector<int64_t>& rows);
Lesson taken_rows(const Lesson& lesson, const std::vector<int64_t>& rows);
Tensor joined_views(const Views& views);  // side by side: (N, D1 + D2 + …)
Views stacked_views(
    const std::vector<Views>& all);  // vectors (D) per view of each row -> a matrix (N, D) per view; ShapeError: they differ

}  // namespace sono::zoo
