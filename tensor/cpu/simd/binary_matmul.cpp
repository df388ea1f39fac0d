// Sums of rows of B that the bits of A choose ["four Russians": Arlazarov et al., 1970]. For every four rows of B a table holds their
// sixteen sums; a row of A then adds one entry per table: one load and one addition in place of four multiply-adds. A block is 32 rows of
// B, eight tables of 32 columns (16 KB, in the first-level cache), and one word of bits per row of A.
#include "tensor/cpu/binary_table.h"
#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {

extern const BinarySums binary_sums;

namespace {

constexpr int vectors = static_cast<int>(binary_columns) / lanes;

void pack(const float* a, int64_t lda, bool transposed, int64_t rows, int64_t depth, uint32_t* words) {
  for (int64_t r = 0; r < rows; r++) words[r] = 0;
  if (transposed) {
    for (int64_t k = 0; k < depth; k++)
      for (int64_t r = 0; r < rows; r++) words[r] |= static_cast<uint32_t>(a[k * lda + r] != 0) << k;
    return;
  }
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < depth; k++) words[r] |= static_cast<uint32_t>(a[r * lda + k] != 0) << k;
}

// t[e] = the sum of those of four rows whose bits e has: each row doubles the table.
void make_table(const float* b, int64_t ldb, int64_t depth, float* t) {
  for (int v = 0; v < vectors; v++) store(t + v * lanes, Vec{});
  for (int64_t k = 0, entries = 1; k < 4; k++, entries *= 2) {
    Vec row[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) row[v] = k < depth ? load<Vec>(b + k * ldb + v * lanes) : Vec{};
    for (int64_t e = 0; e < entries; e++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++)
        store(t + (entries + e) * binary_columns + v * lanes, load<Vec>(t + e * binary_columns + v * lanes) + row[v]);
  }
}

template <int groups>
void add_rows(const uint32_t* words, int64_t rows, const float* tables, float* y) {
  for (int64_t r = 0; r < rows; r++, y += binary_columns) {
    const uint32_t word = words[r];
    Vec sum[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sum[v] = load<Vec>(y + v * lanes);
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
      const float* t = tables + (16 * g + static_cast<int64_t>(word >> 4 * g & 15)) * binary_columns;
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) sum[v] += load<Vec>(t + v * lanes);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) store(y + v * lanes, sum[v]);
  }
}

void add(const uint32_t* words, int64_t rows, const float* b, int64_t ldb, int64_t depth, float* tables, float* y) {
  for (int64_t k = 0; k < depth; k += 4) make_table(b + k * ldb, ldb, depth - k, tables + k * 4 * binary_columns);
  const int64_t groups = (depth + 3) / 4;
  if (groups == 8) return add_rows<8>(words, rows, tables, y);
  if (groups & 4) add_rows<4>(words, rows, tables, y);
  for (int64_t g = groups & 4; g < groups; g++) {  // one after the other, the bits shifted into place
    for (int64_t r = 0; r < rows; r++) {
      const float* t = tables + (16 * g + static_cast<int64_t>(words[r] >> 4 * g & 15)) * binary_columns;
      for (int v = 0; v < vectors; v++)
        store(y + r * binary_columns + v * lanes, load<Vec>(y + r * binary_columns + v * lanes) + load<Vec>(t + v * lanes));
    }
  }
}

}  // namespace

const BinarySums binary_sums{pack, add};

}  // namespace sono::cpu::SONO_ISA
