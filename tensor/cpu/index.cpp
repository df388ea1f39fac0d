// Reading at an index and adding up there, on the CPU. The additions run in the order of the index, so that the bits do not depend on the
// threads: these share out the other dimensions.
//   reference   the definition, f32 and f64; take, gather also i32 and u8
#include <algorithm>
#include <cstring>
#include <string>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

void check(const char* name, const Tensor& index, int64_t n) {
  const int32_t* values = index.data<int32_t>();
  for (int64_t j = 0; j < index.size(); j++)
    if (values[j] < 0 || values[j] >= n)
      throw ShapeError("[" + std::string(name) + "] index " + std::to_string(values[j]) + " at position " + std::to_string(j) +
                       " is outside of 0 … " + std::to_string(n - 1));
}

namespace reference {

template <class Args>
bool fits(const Args&) {
  return true;
}

int64_t grain(int64_t work) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work)); }
constexpr int64_t strip = 64;  // inner elements that one thread adds up

template <class T>
void take(const TakeArgs& a) {
  const auto* index = a.index.data<int32_t>();
  parallel_for(a.outer * a.m, grain(a.inner), [&, x = a.x.data<T>(), y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; r++) std::copy_n(x + (r / a.m * a.n + index[r % a.m]) * a.inner, a.inner, y + r * a.inner);
  });
}

template <class T>
void gather(const GatherArgs& a) {
  const auto* index = a.index.data<int32_t>();
  parallel_for(a.outer * a.m, grain(a.inner), [&, x = a.x.data<T>(), y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; r++)
      for (int64_t i = 0; i < a.inner; i++) y[r * a.inner + i] = x[(r / a.m * a.n + index[r * a.inner + i]) * a.inner + i];
  });
}

// x = 0, then x[o, index_of(o, j, i), i] += y[o, j, i].
template <class T, class F>
void add_up(const TakeArgs& a, F index_of) {
  const int64_t strips = (a.inner + strip - 1) / strip;
  parallel_for(a.outer * strips, grain(a.m * std::min(strip, a.inner)),
               [&, x = a.x.data<T>(), y = a.y.data<T>()](int64_t first, int64_t last) {
                 for (int64_t unit = first; unit < last; unit++) {
                   const int64_t o = unit / strips, from = unit % strips * strip, to = std::min(a.inner, from + strip);
                   for (int64_t k = 0; k < a.n; k++) std::fill(x + (o * a.n + k) * a.inner + from, x + (o * a.n + k) * a.inner + to, T(0));
                   for (int64_t j = 0; j < a.m; j++)
                     for (int64_t i = from; i < to; i++) x[(o * a.n + index_of(o, j, i)) * a.inner + i] += y[(o * a.m + j) * a.inner + i];
                 }
               });
}

void take(const TakeArgs& a) {
  check("take", a.index, a.n);
  visit(a.x.dtype(), [&]<class T>() { take<T>(a); });
}
void gather(const GatherArgs& a) {
  check("gather", a.index, a.n);
  visit(a.x.dtype(), [&]<class T>() { gather<T>(a); });
}
void take_adjoint(const TakeArgs& a) {
  check("take_adjoint", a.index, a.n);
  visit_real("take_adjoint", a.y.dtype(),
             [&]<class T>() { add_up<T>(a, [index = a.index.data<int32_t>()](int64_t, int64_t j, int64_t) { return index[j]; }); });
}
void gather_adjoint(const GatherArgs& a) {
  check("scatter_add", a.index, a.n);
  visit_real("scatter_add", a.y.dtype(), [&]<class T>() {
    add_up<T>(a, [&a, index = a.index.data<int32_t>()](int64_t o, int64_t j, int64_t i) { return index[(o * a.m + j) * a.inner + i]; });
  });
}

void one_hot(const OneHotArgs& a) {
  check("one_hot", a.x, a.classes);
  visit_real("one_hot", a.y.dtype(), [&]<class T>() {
    std::fill_n(a.y.data<T>(), a.y.size(), T(0));
    for (int64_t i = 0; i < a.x.size(); i++) a.y.data<T>()[i * a.classes + a.x.data<int32_t>()[i]] = T(1);
  });
}

}  // namespace reference

constexpr Implementation<TakeArgs> take_list[] = {{"reference", reference::fits<TakeArgs>, reference::take}};
constexpr Implementation<TakeArgs> take_adjoint_list[] = {{"reference", reference::fits<TakeArgs>, reference::take_adjoint}};
constexpr Implementation<GatherArgs> gather_list[] = {{"reference", reference::fits<GatherArgs>, reference::gather}};
constexpr Implementation<GatherArgs> gather_adjoint_list[] = {{"reference", reference::fits<GatherArgs>, reference::gather_adjoint}};
constexpr Implementation<OneHotArgs> one_hot_list[] = {{"reference", reference::fits<OneHotArgs>, reference::one_hot}};

}  // namespace

Kernel<TakeArgs> take{"take", take_list, {}}, take_adjoint{"take_adjoint", take_adjoint_list, {}};
Kernel<GatherArgs> gather{"gather", gather_list, {}}, gather_adjoint{"gather_adjoint", gather_adjoint_list, {}};
Kernel<OneHotArgs> one_hot{"one_hot", one_hot_list, {}};

}  // namespace sono::kernels
