#include "tensor/cpu/simd_table.h"

namespace sono::cpu::SONO_ISA {

#define SONO_TEXT(x) #x
#define SONO_STRING(x) SONO_TEXT(x)

const Simd table = {SONO_STRING(SONO_ISA), 0};

}  // namespace sono::cpu::SONO_ISA
