#include "zoo/common/network_system.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "layers/init.h"
#include "layers/summary.h"
#include "optim/trainer.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/data/open.h"
#include "zoo/sim/simulate.h"

namespace sono::zoo {

void NetworkSettings::list(Settings& s) {
  s.add("height", height, 16, 2048, "rows that the network sees");
  s.add("width", width, 16, 2048, "columns that the network sees");
  s.add("epochs", epochs, 1, 100000, "passes over the training cases");
  s.add("batch", batch, 1, 4096, "cases per step");
  s.add("validate_every", validate_every, 1, 100000, "epochs from one validation to the next");
  s.add("optimizer", optimizer, {"adamw", "sgd"}, "sgd: with Nesterov's momentum of 0.9");
  s.add("rate", rate, 1e-8, 10, "largest learning rate");
  s.add("weight_decay", weight_decay, 0, 10, "of weights, not of biases");
  s.add("schedule", schedule, {"one-cycle", "cosine", "constant"}, "of the learning rate");
  s.add("ema", ema, 0, 0.99999, "decay of the averaged weights that are kept; 0: none");
  s.add("clip", clip, 0, 1e6, "largest norm of the gradient; 0: no limit");
  s.add("validation", validation, 0.01, 0.9, "share of the cases that training does not see");
  s.add("split", split, {"grouped", "random"}, "grouped: no patient, video or near-duplicate on both sides; random is refused where it leaks");
  s.add("mirror", mirror, "average predictions over the image and its mirror image");
  s.add("cases", cases, 2, 1000000, "simulated data: how many cases, validation included");
  Augmentation& a = augmentation;
  s.add("augment.flip", a.flip, 0, 1, "probability of a mirror image");
  s.add("augment.affine", a.affine, 0, 1, "probability of rotation, scale, shear and shift");
  s.add("augment.rotation", a.rotation, 0, 180, "degrees, both ways");
  s.add("augment.scale", a.scale, 0, 4, "share, both ways");
  s.add("augment.translation", a.translation, 0, 1, "share of the size, both ways");
  s.add("augment.elastic", a.elastic, 0, 1, "probability of an elastic deformation");
  s.add("augment.gamma", a.gamma, 0, 1, "probability of a change of contrast");
  s.add("augment.noise", a.noise, 0, 1, "probability of noise");
  s.add("augment.blur", a.blur, 0, 1, "probability of blur");
  s.add("augment.speckle", a.speckle, 0, 1, "probability of added speckle");
  s.add("augment.attenuation", a.attenuation, 0, 1, "probability of attenuation with depth");
  s.add("augment.shadow", a.shadow, 0, 1, "probability of a shadow");
}

namespace {

// Sums of v and v² over the values that `inside` keeps, and how many these are. Sixteen of each, so that they become vectors.
struct Sums {
  double sum = 0, squares = 0, count = 0;

  template <class F>
  Sums(int64_t n, F value) {
    constexpr int64_t lanes = 16;
    double s[lanes] = {}, q[lanes] = {}, c[lanes] = {};
    const auto add = [&](int64_t i, int64_t k) {
      const auto [v, kept] = value(i);
      s[k] += static_cast<double>(v), q[k] += static_cast<double>(v) * static_cast<double>(v), c[k] += static_cast<double>(kept);
    };
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (int64_t k = 0; k < lanes; k++) add(i + k, k);
    for (; i < n; i++) add(i, 0);
    for (int64_t k = 0; k < lanes; k++) sum += s[k], squares += q[k], count += c[k];
  }
};

}  // namespace

Tensor standardised(const Tensor& image, const Tensor& scan_mask) {
  const Tensor out(image.shape());
  const int64_t n = image.size(), channels = image.dim(2);
  const float* x = image.data<float>();
  float* y = out.data<float>();
  const uint8_t* inside = scan_mask ? scan_mask.data<uint8_t>() : nullptr;
  const auto each = [&](auto use) {
    if (!inside)
      use([](int64_t) { return 1.0f; });
    else if (channels == 1)
      use([=](int64_t i) { return inside[i] ? 1.0f : 0.0f; });
    else
      use([=](int64_t i) { return inside[i / channels] ? 1.0f : 0.0f; });
  };
  each([&](auto kept) {
    const Sums all(n, [=](int64_t i) { return std::pair(kept(i) > 0 ? x[i] : 0.0f, kept(i)); });
    const double mean = all.count > 0 ? all.sum / all.count : 0,
                 deviation = all.count > 0 ? std::sqrt(std::max(0.0, all.squares / all.count - mean * mean)) : 1;
    const auto shift = static_cast<float>(mean), factor = static_cast<float>(1 / (deviation + 0.02));
    for (int64_t i = 0; i < n; i++) y[i] = kept(i) > 0 ? (x[i] - shift) * factor : 0.0f;
  });
  return out;
}

std::shared_ptr<const Dataset> NetworkSystem::open(const Source& source) const {
  if (source.simulated()) return simulate(source.spec.substr(4), source.cases ? source.cases : base().cases, source.seed);
  return open_folder(source.spec);
}

namespace {

// A data set whose samples go through prepare() on their way to the cache.
class Prepared : public Dataset {
 public:
  Prepared(std::shared_ptr<const Dataset> source, std::function<Sample(const Sample&)> prepare) : source_(std::move(source)), prepare_(std::move(prepare)) {}
  int64_t size() const override { return source_->size(); }
  Sample get(int64_t i) const override { return prepare_(source_->get(i)); }
  Meta meta(int64_t i) const override { return source_->meta(i); }
  std::optional<int> category(int64_t i) const override { return source_->category(i); }
  std::vector<std::string> categories() const override { return source_->categories(); }
  std::vector<std::string> mask_labels() const override { return source_->mask_labels(); }
  std::string name() const override { return source_->name(); }

