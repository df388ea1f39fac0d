// Matrix product y = A B (+ bias), 2 M N K FLOPs. A block of 256 threads makes a tile of 64 x 64: it brings 64 x 16 values of A and 16 x 64
// of B to shared memory, where each is read 64 times, and each thread keeps 4 x 4 sums in registers: 8 reads of shared memory for 16 FMAs.
#include "cuda/gpu.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::MatmulArgs;

constexpr int tile = 64, depth = 16, side = 16, each = tile / side;  // side x side threads

// Value (m, k) of A is a[m * am + k * ak], and so for B: a transposed operand has its strides exchanged.
struct MatmulShape {
  int64_t M, N, K;
  int64_t step_a, am, ak;  // step: from one matrix of the batch to the next
  int64_t step_b, bk, bn;
};

template <class T>
__global__ void __launch_bounds__(side* side) matmul_tile(MatmulShape s, const T* a, const T* b, const T* bias, T* y) {
  GPU_SHARED(T, as, [depth][tile + 1]);  // one more, so that the transposing store meets no bank twice
  GPU_SHARED(T, bs, [depth][tile + 1]);
  const int t = threadIdx.x, row = t / side, column = t % side;
  const int64_t m0 = int64_t{blockIdx.y} * tile, n0 = int64_t{blockIdx.x} * tile;
  a += blockIdx.z * s.step_a;
  b += blockIdx.z * s.step_b;
  y += blockIdx.z * s.M * s.N;

  T sum[each][each] = {};
  for (int64_t k0 = 0; k0 < s.K; k0 += depth) {
    for (int i = t; i < tile * depth; i += side * side) {
      // Neighbouring threads read neighbouring addresses, whichever way the operand is stored.
      const int am = s.ak == 1 ? i / depth : i % tile, ak = s.ak == 1 ? i % depth : i / tile;
      const int bn = s.bn == 1 ? i % tile : i / depth, bk = s.bn == 1 ? i / tile : i % depth;
      as[ak][am] = m0 + am < s.M && k0 + ak < s.K ? a[(m0 + am) * s.am + (k0 + ak) * s.ak] : T(0);
      bs[bk][bn] = n0 + bn < s.N && k0 + bk < s.K ? b[(k0 + bk) * s.bk + (n0 + bn) * s.bn] : T(0);
    }
    __syncthreads();
    for (int k = 0; k < depth; k++)
      for (int i = 0; i < each; i++)
        for (int j = 0; j < each; j++) sum[i][j] += as[k][row + i * side] * bs[k][column + j * side];
    __syncthreads();
  }

  for (int i = 0; i < each; i++)
    for (int j = 0; j < each; j++) {
      const int64_t m = m0 + row + i * side, n = n0 + column + j * side;
      if (m < s.M && n < s.N) y[m * s.N + n] = sum[i][j] + (bias ? bias[n] : T(0));
    }
}

void run(const MatmulArgs& a) {
  const int64_t M = a.y.dim(-2), N = a.y.dim(-1), K = a.a.dim(a.transpose_a ? -2 : -1);
  if (a.y.size() == 0) return;
  const int64_t batch = a.y.size() / (M * N), most = 65535;  // matrices per launch
  MatmulShape s{M, N, K, 0, K, 1, 0, N, 1};
  if (a.transpose_a) s.am = 1, s.ak = M;
  if (a.transpose_b) s.bk = 1, s.bn = K;
  if (a.a.size() != M * K) s.step_a = M * K;
  if (a.b.size() != K * N) s.step_b = K * N;
  visit_real("matmul", a.y.dtype(), [&]<class T>() {
    const T* bias = a.bias ? a.bias.data<T>() : nullptr;
    for (int64_t first = 0; first < batch; first += most) {
      const dim3 grid(gpu::blocks(N, tile), gpu::blocks(M, tile), static_cast<unsigned>(std::min(most, batch - first)));
      gpu::launch("matmul", matmul_tile<T>, grid, side * side, 0, s, a.a.data<T>() + first * s.step_a, a.b.data<T>() + first * s.step_b,
                  bias, a.y.data<T>() + first * M * N);
    }
  });
}

// Rows are blockIdx.y, of which there are 65535.
bool fits(const MatmulArgs& a) {
  return a.activation == kernels::Activation::none && (a.y.size() == 0 || a.y.dim(-2) <= int64_t{65535} * tile);
}

constexpr kernels::Implementation<MatmulArgs> list[] = {{"tiled", fits, run}};

}  // namespace

void register_matmul() { kernels::matmul.cuda = list; }

}  // namespace sono::cuda
