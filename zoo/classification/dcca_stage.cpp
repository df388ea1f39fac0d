#include "zoo/classification/dcca_stage.h"

#include "optim/optimizer.h"
#include "zoo/common/stages.h"

namespace sono::zoo {

void DccaStage::make_pairs(const std::vector<int64_t>& widths) {
  pairs_.clear();
  for (size_t a = 0; a < widths.size(); a++)
    for (size_t b = a + 1; b < widths.size(); b++)
      pairs_.push_back(
          {a,
           b,
           std::make_unique<DeepCca>(DeepCcaOptions{.in1 = widths[a], .in2 = widths[b], .hidden = options_.hidden, .out = options_.out}),
           {}});
}

void DccaStage::fit(const Lesson& lesson) {
  std::vector<int64_t> widths;
  for (const Tensor& v : lesson.views) widths.push_back(v.dim(1));
  if (widths.size() < 2) throw Error("[dcca] wants two views or more, got " + std::to_string(widths.size()));
  make_pairs(widths);
  const CanonicalCorrelationOptions covariances{.r1 = options_.ridge, .r2 = options_.ridge};
  for (Pair& p : pairs_) {
    const Tensor &x1 = lesson.views[p.a], &x2 = lesson.views[p.b];
    Rmsprop optimizer(*p.net, RmspropOptions{.rate = options_.rate, .weight_decay = options_.weight_decay});
    for (int64_t epoch = 0; epoch < options_.epochs;
         epoch++) {  // the whole training set is the batch: correlations of few cases mean little
      p.net->zero_gradients();
      const auto [h1, h2] = (*p.net)(x1, x2);
      const Tensor loss = -canonical_correlation(h1, h2, covariances);
      backward(loss);
      optimizer.step();
      if (lesson.log && (epoch + 1) % 10 == 0)
        lesson.log({{"dcca" + std::to_string(p.a) + std::to_string(p.b) + "_correlation_loss", loss.item()}});
    }
    const NoGrad off;
    const auto [h1, h2] = (*p.net)(x1, x2);
    p.linear.fit(h1, h2, {.r1 = options_.ridge, .r2 = options_.ridge});
  }
  figures_ = {
      code_figure("canonical projections of the training cases: first two principal components, green category 0, magenta category 1",
                  joined_views(apply(lesson.views)), lesson.categories)};
}

Views DccaStage::apply(const Views& views) const {
  const NoGrad off;
  Views all;
  for (const Pair& p : pairs_) {
    const auto [h1, h2] = (*p.net)(views.at(p.a), views.at(p.b));
    const auto [c1, c2] = p.linear.transform(h1, h2);
    all.push_back(c1), all.push_back(c2);
  }
  if (options_.inputs) all.insert(all.end(), views.begin(), views.end());
  return all;
}

NamedTensors DccaStage::state() const {
  NamedTensors all;
  for (const Pair& p : pairs_) {
    const std::string prefix = "pair" + std::to_string(p.a) + std::to_string(p.b) + ".";
    add_part(all, prefix + "net.", p.net->state());
    add_part(all, prefix + "linear.", p.linear.state());
  }
  return all;
}

void DccaStage::load(const NamedTensors& state) {
  // Widths: from the first layer of each view's network in the pairs (0, 1), (0, 2) …
  std::vector<int64_t> widths{named_tensor(state, "pair01.net.view1.0.weight").dim(0)};
  for (size_t b = 1;; b++) {
    const std::string name = "pair0" + std::to_string(b) + ".net.view2.0.weight";
    bool there = false;
    for (const auto& [key, t] : state)
      if (key == name) widths.push_back(t.dim(0)), there = true;
    if (!there) break;
  }
  make_pairs(widths);
  for (Pair& p : pairs_) {
    const std::string prefix = "pair" + std::to_string(p.a) + std::to_string(p.b) + ".";
    p.net->load(part_of(state, prefix + "net."));
    p.linear.load(part_of(state, prefix + "linear."));
  }
  figures_.clear();
}

}  // namespace sono::zoo
