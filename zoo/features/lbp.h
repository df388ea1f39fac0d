#pragma once
// Local binary patterns [Ojala, Pietikainen and Maenpaa, IEEE PAMI 24, 2002]: `points` neighbours on a circle of `radius` pixels, bilinear
// between pixels and 0 beyond the border; bit k is 1 if neighbour k is not darker than the centre. Codes as in scikit-image:
//   plain    sum of bits 2^k                               2^points codes
//   rotated  the least of its rotations                    2^points codes
//   uniform  the number of bits, if they change at most twice around the circle; else points + 1    points + 2 codes
//
//   Tensor code = lbp(image, {.points = 8, .radius = 1});   // (H, W) i32
//   std::vector<double> h = lbp_histogram(code, mask, 10);  // adds up to 1
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

enum class LbpMethod : uint8_t { plain, rotated, uniform };
struct LbpOptions {
  int64_t points = 8;  // 1 … 24
  double radius = 1;
  LbpMethod method = LbpMethod::uniform;
};
Tensor lbp(const Tensor& image, const LbpOptions& options = {});  // (H, W) f32 -> (H, W) i32
int64_t lbp_codes(const LbpOptions& options);

// Shares of the codes 0 … codes - 1 among the pixels of the mask (u8; none: all). All 0 for an empty mask.
std::vector<double> lbp_histogram(const Tensor& code, const Tensor& mask, int64_t codes);

}  // namespace sono::zoo
