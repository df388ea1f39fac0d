#include "zoo/classification/gated_stage.h"

#include <algorithm>
#include <cmath>

#include "optim/contrastive_divergence.h"
#include "optim/gated_learning.h"
#include "zoo/common/stages.h"

namespace sono::zoo {

Tensor t_scores(const Tensor& rows, const std::vector<int>& categories, int positive) {
  const int64_t d = rows.dim(1);
  Tensor scores({d});
  for (int64_t j = 0; j < d; j++) {
    double sum[2] = {}, squares[2] = {}, n[2] = {};
    for (int64_t i = 0; i < rows.dim(0); i++) {
      const int k = categories.at(static_cast<size_t>(i)) == positive;
      const auto v = static_cast<double>(rows.data<float>()[i * d + j]);
      sum[k] += v, squares[k] += v * v, n[k]++;
    }
    double error = 0;
    for (int k = 0; k < 2; k++) error += n[k] > 1 ? std::max(0.0, squares[k] / n[k] - std::pow(sum[k] / n[k], 2)) / (n[k] - 1) : 0;
    scores.data<float>()[j] = error > 0 ? static_cast<float>(std::abs(sum[1] / n[1] - sum[0] / n[0]) / std::sqrt(error)) : 0;
  }
  return scores;
}

void GatedStage::make(int64_t visible) {
  gated_ =
      std::make_unique<GatedRbm>(GatedRbmOptions{.visible = visible, .relevant = options_.relevant, .irrelevant = options_.irrelevant});
  top_ = std::make_unique<Rbm>(RbmOptions{.visible = options_.relevant, .hidden = options_.second});
}

void GatedStage::fit(const Lesson& lesson) {
  const Tensor x = joined_views(lesson.views);
  const int64_t batch = std::min<int64_t>(options_.batch, x.dim(0));
  const auto told = [&](const char* what) {
    return [&lesson, what](const BoltzmannEpoch& e) {
      if (lesson.log) lesson.log({{std::string(what) + "_loss", e.reconstruction}});
      return true;
    };
  };
  make(x.dim(1));
  Rbm first({.visible = x.dim(1), .hidden = options_.first});
  first.fit_visible(x);
  ContrastiveDivergence cd(first, {.rule = {.rate = options_.rate, .sparsity_target = 0.15, .seed = lesson.seed}});
  sono::fit(cd, x, {.epochs = options_.pretrain_epochs, .batch = batch, .seed = lesson.seed, .monitor = false, .on_epoch = told("rbm")});
  {
    const NoGrad off;
    gated_->initialise(first, t_scores(first(x), lesson.categories));
  }
  GatedLearning learning(
      *gated_,
      {.rule = {.rate = options_.gated_rate, .rate_decay = 0.01, .weight_decay = 5e-4, .sparsity_target = 0.15, .seed = lesson.seed + 1}});
  sono::fit(learning, x, {.epochs = options_.epochs, .batch = batch, .seed = lesson.seed + 1, .monitor = false, .on_epoch = told("gated")});
  Tensor codes;
  {
    const NoGrad off;
    codes = (*gated_)(x);
  }
  ContrastiveDivergence above(*top_, {.rule = {.rate = options_.rate, .seed = lesson.seed + 2}});
  sono::fit(above, codes,
            {.epochs = options_.top_epochs, .batch = batch, .seed = lesson.seed + 2, .monitor = false, .on_epoch = told("top")});
  picture(x, lesson);
}

Views GatedStage::apply(const Views& views) const {
  const NoGrad off;
  const Tensor codes = (*gated_)(joined_views(views));
  return {codes, (*top_)(codes)};
}

NamedTensors GatedStage::state() const {
  NamedTensors all;
  add_part(all, "gated.", gated_->state());
  add_part(all, "top.", top_->state());
  return all;
}

void GatedStage::load(const NamedTensors& state) {
  make(named_tensor(state, "gated.relevant.weight").dim(0));
  gated_->load(part_of(state, "gated."));
  top_->load(part_of(state, "top."));
  figures_.clear();
}

// Filters of either component, and where the gate is open.
void GatedStage::picture(const Tensor& x, const Lesson& lesson) {
  const NoGrad off;
  figures_.clear();
  if (options_.height * options_.width == x.dim(1)) {
    const auto draw = [&](const std::string& title, const Tensor& t, TileScale scale, int64_t columns) {
      figures_.push_back(tile_figure(title, t.detach(), options_.height, options_.width, scale, 36, columns));
    };
    draw("filters of the relevant component", transpose(gated_->relevant.weight), TileScale::own, 12);
    draw("filters of the irrelevant component", transpose(gated_->irrelevant.weight), TileScale::own, 12);
    const Tensor some = some_rows(x);
    draw("elastograms, as the machine sees them", some, TileScale::unit, 12);
    draw("where the gate takes a pixel for relevant (bright)", gated_->infer(some).gate, TileScale::unit, 12);
  }
  figures_.push_back(
      code_figure("relevant units of the training cases: first two principal components, green category 0, magenta category 1",
                  (*gated_)(x), lesson.categories));
}

}  // namespace sono::zoo
