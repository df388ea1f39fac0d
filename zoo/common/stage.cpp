#include "zoo/common/stage.h"

#include <algorithm>
#include <cmath>

#include "tensor/random.h"

namespace sono::zoo {

int64_t Stage::parameters() const {
  int64_t n = 0;
  for (const auto& [name, t] : state()) n += t.size();
  return n;
}

// ---- pipeline --------------------------------------------------------------------------------------------------------------------------

void Pipeline::add(std::unique_ptr<Stage> stage) {
  for (const auto& s : stages_)
    if (s->name() == stage->name()) throw Error("[Pipeline] two stages are called '" + stage->name() + "'");
  stages_.push_back(std::move(stage));
}

void Pipeline::fit(Lesson lesson, size_t first, const std::function<void(size_t)>& done) {
  for (size_t i = 0; i < stages_.size(); i++) {
    if (i >= first) {
      set_seed(hash64(stages_[i]->name()) ^ lesson.seed);
      set_next_stream(0);
      stages_[i]->fit(lesson);
      if (done) done(i);
    }
    if (i + 1 < stages_.size()) lesson.views = stages_[i]->apply(lesson.views);
  }
}

Views Pipeline::features(const Views& views, size_t stages) const {
  Views v = views;
  for (size_t i = 0; i < stages; i++) v = stages_[i]->apply(v);
  return v;
}

Tensor Pipeline::apply(const Views& views) const {
  Views last = features(views, stages_.size());
  if (last.size() != 1) throw Error("[Pipeline] the last stage must leave one view, it leaves " + std::to_string(last.size()));
  return last[0];
}

NamedTensors Pipeline::state(size_t stages) const {
  NamedTensors all;
  for (size_t i = 0; i < stages; i++)
    for (auto& [name, t] : stages_[i]->state()) all.emplace_back(stages_[i]->name() + "." + name, t);
  return all;
}

void Pipeline::load(const NamedTensors& state, size_t stages) {
  for (size_t i = 0; i < stages; i++) {
    const std::string prefix = stages_[i]->name() + ".";
    NamedTensors own;
    for (const auto& [name, t] : state)
      if (name.starts_with(prefix)) own.emplace_back(name.substr(prefix.size()), t);
    stages_[i]->load(own);
  }
}

std::vector<Figure> Pipeline::figures() const {
  std::vector<Figure> all;
  for (const auto& s : stages_)
    for (Figure& f : s->figures()) all.push_back(std::move(f));
  return all;
}

// ---- rows ------------------------------------------------------------------------------------------------------------------------------

Tensor stage_tensor(const NamedTensors& state, const std::string& name) {
  for (const auto& [key, t] : state)
    if (key == name) return t;
  throw FileError("the model lacks '" + name + "': it was written by another version, or for another system");
}

Tensor taken_rows(const Tensor& matrix, const std::vector<int64_t>& rows) {
  Tensor some({static_cast<int64_t>(rows.size()), matrix.dim(1)}, matrix.dtype());
  for (size_t i = 0; i < rows.size(); i++)
    some.rows(static_cast<int64_t>(i), static_cast<int64_t>(i) + 1).copy_from(matrix.rows(rows[i], rows[i] + 1));
  return some;
}

Views taken_rows(const Views& views, const std::vector<int64_t>& rows) {
  Views some;
  for (const Tensor& v : views) some.push_back(taken_rows(v, rows));
  return some;
}

Lesson taken_rows(const Lesson& lesson, const std::vector<int64_t>& rows) {
  Lesson some = lesson;
  some.views = taken_rows(lesson.views, rows);
  some.categories.clear(), some.groups.clear();
  for (const int64_t r : rows) {
    some.categories.push_back(lesson.categories.at(static_cast<size_t>(r)));
    some.groups.push_back(lesson.groups.at(static_cast<size_t>(r)));
  }
  return some;
}

Tensor joined_views(const Views& views) {
  if (views.size() == 1) return views[0];
  int64_t width = 0;
  for (const Tensor& v : views) width += v.dim(1);
  const int64_t rows = views.at(0).dim(0);
  Tensor all({rows, width});
  int64_t left = 0;
  for (const Tensor& v : views) {
    for (int64_t i = 0; i < rows; i++) std::copy_n(v.data<float>() + i * v.dim(1), v.dim(1), all.data<float>() + i * width + left);
    left += v.dim(1);
  }
  return all;
}

// ---- standardise -----------------------------------------------------------------------------------------------------------------------

void Standardise::fit(const Lesson& lesson) {
  mean_.clear(), scale_.clear();
  int64_t changing = 0, columns = 0;
  for (size_t k = first_; k < lesson.views.size(); k++) {
    const Tensor& x = lesson.views[k];
    const int64_t n = x.dim(0), d = x.dim(1);
    Tensor mean({d}), scale({d});
    for (int64_t j = 0; j < d; j++) {
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < n; i++) sum += static_cast<double>(x.data<float>()[i * d + j]);
      const double m = sum / static_cast<double>(n);
      for (int64_t i = 0; i < n; i++) squares += std::pow(static_cast<double>(x.data<float>()[i * d + j]) - m, 2);
      const double deviation = std::sqrt(squares / static_cast<double>(n));
      if (!std::isfinite(deviation))
        throw NumericError("[standardise] feature " + std::to_string(j) + " of the training cases is not finite");
      const bool changes = deviation > 1e-6 * (1e-3 + std::abs(m));
      changing += changes;
      mean.data<float>()[j] = static_cast<float>(m), scale.data<float>()[j] = changes ? static_cast<float>(1 / deviation) : 0;
    }
    columns += d;
    mean_.push_back(mean), scale_.push_back(scale);
  }
  if (!changing)
    throw NumericError("[standardise] all " + std::to_string(columns) + " features have zero variance over the " +
                       std::to_string(lesson.rows()) + " training cases: there is nothing to learn from");
}

Views Standardise::apply(const Views& views) const {
  Views all(views.begin(), views.begin() + static_cast<int64_t>(std::min(first_, views.size())));
  for (size_t v = first_; v < views.size(); v++) {
    const Tensor& x = views[v];
    const size_t k = v - first_;
    if (x.dim(1) != mean_.at(k).size())
      throw ShapeError("[standardise] got " + std::to_string(x.dim(1)) + " features, learnt were " + std::to_string(mean_[k].size()));
    const Tensor y(x.shape());
    const int64_t d = x.dim(1);
    const float *m = mean_[k].data<float>(), *s = scale_[k].data<float>();
    for (int64_t i = 0; i < x.size(); i++) y.data<float>()[i] = (x.data<float>()[i] - m[i % d]) * s[i % d];
    all.push_back(y);
  }
  return all;
}

NamedTensors Standardise::state() const {
  NamedTensors all;
  for (size_t k = 0; k < mean_.size(); k++)
    all.emplace_back("mean" + std::to_string(k), mean_[k]), all.emplace_back("scale" + std::to_string(k), scale_[k]);
  return all;
}

void Standardise::load(const NamedTensors& state) {
  mean_.clear(), scale_.clear();
  for (size_t k = 0; 2 * k < state.size(); k++)
    mean_.push_back(stage_tensor(state, "mean" + std::to_string(k))), scale_.push_back(stage_tensor(state, "scale" + std::to_string(k)));
}

}  // namespace sono::zoo
