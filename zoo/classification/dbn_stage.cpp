#include "zoo/classification/dbn_stage.h"

#include <algorithm>
#include <cmath>

#include "layers/activation.h"
#include "optim/dbn_training.h"
#include "optim/eval_mode.h"
#include "tensor/random.h"
#include "zoo/common/stages.h"

namespace sono::zoo {

std::unique_ptr<Dbn> DbnStage::pretrained(const Lesson& lesson, const Tensor& x, int64_t member) const {
  DbnOptions shape{.widths = {x.dim(1)}, .units = options_.gaussian ? VisibleUnits::gaussian : VisibleUnits::bernoulli};
  shape.widths.insert(shape.widths.end(), options_.hidden.begin(), options_.hidden.end());
  auto dbn = std::make_unique<Dbn>(shape);
  if (!options_.pretrain) return dbn;
  const uint64_t seed = lesson.seed + 1000003 * static_cast<uint64_t>(member);
  ContrastiveDivergenceOptions above;
  above.rule.rate = options_.pretrain_rate, above.rule.seed = seed, above.rule.sparsity_target = options_.sparsity;
  ContrastiveDivergenceOptions lowest = above;
  if (options_.gaussian) lowest.rule.rate *= 0.1;
  DbnPretrainOptions how;
  how.epochs = options_.pretrain_epochs, how.batch = std::min<int64_t>(options_.batch, x.dim(0)), how.seed = seed;
  how.learning = std::vector<ContrastiveDivergenceOptions>(options_.hidden.size(), above);
  how.learning[0] = lowest;
  how.on_epoch = [&](int64_t layer, const BoltzmannEpoch& e) {
    if (lesson.log && member == 0) lesson.log({{options_.name + "_layer" + std::to_string(layer) + "_loss", e.reconstruction}});
  };
  sono::pretrain(*dbn, x, how);
  return dbn;
}

void DbnStage::fit(const Lesson& lesson) {
  const Tensor x = joined_views(lesson.views);
  std::vector<int64_t> labelled;  // a category below 0: unlabelled, for the pre-training alone
  std::vector<int> categories;
  for (size_t i = 0; i < lesson.categories.size(); i++)
    if (lesson.categories[i] >= 0) labelled.push_back(static_cast<int64_t>(i)), categories.push_back(lesson.categories[i]);
  const Tensor known = rows_of(x, labelled);
  nets_.clear(), figures_.clear();
  for (int64_t member = 0; member < options_.members; member++) {
    std::unique_ptr<Dbn> dbn = pretrained(lesson, x, member);
    if (member == 0) picture(*dbn, x);
    if (!fine_tuned()) {
      dbn_ = std::move(dbn);
      return;
    }
    auto net = options_.pretrain ? unroll(*dbn, lesson.classes) : plain(x.dim(1), lesson.classes);
    DbnFineTuneOptions how;
    how.epochs = options_.fine_tune_epochs, how.batch = std::min<int64_t>(options_.batch, known.dim(0)), how.rate = options_.rate;
    how.weight_decay = options_.weight_decay, how.seed = lesson.seed + static_cast<uint64_t>(member);
    const Report report = sono::fine_tune(*net, known, category_tensor(categories), how);
    if (lesson.log && member == 0)
      for (const EpochReport& e : report.epochs) lesson.log({{"train_loss", e.train_loss}});
    nets_.push_back(std::move(net));
  }
}

// The same layers without pre-training, at the initial values of ordinary networks.
std::unique_ptr<Sequential> DbnStage::plain(int64_t inputs, int64_t classes) const {
  auto net = std::make_unique<Sequential>();
  for (const int64_t width : options_.hidden) {
    net->append<Linear>({.in = inputs, .out = width});
    net->append<Sigmoid>();
    inputs = width;
  }
  net->append<Linear>({.in = inputs, .out = classes});
  return net;
}

Views DbnStage::apply(const Views& views) const {
  const NoGrad off;
  const Tensor x = joined_views(views);
  if (!fine_tuned()) return {dbn_->up(x)};
  if (options_.codes) {
    Tensor h = x;
    for (size_t layer = 0; layer < options_.hidden.size(); layer++)
      h = sigmoid(linear(h, nets_[0]->state().at(2 * layer).second, nets_[0]->state().at(2 * layer + 1).second));
    return {h.detach()};
  }
  return {mean_probabilities(nets_, [&](const Sequential& net) { return net(x); })};
}

NamedTensors DbnStage::state() const {
  NamedTensors all = members_state(nets_);
  if (dbn_) add_part(all, "", dbn_->state());
  return all;
}

void DbnStage::load(const NamedTensors& state) {
  nets_.clear(), figures_.clear();
  if (!fine_tuned()) {
    DbnOptions shape{.widths = {named_tensor(state, "rbms.0.weight").dim(0)},
                     .units = options_.gaussian ? VisibleUnits::gaussian : VisibleUnits::bernoulli};
    shape.widths.insert(shape.widths.end(), options_.hidden.begin(), options_.hidden.end());
    dbn_ = std::make_unique<Dbn>(shape);
    dbn_->load(state);
    return;
  }
  const int64_t inputs = named_tensor(state, "net0.0.weight").dim(0),
                classes = named_tensor(state, "net0." + std::to_string(2 * options_.hidden.size()) + ".weight").dim(1);
  for (size_t member = 0; member < static_cast<size_t>(options_.members); member++) {
    nets_.push_back(plain(inputs, classes));
    nets_.back()->load(part_of(state, member_prefix(member)));
  }
}

// Filters, what the network gives back of some cases, and what it dreams.
void DbnStage::picture(const Dbn& dbn, const Tensor& x) {
  const NoGrad off;
  const Tensor some = some_rows(x), back = dbn.reconstruct(some);
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(x.dim(1)))));
  const auto draw = [&](const std::string& title, const Tensor& t) {
    figures_.push_back(side * side == x.dim(1) && side > 11 ? tile_figure(title, t, side, side, TileScale::own, 48)
                                                            : curve_figure(title, t));
  };
  draw("filters of the first layer, after pre-training", transpose(dbn.rbms[0].weight).detach());
  draw("cases, as the network sees them", some);
  draw("the same, given back by the pre-trained network", back);
  if (options_.pretrain)
    draw("what the pre-trained network dreams: samples after 200 steps in its top layer", dbn.generate(some.dim(0), 200, Draw{.seed = 1}));
}

}  // namespace sono::zoo
