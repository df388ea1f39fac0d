// Optimizer steps: one pass over parameter, gradient and state, bound by memory.
#include "tensor/cpu/optimizer_rules.h"
#include "tensor/cpu/simd_table.h"

namespace sono::cpu::SONO_ISA {

void sgd_step(const Piece<float>& p, const SgdRule<float>& rule) { step(p, rule); }
void adagrad_step(const Piece<float>& p, const AdagradRule<float>& rule) { step(p, rule); }
void rmsprop_step(const Piece<float>& p, const RmspropRule<float>& rule) { step(p, rule); }
void adam_step(const Piece<float>& p, const AdamRule<float>& rule) { step(p, rule); }
void average_step(const Piece<float>& p, const AverageRule<float>& rule) { step(p, rule); }

}  // namespace sono::cpu::SONO_ISA
