#include "zoo/metrics/segmentation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "zoo/metrics/statistics.h"

namespace sono::zoo {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

void check_pair(const char* operation, const Tensor& truth, const Tensor& prediction) {
  mask_extent(operation, truth), mask_extent(operation, prediction);
  if (truth.shape() != prediction.shape())
    throw ShapeError(std::string("[") + operation + "] true mask " + to_string(truth.shape()) + " and predicted mask " +
                     to_string(prediction.shape()) + " differ in shape; bring the prediction to the image's size");
}

double ratio(int64_t part, int64_t whole) { return whole ? static_cast<double>(part) / static_cast<double>(whole) : nan; }

bool both_empty(const SurfaceDistances& d) { return d.from_prediction.empty() && d.from_truth.empty(); }
bool one_empty(const SurfaceDistances& d) { return d.from_prediction.empty() != d.from_truth.empty(); }
double sum(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }

// The smallest box that holds the foreground of both masks: distances between surfaces do not change when all else is cut away.
struct Region {
  int64_t low[3], high[3];
};

Region common_region(const Extent& e, const uint8_t* a, const uint8_t* b) {
  Region r{{e.depth, e.height, e.width}, {0, 0, 0}};
  for (int64_t z = 0, i = 0; z < e.depth; z++)
    for (int64_t y = 0; y < e.height; y++)
      for (int64_t x = 0; x < e.width; x++, i++) {
        if (!a[i] && !b[i]) continue;
        const int64_t at[3] = {z, y, x};
        for (int k = 0; k < 3; k++) r.low[k] = std::min(r.low[k], at[k]), r.high[k] = std::max(r.high[k], at[k] + 1);
      }
  return r;
}

Tensor crop(const Tensor& mask, const Extent& e, const Region& r) {
  Tensor part({r.high[0] - r.low[0], r.high[1] - r.low[1], r.high[2] - r.low[2]}, Dtype::u8);
  const uint8_t* from = mask.data<uint8_t>();
  uint8_t* to = part.data<uint8_t>();
  for (int64_t z = r.low[0]; z < r.high[0]; z++)
    for (int64_t y = r.low[1]; y < r.high[1]; y++) {
      const uint8_t* row = from + (z * e.height + y) * e.width;
      to = std::copy(row + r.low[2], row + r.high[2], to);
    }
  return part;
}

std::vector<double> values_where(const Tensor& distances, const Tensor& mask) {
  std::vector<double> values;
  const double* d = distances.data<double>();
  const uint8_t* m = mask.data<uint8_t>();
  for (int64_t i = 0; i < mask.size(); i++)
    if (m[i]) values.push_back(d[i]);
  return values;
}

}  // namespace

Tensor label_mask(const Tensor& mask, int label) {
  mask_extent("label_mask", mask);
  Tensor result(mask.shape(), Dtype::u8);
  const uint8_t* m = mask.data<uint8_t>();
  uint8_t* r = result.data<uint8_t>();
  for (int64_t i = 0; i < mask.size(); i++) r[i] = m[i] == label;
  return result;
}

Overlap overlap(const Tensor& truth, const Tensor& prediction) {
  check_pair("overlap", truth, prediction);
  const uint8_t *g = truth.data<uint8_t>(), *p = prediction.data<uint8_t>();
  Overlap o;
  for (int64_t i = 0; i < truth.size(); i++) (g[i] ? (p[i] ? o.tp : o.fn) : (p[i] ? o.fp : o.tn))++;
  return o;
}

double dice(const Overlap& o, BothEmpty empty) {
  if (o.truth_empty() && o.prediction_empty()) return empty == BothEmpty::one ? 1 : nan;
  return ratio(2 * o.tp, 2 * o.tp + o.fp + o.fn);
}

double jaccard(const Overlap& o, BothEmpty empty) {
  if (o.truth_empty() && o.prediction_empty()) return empty == BothEmpty::one ? 1 : nan;
  return ratio(o.tp, o.tp + o.fp + o.fn);
}

