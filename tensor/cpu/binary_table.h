#pragma once
// What an instruction set brings to products of a binary left operand (tensor/cpu/simd/binary_matmul.cpp).
#include <cstdint>

namespace sono::cpu {

constexpr int64_t binary_depth = 32, binary_columns = 32;  // of a block: a word of bits per row of A, and four rows of B per table
constexpr int64_t binary_tables = binary_depth / 4 * 16 * binary_columns;  // floats

struct BinarySums {
  // words[r] has bit k set where A[r, k] is not 0, k < depth <= 32. A[r, k] is a[r * lda + k], or transposed a[k * lda + r].
  void (*pack)(const float* a, int64_t lda, bool transposed, int64_t rows, int64_t depth, uint32_t* words);
  // y (rows, 32) += A B for a block of B (depth, 32), rows ldb apart: its tables first, in `tables`.
  void (*add)(const uint32_t* words, int64_t rows, const float* b, int64_t ldb, int64_t depth, float* tables, float* y);
};

namespace baseline {
extern const BinarySums binary_sums;
}
namespace v3 {
extern const BinarySums binary_sums;
}
namespace v4 {
extern const BinarySums binary_sums;
}

}  // namespace sono::cpu
