#pragma once
// Ellipses and lengths measured on masks, and the agreement of two ways to measure.
//
//   auto head = fit_ellipse(largest_component(mask));                  // pixels; none if there is too little to fit
//   double hc = circumference_mm(*head, {.x = 0.15, .y = 0.15});       // head circumference
//   BlandAltman b = bland_altman(truth_mm, predicted_mm);              // bias and 95 % limits of agreement
#include <array>
#include <optional>
#include <vector>

#include "zoo/data/sample.h"
#include "zoo/metrics/distance.h"

namespace sono::zoo {

using Point = std::array<double, 2>;  // x, y

// Where the mask's outline crosses the grid: the midpoints between foreground pixels and background pixels above, below, left and
// right of them. Unbiased, where pixel centres would lie half a pixel inside. What touches the image's edge is cut off there, not ended:
// the edge gives no points. mask (H, W) u8; pixel (x, y) has its centre at (x, y).
std::vector<Point> outline_points(const Tensor& mask);

// The ellipse that minimises the algebraic distance under 4ac - b² = 1 [Fitzgibbon, Pilu and Fisher, PAMI 1999], in the numerically
// stable partition of [Halíř and Flusser, WSCG 1998]. None for fewer than 6 points or points that fix no ellipse (on a line, say).
std::optional<Ellipse> fit_ellipse(const std::vector<Point>& points);
std::optional<Ellipse> fit_ellipse(const Tensor& mask);

// The ellipse after x -> sx x, y -> sy y: from pixels to mm, also where pixels are not square.
Ellipse scaled(const Ellipse& e, double sx, double sy);

// Ramanujan's second formula, π (a + b) (1 + 3h / (10 + √(4 - 3h))), h = ((a - b) / (a + b))²: 1e-6 mm for a head.
double perimeter(const Ellipse& e);
double circumference_mm(const Ellipse& pixels, Spacing spacing);

// Pixels within the ellipse (centres inside or on it) of a (height, width) u8 mask.
Tensor ellipse_mask(const Ellipse& e, int64_t height, int64_t width);

// Differences predicted - truth: bias, sample standard deviation, limits bias ± 1.96 SD [Bland and Altman, Lancet 1986], mean absolute
// and root mean square difference, Pearson's r. deviation is 0 and r NaN for one pair; all NaN for none. ShapeError for unequal lengths.
struct BlandAltman {
  double bias, deviation, lower, upper, mean_absolute, root_mean_square, correlation;
  int64_t n;
};
BlandAltman bland_altman(const std::vector<double>& truth, const std::vector<double>& predicted);

}  // namespace sono::zoo
