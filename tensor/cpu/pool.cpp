// Pooling on the CPU. No arithmetic to speak of: each is bound by reading its input once and writing its output once.
// Beyond the cache (x of 64 MB) 86 to 105 % of the triad's speed on one core of a Zen 5, 112 to 132 % where x is written past the cache; on
// one of a Zen 4 84 to 90 and 92 to 120 %.
//   vector      all channels of a window by vectors, rows of windows in parallel, f32. Indices are compared, not followed: the gradient of
//               a max pool whose windows do not overlap is one pass that writes every value of x once.
//   reference   the definition, any window, f32 and f64
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "tensor/cpu/simd.h"
#include "tensor/cpu/windows.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

bool fits(const PoolArgs&) { return true; }

// Calls f(position in its image) for the positions of pixel p's window that lie inside x; p counts the pixels of one image of y.
template <class F>
void for_each_position(const PoolArgs& a, int64_t p, F f) {
  const int64_t Ho = a.y.dim(2), Wo = a.y.dim(3), at[3] = {p / (Ho * Wo), p / Wo % Ho, p % Wo};
  int64_t first[3], last[3];
  for (int k = 0; k < 3; k++) {
    first[k] = std::max<int64_t>(0, at[k] * a.stride[k] - a.padding[k]);
    last[k] = std::min(a.x.dim(k + 1), at[k] * a.stride[k] - a.padding[k] + a.window[k]);
  }
  for (int64_t d = first[0]; d < last[0]; d++)
    for (int64_t i = first[1]; i < last[1]; i++)
      for (int64_t j = first[2]; j < last[2]; j++) f((d * a.x.dim(2) + i) * a.x.dim(3) + j);
}

// Calls f(first value of image n in x, first value of pixel p in y, n, p), images in parallel.
template <class F>
void for_each_pixel(const PoolArgs& a, F f) {
  const int64_t N = a.y.dim(0), C = a.y.dim(4), pixels = a.y.size() > 0 ? a.y.size() / (N * C) : 0, image = N > 0 ? a.x.size() / N : 0;
  parallel_for(N, 1, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; n++)
      for (int64_t p = 0; p < pixels; p++) f(n * image, (n * pixels + p) * C, p);
  });
}

template <class T>
void max_pool(const PoolArgs& a) {
  const int64_t C = a.y.dim(4);
  int32_t* index = a.index ? a.index.data<int32_t>() : nullptr;
  for_each_pixel(a, [&, x = a.x.data<T>(), y = a.y.data<T>()](int64_t ix, int64_t iy, int64_t p) {
    for (int64_t c = 0; c < C; c++) {
      T best = -std::numeric_limits<T>::infinity();
      int64_t best_at = -1;
      for_each_position(a, p, [&](int64_t at) {
        const T value = x[ix + at * C + c];
        if (best_at < 0 || value > best || (std::isnan(value) && !std::isnan(best))) best = value, best_at = at;
      });
      y[iy + c] = best;
      if (index) index[iy + c] = static_cast<int32_t>(best_at);
    }
  });
}

template <class T>
void max_pool_at(const PoolArgs& a) {
  const int64_t C = a.y.dim(4);
  for_each_pixel(a, [&, x = a.x.data<T>(), y = a.y.data<T>(), index = a.index.data<int32_t>()](int64_t ix, int64_t iy, int64_t) {
    for (int64_t c = 0; c < C; c++) y[iy + c] = x[ix + index[iy + c] * C + c];
  });
}

template <class T>
void max_unpool(const PoolArgs& a) {
  const int64_t C = a.y.dim(4);
  std::fill_n(a.x.data<T>(), a.x.size(), T(0));
  for_each_pixel(a, [&, x = a.x.data<T>(), y = a.y.data<T>(), index = a.index.data<int32_t>()](int64_t ix, int64_t iy, int64_t) {
    for (int64_t c = 0; c < C; c++) x[ix + index[iy + c] * C + c] += y[iy + c];
  });
}

template <class T>
T weight(const PoolArgs& a, int64_t p) {
  int64_t positions = a.window[0] * a.window[1] * a.window[2];
  if (!a.count_padding) positions = 0, for_each_position(a, p, [&](int64_t) { positions++; });
  return T(1) / static_cast<T>(positions);
}

