#include "zoo/metrics/measurement.h"

#include <Eigen/Dense>
#include <cmath>
#include <limits>
#include <numbers>

namespace sono::zoo {

namespace {

// The conic A x² + B xy + C y² + D x + E y + F = 0 through points around the origin, of size about 1; none unless it is an ellipse.
// The design matrix is split into its quadratic part D1 and its linear part D2, so that the constraint acts on a 3x3 problem alone.
std::optional<std::array<double, 6>> fit_conic(const std::vector<Point>& points) {
  const auto n = static_cast<Eigen::Index>(points.size());
  Eigen::MatrixX3d quadratic(n, 3), linear(n, 3);
  for (Eigen::Index i = 0; i < n; i++) {
    const auto [x, y] = points[static_cast<size_t>(i)];
    quadratic.row(i) << x * x, x * y, y * y;
    linear.row(i) << x, y, 1;
  }
  const Eigen::Matrix3d s1 = quadratic.transpose() * quadratic, s2 = quadratic.transpose() * linear, s3 = linear.transpose() * linear;
  const Eigen::Vector3d spread = Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d>(s3, Eigen::EigenvaluesOnly).eigenvalues();
  if (!(spread[0] > 1e-12 * spread[2])) return {};  // the points lie on a line
  const Eigen::Matrix3d t = -s3.ldlt().solve(s2.transpose());
  const Eigen::Matrix3d m = s1 + s2 * t;
  Eigen::Matrix3d reduced;  // the constraint's inverse times m
  reduced << m.row(2) / 2, -m.row(1), m.row(0) / 2;
  const Eigen::EigenSolver<Eigen::Matrix3d> eigen(reduced);
  for (int k = 0; k < 3; k++) {
    const Eigen::Vector3d v = eigen.eigenvectors().col(k).real();
    if (std::abs(eigen.eigenvalues()[k].imag()) > 1e-9 || 4 * v[0] * v[2] - v[1] * v[1] <= 1e-12) continue;
    const Eigen::Vector3d w = t * v;
    return std::array{v[0], v[1], v[2], w[0], w[1], w[2]};
  }
  return {};
}

// Centre where the gradient vanishes; semi-axes from the eigenvalues of the quadratic form.
std::optional<Ellipse> ellipse_of(const std::array<double, 6>& conic) {
  const auto [a, b, c, d, e, f] = conic;
  Eigen::Matrix2d form;
  form << a, b / 2, b / 2, c;
  const Eigen::Vector2d centre = form.fullPivLu().solve(Eigen::Vector2d(-d / 2, -e / 2));
  const double level = -(f + (d * centre[0] + e * centre[1]) / 2);  // (p - centre)ᵀ form (p - centre) = level
  const Eigen::SelfAdjointEigenSolver<Eigen::Matrix2d> eigen(level < 0 ? Eigen::Matrix2d(-form) : form);
  const double size = std::abs(level), small = eigen.eigenvalues()[0], large = eigen.eigenvalues()[1];
  if (!(small > 0) || !(size > 0) || !std::isfinite(size / small)) return {};
  Eigen::Vector2d axis = eigen.eigenvectors().col(0);  // the smaller eigenvalue belongs to the longer axis
  if (axis[0] < 0 || (axis[0] == 0 && axis[1] < 0)) axis = -axis;
  return Ellipse{centre[0], centre[1], std::sqrt(size / small), std::sqrt(size / large), std::atan2(axis[1], axis[0])};
}

}  // namespace

std::vector<Point> outline_points(const Tensor& mask) {
  if (mask && mask.rank() != 2) throw ShapeError("[outline_points] wants a mask (H, W), got " + to_string(mask.shape()));
  const Extent extent = mask_extent("outline_points", mask);
  const int64_t width = extent.width;
  const uint8_t* m = mask.data<uint8_t>();
  std::vector<Point> points;
  for (int64_t y = 0; y < extent.height; y++)
    for (int64_t x = 0; x < width; x++) {
      const auto px = static_cast<double>(x), py = static_cast<double>(y);
      const bool here = m[y * width + x];
      if (x + 1 < width && here != static_cast<bool>(m[y * width + x + 1])) points.push_back({px + 0.5, py});
      if (y + 1 < extent.height && here != static_cast<bool>(m[(y + 1) * width + x])) points.push_back({px, py + 0.5});
    }
  return points;
}

std::optional<Ellipse> fit_ellipse(const std::vector<Point>& points) {
  if (points.size() < 6) return {};
  double cx = 0, cy = 0, size = 0;
  const auto n = static_cast<double>(points.size());
  for (auto [x, y] : points) cx += x / n, cy += y / n;
  for (auto [x, y] : points) size += std::hypot(x - cx, y - cy) / n;
  if (!(size > 0) || !std::isfinite(size)) return {};
  std::vector<Point> normalised;
  for (auto [x, y] : points) normalised.push_back({(x - cx) / size, (y - cy) / size});
  const auto conic = fit_conic(normalised);
  auto ellipse = conic ? ellipse_of(*conic) : std::nullopt;
  if (!ellipse) return {};
  return Ellipse{ellipse->cx * size + cx, ellipse->cy * size + cy, ellipse->a * size, ellipse->b * size, ellipse->angle};
}

std::optional<Ellipse> fit_ellipse(const Tensor& mask) { return fit_ellipse(outline_points(mask)); }

Ellipse scaled(const Ellipse& e, double sx, double sy) {
  Eigen::Matrix2d axes;  // columns: the semi-axes; the ellipse is the unit circle's image
  axes << sx * e.a * std::cos(e.angle), -sx * e.b * std::sin(e.angle), sy * e.a * std::sin(e.angle), sy * e.b * std::cos(e.angle);
  const Eigen::JacobiSVD<Eigen::Matrix2d> svd(axes, Eigen::ComputeFullU);
  Eigen::Vector2d axis = svd.matrixU().col(0);
  if (axis[0] < 0 || (axis[0] == 0 && axis[1] < 0)) axis = -axis;
  return {sx * e.cx, sy * e.cy, svd.singularValues()[0], svd.singularValues()[1], std::atan2(axis[1], axis[0])};
}

double perimeter(const Ellipse& e) {
  if (e.a + e.b == 0) return 0;
  const double h = std::pow((e.a - e.b) / (e.a + e.b), 2);
  return std::numbers::pi * (e.a + e.b) * (1 + 3 * h / (10 + std::sqrt(4 - 3 * h)));
}

double circumference_mm(const Ellipse& pixels, Spacing spacing) { return perimeter(scaled(pixels, spacing.x, spacing.y)); }

Tensor ellipse_mask(const Ellipse& e, int64_t height, int64_t width) {
  Tensor mask = Tensor::zeros({height, width}, Dtype::u8);
  const double c = std::cos(e.angle), s = std::sin(e.angle);
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++) {
      const double dx = static_cast<double>(x) - e.cx, dy = static_cast<double>(y) - e.cy;
      const double u = (c * dx + s * dy) / e.a, v = (c * dy - s * dx) / e.b;
      mask.data<uint8_t>()[y * width + x] = u * u + v * v <= 1;
    }
  return mask;
}

