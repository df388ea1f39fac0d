#include "optim/dbn_training.h"

#include <algorithm>

#include "layers/loss.h"
#include "optim/batches.h"
#include "tensor/random.h"

namespace sono {

std::vector<std::vector<BoltzmannEpoch>> pretrain(Dbn& dbn, const Tensor& data, const DbnPretrainOptions& o) {
  const NoGrad values;
  const auto layers = static_cast<size_t>(dbn.layers());
  if (o.learning.size() != 1 && o.learning.size() != layers)
    throw Error("[dbn] pre-training wants options for all layers or for each of " + std::to_string(layers) + ", got " +
                std::to_string(o.learning.size()));
  std::vector<std::vector<BoltzmannEpoch>> seen;
  Tensor below = data.to(dbn.top().weight.dtype()), held_out = o.held_out ? o.held_out.to(below.dtype()) : Tensor();
  for (size_t l = 0; l < layers; l++) {
    Rbm& rbm = dbn.rbms[l];
    if (o.fit_visible || l > 0) rbm.fit_visible(below);
    ContrastiveDivergenceOptions learning = o.learning[o.learning.size() == 1 ? 0 : l];
    learning.rule.seed = Random(learning.rule.seed, "layer", l).stream();
    ContrastiveDivergence cd(rbm, learning);
    FitOptions options{.epochs = o.epochs, .batch = o.batch, .seed = o.seed + l, .held_out = held_out, .resume = o.resume};
    if (!o.folder.empty()) options.folder = o.folder + "/layer" + std::to_string(l);
    options.on_epoch = [&](const BoltzmannEpoch& e) {
      if (o.on_epoch) o.on_epoch(static_cast<int64_t>(l), e);
      return true;
    };
    seen.push_back(fit(cd, below, options));
    below = rbm(below);
    if (held_out) held_out = rbm(held_out);
  }
  dbn.tie();
  return seen;
}

UpDown::UpDown(Dbn& dbn, const UpDownOptions& o) : BoltzmannLearner(dbn, o.rule), dbn_(dbn), options_(o) {
  if (o.steps < 1) throw Error("[up-down] steps must be at least 1, got " + std::to_string(o.steps));
  if (dbn.layers() < 2) throw Error("[up-down] wants two layers or more; one RBM learns by ContrastiveDivergence");
}

// Upward samples; each layer teaches the generative weights to give the one below. Returns the samples, data first.
std::vector<Tensor> UpDown::wake(const Tensor& v, double& error) {
  std::vector<Tensor> units{v};
  for (int64_t l = 0; l + 1 < dbn_.layers(); l++)
    units.push_back(bernoulli(dbn_.rbms[static_cast<size_t>(l)](units.back()), draw("up", static_cast<uint64_t>(l))));
  const double over = 1 / static_cast<double>(v.dim(0));
  for (size_t l = 0; l + 1 < units.size(); l++) {
    const Tensor guess = dbn_.below(units[l + 1], static_cast<int64_t>(l));
    Tensor wrong = guess - units[l];
    if (l == 0) error = mean(square(wrong)).item();
    if (dbn_.rbms[l].log_deviation) wrong = wrong / square(dbn_.rbms[l].deviation());
    put_gradient(dbn_.generative[l].weight, matmul(units[l + 1], wrong, true) * over);
    put_gradient(dbn_.generative[l].bias, mean(wrong, {0}));
  }
  return units;
}

// Contrastive divergence in the associative memory, from the units that the data woke. Returns where its chain ended.
Tensor UpDown::dream(const Tensor& v0) {
  const Rbm& top = dbn_.top();
  const Tensor h0 = top(v0), v1 = top.gibbs(v0, options_.steps, draw("top")).sample, h1 = top(v1);
  const double over = 1 / static_cast<double>(v0.dim(0));
  put_gradient(top.weight, (matmul(v1, h1, true) - matmul(v0, h0, true)) * over);
  put_gradient(top.visible_bias, mean(v1, {0}) - mean(v0, {0}));
  const Tensor active = mean(h0, {0}), hidden = mean(h1, {0}) - active;
  add_sparsity(active, hidden);
  put_gradient(top.hidden_bias, hidden);
  return v1;
}

// Downward samples from there; each layer teaches the recognition weights to give the one above.
void UpDown::sleep(const Tensor& from) {
  Tensor above = from;
  const double over = 1 / static_cast<double>(from.dim(0));
  for (int64_t l = dbn_.layers() - 2; l >= 0; l--) {
    const Rbm& rbm = dbn_.rbms[static_cast<size_t>(l)];
    const Tensor mean_below = dbn_.below(above, l);
    const Draw d = draw("down", static_cast<uint64_t>(l));
    const Tensor below = rbm.log_deviation ? gaussian(mean_below, rbm.deviation(), d) : bernoulli(mean_below, d);
    const Tensor wrong = rbm(below) - above;
    put_gradient(rbm.weight, matmul(rbm.log_deviation ? below / rbm.deviation() : below, wrong, true) * over);
    put_gradient(rbm.hidden_bias, mean(wrong, {0}));
    above = below;
  }
}

double UpDown::compute_gradients(const Tensor& given) {
  const NoGrad values;
  const Tensor v = given.detach().to(dbn_.top().weight.dtype()).to(dbn_.top().weight.device());
  double error = 0;
  const std::vector<Tensor> units = wake(v, error);
  sleep(dream(units.back()));
  return error;
}

// ---- supervised
// ----------------------------------------------------------------------------------------------------------------------------
namespace {

struct Batch {
  Tensor x, y;
};

void check(const Sequential& net, const Tensor& x, const Tensor& y, int64_t batch) {
  if (!x || !y || x.rank() < 2 || x.dim(0) < 1 || y.shape() != Shape{x.dim(0)} || y.dtype() != Dtype::i32)
    throw ShapeError("[fine_tune] wants rows (N, …) and labels (N) i32, got " + to_string(x.shape()) + " and " + to_string(y.shape()) +
                     " " + to_string(y.dtype()));
  if (batch < 1) throw Error("[fine_tune] batch must be at least 1");
  const NoGrad values;
  const int64_t classes = net(x.rows(0, 1)).dim(-1);
  for (int64_t i = 0; i < y.size(); i++)
    if (const int32_t label = y.data<int32_t>()[i]; label < 0 || label >= classes)
      throw Error("[fine_tune] label " + std::to_string(label) + " at row " + std::to_string(i) + ": the network gives " +
                  std::to_string(classes) + " classes, from 0");
}

}  // namespace

double accuracy(const Sequential& net, const Tensor& x, const Tensor& labels) {
  const NoGrad values;
  const Tensor guess = argmax(net(x));
  int64_t right = 0;
  for (int64_t i = 0; i < labels.size(); i++) right += guess.data<int32_t>()[i] == labels.data<int32_t>()[i];
  return static_cast<double>(right) / static_cast<double>(std::max<int64_t>(1, labels.size()));
}

Report fine_tune(Sequential& net, const Tensor& x, const Tensor& labels, const DbnFineTuneOptions& o) {
  check(net, x, labels, o.batch);
  Sgd sgd(net,
          {.rate = o.rate, .momentum = o.momentum, .weight_decay = o.weight_decay, .groups = {{.pattern = "*bias", .weight_decay = 0}}});
  const int64_t n = x.dim(0), batches = batches_of(n, o.batch);
  const bool judged = static_cast<bool>(o.held_out);
  TrainerOptions options{
      .epochs = o.epochs, .folder = o.folder, .resume = o.resume, .restore_best = judged, .progress = ProgressStyle::off};
  if (o.cosine) options.schedule = schedules::cosine(o.epochs * batches);
  if (judged) options.monitor = "accuracy";
  Task<Batch> task{.batches = [batches](int64_t) { return batches; },
                   .make_batch =
                       [&, n](int64_t epoch, int64_t i) {
                         const Tensor rows = batch_of(n, o.batch, o.seed, "order", epoch, i);
                         return Batch{take(x, rows), take(labels, rows)};
                       },
                   .loss = [&](const Batch& b) { return cross_entropy(net(b.x), b.y); },
                   .size = [](const Batch& b) { return b.x.dim(0); }};
  if (judged) task.validate = [&] { return Scores{{"accuracy", accuracy(net, o.held_out, o.held_out_labels)}}; };
  return Trainer(net, sgd, options).fit(task);
}

}  // namespace sono
