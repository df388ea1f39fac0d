#include "zoo/sim/noise.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "tensor/random.h"
#include "zoo/sim/decibel.h"

namespace sono::zoo::sim {
namespace {

constexpr int quantiles = 4096;

// The quantiles (i + 1/2) / 4096 of the normal law by Newton's method on its distribution function, scaled to variance 1.
std::array<float, quantiles> normal_quantiles() {
  std::array<double, quantiles> q;
  double x = -4, power = 0;
  for (int i = 0; i < quantiles; i++) {
    for (int step = 0; step < 60; step++) {
      const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
      const double error = 0.5 * std::erfc(-x / std::numbers::sqrt2) - (i + 0.5) / quantiles;
      x -= std::clamp(error / density, -0.2, 0.2);
    }
    q[i] = x, power += x * x;
  }
  std::array<float, quantiles> scaled;
  for (int i = 0; i < quantiles; i++) scaled[i] = static_cast<float>(q[i] / std::sqrt(power / quantiles));
  return scaled;
}

// Weights of the four lattice points around fraction t, with unit energy: the field then has variance 1 on and between lattice points.
std::array<float, 4> spline_weights(double t) {
  const double w[4] = {(1 - t) * (1 - t) * (1 - t) / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (-3 * t * t * t + 3 * t * t + 3 * t + 1) / 6,
                       t * t * t / 6};
  const double norm = 1 / std::sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2] + w[3] * w[3]);
  return {static_cast<float>(w[0] * norm), static_cast<float>(w[1] * norm), static_cast<float>(w[2] * norm),
          static_cast<float>(w[3] * norm)};
}

// Lattice columns [first, first + n) of lattice row j. Indices reach from -2^20 to 2^20.
void lattice_row(float* out, int64_t j, int64_t first, int64_t n, uint64_t seed, uint64_t stream) {
  constexpr int64_t offset = int64_t{1} << 20;
  const int64_t column = first + offset, skipped = column % 8;
  std::vector<float> aligned(static_cast<size_t>(n + skipped));
  fill_normal(aligned.data(), n + skipped, seed, stream, (static_cast<uint64_t>(j + offset) << 24) + static_cast<uint64_t>(column / 8));
  std::copy(aligned.begin() + skipped, aligned.end(), out);
}

}  // namespace

