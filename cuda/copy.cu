// Strided copies of any dtype: permute, slice, flip, concat, pad and broadcast. One thread per value; neighbouring threads write
// neighbouring values wherever the last dimension of y is contiguous.
#include "cuda/gpu.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::CopyArgs, kernels::max_map_rank;

struct Strides {
  int rank;
  int64_t shape[max_map_rank], x[max_map_rank], y[max_map_rank];
};

template <class Word>
__global__ void strided_copy(Strides s, const Word* x, Word* y, int64_t size) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    int64_t from = 0, to = 0, rest = i;
    for (int d = s.rank - 1; d >= 0; d--) {
      const int64_t at = rest % s.shape[d];
      rest /= s.shape[d];
      from += at * s.x[d];
      to += at * s.y[d];
    }
    y[to] = x[from];
  }
}

bool fits(const CopyArgs& a) { return a.shape.size() <= max_map_rank; }

template <class Word>
void copy_words(const CopyArgs& a, const Strides& s) {
  gpu::launch_over(count(a.shape), "strided_copy", strided_copy<Word>, s, static_cast<const Word*>(a.x.raw()) + a.x_offset,
                   static_cast<Word*>(a.y.raw()) + a.y_offset, count(a.shape));
}

void run(const CopyArgs& a) {
  Strides s{static_cast<int>(a.shape.size()), {}, {}, {}};
  std::copy(a.shape.begin(), a.shape.end(), s.shape);
  std::copy(a.x_stride.begin(), a.x_stride.end(), s.x);
  std::copy(a.y_stride.begin(), a.y_stride.end(), s.y);
  switch (byte_size(a.x.dtype())) {
    case 1:
      return copy_words<uint8_t>(a, s);
    case 4:
      return copy_words<uint32_t>(a, s);
    case 8:
      return copy_words<uint64_t>(a, s);
  }
}

constexpr kernels::Implementation<CopyArgs> list[] = {{"plain", fits, run}};

}  // namespace

void register_copy() { kernels::strided_copy.cuda = list; }

}  // namespace sono::cuda
