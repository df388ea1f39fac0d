#include "zoo/classification/sdae_stage.h"

#include <algorithm>

#include "zoo/common/stages.h"

namespace sono::zoo {
namespace {

Tensor side_of(const Views& views) { return views.size() > 1 ? joined_views({views.begin() + 1, views.end()}) : Tensor(); }

MakeOptimizer adam(double rate, double weight_decay) {
  return [=](const Module& model) {
    return std::make_unique<AdamW>(
        model, AdamOptions{.rate = rate, .weight_decay = weight_decay, .groups = {{.pattern = "*.bias", .weight_decay = 0}}});
  };
}

}  // namespace

Stack SdaeStage::stack_of(int64_t inputs) const {
  Stack stack;
  for (const int64_t width : options_.hidden) {
    AutoencoderTraining training{.epochs = options_.pretrain_epochs,
                                 .batch = options_.batch,
                                 .objective = {.corruption = options_.corruption},
                                 .optimizer = adam(options_.pretrain_rate, 0),
                                 .settings = "adam"};
    stack.add<AutoencoderLayer>(Autoencoder::Options{.widths = {inputs, width}, .hidden = UnitType::sigmoid, .tied = true}, training);
    inputs = width;
  }
  return stack;
}

void SdaeStage::fit(const Lesson& lesson) {
  const Tensor &x = lesson.views.at(0), side = side_of(lesson.views), y = category_tensor(lesson.categories);
  nets_.clear(), figures_.clear();
  for (int64_t member = 0; member < options_.members; member++) {
    Stack stack = stack_of(x.dim(1));
    const uint64_t seed = lesson.seed + 1000003 * static_cast<uint64_t>(member) + 1;
    if (options_.pretrain) sono::pretrain(stack, x, {.seed = seed, .progress = ProgressStyle::off});
    if (member == 0) picture(stack, x, lesson);
    auto net = std::make_unique<DeepClassifier>(
        stack, Shape{x.dim(1)},
        DeepClassifierOptions{.classes = lesson.classes, .side = side ? side.dim(1) : 0, .dropout = options_.dropout});
    StackedOptions how;
    how.seed = seed, how.progress = ProgressStyle::off;
    const int64_t steps = options_.epochs * ((x.dim(0) + options_.batch - 1) / options_.batch);
    how.fine_tune = {.epochs = options_.epochs,
                     .batch = options_.batch,
                     .optimizer = adam(options_.rate, options_.weight_decay),
                     .schedule = schedules::cosine(steps, 1e-2),
                     .settings = "adamw, cosine"};
    if (member == 0 && lesson.log) how.on_epoch = [&](const EpochReport& e) { lesson.log({{"train_loss", e.train_loss}}); };
    sono::fine_tune(*net, {.x = x, .y = y, .side = side}, how);
    net->eval();
    nets_.push_back(std::move(net));
  }
}

Views SdaeStage::apply(const Views& views) const {
  const NoGrad off;
  return {mean_probabilities(nets_, [&](const DeepClassifier& net) { return net(views.at(0), side_of(views)); })};
}

NamedTensors SdaeStage::state() const { return members_state(nets_); }

void SdaeStage::load(const NamedTensors& state) {
  nets_.clear(), figures_.clear();
  const int64_t inputs = named_tensor(state, "net0.encoder.0.weight").dim(0);
  const Shape head = named_tensor(state, "net0.head.weight").shape();
  for (size_t member = 0; member < static_cast<size_t>(options_.members); member++) {
    const Stack stack = stack_of(inputs);
    nets_.push_back(std::make_unique<DeepClassifier>(
        stack, Shape{inputs},
        DeepClassifierOptions{.classes = head[1], .side = head[0] - options_.hidden.back(), .dropout = options_.dropout}));
    nets_.back()->load(part_of(state, member_prefix(member)));
    nets_.back()->eval();
  }
}

// Filters, crops with their reconstruction, and the codes, after pre-training.
void SdaeStage::picture(const Stack& stack, const Tensor& x, const Lesson& lesson) {
  const NoGrad off;
  auto& first = dynamic_cast<AutoencoderLayer&>(stack[0]).coder;
  const Tensor some = some_rows(x);
  if (const int64_t size = options_.height * options_.width; size > 0 && x.dim(1) >= size) {
    const auto picture_part = [&](const Tensor& t) { return slice(t, 1, 0, size).detach(); };
    const Tensor filters = transpose(first.encoder.state().at(0).second).detach();
    figures_.push_back(
        tile_figure("filters of the first layer, after pre-training", picture_part(filters), options_.height, options_.width));
    figures_.push_back(
        tile_figure("lesions, as the network sees them", picture_part(some), options_.height, options_.width, TileScale::unit, 12, 12));
    figures_.push_back(tile_figure("the same, given back by the first layer", picture_part(first.reconstruct(some)), options_.height,
                                   options_.width, TileScale::unit, 12, 12));
  }
  figures_.push_back(
      code_figure("codes of the training cases after pre-training: first two principal components, green category 0, magenta category 1",
                  stack.code(x), lesson.categories));
}

}  // namespace sono::zoo
