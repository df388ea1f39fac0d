// What Winograd convolutions cost, in multiply-adds on whole vectors at the peak's rate, so that they compete with the direct ones.
#include "tensor/cpu/conv_winograd.h"

namespace sono::kernels::winograd {
namespace {

// Measured with everything in the second-level cache: the share of the peak that the products reach; what the transforms of a tile take per
// vector of channels, divided by the positions; adding to what is in memory and the last transform of the gradient of weights.
constexpr double share = 0.9, input_part = 6, output_part = 3.5, gradient_part = 4.5, weight_part = 6.5, sums_part = 8;

// Vectors that cover `channels`, as transforms cut them: whole ones, the narrowest for a few.
double vectors(int64_t channels) {
  const int64_t lanes = cpu::simd().lanes, whole = channels / 16 * (lanes < 16 ? 16 / lanes : 1), rest = channels % 16;
  const int64_t width = rest >= lanes ? lanes : rest >= 8 && lanes > 8 ? 8 : rest >= 4 ? 4 : 1;
  return static_cast<double>(whole + (rest + width - 1) / width);
}

double number(int64_t n) { return static_cast<double>(n); }

// Multiply-adds of the products of all tiles, per input channel: with columns that vectors cover beyond the last one, and with a tile's
// start.
double columns(int64_t O) {
  const int64_t lanes = cpu::simd().lanes, left = O % lanes;
  const double half = lanes > 8 && left > 0 && left <= lanes / 2 ? 0.5 : left > 0 ? 1 : 0;
  return number(O / lanes) + half;
}

// Few tiles leave the multiply-adds waiting for one another: eight must be under way.
double busy(int64_t tiles) { return std::min(1.0, number(2 * tiles) / 8); }

}  // namespace

double convolution_cost(const Winograd& f, const Shapes& s, bool with_weights) {
  const double positions = number(f.positions), planes = number(s.tiles()) * positions;  // per plane of y
  const double depth = number(s.kD * s.C) / (share * busy(s.tiles())) + 3;
  const double weights = with_weights ? number(s.kD * s.C) * vectors(s.O) * weight_part * positions : 0;
  return planes * (number(s.Do) * (columns(s.O) * depth + vectors(s.O) * output_part) + number(s.D) * vectors(s.C) * input_part) + weights;
}

double weight_cost(const Winograd& f, const Shapes& s) {
  const double positions = number(f.positions), planes = number(s.tiles()) * positions;
  const double products = number(s.Do * s.kD * s.C) * columns(s.O) / share;
  return planes * (products + number(s.Do) * vectors(s.O) * gradient_part + number(s.D) * vectors(s.C) * input_part) +
         positions * number(s.kD * s.C) * vectors(s.O) * sums_part;
}

}  // namespace sono::kernels::winograd
