// 3 x 3 convolutions of stride 2 by Winograd's algorithm, which needs stride 1: by the phases of x.
//
// In one direction y[k] = sum over t of x[2 k + t - padding] w[t]. Of the pixels X_p[i] = x[2 i + p - padding] the even ones (p = 0) meet
// the taps 0 and 2, the odd ones tap 1:
//   y[k] = X_0[k] w[0] + X_0[k + 1] w[2] + X_1[k] w[1]
// two convolutions of stride 1, of 2 taps and of 1. In two directions that makes four phases of 2 x 2, 2 x 1, 1 x 2 and 1 tap. Each goes
// through F(4x4, 2x2), and their products are summed before they are transformed back, as those of the planes of a volume's kernel are: the
// phases are the planes of a volume whose kernel has four. A direction of one tap has a zero at one evaluation point, whose products are
// left out: 25 + 2 * 20 + 16 = 81 for 16 pixels of y, and 144 directly. The gradient of x has the phases as planes of what it writes.
// 16 -> 32 channels at 64^2, N = 8, by the definition's FLOPs: on one Zen 4 core (AVX-512, peak 118 GFLOP/s) 125 % of the peak, gradient of
// x 116, of w 114, where the direct entries reach 89, 85 and 92; 64 -> 128 at 16^2 128, 127 and 113 (96, 93, 95). On one Zen 3 core (AVX2,
// 92 GFLOP/s) 113, 95 and 91 (84, 81, 79): there three quarters of the time are products at 82 % of the peak, which wait for the
// second-level cache: there are four inputs for one output, and 16 positions see all of them. Rounding is 8e-7 to 4e-6 of the largest
// value.
#include "tensor/cpu/conv_winograd.h"

namespace sono::kernels::winograd::stride2 {
namespace {

// Slot j of phase p has tap first + p - 2 j * direction, where there is one.
struct Slots {
  int64_t first, direction;
  int64_t tap(int64_t p, int64_t j) const { return first + p - 2 * j * direction; }
  bool has(int64_t p, int64_t j) const { return tap(p, j) >= 0 && tap(p, j) < 3; }
};
constexpr Slots forward_slots{0, -1};

// The gradient of x: pixel 2 i + p of x has met pixels i + start + j of y.
int64_t start(int64_t padding) { return (padding + 1) / 2 - 1; }
Slots input_slots(int64_t padding) { return {padding - 2 * start(padding), 1}; }

// Without slot 0 nothing is at the point 0 (position 0), without slot 1 nothing at infinity (position 4).
uint64_t without(const Slots& rows, const Slots& columns, int64_t phase) {
  constexpr uint64_t row = 0b11111, column = 0b0000100001000010000100001;
  uint64_t positions = 0;
  for (int64_t j = 0; j < 2; j++) {
    if (!rows.has(phase / 2, j)) positions |= row << (j == 0 ? 0 : 20);
    if (!columns.has(phase % 2, j)) positions |= column << (j == 0 ? 0 : 4);
  }
  return positions;
}

// Of phase `phase`, its 2 x 2 taps from `to` on.
void put_taps(const Slots& rows, const Slots& columns, int64_t phase, int64_t* to) {
  for (int64_t i = 0; i < 2; i++)
    for (int64_t j = 0; j < 2; j++) {
      const int64_t a = phase / 2, b = phase % 2;
      *to++ = rows.has(a, i) && columns.has(b, j) ? rows.tap(a, i) * 3 + columns.tap(b, j) : -1;
    }
}

}  // namespace

Shapes forward_shapes(const ConvArgs& a) {
  const auto& p = a.geometry.padding;
  Shapes s{a.x.dim(0), 4, a.x.dim(2), a.x.dim(3), a.x.dim(4), 1, a.y.dim(2), a.y.dim(3), a.y.dim(4), 4, {0, p[1], p[2]}, 4, 2, 1};
  for (int64_t phase = 0; phase < 4; phase++) s.without[static_cast<size_t>(phase)] = without(forward_slots, forward_slots, phase);
  return s;
}

Shapes input_shapes(const ConvArgs& a) {
  const auto& p = a.geometry.padding;
  Shapes s{a.x.dim(0), 1, a.y.dim(2), a.y.dim(3), a.y.dim(4), 4, a.x.dim(2), a.x.dim(3), a.x.dim(4), 4, {3, -start(p[1]), -start(p[2])},
           4,          1, 2};
  for (int64_t phase = 0; phase < 4; phase++)  // plane `phase` of what is written has met plane 3 - phase of the kernel
    s.without[static_cast<size_t>(3 - phase)] = without(input_slots(p[1]), input_slots(p[2]), phase);
  return s;
}

std::vector<int64_t> forward_taps() {
  std::vector<int64_t> taps(16);
  for (int64_t phase = 0; phase < 4; phase++) put_taps(forward_slots, forward_slots, phase, &taps[static_cast<size_t>(phase) * 4]);
  return taps;
}

std::vector<int64_t> input_taps(const ConvArgs& a) {
  const auto& p = a.geometry.padding;
  std::vector<int64_t> taps(16);
  for (int64_t phase = 0; phase < 4; phase++)
    put_taps(input_slots(p[1]), input_slots(p[2]), phase, &taps[static_cast<size_t>(3 - phase) * 4]);
  return taps;
}

}  // namespace sono::kernels::winograd::stride2
