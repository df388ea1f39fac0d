#include "zoo/classification/lesion_crop.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/ops.h"
#include "zoo/data/image.h"
#include "zoo/data/resize.h"
#include "zoo/report/paint.h"

namespace sono::zoo {

Box lesion_extent(const Sample& s) {
  double left = 1e9, top = 1e9, right = -1, bottom = -1;
  const auto include = [&](double x0, double y0, double x1, double y1) {
    left = std::min(left, x0), top = std::min(top, y0), right = std::max(right, x1), bottom = std::max(bottom, y1);
  };
  if (const Tensor& mask = s.labels.mask) {
    const int64_t width = mask.dim(1);
    for (int64_t i = 0; i < mask.size(); i++)
      if (mask.data<uint8_t>()[i])
        include(static_cast<double>(i % width), static_cast<double>(i / width), static_cast<double>(i % width + 1),
                static_cast<double>(i / width + 1));
  } else {
    for (const Box& b : s.labels.boxes) include(b.x, b.y, b.x + b.width, b.y + b.height);
  }
  if (right - left < 2 || bottom - top < 2) return {0, 0, static_cast<double>(s.image.dim(1)), static_cast<double>(s.image.dim(0)), 0, 1};
  return {left, top, right - left, bottom - top, 0, 1};
}

namespace {

// The rectangle that a crop shows, whole pixels: left, top, columns, rows.
std::array<int64_t, 4> window(const Sample& s, const CropOptions& o) {
  const Box b = lesion_extent(s);
  double width = b.width * (1 + 2 * o.margin), height = b.height * (1 + 2 * o.margin);
  if (!o.stretch) {
    const double side = std::max(width / static_cast<double>(o.width), height / static_cast<double>(o.height));
    width = side * static_cast<double>(o.width), height = side * static_cast<double>(o.height);
  }
  const double cx = b.x + b.width * (0.5 + o.shift_x), cy = b.y + b.height * (0.5 + o.shift_y);
  return {std::lround(cx - width / 2), std::lround(cy - height / 2), std::max<int64_t>(2, std::lround(width)),
          std::max<int64_t>(2, std::lround(height))};
}

Tensor cut(const Tensor& image, const Sample& s, const CropOptions& o) {
  const auto [left, top, columns, rows] = window(s, o);
  return resize_bilinear(crop(image, top, left, rows, columns), o.height, o.width);
}

}  // namespace

Tensor lesion_crop(const Sample& s, const CropOptions& o) {
  Tensor grey = cut(to_grey(s.image), s, o).view({o.height, o.width}).clone();
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < grey.size(); i++)
    sum += static_cast<double>(grey.data<float>()[i]), squares += std::pow(static_cast<double>(grey.data<float>()[i]), 2);
  const auto n = static_cast<double>(grey.size());
  const double mean = sum / n, deviation = std::sqrt(std::max(0.0, squares / n - mean * mean)) + 0.01;
  for (int64_t i = 0; i < grey.size(); i++)
    grey.data<float>()[i] =
        std::clamp(0.5f + 0.2f * static_cast<float>((static_cast<double>(grey.data<float>()[i]) - mean) / deviation), 0.0f, 1.0f);
  return grey;
}

Tensor outline_crop(const Sample& s, const CropOptions& o) {
  if (!s.labels.mask) return Tensor::zeros({o.height, o.width});
  Tensor inside = s.labels.mask.to(Dtype::f32);
  if (inside.shares_memory_with(s.labels.mask)) inside = inside.clone();
  for (int64_t i = 0; i < inside.size(); i++) inside.data<float>()[i] = inside.data<float>()[i] > 0 ? 1 : 0;
  const Tensor small = cut(inside.view({inside.dim(0), inside.dim(1), 1}), s, o).view({o.height, o.width}).clone();
  for (int64_t i = 0; i < small.size(); i++)
    small.data<float>()[i] = std::clamp(small.data<float>()[i], 0.0f, 1.0f);  // weights that add up to a little more
  return small;
}

namespace {

template <class T>
Tensor mirrored(const Tensor& t) {
  const Tensor out(t.shape(), t.dtype());
  const int64_t rows = t.dim(0), columns = t.dim(1), channels = t.size() / std::max<int64_t>(1, rows * columns);
  for (int64_t y = 0; y < rows; y++)
    for (int64_t x = 0; x < columns; x++)
      std::copy_n(t.data<T>() + (y * columns + x) * channels, channels, out.data<T>() + (y * columns + columns - 1 - x) * channels);
  return out;
}

}  // namespace

