// Reading and adding at indices. Reads are one thread per value; sums at indices keep their order (cuda/scatter.h).
#include "cuda/bounds.h"
#include "cuda/gpu.h"
#include "cuda/scatter.h"
#include "tensor/kernels.h"

namespace sono::cuda {
namespace {

using kernels::OneHotArgs, kernels::TakeArgs;

template <class Word>
__global__ void gather(int64_t n, int64_t m, int64_t inner, bool shared_index, const Word* x, const int32_t* index, Word* y, int64_t size,
                       int32_t* flag) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) {
    const int64_t j = i / inner % m, o = i / inner / m, place = shared_index ? j : i, k = index[place];
    if (in_bounds(k, n, place, flag)) y[i] = x[(o * n + k) * inner + i % inner];
  }
}

__global__ void check_bounds(const int32_t* index, int64_t size, int64_t bound, int32_t* flag) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step()) in_bounds(index[i], bound, i, flag);
}

template <class T>
__global__ void one_hot(const int32_t* index, T* y, int64_t classes, int64_t size, int32_t* flag) {
  for (int64_t i = gpu::first_index(); i < size; i += gpu::index_step())
    y[i] = T(in_bounds(index[i / classes], classes, i / classes, flag) && index[i / classes] == i % classes);
}

template <class Args>
bool always(const Args&) {
  return true;
}

template <class Word>
void gather_words(const char* name, const TakeArgs& a, bool shared_index) {
  const BoundsCheck check;
  gpu::launch_over(a.y.size(), name, gather<Word>, a.n, a.m, a.inner, shared_index, static_cast<const Word*>(a.x.raw()),
                   a.index.data<int32_t>(), static_cast<Word*>(a.y.raw()), a.y.size(), check.flag());
  check.raise(name, "index", a.index, a.n);
}
void run_gather(const char* name, const TakeArgs& a, bool shared_index) {
  switch (byte_size(a.x.dtype())) {
    case 1:
      return gather_words<uint8_t>(name, a, shared_index);
    case 4:
      return gather_words<uint32_t>(name, a, shared_index);
    case 8:
      return gather_words<uint64_t>(name, a, shared_index);
  }
}

void run_scatter(const char* name, const TakeArgs& a, bool shared_index) {
  const BoundsCheck check;
  gpu::launch_over(a.index.size(), name, check_bounds, a.index.data<int32_t>(), a.index.size(), a.n, check.flag());
  check.raise(name, "index", a.index, a.n);
  visit_real(name, a.x.dtype(), [&]<class T>() {
    launch_scatter_add(name, a.outer, a.n, a.m, a.inner, shared_index, a.x.data<T>(), a.index.data<int32_t>(), a.y.data<T>());
  });
}

void run_one_hot(const OneHotArgs& a) {
  const BoundsCheck check;
  visit_real("one_hot", a.y.dtype(), [&]<class T>() {
    gpu::launch_over(a.y.size(), "one_hot", one_hot<T>, a.x.data<int32_t>(), a.y.data<T>(), a.classes, a.y.size(), check.flag());
  });
  check.raise("one_hot", "index", a.x, a.classes);
}

constexpr kernels::Implementation<TakeArgs> take_list[] = {
    {"plain", always<TakeArgs>, [](const TakeArgs& a) { run_gather("take", a, true); }}};
constexpr kernels::Implementation<TakeArgs> take_adjoint_list[] = {
    {"plain", always<TakeArgs>, [](const TakeArgs& a) { run_scatter("take_adjoint", a, true); }}};
constexpr kernels::Implementation<TakeArgs> gather_list[] = {
    {"plain", always<TakeArgs>, [](const TakeArgs& a) { run_gather("gather", a, false); }}};
constexpr kernels::Implementation<TakeArgs> gather_adjoint_list[] = {
    {"plain", always<TakeArgs>, [](const TakeArgs& a) { run_scatter("gather_adjoint", a, false); }}};
constexpr kernels::Implementation<OneHotArgs> one_hot_list[] = {{"plain", always<OneHotArgs>, run_one_hot}};

}  // namespace

void register_index() {
  kernels::take.cuda = take_list;
  kernels::take_adjoint.cuda = take_adjoint_list;
  kernels::gather.cuda = gather_list;
  kernels::gather_adjoint.cuda = gather_adjoint_list;
  kernels::one_hot.cuda = one_hot_list;
}

}  // namespace sono::cuda
