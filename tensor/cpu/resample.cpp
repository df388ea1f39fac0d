// Resampling on the CPU. Along one axis every output is a short weighted sum of inputs: a sparse matrix. An image or volume is resampled by
// the product of the matrices of its axes, and the adjoint is the same with the matrices transposed: gathered, never scattered, so that the
// threads can share the outputs.
//   separable   f32: the rows that an output row needs are summed to one (whole vectors, whatever the channels), then its pixels are.
//               The reference adds all taps of all axes for each pixel: 4 for an image, 8 for a volume, all inputs for a mean over space.
//   reference   f32 and f64
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

template <class Args>
bool fits(const Args&) {
  return true;
}

// Row i of the matrix: weight[k] at column index[k], k from start[i] to start[i + 1].
struct Taps {
  std::vector<int64_t> start{0}, index;
  std::vector<double> weight;
  void add(int64_t at, double w) {
    if (w == 0) return;
    index.push_back(at);
    weight.push_back(w);
  }
  void end_row() { start.push_back(static_cast<int64_t>(index.size())); }
};

Taps taps(Resampling mode, int64_t in, int64_t out) {
  Taps t;
  const double n = static_cast<double>(in), m = static_cast<double>(out);
  for (int64_t i = 0; i < out; i++, t.end_row()) {
    if (mode == Resampling::nearest) {
      t.add(i * in / out, 1);
    } else if (mode == Resampling::average) {
      const int64_t first = i * in / out, last = ((i + 1) * in + out - 1) / out;
      for (int64_t k = first; k < last; k++) t.add(k, 1 / static_cast<double>(last - first));
    } else {
      const auto at = static_cast<double>(i);
      const double source = mode == Resampling::linear ? std::max(0.0, (at + 0.5) * n / m - 0.5) : out > 1 ? at * (n - 1) / (m - 1) : 0;
      const int64_t low = std::min(in - 1, static_cast<int64_t>(source));
      const double part = low + 1 < in ? source - static_cast<double>(low) : 0;
      t.add(low, 1 - part);
      t.add(low + 1, part);
    }
  }
  return t;
}

Taps transposed(const Taps& t, int64_t columns) {
  std::vector<std::vector<std::pair<int64_t, double>>> rows(static_cast<size_t>(columns));
  for (size_t i = 0; i + 1 < t.start.size(); i++)
    for (auto k = static_cast<size_t>(t.start[i]); k < static_cast<size_t>(t.start[i + 1]); k++)
      rows[static_cast<size_t>(t.index[k])].emplace_back(static_cast<int64_t>(i), t.weight[k]);
  Taps all;
  for (const auto& row : rows) {
    for (const auto& [at, w] : row) all.add(at, w);
    all.end_row();
  }
  return all;
}

// to[c] (+)= weight * from[c]
template <class T>
void add(T* to, const T* from, T weight, int64_t channels, bool first) {
  if (first)
    for (int64_t c = 0; c < channels; c++) to[c] = weight * from[c];
  else
    for (int64_t c = 0; c < channels; c++) to[c] += weight * from[c];
}

template <class T>
void apply(const Tensor& from, const Tensor& to, const Taps (&t)[3]) {
  const int64_t Do = to.dim(1), Ho = to.dim(2), Wo = to.dim(3), H = from.dim(2), W = from.dim(3), C = to.dim(4);
  parallel_for(to.dim(0) * Do * Ho, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, Wo * C)), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const int64_t h = row % Ho, d = row / Ho % Do, n = row / (Ho * Do);
      for (int64_t w = 0; w < Wo; w++) {
        T* y = to.data<T>() + (row * Wo + w) * C;
        bool none = true;
        for (int64_t i = t[0].start[d]; i < t[0].start[d + 1]; i++)
          for (int64_t j = t[1].start[h]; j < t[1].start[h + 1]; j++) {
            const T* x = from.data<T>() + ((n * from.dim(1) + t[0].index[i]) * H + t[1].index[j]) * W * C;
            const double weight = t[0].weight[i] * t[1].weight[j];
            for (int64_t k = t[2].start[w]; k < t[2].start[w + 1]; k++, none = false)
              add(y, x + t[2].index[k] * C, static_cast<T>(weight * t[2].weight[k]), C, none);
          }
        if (none) std::fill_n(y, C, T(0));
      }
    }
  });
}

void resample(const ResampleArgs& a) {
  Taps t[3];
  for (int k = 0; k < 3; k++) t[k] = taps(a.mode, a.x.dim(k + 1), a.y.dim(k + 1));
  visit_real("resample", a.x.dtype(), [&]<class T>() { apply<T>(a.x, a.y, t); });
}
void resample_adjoint(const ResampleArgs& a) {
  Taps t[3];
  for (int k = 0; k < 3; k++) t[k] = transposed(taps(a.mode, a.x.dim(k + 1), a.y.dim(k + 1)), a.x.dim(k + 1));
  visit_real("resample", a.x.dtype(), [&]<class T>() { apply<T>(a.y, a.x, t); });
}

