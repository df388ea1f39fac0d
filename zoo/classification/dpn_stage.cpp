#include "zoo/classification/dpn_stage.h"

#include "zoo/common/stages.h"

namespace sono::zoo {

void DpnStage::fit(const Lesson& lesson) {
  const Tensor x = joined_views(lesson.views);
  network_ = StackedDeepPolynomial(options_.networks);
  network_.fit(x, category_tensor(lesson.categories));
  figures_ = {code_figure("polynomial features of the training cases: first two principal components, green category 0, magenta category 1",
                          network_.features(x), lesson.categories)};
  if (lesson.log) lesson.log({{"dpn_columns", static_cast<double>(network_.columns())}});
}

Views DpnStage::apply(const Views& views) const {
  const Tensor x = joined_views(views);
  Views all = network_.layers(x);
  if (options_.inputs) all.push_back(x);
  return all;
}

// Paths of the network have slashes, which a weights file keeps for other things.
NamedTensors DpnStage::state() const {
  NamedTensors all;
  for (auto [name, t] : network_.state()) {
    for (char& c : name)
      if (c == '/') c = '.';
    all.emplace_back(name, t);
  }
  return all;
}

void DpnStage::load(const NamedTensors& state) {
  State own;
  for (auto [name, t] : state) {
    if (const size_t dot = name.find('.'); dot != name.npos) name[dot] = '/';
    own.emplace_back(name, t);
  }
  network_ = StackedDeepPolynomial(options_.networks);
  network_.load(own);
  figures_.clear();
}

}  // namespace sono::zoo