double sensitivity(const Overlap& o) { return ratio(o.tp, o.tp + o.fn); }
double specificity(const Overlap& o) { return ratio(o.tn, o.tn + o.fp); }
double positive_predictive_value(const Overlap& o) { return ratio(o.tp, o.tp + o.fp); }
double negative_predictive_value(const Overlap& o) { return ratio(o.tn, o.tn + o.fn); }
double volume_difference(const Overlap& o, Spacing s) { return static_cast<double>(o.fp - o.fn) * s.x * s.y * s.z; }
double relative_volume_error(const Overlap& o) { return 100 * ratio(o.fp - o.fn, o.tp + o.fn); }

Tensor surface(const Tensor& mask) {
  const auto [depth, height, width] = mask_extent("surface", mask);
  Tensor result(mask.shape(), Dtype::u8);
  const uint8_t* m = mask.data<uint8_t>();
  uint8_t* r = result.data<uint8_t>();
  const bool volume = mask.rank() == 3;
  const int64_t plane = height * width;
  for (int64_t z = 0, i = 0; z < depth; z++)
    for (int64_t y = 0; y < height; y++)
      for (int64_t x = 0; x < width; x++, i++) {
        bool inner = x > 0 && x + 1 < width && y > 0 && y + 1 < height && m[i - 1] && m[i + 1] && m[i - width] && m[i + width];
        if (volume) inner = inner && z > 0 && z + 1 < depth && m[i - plane] && m[i + plane];
        r[i] = m[i] && !inner;
      }
  return result;
}

SurfaceDistances surface_distances(const Tensor& truth, const Tensor& prediction, Spacing spacing) {
  check_pair("surface_distances", truth, prediction);
  const Extent extent = mask_extent("surface_distances", truth);
  const Region region = common_region(extent, truth.data<uint8_t>(), prediction.data<uint8_t>());
  if (region.high[0] == 0) return {};
  const Tensor g = crop(surface(truth), extent, region), p = crop(surface(prediction), extent, region);
  return {values_where(distance_transform(g, spacing), p), values_where(distance_transform(p, spacing), g)};
}

double hausdorff(const SurfaceDistances& d) {
  if (both_empty(d)) return nan;
  if (one_empty(d)) return infinity;
  return std::max(*std::max_element(d.from_prediction.begin(), d.from_prediction.end()),
                  *std::max_element(d.from_truth.begin(), d.from_truth.end()));
}

double hausdorff95(const SurfaceDistances& d, Directions directions) {
  if (both_empty(d)) return nan;
  if (one_empty(d)) return infinity;
  if (directions == Directions::larger) return std::max(percentile(d.from_prediction, 95), percentile(d.from_truth, 95));
  std::vector<double> all = d.from_prediction;
  all.insert(all.end(), d.from_truth.begin(), d.from_truth.end());
  return percentile(std::move(all), 95);
}

double assd(const SurfaceDistances& d, Averaging averaging) {
  if (both_empty(d)) return nan;
  if (one_empty(d)) return infinity;
  const auto np = static_cast<double>(d.from_prediction.size()), ng = static_cast<double>(d.from_truth.size());
  if (averaging == Averaging::mean_of_means) return (sum(d.from_prediction) / np + sum(d.from_truth) / ng) / 2;
  return (sum(d.from_prediction) + sum(d.from_truth)) / (np + ng);
}

double surface_dice(const SurfaceDistances& d, double tolerance) {
  if (both_empty(d)) return nan;
  const auto within = [=](double x) { return x <= tolerance; };
  const auto near = std::count_if(d.from_prediction.begin(), d.from_prediction.end(), within) +
                    std::count_if(d.from_truth.begin(), d.from_truth.end(), within);
  return ratio(near, static_cast<int64_t>(d.from_prediction.size() + d.from_truth.size()));
}

}  // namespace sono::zoo
