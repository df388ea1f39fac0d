#include "layers/loss.h"

namespace sono {
namespace {

// The target in the output's dtype; ShapeError unless the shapes are equal.
Tensor fitted(const char* name, const Tensor& y, const Tensor& target) {
  if (y.shape() != target.shape())
    throw ShapeError(std::string("[") + name + "] output " + to_string(y.shape()) + " and target " + to_string(target.shape()) +
                     " differ in shape");
  return target.dtype() == y.dtype() ? target : target.to(y.dtype());
}

Tensor like(const Tensor& t, const Tensor& y) { return !t || t.dtype() == y.dtype() ? t : t.to(y.dtype()); }

// (N, …, C) -> (N, positions, C)
Tensor positions(const char* name, const Tensor& x) {
  if (x.rank() < 2) throw ShapeError(std::string("[") + name + "] expected (N, …, C), got " + to_string(x.shape()));
  return reshape(x, {x.dim(0), -1, x.dim(-1)});
}

// values (N, C), one per image and channel; those with an empty target may be left out.
Tensor per_image(const Tensor& values, const Tensor& target_sum, EmptyMask empty, Average how) {
  if (empty == EmptyMask::count) return average(values, how);
  const Tensor counted = (target_sum > 0.0).to(values.dtype());
  const Tensor kept = values * counted;
  if (how == Average::none) return kept;
  const Tensor total = sum(kept);
  return how == Average::sum ? total : total / maximum(sum(counted), Tensor::scalar(1, values.dtype(), values.device()));
}

// Sum v of logit_sums: (N, C).
Tensor part(const Tensor& sums, int64_t v) { return reshape(slice(sums, 2, v, v + 1), {sums.dim(0), sums.dim(1)}); }

bool plain(const BceOptions& o) { return !o.weight && !o.pos_weight && o.average != Average::none; }

// Of the sum over `values` cross-entropies.
Tensor averaged(const Tensor& total, Average how, int64_t values) {
  return how == Average::mean ? total * (1 / static_cast<double>(values)) : total;
}

// From sums (N, C) over space: of the product, of both, of the target.
Tensor dice_of(const Tensor& both, const Tensor& all, const Tensor& target_sum, const DiceOptions& o) {
  return per_image(1.0 - (both * 2.0 + o.smooth) / (all + o.smooth), target_sum, o.empty, o.average);
}

}  // namespace

Tensor average(const Tensor& values, Average how) {
  return how == Average::mean ? mean(values) : how == Average::sum ? sum(values) : values;
}

Tensor binary_cross_entropy(const Tensor& logits, const Tensor& targets, const BceOptions& o) {
  const Tensor y = fitted("binary_cross_entropy", logits, targets);
  if (plain(o) && y.size() > 0) {
    const Tensor sums = logit_sums(reshape(logits, {1, y.size(), 1}), reshape(y, {1, y.size(), 1}));
    return averaged(reshape(part(sums, 3), {}), o.average, y.size());
  }
  Tensor values;
  if (o.pos_weight)  // -log s(x) = softplus(-x), -log(1 - s(x)) = x + softplus(-x)
    values = (1.0 - y) * logits + (1.0 + (like(o.pos_weight, logits) - 1.0) * y) * softplus(-logits);
  else
    values = bce_with_logits(logits, y);
  return average(o.weight ? values * like(o.weight, logits) : values, o.average);
}

Tensor mse_loss(const Tensor& y, const Tensor& target, Average how) { return average(square(y - fitted("mse_loss", y, target)), how); }

Tensor l1_loss(const Tensor& y, const Tensor& target, Average how) { return average(abs(y - fitted("l1_loss", y, target)), how); }

// With m = min(|d|, delta) both branches are m (|d| - m / 2).
Tensor huber_loss(const Tensor& y, const Tensor& target, double delta, Average how) {
  if (!(delta > 0)) throw Error("[huber_loss] delta must be above 0, got " + std::to_string(delta));
  const Tensor d = abs(y - fitted("huber_loss", y, target));
  const Tensor m = minimum(d, Tensor::scalar(delta, y.dtype(), y.device()));
  return average(m * (d - m * 0.5), how);
}

Tensor smooth_l1_loss(const Tensor& y, const Tensor& target, double beta, Average how) {
  if (!(beta > 0)) throw Error("[smooth_l1_loss] beta must be above 0, got " + std::to_string(beta));
  return huber_loss(y, fitted("smooth_l1_loss", y, target), beta, how) / beta;
}

Tensor kl_loss(const Tensor& log_q, const Tensor& p, Average how) {
  const Tensor t = fitted("kl_loss", log_q, p);
  const Tensor positive = t > 0.0, zero = Tensor::scalar(0, t.dtype(), t.device());
  const Tensor own = select(positive, t * log(select(positive, t, zero + 1.0)), zero);  // p log p
  return average(sum(own - t * log_q, {-1}), how);
}

Tensor focal_loss(const Tensor& logits, const Tensor& targets, const FocalOptions& o) {
  const Tensor y = fitted("focal_loss", logits, targets);
  const Tensor wrong = sigmoid(logits * (1.0 - y * 2.0));  // 1 - probability of the truth, for targets 0 and 1
  Tensor values = pow(wrong, o.gamma) * bce_with_logits(logits, y);
  if (o.alpha >= 0) values = values * (y * (2 * o.alpha - 1) + (1 - o.alpha));
  return average(values, o.average);
}

Tensor focal_cross_entropy(const Tensor& logits, const Tensor& target, double gamma, const Tensor& weight, Average how) {
  const Tensor ce = cross_entropy(logits, target, {.average = Average::none});
  Tensor values = pow(maximum(1.0 - exp(-ce), Tensor::scalar(0, ce.dtype(), ce.device())), gamma) * ce;
  if (weight) values = values * take(like(weight, logits), target);
  return average(values, how);
}

Tensor weighted_cross_entropy(const Tensor& logits, const Tensor& target, const Tensor& weights, Average how) {
  if (weights.shape() != target.shape())
    throw ShapeError("[weighted_cross_entropy] target " + to_string(target.shape()) + " and weights " + to_string(weights.shape()) +
                     " differ in shape");
  const Tensor w = like(weights, logits), values = cross_entropy(logits, target, {.average = Average::none}) * w;
  return how == Average::mean ? sum(values) / sum(w) : average(values, how);
}

Tensor dice_loss(const Tensor& probabilities, const Tensor& targets, const DiceOptions& o) {
  Tensor p = positions("dice_loss", probabilities), y = positions("dice_loss", fitted("dice_loss", probabilities, targets));
  if (o.first_channel) {
    p = slice(p, 2, o.first_channel, p.dim(2));
    y = slice(y, 2, o.first_channel, y.dim(2));
  }
  const Tensor both = sum(p * y, {1}), target_sum = sum(y, {1});  // (N, C)
  const Tensor all = o.squared ? sum(square(p), {1}) + sum(square(y), {1}) : sum(p, {1}) + target_sum;
  return dice_of(both, all, target_sum, o);
}

Tensor tversky_loss(const Tensor& probabilities, const Tensor& targets, const TverskyOptions& o) {
  const Tensor p = positions("tversky_loss", probabilities), y = positions("tversky_loss", fitted("tversky_loss", probabilities, targets));
  const Tensor hit = sum(p * y, {1}), target_sum = sum(y, {1});
  const Tensor wrong = (sum(p, {1}) - hit) * o.false_positives + (target_sum - hit) * o.false_negatives;
  Tensor values = wrong / (hit + wrong + o.smooth);  // 1 - index
  if (o.gamma != 1) values = pow(maximum(values, Tensor::scalar(1e-12, p.dtype(), p.device())), 1 / o.gamma);
  return per_image(values, target_sum, o.empty, o.average);
}

Tensor dice_bce_loss(const Tensor& logits, const Tensor& targets, const DiceBceOptions& o) {
  if (logits.rank() >= 2 && logits.size() > 0 && plain(o.bce)) {  // one pass over the logits
    const Tensor all = logit_sums(logits, fitted("dice_bce_loss", logits, targets), o.dice.squared),
                 sums = o.dice.first_channel ? slice(all, 1, o.dice.first_channel, all.dim(1)) : all;
    return dice_of(part(sums, 0), part(sums, 1) + part(sums, 2), part(sums, 2), o.dice) * o.dice_weight +
           averaged(sum(part(all, 3)), o.bce.average, logits.size()) * o.bce_weight;
  }
  return dice_loss(sigmoid(logits), targets, o.dice) * o.dice_weight + binary_cross_entropy(logits, targets, o.bce) * o.bce_weight;
}

Tensor dice_ce_loss(const Tensor& logits, const Tensor& target, const DiceCeOptions& o) {
  const Tensor one = one_hot(target, logits.dim(-1), logits.dtype());
  return dice_loss(softmax(logits), one, o.dice) * o.dice_weight + cross_entropy(logits, target, o.ce) * o.ce_weight;
}

}  // namespace sono
