// What the direct convolutions cost, in multiply-adds on whole vectors at the peak's rate, so that entries can be compared.
//
// Multiply-adds are counted with the columns that vectors cover beyond the last channel, and divided by the share of the peak that the
// inner loop of the class reaches when everything lies in the first-level cache. What else an entry does is added: a tile's start and end,
// and copies, at two vectors (a load and a store) for one multiply-add each. Memory is left out: every entry reads x and writes y.
#include <algorithm>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/conv_shapes.h"
#include "tensor/cpu/simd.h"

namespace sono::kernels {
namespace {

using cpu::padded_columns, cpu::simd;
using rows::Shapes;

constexpr double two_vectors = 0.92, one_vector = 0.70;  // register tiles of rows x 2 and x 1 vectors
constexpr double narrow_share[] = {0.8, 0.65, 0.55};     // kernel rows of 3, 5 and 7 taps
constexpr double depthwise_share = 0.4;
constexpr double tile_start = 30, tap_start = 8;  // a tile of about 12 vectors: started and written; each tap of its products begun

double vectors(int64_t floats) { return static_cast<double>(floats) / simd().lanes; }
// A part of a vector: Zen 4 does half of one in half of the time, Zen 5 in the same.
double part_of_vector(int64_t floats) { return floats > 0 ? std::max(0.6, vectors(padded_columns(floats))) : 0; }

// Multiply-adds of products with `columns` columns: `each` per column, in tiles of `rows` rows together that go through `taps` products.
double product(int64_t columns, double each, double rows, double taps) {
  const int64_t wide = 2 * simd().lanes, rest = columns % wide;
  const double two = vectors(columns - rest + (rest > simd().lanes ? wide : 0)), one = rest <= simd().lanes ? part_of_vector(rest) : 0;
  return each * (two / two_vectors + one / one_vector) + (two + one) * rows * (tile_start + taps * tap_start) / 12;
}

struct Counts {
  double x, y, products;  // pixels of x and y; multiply-adds of the definition per pair of channels
  explicit Counts(const Shapes& s)
      : x(static_cast<double>(s.N * s.D * s.H * s.W)),
        y(static_cast<double>(s.N * s.Do * s.Ho * s.Wo)),
        products(y * static_cast<double>(s.taps)) {}
};

bool padded(const Shapes& s) { return s.padding[2] > 0; }
double taps_apart(const Shapes& s) { return static_cast<double>(s.joined() ? s.kD * s.kH : s.taps); }

}  // namespace

namespace rows {

double forward_cost(const ConvArgs& a) {
  const Shapes s(a);
  const Counts n(s);
  const double copies = padded(s) ? n.x * vectors(s.C) * static_cast<double>(s.kD) * 1.25 : 0;
  return static_cast<double>(s.groups) * product(s.Og, n.products * static_cast<double>(s.Cg), n.y, taps_apart(s)) + copies;
}

double input_cost(const ConvArgs& a) {
  const Shapes s(a);
  const Counts n(s);
  const double copies = padded(s) ? n.y * vectors(s.O) * static_cast<double>(s.kD) * 1.25 : 0;
  return static_cast<double>(s.groups) * product(s.Cg, n.products * static_cast<double>(s.Og), n.x, n.products / n.x) + copies;
}

double weight_cost(const ConvArgs& a) {
  const Shapes s(a);
  const Counts n(s);
  const double each = n.products * static_cast<double>(s.Cg), unfolding = s.joined() && s.kW * s.C < 10 ? 6 * each : 0;  // value by value
  const double copies = n.y * vectors(s.O) * static_cast<double>(s.kD * s.kH);
  return static_cast<double>(s.groups) * product(s.Og, each, each / 160, 1) + copies + unfolding;
}

}  // namespace rows

namespace narrow {

double cost(const ConvArgs& a) {
  const Shapes s(a);
  const int64_t rest = rows::paired(s) ? 0 : s.O % simd().lanes;
  return Counts(s).products * static_cast<double>(s.C) * (vectors(s.O - rest) + part_of_vector(rest)) / narrow_share[(s.kW - 3) / 2];
}

}  // namespace narrow

namespace depthwise {

double cost(const ConvArgs& a) {
  const Shapes s(a);
  return Counts(s).products * vectors(padded_columns(s.C)) / depthwise_share;
}

}  // namespace depthwise

}  // namespace sono::kernels