template <class T>
void avg_pool(const PoolArgs& a) {
  const int64_t C = a.y.dim(4);
  for_each_pixel(a, [&, x = a.x.data<T>(), y = a.y.data<T>()](int64_t ix, int64_t iy, int64_t p) {
    const T scale = weight<T>(a, p);
    for (int64_t c = 0; c < C; c++) {
      T sum = 0;
      for_each_position(a, p, [&](int64_t at) { sum += x[ix + at * C + c]; });
      y[iy + c] = sum * scale;
    }
  });
}

template <class T>
void avg_pool_adjoint(const PoolArgs& a) {
  const int64_t C = a.y.dim(4);
  std::fill_n(a.x.data<T>(), a.x.size(), T(0));
  for_each_pixel(a, [&, x = a.x.data<T>(), y = a.y.data<T>()](int64_t ix, int64_t iy, int64_t p) {
    const T scale = weight<T>(a, p);
    for_each_position(a, p, [&](int64_t at) {
      for (int64_t c = 0; c < C; c++) x[ix + at * C + c] += y[iy + c] * scale;
    });
  });
}

}  // namespace reference

namespace vector {

using cpu::simd, cpu::Windows;

// Every window has a position inside x.
bool fits(const PoolArgs& a) {
  for (int k = 0; k < 3; k++)
    if (a.padding[k] >= a.window[k] || (a.y.dim(k + 1) - 1) * a.stride[k] - a.padding[k] >= a.x.dim(k + 1)) return false;
  return a.x.dtype() == Dtype::f32;
}

bool separate(const PoolArgs& a) { return a.stride[0] >= a.window[0] && a.stride[1] >= a.window[1] && a.stride[2] >= a.window[2]; }
bool fits_separate(const PoolArgs& a) { return fits(a) && separate(a); }

// Every value of x lies in a window.
bool tiled(const PoolArgs& a) {
  for (int k = 0; k < 3; k++)
    if (a.stride[k] != a.window[k] || a.padding[k] != 0 || a.x.dim(k + 1) != a.y.dim(k + 1) * a.stride[k]) return false;
  return true;
}

// Calls f(windows, image n, first pixel of y) for runs of windows of a row that have the same shape: those inside, and each that is cut
// by an edge. Rows in parallel; f must not write what another row writes.
template <class F>
void for_each_run(const PoolArgs& a, const Tensor& written, F f) {
  const int64_t Do = a.y.dim(1), Ho = a.y.dim(2), Wo = a.y.dim(3), C = a.y.dim(4), W = a.x.dim(3);
  const int64_t ahead = cpu::values_ahead(a.x.size(), a.stride[1] * W * C);
  const bool past = cpu::goes_past(written.size(), C, {written.raw(), a.index ? a.index.raw() : nullptr});
  if (a.y.size() == 0) return;
  const int64_t row_values = a.window[0] * a.window[1] * W * C;
  parallel_for(a.y.dim(0) * Do * Ho, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, row_values)), [&](int64_t first, int64_t last) {
    std::vector<int64_t> at(a.window[0] * a.window[1] * a.window[2]);
    for (int64_t row = first; row < last; row++) {
      const auto whole = [&](int64_t j) { return j * a.stride[2] >= a.padding[2] && j * a.stride[2] - a.padding[2] + a.window[2] <= W; };
      for (int64_t j = 0; j < Wo;) {
        int64_t end = j + 1, positions = 0;
        while (whole(j) && end < Wo && whole(end)) end++;
        reference::for_each_position(a, row % (Do * Ho) * Wo + j, [&](int64_t position) { at[positions++] = position; });
        f(Windows{at.data(), positions, end - j, a.stride[2], C, ahead, past}, row / (Do * Ho), row * Wo + j);
        j = end;
      }
    }
  });
}

// The images of x, zeroed where windows leave gaps; in parallel.
void clear_gaps(const PoolArgs& a) {
  if (tiled(a)) return;
  parallel_for(a.x.size(), 1 << 16,
               [&](int64_t first, int64_t last) { std::fill(a.x.data<float>() + first, a.x.data<float>() + last, 0.0f); });
}

int64_t image_size(const PoolArgs& a) { return a.x.dim(1) * a.x.dim(2) * a.x.dim(3) * a.x.dim(4); }

