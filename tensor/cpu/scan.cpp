// Running sums and orders along the middle of (outer, n, inner) on the CPU.
//   reference   sums in double; std::sort of (value, position), so that ties keep their order. f32 and f64
#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

template <class Args>
bool fits(const Args&) {
  return true;
}

constexpr int64_t strip = 64;  // inner elements that are summed side by side

template <class T>
void cumsum(const ScanArgs& a) {
  const int64_t strips = (a.inner + strip - 1) / strip;
  parallel_for(a.outer * strips, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, a.n * std::min(strip, a.inner))),
               [&](int64_t first, int64_t last) {
                 for (int64_t unit = first; unit < last; unit++) {
                   const int64_t from = unit % strips * strip, width = std::min(strip, a.inner - from),
                                 base = unit / strips * a.n * a.inner + from;
                   double sum[strip] = {};
                   for (int64_t step = 0; step < a.n; step++) {
                     const int64_t at = base + (a.reverse ? a.n - 1 - step : step) * a.inner;
                     for (int64_t i = 0; i < width; i++) a.y.data<T>()[at + i] = static_cast<T>(sum[i] += a.x.data<T>()[at + i]);
                   }
                 }
               });
}

// NaN above everything, equal values by position: a strict order, so that any sort is stable.
template <class T>
struct Before {
  const std::vector<T>& values;
  bool descending;
  bool operator()(int32_t p, int32_t q) const {
    const T a = values[static_cast<size_t>(p)], b = values[static_cast<size_t>(q)];
    const bool less = std::isnan(b) ? !std::isnan(a) : a < b, greater = std::isnan(a) ? !std::isnan(b) : a > b;
    if (less || greater) return descending ? greater : less;
    return p < q;
  }
};

template <class T>
void sort(const SortArgs& a) {
  parallel_for(a.outer * a.inner, std::max<int64_t>(1, 2048 / std::max<int64_t>(1, a.n)), [&](int64_t first, int64_t last) {
    std::vector<T> values(static_cast<size_t>(a.n));
    std::vector<int32_t> order(values.size());
    for (int64_t line = first; line < last; line++) {
      const int64_t o = line / a.inner, i = line % a.inner;
      for (int64_t j = 0; j < a.n; j++) {
        values[static_cast<size_t>(j)] = a.x.data<T>()[(o * a.n + j) * a.inner + i];
        order[static_cast<size_t>(j)] = static_cast<int32_t>(j);
      }
      std::partial_sort(order.begin(), order.begin() + a.k, order.end(), Before<T>{values, a.descending});
      for (int64_t j = 0; j < a.k; j++) {
        const int64_t to = (o * a.k + j) * a.inner + i;
        a.index.data<int32_t>()[to] = order[static_cast<size_t>(j)];
        a.y.data<T>()[to] = values[static_cast<size_t>(order[static_cast<size_t>(j)])];
      }
    }
  });
}

void cumsum(const ScanArgs& a) {
  visit_real("cumsum", a.x.dtype(), [&]<class T>() { cumsum<T>(a); });
}
void sort(const SortArgs& a) {
  visit_real("sort", a.x.dtype(), [&]<class T>() { sort<T>(a); });
}

}  // namespace reference

constexpr Implementation<ScanArgs> cumsum_list[] = {{"reference", reference::fits<ScanArgs>, reference::cumsum}};
constexpr Implementation<SortArgs> sort_list[] = {{"reference", reference::fits<SortArgs>, reference::sort}};

}  // namespace

Kernel<ScanArgs> cumsum{"cumsum", cumsum_list, {}};
Kernel<SortArgs> sort{"sort", sort_list, {}};

}  // namespace sono::kernels
