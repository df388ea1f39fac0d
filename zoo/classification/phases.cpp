#include "zoo/classification/phases.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "zoo/metrics/distance.h"

namespace sono::zoo {
namespace {

constexpr int rings = 9, levels = 8;

// Ring of each pixel, or -1: by signed distance to the outline over the mean radius, from -1 to 0.5.
std::vector<int> ring_of(const Tensor& mask) {
  const int64_t n = mask.size();
  const Tensor outside(mask.shape(), Dtype::u8);
  double area = 0;
  for (int64_t i = 0; i < n; i++) outside.data<uint8_t>()[i] = mask.data<uint8_t>()[i] == 0, area += mask.data<uint8_t>()[i] != 0;
  const double radius = std::sqrt(area / std::numbers::pi);
  const Tensor to_lesion = distance_transform(mask), to_outside = distance_transform(outside);
  std::vector<int> ring(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; i++) {
    const double d = (to_lesion.data<double>()[i] - to_outside.data<double>()[i]) / radius;
    ring[static_cast<size_t>(i)] = d >= 0.5 ? -1 : std::clamp(static_cast<int>((d + 1) / 1.5 * rings), 0, rings - 1);
  }
  return ring;
}

}  // namespace

Views phase_features(const Sample& s) {
  if (!s.labels.mask)
    throw Error(s.meta.id +
                ": has no mask of the lesion, which says where to measure; give one in masks/, or as NAME_mask.png beside the picture");
  const int64_t phases = s.image.dim(2), n = s.labels.mask.size();
  if (phases < 2) throw Error(s.meta.id + ": has one channel; wanted are two contrast phases or more, as the channels of a picture");
  const std::vector<int> ring = ring_of(s.labels.mask);
  Views views;
  for (int64_t phase = 0; phase < phases; phase++) {
    double sum[rings] = {}, squares[rings] = {}, count[rings] = {}, histogram[levels] = {}, inside = 0;
    for (int64_t i = 0; i < n; i++) {
      const double v = static_cast<double>(s.image.data<float>()[i * phases + phase]);
      if (const int r = ring[static_cast<size_t>(i)]; r >= 0) sum[r] += v, squares[r] += v * v, count[r]++;
      if (s.labels.mask.data<uint8_t>()[i]) histogram[std::clamp(static_cast<int>(v * levels), 0, levels - 1)]++, inside++;
    }
    std::vector<float> f;
    for (int r = 0; r < rings; r++) {
      const double k = std::max(1.0, count[r]), mean = sum[r] / k;
      f.push_back(static_cast<float>(mean)), f.push_back(static_cast<float>(std::sqrt(std::max(0.0, squares[r] / k - mean * mean))));
    }
    for (const double h : histogram) f.push_back(static_cast<float>(h / std::max(1.0, inside)));
    views.push_back(Tensor::from<float>({static_cast<int64_t>(f.size())}, f));
  }
  return views;
}

}  // namespace sono::zoo
