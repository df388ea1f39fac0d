#pragma once
// Other libraries on the same work: Eigen, and OpenBLAS and oneDNN where the build found them. They live in modules that are loaded when
// they are asked for (rivals/rivals.cpp, one per instruction set), so that the program carries none of them.
#include <cstdint>
#include <functional>
#include <vector>

namespace sono::lab {

struct MatmulShape {  // y (M, N) = A (M, K) B (K, N), row-major; a transposed operand is stored the other way round
  int64_t M, N, K;
  bool transpose_a, transpose_b;
};
struct ConvShape {  // x (N, D, H, W, C), w (kernel, O), y (N, Do, Ho, Wo, O); images have D = kernel[0] = 1
  int64_t N, D, H, W, C, O, Do, Ho, Wo, kernel[3], stride[3], padding[3];
};
enum class ConvPass { forward, input, weight };

struct Rival {
  const char* name;
  void (*set_threads)(int n);
  // One call's worth of work on these operands; an empty function: this rival does not do it. Null: it has none of the kind.
  std::function<void()> (*matmul)(const MatmulShape&, const float* a, const float* b, float* y);
  // On operands of its own, in the layout that it likes best: transposing is not timed.
  std::function<void()> (*conv)(const ConvShape&, ConvPass);
};

const std::vector<Rival>& rivals();  // empty where no module was built
void set_rival_threads(int n);       // of those that have been loaded

}  // namespace sono::lab
