#include "tensor/cpu/simd/vector.h"

namespace sono::cpu::SONO_ISA {

float multiply_adds(int64_t steps);
void product(const Product& p);
void add_column_sums(const float* x, int64_t rows, int64_t columns, int64_t ld, float* sums);

#define SONO_TEXT(x) #x
#define SONO_STRING(x) SONO_TEXT(x)

const Simd table = {SONO_STRING(SONO_ISA), lanes, multiply_adds, product, add_column_sums};

}  // namespace sono::cpu::SONO_ISA
