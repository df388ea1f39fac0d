#pragma once
// Pixel weights for losses, made from masks, and the exact distance transform that they need. On the CPU; no gradient.
//
//   Tensor w = border_weight_map(cells);                                    // (H, W) of instance numbers -> (H, W) f32
//   Tensor loss = weighted_cross_entropy(logits, target, w.view({1, h, w}));
#include "tensor/tensor.h"

namespace sono {

// Distance in pixels of each pixel of a mask (H, W), u8 or i32, to the nearest pixel that is not 0; infinite if there is none. f32.
// Two passes over lower envelopes of parabolas [Felzenszwalb and Huttenlocher 2012]: O(H W), exact.
Tensor distance_transform(const Tensor& mask);

// w(x) = w_c(x) + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), d1 and d2 the distances to the border of the nearest and the second nearest object:
// the gaps between touching objects weigh most [Ronneberger et al., MICCAI 2015]. pieces (H, W), u8 or i32: 0 background, each object its
// own number. w_c balances the classes: background and objects get total / (2 * their pixels) (1 where one of them is missing) if balance
// is on, else 1. The exponential term is added on the background; with fewer than two objects it is zero.
struct BorderWeightOptions {
  double w0 = 10, sigma = 5;  // pixels
  bool balance = true;
};
Tensor border_weight_map(const Tensor& pieces, const BorderWeightOptions& options = {});

// w(x) = 1 + w0 exp(-d / tau), d the distance to the mask's boundary, in pixels [Anas et al. 2017]; all 1 for a mask of one value.
Tensor boundary_weight_map(const Tensor& mask, double w0 = 5, double tau = 10);

}  // namespace sono
