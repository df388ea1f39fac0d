// Resampling to another grid. interpolate is linear and differentiates into its adjoint; grid_sample is linear in the image, not in the
// grid.
#include <cmath>

#include "autograd/ops/common.h"
#include "tensor/kernels.h"

namespace sono {

using namespace ops;
using kernels::Resampling;

namespace {

Tensor interpolate_adjoint(const Tensor& y, const Shape& x_shape, Resampling mode);

Tensor volume(const Tensor& t) { return t.view(with_3_spatial("interpolate", t.shape())); }

Tensor interpolate_values(const Tensor& x, const Shape& y_shape, Resampling mode) {
  constexpr const char* modes[] = {"nearest", "linear", "linear_corners"};
  const Tensor y(y_shape, x.dtype(), x.device());
  kernels::resample({volume(x), volume(y), mode});
  return differentiable("interpolate", y, {{x, [shape = x.shape(), mode](const Tensor& g) { return interpolate_adjoint(g, shape, mode); }}},
                        [&] {
                          return Attributes{{"shape", y_shape}, {"mode", std::string(modes[static_cast<int>(mode)])}};
                        });
}

Tensor interpolate_adjoint(const Tensor& y, const Shape& x_shape, Resampling mode) {
  const Tensor x(x_shape, y.dtype(), y.device());
  kernels::resample_adjoint({volume(x), volume(y), mode});
  return differentiable("interpolate_adjoint", x,
                        {{y, [shape = y.shape(), mode](const Tensor& g) { return interpolate_values(g, shape, mode); }}});
}

}  // namespace

Tensor interpolate(const Tensor& x, const Extent& size, Interpolation mode, bool align_corners) {
  check_same("interpolate", {&x});
  with_3_spatial("interpolate", x.shape());
  const auto wanted = size.spatial(x.rank() - 2, 1);
  Shape shape = x.shape();
  for (size_t d = 1; d + 1 < shape.size(); d++) {
    if (wanted[d + 4 - shape.size()] < 1 || shape[d] < 1)
      throw ShapeError("[interpolate] input " + to_string(x.shape()) + " cannot be resampled to the size " + to_string(size.sizes));
    shape[d] = wanted[d + 4 - shape.size()];
  }
  return interpolate_values(x, shape,
                            mode == Interpolation::nearest ? Resampling::nearest
                            : align_corners                ? Resampling::linear_corners
                                                           : Resampling::linear);
}

// ---- grid_sample
// ---------------------------------------------------------------------------------------------------------------------------

namespace {

// The same written with simple operations, for second derivatives. A corner contributes its value times, per axis, 1 - |distance|; which
// corners there are is constant almost everywhere.
Tensor grid_sample_composed(const Tensor& x, const Tensor& grid, bool nearest, bool align_corners) {
  const int64_t dims = grid.dim(-1), n = x.dim(0), points = grid.size() / std::max<int64_t>(1, n * dims), channels = x.dim(-1);
  const int64_t positions = x.size() / std::max<int64_t>(1, n * channels);
  const Tensor rows = reshape(x, {n, positions, channels}), coordinates = reshape(grid, {n, points, dims});
  Tensor total;
  for (int64_t corner = 0; corner < (nearest ? 1 : int64_t{1} << dims); corner++) {
    Tensor weight;
    std::vector<int32_t> index(static_cast<size_t>(n * points), 0);
    std::vector<double> inside(index.size(), 1);
    for (int64_t d = 0; d < dims; d++) {  // grid's last axis is (x, y, z): d = 0 is the width
      const auto size = static_cast<double>(x.dim(-2 - d));
      int64_t step = 1;
      for (int64_t e = 0; e < d; e++) step *= x.dim(-2 - e);
      const Tensor at = align_corners ? (slice(coordinates, 2, d, d + 1) + 1.0) * ((size - 1) / 2)
                                      : (slice(coordinates, 2, d, d + 1) + 1.0) * (size / 2) - 0.5;
      const std::vector<double> values = at.detach().to_vector<double>();
      std::vector<double> corners(values.size());
      for (size_t i = 0; i < values.size(); i++) {
        const double k = nearest ? std::nearbyint(values[i]) : std::floor(values[i]) + static_cast<double>(corner >> d & 1);
        corners[i] = k;
        if (k >= 0 && k < size)
          index[i] += static_cast<int32_t>(static_cast<int64_t>(k) * step);
        else
          inside[i] = 0;
      }
      if (nearest) continue;
      const Tensor distance = at - Tensor::from({n, points, 1}, corners).to(x.dtype());
      const Tensor part = corner >> d & 1 ? distance + 1.0 : 1.0 - distance;
      weight = weight ? weight * part : part;
    }
    for (size_t i = 0; i < index.size(); i++) index[i] = inside[i] != 0 ? index[i] : 0;
    const Tensor mask = Tensor::from({n, points, 1}, inside).to(x.dtype());
    std::vector<int32_t> wide;
    for (int32_t i : index) wide.insert(wide.end(), static_cast<size_t>(channels), i);
    const Tensor values = gather(rows, Tensor::from({n, points, channels}, wide), 1) * (weight ? weight * mask : mask);
    total = total ? total + values : values;
  }
  Shape shape(grid.shape().begin(), grid.shape().end() - 1);
  shape.push_back(channels);
  return reshape(total, shape);
}

}  // namespace

Tensor grid_sample(const Tensor& x, const Tensor& grid, Interpolation mode, bool align_corners) {
  check_same("grid_sample", {&x, &grid});
  check_given("grid_sample", {&grid});
  const bool nearest = mode == Interpolation::nearest;
  if ((x.rank() != 4 && x.rank() != 5) || grid.rank() != x.rank() || grid.dim(-1) != x.rank() - 2 || grid.dim(0) != x.dim(0))
    throw ShapeError("[grid_sample] input " + to_string(x.shape()) + " and grid " + to_string(grid.shape()) +
                     " do not fit; expected (N, H, W, C) with (N, Ho, Wo, 2) or (N, D, H, W, C) with (N, Do, Ho, Wo, 3)");
  Shape shape = grid.shape();
  shape.back() = x.dim(-1);
  const Tensor y(shape, x.dtype(), x.device());
  const auto grid_5d = [](const Tensor& t) {
    Shape s = t.shape();
    if (s.size() == 4) s.insert(s.begin() + 1, 1);
    return t.view(s);
  };
  kernels::grid_sample({volume(x), grid_5d(grid), volume(y), nearest, align_corners});
  const auto back = [x = Saved(x), grid = Saved(grid, "grid"), nearest, align_corners, grid_5d](
                        const Tensor& g, const std::vector<bool>& wanted) -> std::vector<Tensor> {
    if (will_record(g, *x, *grid))
      return partial_gradients(grid_sample_composed(*x, *grid, nearest, align_corners), {*x, *grid}, wanted, g);
    const Tensor gx = wanted[0] ? Tensor::empty_like(*x) : Tensor{}, ggrid = wanted[1] ? Tensor::empty_like(*grid) : Tensor{};
    kernels::grid_sample_backward(
        {volume(*x), grid_5d(*grid), volume(g), gx ? volume(gx) : gx, ggrid ? grid_5d(ggrid) : ggrid, nearest, align_corners});
    return {gx, ggrid};
  };
  return differentiable_jointly("grid_sample", y, {x, grid}, back, [&] {
    return Attributes{{"mode", std::string(nearest ? "nearest" : "linear")}, {"align_corners", int64_t{align_corners}}};
  });
}

// grid[n, p] = theta[n] (x, y, 1) for the centres (or, aligned, the corners) of the pixels p in [-1, 1].
Tensor affine_grid(const Tensor& theta, const Shape& size, bool align_corners) {
  check_same("affine_grid", {&theta});
  const auto dims = static_cast<int64_t>(size.size()) - 2;
  if ((dims != 2 && dims != 3) || theta.shape() != Shape{size[0], dims, dims + 1})
    throw ShapeError("[affine_grid] theta " + to_string(theta.shape()) + " and size " + to_string(size) +
                     " do not fit; expected (N, 2, 3) with (N, H, W, C) or (N, 3, 4) with (N, D, H, W, C)");
  const int64_t points = count(Shape(size.begin() + 1, size.end() - 1));
  std::vector<double> base;
  for (int64_t p = 0; p < points; p++) {
    int64_t rest = p;
    for (int64_t d = 0; d < dims; d++) {  // x first: the last spatial dimension
      const int64_t n = size[static_cast<size_t>(dims - d)], i = rest % n;
      rest /= n;
      const auto at = static_cast<double>(i), m = static_cast<double>(n);
      base.push_back(align_corners ? (n > 1 ? 2 * at / (m - 1) - 1 : 0) : (2 * at + 1) / m - 1);
    }
    base.push_back(1);
  }
  const Tensor centres = Tensor::from({points, dims + 1}, base).to(theta.dtype()).to(theta.device());
  Shape shape(size.begin(), size.end() - 1);
  shape.push_back(dims);
  return reshape(matmul(centres, theta, false, true), shape);
}

}  // namespace sono
