#include "zoo/data/scan_mask.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sono::zoo {
namespace {

struct Run {
  int64_t y, first, last;
};  // pixels first … last of a row

std::vector<Run> runs_above(const Tensor& image, float threshold) {
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.rank() == 3 ? image.dim(2) : 1;
  const float* v = image.data<float>();
  std::vector<Run> runs;
  for (int64_t y = 0; y < height; y++) {
    int64_t first = -1;
    for (int64_t x = 0; x <= width; x++) {
      bool lit = false;
      for (int64_t c = 0; c < channels && x < width; c++) lit = lit || v[(y * width + x) * channels + c] > threshold;
      if (lit && first < 0) first = x;
      if (!lit && first >= 0) runs.push_back({y, first, x - 1}), first = -1;
    }
  }
  return runs;
}

// Runs of neighbouring rows that touch, corners included, belong together: union-find over runs. Gives the runs of the largest piece.
std::vector<Run> largest_piece(const std::vector<Run>& runs) {
  std::vector<size_t> parent(runs.size());
  std::iota(parent.begin(), parent.end(), size_t{0});
  const auto root = [&](size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  size_t above = 0;
  for (size_t i = 0; i < runs.size(); i++) {
    while (runs[above].y < runs[i].y - 1 || (runs[above].y == runs[i].y - 1 && runs[above].last < runs[i].first - 1)) above++;
    for (size_t j = above; j < i && runs[j].y == runs[i].y - 1 && runs[j].first <= runs[i].last + 1; j++) parent[root(i)] = root(j);
  }
  std::vector<int64_t> area(runs.size());
  for (size_t i = 0; i < runs.size(); i++) area[root(i)] += runs[i].last - runs[i].first + 1;
  const auto best = static_cast<size_t>(std::max_element(area.begin(), area.end()) - area.begin());
  std::vector<Run> piece;
  for (size_t i = 0; i < runs.size(); i++)
    if (root(i) == best) piece.push_back(runs[i]);
  return piece;
}

}  // namespace

std::vector<std::array<double, 2>> convex_hull(std::vector<std::array<double, 2>> points) {
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  if (points.size() < 3) return points;
  const auto turn = [](const auto& o, const auto& a, const auto& b) {
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  };
  std::vector<std::array<double, 2>> hull;
  for (int side = 0; side < 2; side++) {
    const size_t start = hull.size();
    for (const auto& p : points) {
      while (hull.size() >= start + 2 && turn(hull[hull.size() - 2], hull.back(), p) <= 0) hull.pop_back();
      hull.push_back(p);
    }
    hull.pop_back();  // the first of the other side
    std::reverse(points.begin(), points.end());
  }
  return hull;
}

void fill_polygon(const Tensor& mask, const std::vector<std::array<double, 2>>& polygon, uint8_t value) {
  const int64_t height = mask.dim(0), width = mask.dim(1);
  uint8_t* m = mask.data<uint8_t>();
  std::vector<double> crossings;
  for (int64_t y = 0; y < height; y++) {
    crossings.clear();
    const auto at = static_cast<double>(y);
    for (size_t i = 0; i < polygon.size(); i++) {
      const auto &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
      if ((a[1] <= at) != (b[1] <= at)) crossings.push_back(a[0] + (at - a[1]) * (b[0] - a[0]) / (b[1] - a[1]));
    }
    std::sort(crossings.begin(), crossings.end());
    for (size_t k = 0; k + 1 < crossings.size(); k += 2) {
      const auto first = static_cast<int64_t>(std::ceil(std::clamp(crossings[k], 0.0, static_cast<double>(width))));
      const auto last = static_cast<int64_t>(std::floor(std::clamp(crossings[k + 1], -1.0, static_cast<double>(width - 1))));
      for (int64_t x = first; x <= last; x++) m[y * width + x] = value;
    }
  }
}

Tensor find_scan_mask(const Tensor& image, float threshold) {
  const int64_t height = image.dim(0), width = image.dim(1);
  const std::vector<Run> runs = runs_above(image, threshold);
  if (runs.empty()) return Tensor::ones({height, width}, Dtype::u8);
  std::vector<std::array<double, 2>> corners;
  const std::vector<Run> piece = largest_piece(runs);
  for (size_t i = 0; i < piece.size(); i++) {  // of each row the outermost pixels
    const auto y = static_cast<double>(piece[i].y);
    if (i == 0 || piece[i - 1].y != piece[i].y) corners.push_back({static_cast<double>(piece[i].first), y});
    if (i + 1 == piece.size() || piece[i + 1].y != piece[i].y) corners.push_back({static_cast<double>(piece[i].last), y});
  }
  Tensor mask = Tensor::zeros({height, width}, Dtype::u8);
  // The hull goes through pixel centres: a hair wider, so that it holds them.
  std::vector<std::array<double, 2>> grown;
  for (const auto& [x, y] : corners)
    for (const double dy : {-1e-3, 1e-3}) grown.push_back({x - 1e-3, y + dy}), grown.push_back({x + 1e-3, y + dy});
  fill_polygon(mask, convex_hull(grown), 1);
  return mask;
}

}  // namespace sono::zoo