BlandAltman bland_altman(const std::vector<double>& truth, const std::vector<double>& predicted) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (truth.size() != predicted.size())
    throw ShapeError("[bland_altman] " + std::to_string(truth.size()) + " true and " + std::to_string(predicted.size()) +
                     " predicted values");
  if (truth.empty()) return {nan, nan, nan, nan, nan, nan, nan, 0};
  const auto n = static_cast<double>(truth.size());
  double bias = 0, absolute = 0, squares = 0, mt = 0, mp = 0;
  for (size_t i = 0; i < truth.size(); i++) {
    const double d = predicted[i] - truth[i];
    bias += d / n, absolute += std::abs(d) / n, squares += d * d / n, mt += truth[i] / n, mp += predicted[i] / n;
  }
  double vd = 0, vt = 0, vp = 0, covariance = 0;
  for (size_t i = 0; i < truth.size(); i++) {
    const double t = truth[i] - mt, p = predicted[i] - mp;
    vd += std::pow(predicted[i] - truth[i] - bias, 2), vt += t * t, vp += p * p, covariance += t * p;
  }
  const double sd = truth.size() > 1 ? std::sqrt(vd / (n - 1)) : 0;
  return {bias,
          sd,
          bias - 1.96 * sd,
          bias + 1.96 * sd,
          absolute,
          std::sqrt(squares),
          vt > 0 && vp > 0 ? covariance / std::sqrt(vt * vp) : nan,
          static_cast<int64_t>(truth.size())};
}

}  // namespace sono::zoo
