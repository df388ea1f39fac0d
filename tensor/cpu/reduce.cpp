// Reductions of (outer, n, inner) over n on the CPU. Bound by reading x once: beyond the cache sums at 120 to 145 % of the
// triad's speed (it writes as well) on one core of a Zen 5, largest values of rows of 16 at 89 %, their places at 71 %: those take 20
// operations a row.
//   vector      f32. Rows (inner = 1) and columns by vectors; a long n is cut into chunks of 64 KB, whose sums in f32 are added in double
//   and
//               in order: accurate, and the same bits with any number of threads. Narrow columns are read as several rows side by side.
//   reference   one loop per output, sums in double, f32 and f64
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

bool fits(const ReduceArgs&) { return true; }

template <class T>
double total(const T* x, int64_t n, int64_t step) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i * step];
  return sum;
}

// Where the largest (sign 1) or smallest (sign -1) value is; the first NaN wins.
template <class T>
int64_t extreme(const T* x, int64_t n, int64_t step, T sign) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (!std::isnan(x[best * step]) && (std::isnan(x[i * step]) || sign * x[i * step] > sign * x[best * step])) best = i;
  return best;
}

template <class T>
void run(const ReduceArgs& a) {
  const T sign = a.kind == Reduction::min || a.kind == Reduction::argmin ? T(-1) : T(1);
  parallel_for(a.outer * a.inner, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, a.n)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const T* x = a.x.data<T>() + i / a.inner * a.n * a.inner + i % a.inner;
      if (a.kind == Reduction::sum) a.y.data<T>()[i] = static_cast<T>(total(x, a.n, a.inner));
      if (a.kind == Reduction::mean) a.y.data<T>()[i] = static_cast<T>(total(x, a.n, a.inner) / static_cast<double>(a.n));
      if (a.kind == Reduction::max || a.kind == Reduction::min)
        a.y.data<T>()[i] = a.n ? x[extreme(x, a.n, a.inner, sign) * a.inner] : -sign * std::numeric_limits<T>::infinity();
      if (a.kind == Reduction::argmax || a.kind == Reduction::argmin)
        a.y.data<int32_t>()[i] = static_cast<int32_t>(extreme(x, a.n, a.inner, sign));
    }
  });
}

void run(const ReduceArgs& a) {
  visit_real("reduce", a.x.dtype(), [&]<class T>() { run<T>(a); });
}

}  // namespace reference

namespace vector {

using cpu::simd;

constexpr int64_t chunk_floats = 16384;

bool is_sum(const ReduceArgs& a) { return a.kind == Reduction::sum || a.kind == Reduction::mean; }
bool is_argument(const ReduceArgs& a) { return a.kind == Reduction::argmax || a.kind == Reduction::argmin; }
bool smallest(const ReduceArgs& a) { return a.kind == Reduction::min || a.kind == Reduction::argmin; }

bool fits(const ReduceArgs& a) { return a.x.dtype() == Dtype::f32 && a.n > 0 && (a.inner == 1 || !is_argument(a)); }

float finish(const ReduceArgs& a, double sum) {
  return static_cast<float>(a.kind == Reduction::mean ? sum / static_cast<double>(a.n) : sum);
}

// Rows of one value each that are not longer than a chunk.
void rows(const ReduceArgs& a) {
  parallel_for(a.outer, std::max<int64_t>(1, chunk_floats / a.n), [&](int64_t first, int64_t last) {
    const float* x = a.x.data<float>() + first * a.n;
    if (is_argument(a)) return simd().row_arguments(x, last - first, a.n, smallest(a), a.y.data<int32_t>() + first);
    float* y = a.y.data<float>() + first;
    if (!is_sum(a)) return simd().row_extremes(x, last - first, a.n, smallest(a), y);
    for (int64_t r = 0; r < last - first; r++) y[r] = finish(a, simd().sum(x + r * a.n, a.n));
  });
}

// Where a row has its extreme: in the first chunk that has it.
int32_t argument(const ReduceArgs& a, const float* x, const float* parts, float value) {
  int64_t chunk = 0;
  while (parts[chunk] != value && (value == value || parts[chunk] == parts[chunk])) chunk++;
  const int64_t from = chunk * chunk_floats;
  int32_t at;
  simd().row_arguments(x + from, 1, std::min(chunk_floats, a.n - from), smallest(a), &at);
  return static_cast<int32_t>(from) + at;
}

// Each row in chunks.
void long_rows(const ReduceArgs& a) {
  const int64_t chunks = (a.n + chunk_floats - 1) / chunk_floats;
  const Tensor partial({a.outer * chunks});
  float* parts = partial.data<float>();
  parallel_for(a.outer * chunks, 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t from = i % chunks * chunk_floats, length = std::min(chunk_floats, a.n - from);
      const float* x = a.x.data<float>() + i / chunks * a.n + from;
      parts[i] = is_sum(a) ? simd().sum(x, length) : simd().extreme(x, length, smallest(a));
    }
  });
  for (int64_t r = 0; r < a.outer; r++) {
    const float* row = parts + r * chunks;
    if (is_sum(a)) {
      a.y.data<float>()[r] = finish(a, reference::total(row, chunks, 1));
      continue;
    }
    const float value = simd().extreme(row, chunks, smallest(a));
    if (is_argument(a))
      a.y.data<int32_t>()[r] = argument(a, a.x.data<float>() + r * a.n, row, value);
    else
      a.y.data<float>()[r] = value;
  }
}