template <class T>
void adaptive_max_index(const AdaptiveMaxArgs& a) {
  const int64_t Do = a.y.dim(1), Ho = a.y.dim(2), Wo = a.y.dim(3), D = a.x.dim(1), H = a.x.dim(2), W = a.x.dim(3), C = a.x.dim(4);
  const auto begin = [](int64_t i, int64_t in, int64_t out) { return i * in / out; };
  const auto end = [](int64_t i, int64_t in, int64_t out) { return ((i + 1) * in + out - 1) / out; };
  parallel_for(a.y.size() / std::max<int64_t>(1, C), 64, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; p++) {
      const int64_t w = p % Wo, h = p / Wo % Ho, d = p / (Wo * Ho) % Do, n = p / (Wo * Ho * Do);
      for (int64_t c = 0; c < C; c++) {
        T best = -std::numeric_limits<T>::infinity();
        int64_t best_at = -1;
        for (int64_t i = begin(d, D, Do); i < end(d, D, Do); i++)
          for (int64_t j = begin(h, H, Ho); j < end(h, H, Ho); j++)
            for (int64_t k = begin(w, W, Wo); k < end(w, W, Wo); k++) {
              const int64_t at = (i * H + j) * W + k;
              const T value = a.x.data<T>()[(n * D * H * W + at) * C + c];
              if (best_at < 0 || value > best || (std::isnan(value) && !std::isnan(best))) best = value, best_at = at;
            }
        a.y.data<int32_t>()[p * C + c] = static_cast<int32_t>(best_at);
      }
    }
  });
}

void adaptive_max_index(const AdaptiveMaxArgs& a) {
  visit_real("adaptive_max_pool", a.x.dtype(), [&]<class T>() { adaptive_max_index<T>(a); });
}

}  // namespace reference

namespace separable {

using reference::Taps;

bool fits(const ResampleArgs& a) { return a.x.dtype() == Dtype::f32; }

// The taps along a row, as the instruction sets read them.
struct RowTaps {
  std::vector<int32_t> start, index;
  std::vector<float> weight;
  bool identity;

  RowTaps(const Taps& t, int64_t in)
      : start(t.start.begin(), t.start.end()), index(t.index.begin(), t.index.end()), weight(t.weight.begin(), t.weight.end()) {
    identity = static_cast<int64_t>(index.size()) == in && static_cast<int64_t>(start.size()) == in + 1;
    for (size_t i = 0; identity && i < index.size(); i++)
      identity = index[i] == static_cast<int32_t>(i) && start[i] == static_cast<int32_t>(i) && weight[i] == 1;
  }
};

void apply(const Tensor& from, const Tensor& to, const Taps (&t)[3]) {
  const int64_t D = from.dim(1), H = from.dim(2), Do = to.dim(1), Ho = to.dim(2), Wo = to.dim(3), C = to.dim(4), row = from.dim(3) * C;
  const RowTaps pixels(t[2], from.dim(3));
  const cpu::Simd& simd = cpu::simd();
  parallel_for(to.dim(0) * Do * Ho, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, std::max(row, Wo * C))),
               [&](int64_t first, int64_t last) {
                 std::vector<const float*> rows;
                 std::vector<float> weights;
                 float* line = pixels.identity ? nullptr : cpu::scratch(0, row);
                 for (int64_t r = first; r < last; r++) {
                   const auto h = static_cast<size_t>(r % Ho), d = static_cast<size_t>(r / Ho % Do);
                   const int64_t n = r / (Ho * Do);
                   rows.clear(), weights.clear();
                   for (int64_t i = t[0].start[d]; i < t[0].start[d + 1]; i++)
                     for (int64_t j = t[1].start[h]; j < t[1].start[h + 1]; j++) {
                       rows.push_back(from.data<float>() +
                                      ((n * D + t[0].index[static_cast<size_t>(i)]) * H + t[1].index[static_cast<size_t>(j)]) * row);
                       weights.push_back(static_cast<float>(t[0].weight[static_cast<size_t>(i)] * t[1].weight[static_cast<size_t>(j)]));
                     }
                   float* y = to.data<float>() + r * Wo * C;
                   const auto count = static_cast<int64_t>(rows.size());
                   if (pixels.identity || count == 0) {
                     simd.weighted_rows(rows.data(), weights.data(), count, Wo * C, y);
                     continue;
                   }
                   const bool one = count == 1 && weights[0] == 1;
                   if (!one) simd.weighted_rows(rows.data(), weights.data(), count, row, line);
                   simd.weighted_pixels(one ? rows[0] : line, pixels.start.data(), pixels.index.data(), pixels.weight.data(), Wo, C, y);
                 }
               });
}

void resample(const ResampleArgs& a) {
  Taps t[3];
  for (int k = 0; k < 3; k++) t[k] = reference::taps(a.mode, a.x.dim(k + 1), a.y.dim(k + 1));
  apply(a.x, a.y, t);
}
void resample_adjoint(const ResampleArgs& a) {
  Taps t[3];
  for (int k = 0; k < 3; k++) t[k] = reference::transposed(reference::taps(a.mode, a.x.dim(k + 1), a.y.dim(k + 1)), a.x.dim(k + 1));
  apply(a.y, a.x, t);
}

}  // namespace separable

constexpr Implementation<ResampleArgs> resample_list[] = {{"separable", separable::fits, separable::resample},
                                                          {"reference", reference::fits<ResampleArgs>, reference::resample}};
constexpr Implementation<ResampleArgs> adjoint_list[] = {{"separable", separable::fits, separable::resample_adjoint},
                                                         {"reference", reference::fits<ResampleArgs>, reference::resample_adjoint}};
constexpr Implementation<AdaptiveMaxArgs> max_list[] = {{"reference", reference::fits<AdaptiveMaxArgs>, reference::adaptive_max_index}};

}  // namespace

Kernel<ResampleArgs> resample{"resample", resample_list, {}}, resample_adjoint{"resample_adjoint", adjoint_list, {}};
Kernel<AdaptiveMaxArgs> adaptive_max_index{"adaptive_max_index", max_list, {}};

}  // namespace sono::kernels