void max_pool(const PoolArgs& a) {
  const int64_t image = image_size(a), C = a.y.dim(4);
  int32_t* index = a.index ? a.index.data<int32_t>() : nullptr;
  for_each_run(a, a.y, [&](const Windows& w, int64_t n, int64_t pixel) {
    simd().max_pool_row(w, a.x.data<float>() + n * image, a.y.data<float>() + pixel * C, index ? index + pixel * C : nullptr);
  });
}

// The indices of a max pool lie in their windows; if the caller made his own that do not, the reference follows them.
void max_pool_at(const PoolArgs& a) {
  const int64_t image = image_size(a), C = a.y.dim(4);
  std::atomic<bool> found = true;
  for_each_run(a, a.y, [&](const Windows& w, int64_t n, int64_t pixel) {
    if (!simd().max_pool_at_row(w, a.x.data<float>() + n * image, a.y.data<float>() + pixel * C, a.index.data<int32_t>() + pixel * C))
      found = false;
  });
  if (!found) reference::max_pool_at<float>(a);
}

void max_unpool(const PoolArgs& a) {
  const int64_t image = image_size(a), C = a.y.dim(4);
  std::atomic<bool> found = true;
  clear_gaps(a);
  for_each_run(a, a.x, [&](const Windows& w, int64_t n, int64_t pixel) {
    if (!simd().max_unpool_row(w, a.x.data<float>() + n * image, a.y.data<float>() + pixel * C, a.index.data<int32_t>() + pixel * C))
      found = false;
  });
  if (!found) reference::max_unpool<float>(a);
}

float weight(const PoolArgs& a, const Windows& w) {
  return 1.0f / static_cast<float>(a.count_padding ? a.window[0] * a.window[1] * a.window[2] : w.positions);
}

void avg_pool(const PoolArgs& a) {
  const int64_t image = image_size(a), C = a.y.dim(4);
  for_each_run(a, a.y, [&](const Windows& w, int64_t n, int64_t pixel) {
    simd().avg_pool_row(w, a.x.data<float>() + n * image, a.y.data<float>() + pixel * C, weight(a, w));
  });
}

void avg_pool_adjoint(const PoolArgs& a) {
  const int64_t image = image_size(a), C = a.y.dim(4);
  clear_gaps(a);
  for_each_run(a, a.x, [&](const Windows& w, int64_t n, int64_t pixel) {
    simd().avg_unpool_row(w, a.x.data<float>() + n * image, a.y.data<float>() + pixel * C, weight(a, w));
  });
}

}  // namespace vector

// An entry for both dtypes, from a template.
#define SONO_REFERENCE(kernel)                                                                                                             \
  {                                                                                                                                        \
    "reference", reference::fits, [](const PoolArgs& a) { visit_real(#kernel, a.x.dtype(), [&]<class T>() { reference::kernel<T>(a); }); } \
  }

constexpr Implementation<PoolArgs> max_pool_list[] = {{"vector", vector::fits, vector::max_pool}, SONO_REFERENCE(max_pool)};
constexpr Implementation<PoolArgs> max_pool_at_list[] = {{"vector", vector::fits, vector::max_pool_at}, SONO_REFERENCE(max_pool_at)};
constexpr Implementation<PoolArgs> max_unpool_list[] = {{"vector", vector::fits_separate, vector::max_unpool}, SONO_REFERENCE(max_unpool)};
constexpr Implementation<PoolArgs> avg_pool_list[] = {{"vector", vector::fits, vector::avg_pool}, SONO_REFERENCE(avg_pool)};
constexpr Implementation<PoolArgs> avg_pool_adjoint_list[] = {{"vector", vector::fits_separate, vector::avg_pool_adjoint},
                                                              SONO_REFERENCE(avg_pool_adjoint)};

}  // namespace

Kernel<PoolArgs> max_pool{"max_pool", max_pool_list, {}}, max_pool_at{"max_pool_at", max_pool_at_list, {}},
    max_unpool{"max_unpool", max_unpool_list, {}};
Kernel<PoolArgs> avg_pool{"avg_pool", avg_pool_list, {}}, avg_pool_adjoint{"avg_pool_adjoint", avg_pool_adjoint_list, {}};

}  // namespace sono::kernels
