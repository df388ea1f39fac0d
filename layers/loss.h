#pragma once
// Losses: free functions of the network's output and the target, one value unless average is Average::none. Targets may be of another dtype
// (a u8 mask); they are converted to the output's. cross_entropy, with class weights, ignored targets and smoothing, is in autograd/ops.h.
//
//   Tensor loss = binary_cross_entropy(logits, mask, {.weight = border_weight_map(pieces)});
//   Tensor other = dice_bce_loss(logits, mask);
//   backward(loss);
#include "autograd/ops.h"

namespace sono {

// values -> itself, its mean or its sum.
Tensor average(const Tensor& values, Average how);

// ---- per value
// -----------------------------------------------------------------------------------------------------------------------------
struct BceOptions {
  Tensor weight = {};      // of each value, broadcast: a pixel weight map (N, H, W, 1). The mean still divides by the number of values
  Tensor pos_weight = {};  // of positive targets, broadcast: (C) or ()
  Average average = Average::mean;
};
// -w [p y log s(x) + (1 - y) log(1 - s(x))], s the logistic function; logits and targets of one shape; exact for any logit.
Tensor binary_cross_entropy(const Tensor& logits, const Tensor& targets, const BceOptions& options = {});

Tensor mse_loss(const Tensor& y, const Tensor& target, Average how = Average::mean);  // (y - t)^2
Tensor l1_loss(const Tensor& y, const Tensor& target, Average how = Average::mean);   // |y - t|
// d^2 / 2 for |d| <= delta, delta (|d| - delta / 2) beyond [Huber 1964].
Tensor huber_loss(const Tensor& y, const Tensor& target, double delta = 1, Average how = Average::mean);
// d^2 / (2 beta) for |d| < beta, |d| - beta / 2 beyond [Girshick, ICCV 2015]: huber_loss / beta.
Tensor smooth_l1_loss(const Tensor& y, const Tensor& target, double beta = 1, Average how = Average::mean);

// sum of p (log p - log q) over the last axis, log_q the model's log-probabilities (…, classes) and p the target's probabilities;
// 0 log 0 = 0. The mean is over distributions (PyTorch's "batchmean").
Tensor kl_loss(const Tensor& log_q, const Tensor& p, Average how = Average::mean);

struct FocalOptions {
  double gamma = 2;
  double alpha = 0.25;  // weight of positive targets, 1 - alpha of negative ones; below 0: no weights
  Average average = Average::mean;
};
// Cross-entropy times (1 - probability of the truth)^gamma: easy values fade [Lin et al., ICCV 2017].
Tensor focal_loss(const Tensor& logits, const Tensor& targets, const FocalOptions& options = {});
// The same for classes: logits (…, classes), target (…) i32; weights per class, optional, in place of alpha.
Tensor focal_cross_entropy(const Tensor& logits, const Tensor& target, double gamma = 2, const Tensor& weight = {},
                           Average how = Average::mean);

// A pixel-weighted cross-entropy: logits (N, …, classes), target (N, …) i32, weights (N, …). The mean divides by the sum of the weights.
Tensor weighted_cross_entropy(const Tensor& logits, const Tensor& target, const Tensor& weights, Average how = Average::mean);

// ---- overlap: probabilities and targets (N, …, C); one value per image and channel, summed over space
// ----------------------------------------- An image whose target is empty: with `count` its loss is 1 - smooth / (sum of p + smooth), 0
// for an empty prediction and near 1 for any other; with `skip` it takes no part (average over the rest; 0 if none is left).
enum class EmptyMask { count, skip };

struct DiceOptions {
  double smooth = 1;
  bool squared = false;  // p^2 and y^2 in the denominator [Milletari et al., 3DV 2016]
  EmptyMask empty = EmptyMask::count;
  int64_t first_channel = 0;        // 1: leave the background's channel out
  Average average = Average::mean;  // none: (N, C)
};
// 1 - (2 sum p y + smooth) / (sum p + sum y + smooth).
Tensor dice_loss(const Tensor& probabilities, const Tensor& targets, const DiceOptions& options = {});

struct TverskyOptions {
  double false_positives = 0.3, false_negatives = 0.7;  // 0.5 and 0.5: Dice
  double smooth = 1;
  double gamma = 1;  // (1 - index)^(1 / gamma), the focal form [Abraham and Khan, ISBI 2019: 4/3]
  EmptyMask empty = EmptyMask::count;
  Average average = Average::mean;
};
// 1 - (TP + smooth) / (TP + a FP + b FN + smooth), TP = sum p y, FP = sum p (1 - y), FN = sum (1 - p) y [Salehi et al., MLMI 2017].
Tensor tversky_loss(const Tensor& probabilities, const Tensor& targets, const TverskyOptions& options = {});

struct DiceBceOptions {
  double dice_weight = 1, bce_weight = 1;
  DiceOptions dice = {};
  BceOptions bce = {};
};
Tensor dice_bce_loss(const Tensor& logits, const Tensor& targets, const DiceBceOptions& options = {});

// For classes: logits (N, …, classes), target (N, …) i32. Soft Dice of the softmax plus cross-entropy.
struct DiceCeOptions {
  double dice_weight = 1, ce_weight = 1;
  DiceOptions dice = {.first_channel = 1};
  CrossEntropyOptions ce = {};
};
Tensor dice_ce_loss(const Tensor& logits, const Tensor& target, const DiceCeOptions& options = {});

}  // namespace sono