void fill_normal(float* out, int64_t n, uint64_t seed, uint64_t stream, uint64_t first) {
  static const std::array<float, quantiles> table = normal_quantiles();
  int64_t i = 0;
  uint32_t words[4][philox_lanes];
  for (; i + 4 * philox_lanes <= n; i += 8 * philox_lanes, first += philox_lanes) {  // worth it when at least half of the lanes are wanted
    philox_blocks(words, first, stream, seed);
    float numbers[8 * philox_lanes];
    for (int k = 0; k < philox_lanes; k++)
      for (int w = 0; w < 4; w++) {
        numbers[8 * k + 2 * w] = table[words[w][k] >> 20];
        numbers[8 * k + 2 * w + 1] = table[words[w][k] >> 4 & 0xfff];
      }
    std::copy_n(numbers, std::min<int64_t>(n - i, 8 * philox_lanes), out + i);
  }
  for (; i < n; i += 8, first++) {
    const std::array<uint32_t, 4> block = philox4x32({static_cast<uint32_t>(first), static_cast<uint32_t>(first >> 32),
                                                      static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                                                     {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    for (int64_t k = 0; k < std::min<int64_t>(8, n - i); k++) out[i + k] = table[k % 2 ? block[k / 2] >> 4 & 0xfff : block[k / 2] >> 20];
  }
}

Tensor smooth_field(const Window& g, double cell_z, double cell_x, uint64_t seed, uint64_t stream) {
  const auto cell = [](double x, double size) { return static_cast<int64_t>(std::floor(x / size)); };
  const int64_t first_j = cell(g.z0, cell_z) - 1, last_j = cell(g.z0 + g.dz * static_cast<double>(g.rows - 1), cell_z) + 3;
  const int64_t first_i = cell(g.x0, cell_x) - 1, last_i = cell(g.x0 + g.dx * static_cast<double>(g.columns - 1), cell_x) + 3;
  std::vector<float> lattice(static_cast<size_t>(last_i - first_i)), wide(static_cast<size_t>((last_j - first_j) * g.columns));
  std::vector<std::array<float, 4>> weights(static_cast<size_t>(g.columns));
  std::vector<int64_t> start(static_cast<size_t>(g.columns));
  for (int64_t x = 0; x < g.columns; x++) {
    const double position = (g.x0 + g.dx * static_cast<double>(x)) / cell_x;
    weights[x] = spline_weights(position - std::floor(position)), start[x] = static_cast<int64_t>(std::floor(position)) - 1 - first_i;
  }
  for (int64_t j = first_j; j < last_j; j++) {  // each lattice row, widened to all columns
    lattice_row(lattice.data(), j, first_i, last_i - first_i, seed, stream);
    float* row = wide.data() + (j - first_j) * g.columns;
    for (int64_t x = 0; x < g.columns; x++) {
      const float* p = lattice.data() + start[x];
      const auto& w = weights[x];
      row[x] = w[0] * p[0] + w[1] * p[1] + w[2] * p[2] + w[3] * p[3];
    }
  }
  Tensor field({g.rows, g.columns});
  for (int64_t z = 0; z < g.rows; z++) {
    const double position = (g.z0 + g.dz * static_cast<double>(z)) / cell_z;
    const std::array<float, 4> w = spline_weights(position - std::floor(position));
    const float* p = wide.data() + (static_cast<int64_t>(std::floor(position)) - 1 - first_j) * g.columns;
    float* out = field.data<float>() + z * g.columns;
    const int64_t n = g.columns;
    for (int64_t x = 0; x < n; x++) out[x] = w[0] * p[x] + w[1] * p[x + n] + w[2] * p[x + 2 * n] + w[3] * p[x + 3 * n];
  }
  return field;
}

Tensor level_lines(const Tensor& field, const Window& g, double width) {
  Tensor lines = Tensor::empty_like(field);
  const float* f = field.data<float>();
  float* out = lines.data<float>();
  const float half_dz = static_cast<float>(0.5 / g.dz), half_dx = static_cast<float>(0.5 / g.dx),
              sharp = static_cast<float>(1 / (width * width));
  for (int64_t z = 0; z < g.rows; z++) {
    const float *row = f + z * g.columns, *above = f + std::max<int64_t>(z - 1, 0) * g.columns,
                *below = f + std::min(z + 1, g.rows - 1) * g.columns;
    float* o = out + z * g.columns;
    for (int64_t x = 1; x < g.columns - 1; x++) {
      const float gz = (below[x] - above[x]) * half_dz, gx = (row[x + 1] - row[x - 1]) * half_dx, gz2 = gz * gz + 1e-12f,
                  slope2 = gz2 + gx * gx;
      o[x] = bump(sharp * row[x] * row[x] / slope2) * (gz2 / slope2) * (gz2 / slope2);  // distance to the line: |f| / |grad f|
    }
    o[0] = o[std::min<int64_t>(1, g.columns - 1)], o[g.columns - 1] = o[std::max<int64_t>(g.columns - 2, 0)];
  }
  return lines;
}

Tensor shifted_rows(const Tensor& field, const Tensor& shift, double dz) {
  Tensor moved = Tensor::empty_like(field);
  const int64_t rows = field.dim(0), columns = field.dim(1);
  const float *f = field.data<float>(), *s = shift.data<float>(), per_row = static_cast<float>(1 / dz),
              last = static_cast<float>(rows - 1) - 1e-3f;
  float* out = moved.data<float>();
  for (int64_t z = 0; z < rows; z++)
    for (int64_t x = 0; x < columns; x++) {
      const float position = std::min(last, std::max(0.0f, static_cast<float>(z) + s[z * columns + x] * per_row));
      const int32_t whole = static_cast<int32_t>(position);
      const float t = position - static_cast<float>(whole), *p = f + whole * columns + x;
      out[z * columns + x] = p[0] + t * (p[columns] - p[0]);
    }
  return moved;
}

}  // namespace sono::zoo::sim
