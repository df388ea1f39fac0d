// Strided copies on the CPU: read and write once, so bound by memory; what matters is that one of the two sides of every cache line is used
// whole.
//   reference   runs of memory where both sides are contiguous; 32 x 32 tiles where reading and writing are contiguous along different
//               dimensions (transpositions); single values else
#include <algorithm>
#include <cstring>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

bool fits(const CopyArgs&) { return true; }

// Without dimensions of 1, and with neighbours joined that both sides walk through as one. At least one dimension is left.
CopyArgs joined(const CopyArgs& a) {
  CopyArgs j{a.x, a.y, {}, {}, {}, a.x_offset, a.y_offset};
  for (size_t i = 0; i < a.shape.size(); i++) {
    if (a.shape[i] == 1) continue;
    const bool joins =
        !j.shape.empty() && j.x_stride.back() == a.x_stride[i] * a.shape[i] && j.y_stride.back() == a.y_stride[i] * a.shape[i];
    if (!joins) j.shape.push_back(1), j.x_stride.push_back(0), j.y_stride.push_back(0);
    j.shape.back() *= a.shape[i];
    j.x_stride.back() = a.x_stride[i];
    j.y_stride.back() = a.y_stride[i];
  }
  if (j.shape.empty()) j.shape = {1}, j.x_stride = {1}, j.y_stride = {1};
  return j;
}

// Copies short runs (the channels of a pixel) without a call for each: in pieces of a fixed size.
template <size_t Piece>
void runs(const char* x, char* y, int64_t m, int64_t bytes, int64_t x_step, int64_t y_step) {
  for (int64_t i = 0; i < m; i++, x += x_step, y += y_step)
    for (int64_t b = 0; b < bytes; b += Piece) std::memcpy(y + b, x + b, Piece);
}

void copy_runs(const char* x, char* y, int64_t m, int64_t bytes, int64_t x_step, int64_t y_step) {
  if (bytes > 1024)
    for (int64_t i = 0; i < m; i++) std::memcpy(y + i * y_step, x + i * x_step, static_cast<size_t>(bytes));
  else if (bytes % 64 == 0)
    runs<64>(x, y, m, bytes, x_step, y_step);
  else if (bytes % 16 == 0)
    runs<16>(x, y, m, bytes, x_step, y_step);
  else if (bytes % 4 == 0)
    runs<4>(x, y, m, bytes, x_step, y_step);
  else
    runs<1>(x, y, m, bytes, x_step, y_step);
}

constexpr int64_t tile = 32;

// y[i * yi + j * yj] = x[i * xi + j * xj] for i < m, j < n.
template <class T>
void plane(const T* x, T* y, int64_t m, int64_t n, int64_t xi, int64_t xj, int64_t yi, int64_t yj) {
  constexpr int64_t size = sizeof(T);
  if (xj == 1 && yj == 1) return copy_runs(reinterpret_cast<const char*>(x), reinterpret_cast<char*>(y), m, n * size, xi * size, yi * size);
  for (int64_t j0 = 0; j0 < n; j0 += tile)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = j0; j < std::min(n, j0 + tile); j++) y[i * yi + j * yj] = x[i * xi + j * xj];
}

template <class T>
void run(const CopyArgs& args) {
  const CopyArgs a = joined(args);
  const auto rank = static_cast<int64_t>(a.shape.size()), last = rank - 1;
  // A second dimension that shares the tiles: the one along which x is contiguous, if the last is not.
  int64_t across = rank - 2;
  for (int64_t d = 0; d < last; d++)
    if (a.x_stride[d] == 1 && a.x_stride[last] != 1) across = d;
  const int64_t n = a.shape[last], m = across < 0 ? 1 : a.shape[across], xi = across < 0 ? 0 : a.x_stride[across],
                yi = across < 0 ? 0 : a.y_stride[across];
  const int64_t blocks = (m + tile - 1) / tile, planes = count(a.shape) / (m * n);
  const T* x = static_cast<const T*>(a.x.raw()) + a.x_offset;
  T* y = static_cast<T*>(a.y.raw()) + a.y_offset;
  parallel_for(planes * blocks, std::max<int64_t>(1, 32768 / (std::min(m, tile) * n)), [&](int64_t first, int64_t end) {
    for (int64_t unit = first; unit < end; unit++) {
      int64_t rest = unit / blocks, ix = 0, iy = 0;
      for (int64_t d = last - 1; d >= 0; d--) {
        if (d == across) continue;
        ix += rest % a.shape[d] * a.x_stride[d];
        iy += rest % a.shape[d] * a.y_stride[d];
        rest /= a.shape[d];
      }
      const int64_t i = unit % blocks * tile;
      plane(x + ix + i * xi, y + iy + i * yi, std::min(tile, m - i), n, xi, a.x_stride[last], yi, a.y_stride[last]);
    }
  });
}

void run(const CopyArgs& a) {
  if (count(a.shape) == 0) return;
  switch (byte_size(a.x.dtype())) {
    case 1:
      return run<uint8_t>(a);
    case 4:
      return run<uint32_t>(a);
    default:
      return run<uint64_t>(a);
  }
}

}  // namespace reference

constexpr Implementation<CopyArgs> implementations[] = {{"reference", reference::fits, reference::run}};

}  // namespace

Kernel<CopyArgs> strided_copy{"strided_copy", implementations, {}};

}  // namespace sono::kernels