Sample mirrored(const Sample& s) {
  Sample m = s;
  m.image = mirrored<float>(s.image);
  if (s.scan_mask) m.scan_mask = mirrored<uint8_t>(s.scan_mask);
  if (s.labels.mask) m.labels.mask = mirrored<uint8_t>(s.labels.mask);
  if (s.elasticity) m.elasticity = mirrored<float>(s.elasticity);
  for (Box& b : m.labels.boxes) b.x = static_cast<double>(s.image.dim(1)) - b.x - b.width;
  return m;
}

Tensor lesion_sizes(const Sample& s) {
  const Box b = lesion_extent(s);
  return Tensor::from<float>({3},
                             {static_cast<float>(b.width / static_cast<double>(s.image.dim(1))),
                              static_cast<float>(b.height / static_cast<double>(s.image.dim(0))), static_cast<float>(b.height / b.width)});
}

namespace {

double area_of(const Polyline& line) {
  double twice = 0;
  for (size_t i = 0; i + 1 < line.size(); i++) twice += line[i][0] * line[i + 1][1] - line[i + 1][0] * line[i][1];
  return std::abs(twice) / 2;
}

// Andrew's monotone chain; closed.
Polyline hull_of(Polyline points) {
  std::sort(points.begin(), points.end());
  Polyline hull(2 * points.size() + 1);
  size_t k = 0;
  const auto turn = [](const auto& o, const auto& a, const auto& b) {
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  };
  for (const auto& p : points) {
    while (k >= 2 && turn(hull[k - 2], hull[k - 1], p) <= 0) k--;
    hull[k++] = p;
  }
  for (size_t i = points.size() - 1, lower = k + 1; i-- > 0;) {
    while (k >= lower && turn(hull[k - 2], hull[k - 1], points[i]) <= 0) k--;
    hull[k++] = points[i];
  }
  hull.resize(k);
  return hull;
}

// Radii from the centre at 64 angles along the outline, their relative deviation and how often they turn.
std::pair<double, double> radial(const Polyline& line) {
  double cx = 0, cy = 0;
  for (const auto& p : line) cx += p[0] / static_cast<double>(line.size()), cy += p[1] / static_cast<double>(line.size());
  std::vector<double> radius(64, 0);
  for (const auto& p : line) {
    const double angle = std::atan2(p[1] - cy, p[0] - cx);
    auto& r = radius[static_cast<size_t>((angle + std::numbers::pi) / (2 * std::numbers::pi) * 63.999)];
    r = std::max(r, std::hypot(p[0] - cx, p[1] - cy));
  }
  double mean = 0, squares = 0, turns = 0;
  for (size_t i = 0; i < 64; i++)
    if (radius[i] == 0) radius[i] = radius[(i + 63) % 64];
  for (const double r : radius) mean += r / 64, squares += r * r / 64;
  for (size_t i = 0; i < 64; i++)
    turns += (radius[(i + 1) % 64] - radius[i]) * (radius[(i + 2) % 64] - radius[(i + 1) % 64]) < -1e-4 * mean * mean;
  return {std::sqrt(std::max(0.0, squares - mean * mean)) / (mean + 1e-9), turns};
}

}  // namespace

Tensor lesion_shape(const Sample& s) {
  Tensor out = Tensor::zeros({7});
  if (!s.labels.mask) return out;
  Polyline longest;
  for (const Polyline& line : contours(s.labels.mask))
    if (area_of(line) > area_of(longest)) longest = line;
  if (longest.size() < 4) return out;
  double perimeter = 0;
  for (size_t i = 0; i + 1 < longest.size(); i++)
    perimeter += std::hypot(longest[i + 1][0] - longest[i][0], longest[i + 1][1] - longest[i][1]);
  const double area = area_of(longest), pixels = static_cast<double>(s.image.dim(0) * s.image.dim(1));
  const auto [variation, turns] = radial(longest);
  const Box b = lesion_extent(s);
  const std::vector<double> all{4 * std::numbers::pi * area / (perimeter * perimeter + 1e-9),
                                area / std::max(1e-9, area_of(hull_of(longest))),
                                variation,
                                turns / 64,
                                std::log(area / pixels + 1e-6),
                                b.height / b.width,
                                (b.y + b.height / 2) / static_cast<double>(s.image.dim(0))};
  for (size_t i = 0; i < all.size(); i++) out.data<float>()[i] = static_cast<float>(all[i]);
  return out;
}

}  // namespace sono::zoo
