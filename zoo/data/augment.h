#pragma once
// Augmentation of an image together with everything that is known of it: mask, scan mask, score, boxes, landmarks, ellipse, spacing.
// Mirror, affine map and elastic deformation make one map and one bilinear resample (masks: nearest). What changes brightness acts inside
// the scan mask only; outside it the result is 0. A draw depends on (seed, epoch, index) alone: the same on any number of threads, and
// resumable.
//
//   Augmentation a{.rotation = 20, .speckle = 0};          // p-values and ranges; {} is a sound default
//   Sample s = augment(data->get(i), a, seed, epoch, i);   // a copy
//
// Depth attenuation and shadow as in [Tupper and Gagné, "Revisiting data augmentation for ultrasound images", 2025]; speckle on
// log-compressed images I + √I n [Loupas et al., IEEE Trans. Circuits Syst. 1989]; elastic: a cubic B-spline grid, as in [Ronneberger et
// al., 2015].
#include <cstdint>

#include "zoo/data/sample.h"

namespace sono::zoo {

struct Augmentation {
  // Probabilities of each step, 0 … 1.
  double flip = 0.5;    // left-right
  double affine = 0.8;  // rotation, scale, shear and translation, drawn together
  double elastic = 0.2;
  double gamma = 0.4;
  double noise = 0.2;  // additive, white
  double blur = 0.15;
  double speckle = 0.2;      // multiplicative in amplitude, correlated over neighbouring pixels
  double attenuation = 0.2;  // darker with depth
  double shadow = 0.2;       // a Gaussian spot

  // Ranges, each drawn evenly from ± the value (or 0 … the value).
  double rotation = 15;            // ± degrees
  double scale = 0.15;             // factor 1/(1 + s) … 1 + s
  double shear = 5;                // ± degrees
  double translation = 0.06;       // ± share of width and height
  double elastic_strength = 0.03;  // largest displacement of a grid point, share of the longer side
  double gamma_range = 0.3;        // exponent e^-g … e^g
  double noise_deviation = 0.03;   // 0 …
  double blur_sigma = 1.2;         // pixels, 0.3 …
  double speckle_strength = 0.06;  // 0 …
  double attenuation_rate = 1.2;   // I e^(-rate r), r from the top centre in units of the image's height, 0 …
  double shadow_strength = 0.7;    // 0.2 …: I (1 - s e^(-dx²/2σx² - dy²/2σy²)), σ 2 … 20 % of the size
};

// Error if a probability is not in 0 … 1 or a range is negative or beyond sense (named).
void check(const Augmentation& a);

// sample.image (H, W, C) f32. Boxes that leave less than a quarter of themselves in the image are dropped, landmarks outside it, too. After
// an elastic deformation the ellipse is no longer one and goes; measurements go after a shear or an elastic deformation; the spacing
// follows the scale.
Sample augment(const Sample& sample, const Augmentation& a, uint64_t seed, int64_t epoch, int64_t index);

}  // namespace sono::zoo
