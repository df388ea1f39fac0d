#pragma once
// How exactly the products of convolutions and matrix products are computed on the CPU. Everything else is always f32.
//
// bf16 has the 8 exponent bits of f32 and 8 bits of significand. With Precision::bf16 the two operands of conv*, conv*_input, conv*_weight
// and matmul are rounded to it (to the nearest, ties to even; infinity and NaN stay), multiplied and summed in f32. A rounded value is off
// by 2^-9 of itself at most, so a result is off by 2^-8 of the sum of |products| at most, and by 2^-8 / sqrt(terms) of it as a rule.
// Weights, activations, gradients, statistics and the optimiser's state are f32 as ever: there is no loss scaling and nothing else to tune.
// Processors with AVX512-BF16 (Zen 4, Zen 5, Intel since Cooper Lake) do two multiply-adds where f32 does one; on others it is emulated:
// the same results, slower than f32 (tensor/cpu/simd/bf16.cpp), to find out what a model makes of it.
//
//   const PrecisionScope half(Precision::bf16);      // SONO_PRECISION=bf16 in the environment: the whole program
//   const Tensor y = conv(x, w, bias, options);      // its gradient is computed in what is in force when backward() is called
#include <cstdint>
#include <string>

namespace sono {

enum class Precision : uint8_t { f32, bf16 };

Precision precision();                               // this thread's scope, else as set, else SONO_PRECISION, else f32
void set_precision(Precision p);                     // for the whole program
Precision precision_named(const std::string& name);  // Error: unknown precision 'half'; known are f32 and bf16
const char* to_string(Precision p);                  // "f32", "bf16"

// While it lives, this thread's products have this precision.
class PrecisionScope {
 public:
  explicit PrecisionScope(Precision p);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  int before_;
};

}  // namespace sono
