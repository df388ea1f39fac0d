#pragma once
// Noise for the simulator: normal numbers by the row, and smooth random textures. Every value is a pure function of
// (seed, stream, place), so pictures do not depend on threads or on the order in which they are asked for.
//
//   std::vector<float> n(1000);
//   fill_normal(n.data(), 1000, seed, stream);
//   Tensor t = smooth_field({.rows = 400, .columns = 200, .dz = 0.1, .dx = 0.2}, 2, 5, seed, stream);  // blobs of 2 mm x 5 mm
#include <array>
#include <cstdint>

#include "tensor/tensor.h"

namespace sono::zoo::sim {

// n numbers of mean 0 and variance 1, eight per Philox4x32-10 block, from block `first` on. Each is one of 4096 quantiles of the normal
// law (12 bits a number, cut at 3.7 deviations): after the point-spread function has summed dozens of them nothing tells them from exact
// ones.
void fill_normal(float* out, int64_t n, uint64_t seed, uint64_t stream, uint64_t first = 0);

// A rectangle of samples in a plane: row i lies at z0 + i dz, column j at x0 + j dx (mm).
struct Window {
  int64_t rows = 0, columns = 0;
  double z0 = 0, dz = 1, x0 = 0, dx = 1;
};

// (rows, columns) of a normal random field of mean 0 and variance 1 everywhere, correlated over about cell_z x cell_x mm (cubic B-splines
// on a random lattice). It is fixed to the plane: two windows that overlap see the same field.
Tensor smooth_field(const Window& window, double cell_z, double cell_x, uint64_t seed, uint64_t stream);

// The bright lines that septa, fascia and fibres draw: where field = 0, with a Gaussian profile of `width` mm (standard deviation), each
// line weighted by (n . z)^4, since an interface across the beam reflects and one along it does not. Values in [0, 1].
Tensor level_lines(const Tensor& field, const Window& window, double width);

// field(z + shift(z, x), x): rows moved by `shift` mm, linear between rows, held at the border.
Tensor shifted_rows(const Tensor& field, const Tensor& shift, double dz);

}  // namespace sono::zoo::sim
