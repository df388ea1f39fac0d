#include "zoo/common/stage.h"

#include <algorithm>

#include "autograd/ops.h"
#include "tensor/random.h"
#include "zoo/heads/head.h"

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
  for (size_t i = 0; i < stages; i++) add_part(all, stages_[i]->name() + ".", stages_[i]->state());
  return all;
}

void Pipeline::load(const NamedTensors& state, size_t stages) {
  for (size_t i = 0; i < stages; i++) stages_[i]->load(part_of(state, stages_[i]->name() + "."));
}

std::vector<Figure> Pipeline::figures() const {
  std::vector<Figure> all;
  for (const auto& s : stages_)
    for (Figure& f : s->figures()) all.push_back(std::move(f));
  return all;
}

// ---- rows ------------------------------------------------------------------------------------------------------------------------------

Views taken_rows(const Views& views, const std::vector<int64_t>& rows) {
  Views some;
  for (const Tensor& v : views) some.push_back(rows_of(v, rows));
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

Tensor joined_views(const Views& views) { return views.size() == 1 ? views[0] : concat(views, 1); }

Views stacked_views(const std::vector<Views>& all) {
  Views stacked;
  for (size_t v = 0; v < all.at(0).size(); v++) {
    const int64_t d = all[0][v].size();
    Tensor m({static_cast<int64_t>(all.size()), d});
    for (size_t r = 0; r < all.size(); r++) {
      if (all[r].at(v).size() != d)
        throw ShapeError("[views] row " + std::to_string(r) + " has " + std::to_string(all[r][v].size()) + " numbers, row 0 has " +
                         std::to_string(d));
      std::copy_n(all[r][v].data<float>(), d, m.data<float>() + static_cast<int64_t>(r) * d);
    }
    stacked.push_back(m);
  }
  return stacked;
}

}  // namespace sono::zoo
