// What Winograd convolutions cost, in multiply-adds on whole vectors at the peak's rate, so that they compete with the direct ones.
//
// Fitted to the times of 380 convolutions of 1 to 128 channels, images of 4^2 to 64^2 and volumes of 8^3 to 24^3, with everything in the
// caches: the predictions are within 0.6 and 1.3 of the times. The constants of stride 2 come from 945 convolutions of 7^2 to 128^2 pixels,
// 8 to 128 channels, 1 and 8 images, those of its weights from 1099 of up to 256 channels: what is chosen takes 1.02 of the fastest entry's
// time on average (Zen 4, with AVX-512 and AVX2).
#include "tensor/cpu/conv_winograd.h"

namespace sono::kernels::winograd {
namespace {

double number(int64_t n) { return static_cast<double>(n); }

// Vectors that cover channels as transforms cut them: the widest that fit, for a few channels narrow ones.
double parts(int64_t channels) {
  const int64_t lanes = cpu::simd().lanes, whole = channels / 16 * (lanes < 16 ? 16 / lanes : 1), rest = channels % 16;
  const int64_t width = rest >= lanes ? lanes : rest >= 8 ? 8 : rest >= 4 ? 4 : 1;
  return number(whole + (rest + width - 1) / width);
}

// Vectors that cover the columns of products; a half one costs half.
double columns(int64_t channels) {
  const int64_t lanes = cpu::simd().lanes, left = channels % lanes;
  return number(channels / lanes) + (left == 0 ? 0 : lanes > 8 && 2 * left <= lanes ? 0.5 : 1);
}

// Fewer than eight sums at a time leave multiply-adds waiting for one another.
double busy(int64_t rows, double columns) { return std::min(1.0, number(std::min<int64_t>(rows, 12)) * std::min(columns, 2.0) / 8); }

// Runs of tiles in all planes of x: each has a beginning, edges, and pointers to set up.
double runs(const Shapes& s) {
  const int64_t longest = longest_run(s.C);
  return number(s.N * s.down * ((s.across + longest - 1) / longest) * s.D);
}

// Products for each value of M. With a stride four phases share 81 of 100 positions; a plane of y sees all planes of x.
double depth(const Winograd& f, const Shapes& s) {
  return s.strided() ? number(s.D * s.C) * 81 / (4 * number(f.positions)) : number(s.kD * s.C);
}

}  // namespace

double convolution_cost(const Winograd& f, const Shapes& s, bool with_weights) {
  constexpr double share = 0.93, tile_start = 4.5, weights = 10, call = 3000;
  const double input = s.strided() ? 6 : 12, run = s.strided() ? 300 : 1800;
  const double positions = number(f.positions), tiles = number(s.tiles()) * positions, width = columns(s.O);
  return tiles * number(s.Do) * width * (depth(f, s) / (share * busy(s.tiles(), width)) + tile_start) +
         tiles * number(s.D) * parts(s.C) * input + (with_weights ? positions * number(s.kD * s.C) * parts(s.O) * weights : 0) +
         runs(s) * run + call;
}

double weight_cost(const Winograd& f, const Shapes& s) {
  constexpr double visit = 3;
  const bool strided = s.strided();
  const double share = strided ? 0.9 : 0.8, input = strided ? 6 : 11, gradient = strided ? 1 : 2, weights = strided ? 3.5 : 10,
               run = strided ? 50 : 1000, call = strided ? 2000 : 7000;
  const double positions = number(f.positions), tiles = number(s.tiles()) * positions, width = columns(s.O);
  const double visits = number((s.tiles() + f.tiles - 1) / f.tiles * s.Do) * positions;
  // In groups V and Z go through memory, if no cache holds all.
  const double far = strided && in_groups(s) && tiles * number(s.D * sixteens(s.C) + sixteens(s.O)) > 1 << 16 ? 6 : 0;
  return depth(f, s) * width * (tiles * number(s.Do) / (share * busy(s.C, width)) + visits * visit) +
         tiles * (number(s.Do) * parts(s.O) * (gradient + far) + number(s.D) * parts(s.C) * (input + far)) +
         positions * number(s.kD * s.C) * parts(s.O) * weights + runs(s) * run + call;
}

}  // namespace sono::kernels::winograd
