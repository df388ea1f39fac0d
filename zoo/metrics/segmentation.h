#pragma once
// How well a predicted mask P agrees with the true mask G. Foreground is what is not 0; of a multi-label mask take label_mask first.
//
//   Overlap o = overlap(truth, prediction);              dice(o);
//   SurfaceDistances d = surface_distances(truth, prediction, {.x = 0.2, .y = 0.2});
//   hausdorff95(d);                                      // mm
//
// Empty masks: where both are empty a value is NaN (nothing was asked; counted apart when averaged). Where one is empty, overlaps are 0
// and distances +inf: a missed object is never dropped from an average.
#include <cstdint>
#include <vector>

#include "zoo/metrics/distance.h"

namespace sono::zoo {

Tensor label_mask(const Tensor& mask, int label);  // u8, 1 where mask == label

// Counts of voxels. ShapeError if the masks differ in shape.
struct Overlap {
  int64_t tp = 0, fp = 0, fn = 0, tn = 0;
  bool truth_empty() const { return tp + fn == 0; }
  bool prediction_empty() const { return tp + fp == 0; }
};
Overlap overlap(const Tensor& truth, const Tensor& prediction);

enum class BothEmpty { nan, one };  // what the overlap of nothing with nothing is worth

double dice(const Overlap& o, BothEmpty both_empty = BothEmpty::nan);     // 2 TP / (2 TP + FP + FN)
double jaccard(const Overlap& o, BothEmpty both_empty = BothEmpty::nan);  // TP / (TP + FP + FN)
double sensitivity(const Overlap& o);                         // TP / (TP + FN); NaN where the denominator is 0, as in the next three
double specificity(const Overlap& o);                         // TN / (TN + FP)
double positive_predictive_value(const Overlap& o);           // TP / (TP + FP)
double negative_predictive_value(const Overlap& o);           // TN / (TN + FN)
double volume_difference(const Overlap& o, Spacing spacing);  // (|P| - |G|) in mm² (2D, spacing.z = 1) or mm³
double relative_volume_error(const Overlap& o);               // (|P| - |G|) / |G| in percent; NaN for an empty truth

// The surface: foreground with a background neighbour across a face (4 in 2D, 6 in 3D); outside the image is background.
Tensor surface(const Tensor& mask);

// For every surface voxel of one mask, the distance of its centre to the nearest surface voxel of the other, in the spacing's unit.
// A distance to nothing is +inf.
struct SurfaceDistances {
  std::vector<double> from_prediction, from_truth;
};
SurfaceDistances surface_distances(const Tensor& truth, const Tensor& prediction, Spacing spacing = {});

// Hausdorff distance, the largest of both directions; and its 95th percentile: the larger of the two directed percentiles, or
// (pooled) the percentile of both directions together.
enum class Directions { larger, pooled };
double hausdorff(const SurfaceDistances& d);
double hausdorff95(const SurfaceDistances& d, Directions directions = Directions::larger);

// Average symmetric surface distance: the mean over both surfaces' voxels together, or the mean of the two directed means.
enum class Averaging { together, mean_of_means };
double assd(const SurfaceDistances& d, Averaging averaging = Averaging::together);

// Normalised surface Dice: the part of both surfaces that lies within `tolerance` of the other [Nikolov et al., JMIR 2021];
// voxels count alike here, where DeepMind's program weights them by the area of a marching-cubes facet. One mask empty: 0.
double surface_dice(const SurfaceDistances& d, double tolerance);

}  // namespace sono::zoo