 private:
  std::shared_ptr<const Dataset> source_;
  std::function<Sample(const Sample&)> prepare_;
};

Tensor stacked(const std::vector<Tensor>& parts, Dtype dtype) {
  Shape shape = parts.at(0).shape();
  shape.insert(shape.begin(), static_cast<int64_t>(parts.size()));
  Tensor all(shape, dtype);
  for (size_t i = 0; i < parts.size(); i++) all.rows(static_cast<int64_t>(i), static_cast<int64_t>(i) + 1).copy_from(parts[i].view(all.rows(0, 1).shape()));
  return all;
}

Schedule schedule_of(const std::string& name, int64_t steps) {
  if (name == "one-cycle") return schedules::one_cycle(steps, 0.2, 10, 1e3);
  if (name == "cosine") return schedules::warm_up(std::min<int64_t>(100, steps / 10), schedules::cosine(steps, 1e-3));
  return schedules::constant();
}

std::unique_ptr<Optimizer> make_optimizer(const Module& network, const NetworkSettings& s) {
  const std::vector<ParameterGroup> groups = {{.pattern = "*.bias", .weight_decay = 0}};
  if (s.optimizer == "sgd") return std::make_unique<Sgd>(network, SgdOptions{.rate = s.rate, .momentum = 0.9, .weight_decay = s.weight_decay, .nesterov = true, .groups = groups});
  return std::make_unique<AdamW>(network, AdamOptions{.rate = s.rate, .weight_decay = s.weight_decay, .groups = groups});
}

}  // namespace

std::shared_ptr<CachedDataset> NetworkSystem::cache(const Data& data) const {
  const auto prepared = std::make_shared<Prepared>(data.set, [this](const Sample& s) { return prepare(s); });
  return std::make_shared<CachedDataset>(prepared, CacheOptions{.height = base().height, .width = base().width, .mode = fit_mode()});
}

Tensor NetworkSystem::input(const Sample& fitted) const { return standardised(fitted.image, fitted.scan_mask); }

Batch NetworkSystem::make_batch(const std::vector<Sample>& samples) const {
  std::vector<Tensor> images, masks;
  std::vector<int32_t> categories;
  for (const Sample& s : samples) {
    images.push_back(input(s));
    if (s.labels.mask) masks.push_back(s.labels.mask);
    if (s.labels.category) categories.push_back(*s.labels.category);
  }
  Batch batch;
  batch.size = static_cast<int64_t>(samples.size());
  batch.images = stacked(images, Dtype::f32);
  if (masks.size() == samples.size()) batch.masks = stacked(masks, Dtype::u8);
  if (categories.size() == samples.size()) batch.categories = Tensor::from<int32_t>({batch.size}, categories);
  return batch;
}

Batch NetworkSystem::training_batch(const CachedDataset& data, const std::vector<int64_t>& train, uint64_t seed, int64_t epoch, int64_t index) const {
  const std::vector<int64_t> order = Random(seed, "order", static_cast<uint64_t>(epoch)).permutation(static_cast<int64_t>(train.size()));
  const int64_t first = index * base().batch, last = std::min<int64_t>(first + base().batch, static_cast<int64_t>(train.size()));
  std::vector<Sample> samples;
  for (int64_t i = first; i < last; i++) {
    const int64_t which = train[static_cast<size_t>(order[static_cast<size_t>(i)])];
    samples.push_back(augment(data.get(which), base().augmentation, seed, epoch, which));
  }
  return make_batch(samples);
}

Tensor NetworkSystem::averaged(const Tensor& images, const std::function<Tensor(const Tensor&)>& pass) const {
  const Tensor both = pass(concat({images, flip(images, {2})}, 0));
  const int64_t n = images.dim(0);
  const Tensor first = both.rows(0, n), second = both.rows(n, 2 * n);
  return (first + (spatial() ? flip(second, {2}) : second)) * 0.5;
}

// On the CPU by a plan.
std::vector<Tensor> NetworkSystem::probabilities(const Tensor& images, bool mirror) {
  const auto eager = [this](const Tensor& x) {
    const EvalMode eval(*network_);
    return activate(forward(*network_, x.to(device_))).to(Device::cpu);
  };
  if (!plan_ && device_ == Device::cpu) plan_ = freeze(eager, images, {.check = false});
  const NoGrad values;
  const auto pass = [&](const Tensor& x) { return plan_ ? (*plan_)(x) : eager(x); };
  const Tensor p = mirror ? averaged(images, pass) : pass(images).clone();  // a plan's results lie in one place
  std::vector<Tensor> each;
  for (int64_t i = 0; i < p.dim(0); i++) each.push_back(p.rows(i, i + 1).view(Shape(p.shape().begin() + 1, p.shape().end())));
  return each;
}

std::vector<std::pair<std::string, double>> NetworkSystem::validate(const CachedDataset& data, const std::vector<int64_t>& cases) {
  plan_.reset();  // the weights are others than last time
  // A plan is made by a pass over its first input: one case costs the least.
  const int64_t at_once = device_ == Device::cpu ? 1 : base().batch;
  std::vector<Tensor> all;
  std::vector<Sample> truths;
  for (size_t i = 0; i < cases.size();) {
    std::vector<Sample> some;
    for (; i < cases.size() && static_cast<int64_t>(some.size()) < at_once; i++) some.push_back(data.get(cases[i]));
    for (Tensor& p : probabilities(make_batch(some).images, false)) all.push_back(std::move(p));
    truths.insert(truths.end(), some.begin(), some.end());
  }
  plan_.reset();
  return score(all, truths);
}

void NetworkSystem::prepare_training(const Data& data, const Run& run) {
  plan_.reset();
  mask_labels_ = data.set->mask_labels();
  categories_ = data.set->categories();
  set_seed(run.seed);
  network_ = build();
  if (!run.init.empty()) {
    const State weights = read_weights(run.init).weights;
    if (network_->load(weights, false).size() >= weights.size()) throw FileError(run.init + ": none of its tensors fits this network");
  }
  for (const std::string& pattern : run.freeze)
    if (network_->freeze(pattern) == 0) throw Error("--freeze '" + pattern + "' matches no parameter; `sonograd inspect` lists them");
  device_ = run.device;
  network_->to(device_);
}

void NetworkSystem::train(const Data& data, const Run& run) {
  plan_.reset();
  const auto cached = cache(data);
  const std::vector<int64_t>& cases = data.split.train;
  const NetworkSettings& s = base();
  const int64_t batches = (static_cast<int64_t>(cases.size()) + s.batch - 1) / s.batch;

  const std::unique_ptr<Optimizer> optimizer = make_optimizer(*network_, s);
  const std::vector<std::pair<std::string, double>> names = score({}, {});
  Trainer trainer(*network_, *optimizer,
                  {.epochs = s.epochs, .folder = run.folder, .resume = run.resume, .schedule = schedule_of(s.schedule, s.epochs * batches), .monitor = names.at(0).first,
                   .validate_every = s.validate_every, .clip_norm = s.clip, .ema = s.ema, .recipe = settings_.to_json().dump(),
                   .notes = {{"system", card().name}}});
  Task<Batch> task;
  task.batches = [&](int64_t) { return batches; };
  task.make_batch = [&](int64_t epoch, int64_t index) { return training_batch(*cached, cases, run.seed, epoch, index); };
  task.loss = [&](const Batch& batch) { return loss(forward(*network_, batch.images.to(device_)), batch); };
  task.size = [](const Batch& batch) { return batch.size; };
  task.validate = [&] { return validate(*cached, data.split.validation); };
  trainer.fit(task);
  plan_.reset();
}

Labels NetworkSystem::predict(const Sample& sample) {
  const Sample prepared = prepare(sample);
  const Fit fit(prepared.image.dim(0), prepared.image.dim(1), base().height, base().width, fit_mode());
  const Sample fitted = fit.sample(prepared);
  return decode(probabilities(make_batch({fitted}).images, base().mirror).at(0), fit, prepared);
}

nlohmann::json NetworkSystem::describe() const { return {{"settings", settings_.to_json()}, {"mask_labels", mask_labels_}, {"categories", categories_}}; }

void NetworkSystem::load(const std::string& folder, const nlohmann::json& description) {
  settings_.from_json(description.at("settings"));
  mask_labels_ = description.at("mask_labels").get<std::vector<std::string>>();
  categories_ = description.at("categories").get<std::vector<std::string>>();
  plan_.reset();
  {
    const init::Skip weights_are_loaded;
    network_ = build();
  }
  load_weights(folder + "/model.safetensors", *network_);
}

std::string NetworkSystem::summary() {
  return summarize(*network_, [&] { forward(*network_, Tensor::zeros({1, base().height, base().width, channels()})); }).table();
}

EvaluateOptions NetworkSystem::evaluation() const {
  EvaluateOptions options;
  options.system = card().name;
  options.mask_labels = mask_labels_;
  options.categories = categories_;
  options.measurements = measurements();
  return options;
}

}  // namespace sono::zoo