// Columns: `side` rows are read as one of side * inner values, so that vectors are full; what is left over is a chunk of its own.
void columns(const ReduceArgs& a) {
  const int64_t lanes = simd().lanes, wanted = a.inner % lanes == 0 ? 1 : lanes / std::gcd(lanes, a.inner),
                side = a.n >= 4 * wanted ? wanted : 1;
  const int64_t width = side * a.inner, wide_rows = a.n / side, rows_per_chunk = std::max<int64_t>(1, chunk_floats / width);
  const int64_t whole = (wide_rows + rows_per_chunk - 1) / rows_per_chunk, chunks = whole + (a.n % side ? 1 : 0);
  const Tensor partial = is_sum(a) ? Tensor::zeros({a.outer * chunks * width}) : Tensor({a.outer * chunks * width});
  parallel_for(a.outer * chunks, std::max<int64_t>(1, 2 * chunk_floats / (rows_per_chunk * width)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t c = i % chunks, row = c < whole ? c * rows_per_chunk : wide_rows, values = c < whole ? width : a.inner;
      const int64_t rows = c < whole ? std::min(rows_per_chunk, wide_rows - row) : a.n % side;
      const float* x = a.x.data<float>() + i / chunks * a.n * a.inner + row * width;
      if (is_sum(a))
        simd().add_column_sums(x, rows, values, values, partial.data<float>() + i * width);
      else
        simd().column_extremes(x, rows, values, smallest(a), partial.data<float>() + i * width);
    }
  });
  parallel_for(a.outer, std::max<int64_t>(1, chunk_floats / (chunks * width)), [&](int64_t first, int64_t last) {
    for (int64_t o = first; o < last; o++)
      for (int64_t c = 0; c < a.inner; c++) {
        double sum = 0;
        float best = partial.data<float>()[o * chunks * width + c];
        for (int64_t i = 0; i < chunks; i++)
          for (int64_t k = 0; k < (i < whole ? side : 1); k++) {
            const float part = partial.data<float>()[(o * chunks + i) * width + k * a.inner + c];
            sum += part;
            if (best == best && (part != part || (smallest(a) ? part < best : part > best))) best = part;
          }
        a.y.data<float>()[o * a.inner + c] = is_sum(a) ? finish(a, sum) : best;
      }
  });
}

void run(const ReduceArgs& a) {
  if (a.outer == 0 || a.inner == 0) return;
  if (a.inner > 1)
    columns(a);
  else if (a.n > 2 * chunk_floats)
    long_rows(a);
  else
    rows(a);
}

}  // namespace vector

constexpr Implementation<ReduceArgs> implementations[] = {{"vector", vector::fits, vector::run},
                                                          {"reference", reference::fits, reference::run}};

}  // namespace

Kernel<ReduceArgs> reduce{"reduce", implementations, {}};

}  // namespace sono::kernels
