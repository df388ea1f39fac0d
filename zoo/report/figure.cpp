#define EIGEN_DONT_PARALLELIZE
#include "zoo/report/figure.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>

namespace sono::zoo {
namespace {

int64_t columns_for(int64_t n, int64_t asked) {
  return asked ? asked : std::max<int64_t>(1, static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(n)))));
}

struct Range {
  float low, high;
};

Range range_of(const float* v, int64_t n) {
  const auto [low, high] = std::minmax_element(v, v + n);
  return {*low, *high > *low ? *high : *low + 1};
}

}  // namespace

Figure tile_figure(std::string title, const Tensor& rows, int64_t height, int64_t width, TileScale scale, int64_t most, int64_t columns) {
  const int64_t n = std::min(rows.dim(0), most), across = columns_for(n, columns), down = (n + across - 1) / across;
  if (rows.dim(1) != height * width)
    throw ShapeError("[tile_figure] rows of " + to_string(rows.shape()) + " are no tiles of " + std::to_string(height) + " x " +
                     std::to_string(width));
  const int64_t zoom = std::max<int64_t>(1, 56 / std::max(height, width)), h = height * zoom + 2, w = width * zoom + 2;
  Tensor image = Tensor::full({down * h, across * w}, 1);
  const Range all = scale == TileScale::unit ? Range{0, 1} : range_of(rows.data<float>(), n * height * width);
  for (int64_t t = 0; t < n; t++) {
    const float* v = rows.data<float>() + t * height * width;
    const Range r = scale == TileScale::own ? range_of(v, height * width) : all;
    for (int64_t y = 0; y < height * zoom; y++)
      for (int64_t x = 0; x < width * zoom; x++)
        image.data<float>()[((t / across) * h + y + 1) * across * w + (t % across) * w + x + 1] =
            std::clamp((v[(y / zoom) * width + x / zoom] - r.low) / (r.high - r.low), 0.0f, 1.0f);
  }
  return {std::move(title), image};
}

Figure curve_figure(std::string title, const Tensor& rows, int64_t most) {
  constexpr int64_t height = 60, width = 120, gap = 6;
  const int64_t n = std::min(rows.dim(0), most), d = rows.dim(1), across = std::min<int64_t>(6, n), down = (n + across - 1) / across;
  Tensor image = Tensor::full({down * (height + gap), across * (width + gap)}, 1);
  const int64_t total = across * (width + gap);
  for (int64_t t = 0; t < n; t++) {
    const float* v = rows.data<float>() + t * d;
    const Range r = range_of(v, d);
    const auto level = [&](int64_t x) { return static_cast<double>((v[x * d / width] - r.low) / (r.high - r.low)); };
    for (int64_t x = 0; x < width; x++) {
      const double from = level(x), to = level(std::min(x + 1, width - 1));
      for (int64_t y = 0; y < height; y++) {
        const double at = 1 - static_cast<double>(y) / (height - 1), low = std::min(from, to) - 0.012, high = std::max(from, to) + 0.012;
        image.data<float>()[((t / across) * (height + gap) + y) * total + (t % across) * (width + gap) + x] =
            at >= low && at <= high ? 0.1f : 0.94f;
      }
    }
  }
  return {std::move(title), image};
}

Tensor principal_components(const Tensor& rows, int64_t k) {
  const int64_t n = rows.dim(0), d = rows.dim(1);
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Matrix x =
      Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(rows.data<float>(), n, d).cast<double>();
  x.rowwise() -= x.colwise().mean().eval();
  // The smaller of the two Gram matrices: its eigenvectors give the scores.
  Matrix scores = Matrix::Zero(n, k);
  const bool wide = d > n;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(wide ? Eigen::MatrixXd(x * x.transpose())
                                                                   : Eigen::MatrixXd(x.transpose() * x));
  for (int64_t c = 0; c < std::min(k, std::min(n, d)); c++) {
    const Eigen::VectorXd v = solver.eigenvectors().col(solver.eigenvectors().cols() - 1 - c);
    const double value = std::max(0.0, solver.eigenvalues()[solver.eigenvalues().size() - 1 - c]);
    Eigen::VectorXd s = wide ? Eigen::VectorXd(v * std::sqrt(value)) : Eigen::VectorXd(x * v);
    Eigen::Index at = 0;
    s.cwiseAbs().maxCoeff(&at);
    scores.col(c) = s[at] < 0 ? Eigen::VectorXd(-s) : s;
  }
  Tensor out({n, k});
  for (int64_t i = 0; i < out.size(); i++) out.data<float>()[i] = static_cast<float>(scores(i / k, i % k));
  return out;
}

Figure code_figure(std::string title, const Tensor& rows, const std::vector<int>& categories) {
  constexpr int64_t side = 320;
  constexpr std::array<std::array<float, 3>, 6> colours{{{0.0f, 0.55f, 0.40f},
                                                         {0.80f, 0.15f, 0.65f},
                                                         {0.20f, 0.35f, 0.85f},
                                                         {0.85f, 0.50f, 0.05f},
                                                         {0.35f, 0.35f, 0.35f},
                                                         {0.45f, 0.10f, 0.10f}}};
  const Tensor xy = principal_components(rows, 2);
  std::vector<float> xs, ys;
  for (int64_t i = 0; i < xy.dim(0); i++) xs.push_back(xy.data<float>()[2 * i]), ys.push_back(xy.data<float>()[2 * i + 1]);
  const Range rx = range_of(xs.data(), xy.dim(0)), ry = range_of(ys.data(), xy.dim(0));
  Tensor image = Tensor::full({side, side, 3}, 0.97);
  for (size_t i = 0; i < xs.size(); i++) {
    const auto cx = static_cast<int64_t>((xs[i] - rx.low) / (rx.high - rx.low) * (side - 9)) + 4,
               cy = static_cast<int64_t>((1 - (ys[i] - ry.low) / (ry.high - ry.low)) * (side - 9)) + 4;
    const auto& colour = colours[static_cast<size_t>(categories.at(i)) % colours.size()];
    for (int64_t y = -2; y <= 2; y++)
      for (int64_t x = -2; x <= 2; x++)
        if (x * x + y * y <= 5)
          for (int64_t c = 0; c < 3; c++) {
            float& p = image.data<float>()[((cy + y) * side + cx + x) * 3 + c];
            p = 0.4f * p + 0.6f * colour[static_cast<size_t>(c)];
          }
  }
  return {std::move(title), image};
}

}  // namespace sono::zoo
