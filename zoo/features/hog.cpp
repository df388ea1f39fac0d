#include "zoo/features/hog.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

namespace sono::zoo {
namespace {

// (rows, columns, orientations) mean magnitude per cell and direction.
std::vector<double> cells_of(const Tensor& image, const HogOptions& o, int64_t rows, int64_t columns) {
  const int64_t H = image.dim(0), W = image.dim(1);
  const float* v = image.data<float>();
  const auto at = [&](int64_t y, int64_t x) { return static_cast<double>(v[y * W + x]); };
  std::vector<double> histogram(static_cast<size_t>(rows * columns * o.orientations));
  for (int64_t y = 0; y < rows * o.cell; y++)
    for (int64_t x = 0; x < columns * o.cell; x++) {
      const double down = y > 0 && y + 1 < H ? at(y + 1, x) - at(y - 1, x) : 0, right = x > 0 && x + 1 < W ? at(y, x + 1) - at(y, x - 1) : 0;
      double degrees = std::atan2(down, right) * 180 / std::numbers::pi;
      if (degrees < 0) degrees += 180;
      if (degrees >= 180) degrees -= 180;
      const auto bin = std::min(o.orientations - 1, static_cast<int64_t>(degrees * static_cast<double>(o.orientations) / 180));
      histogram[static_cast<size_t>(((y / o.cell) * columns + x / o.cell) * o.orientations + bin)] += std::hypot(down, right) / static_cast<double>(o.cell * o.cell);
    }
  return histogram;
}

void normalise(std::vector<double>& block) {
  constexpr double epsilon = 1e-5, cut = 0.2;
  for (const bool last : {false, true}) {
    double squares = epsilon * epsilon;
    for (const double b : block) squares += b * b;
    for (double& b : block) b = last ? b / std::sqrt(squares) : std::min(cut, b / std::sqrt(squares));
  }
}

}  // namespace

std::vector<float> hog(const Tensor& image, const HogOptions& o) {
  if (image.rank() != 2 || o.orientations < 1 || o.cell < 1 || o.block < 1)
    throw ShapeError("[hog] wants an image (H, W) and positive options, got " + to_string(image.shape()));
  const int64_t rows = image.dim(0) / o.cell, columns = image.dim(1) / o.cell;
  if (rows < o.block || columns < o.block)
    throw ShapeError("[hog] image " + to_string(image.shape()) + " is smaller than a block of " + std::to_string(o.block * o.cell) + " pixels");
  const std::vector<double> cells = cells_of(image, o, rows, columns);
  std::vector<float> features;
  std::vector<double> block;
  for (int64_t r = 0; r + o.block <= rows; r++)
    for (int64_t c = 0; c + o.block <= columns; c++) {
      block.clear();
      for (int64_t i = 0; i < o.block; i++) {
        const auto first = cells.begin() + ((r + i) * columns + c) * o.orientations;
        block.insert(block.end(), first, first + o.block * o.orientations);
      }
      normalise(block);
      for (const double b : block) features.push_back(static_cast<float>(b));
    }
  return features;
}

}  // namespace sono::zoo
