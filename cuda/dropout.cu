// Dropout from a counter-based stream: values 4k … 4k+3 come from counter k, as on the CPU, so that both devices drop the same values.
#include "cuda/gpu.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::DropoutArgs;

struct Words {
  uint32_t of[4];
};

// Philox4x32-10 [Salmon et al., SC 2011], as tensor/random.h.
__device__ inline Words philox(uint64_t seed, uint64_t stream, uint64_t counter) {
  Words c{{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(stream),
           static_cast<uint32_t>(stream >> 32)}};
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xD2511F53} * c.of[0], b = uint64_t{0xCD9E8D57} * c.of[2];
    c = {{static_cast<uint32_t>(b >> 32) ^ c.of[1] ^ k0, static_cast<uint32_t>(b), static_cast<uint32_t>(a >> 32) ^ c.of[3] ^ k1,
          static_cast<uint32_t>(a)}};
    k0 += 0x9E3779B9, k1 += 0xBB67AE85;
  }
  return c;
}

template <class T>
__global__ void dropout(const T* x, T* y, double p, uint64_t seed, uint64_t stream, int64_t size) {
  const T scale = static_cast<T>(1 / (1 - p));
  for (int64_t k = gpu::first_index(); 4 * k < size; k += gpu::index_step()) {
    const Words u = philox(seed, stream, static_cast<uint64_t>(k));
    for (int64_t j = 0; j < 4 && 4 * k + j < size; j++) y[4 * k + j] = u.of[j] * 0x1p-32 < p ? T(0) : x[4 * k + j] * scale;
  }
}

bool always(const DropoutArgs&) { return true; }

void run(const DropoutArgs& a) {
  visit_real("dropout", a.x.dtype(), [&]<class T>() {
    gpu::launch_over((a.x.size() + 3) / 4, "dropout", dropout<T>, a.x.data<T>(), a.y.data<T>(), a.p, a.seed, a.stream, a.x.size());
  });
}

constexpr kernels::Implementation<DropoutArgs> list[] = {{"plain", always, run}};

}  // namespace

void register_dropout() { kernels::dropout.cuda = list; }

}  // namespace sono::cuda
