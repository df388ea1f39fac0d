// Sums over logits on the CPU: binary cross-entropy, soft Dice and both together are functions of four sums per image and channel, so a
// loss reads logits and targets once, and its gradient reads them once and writes once. Some 40 operations a value, most of them in exp and
// log: not bound by memory.
//   vector      f32; chunks of 32 KB of an image, each with columns enough for whole vectors; the sums of chunks are added in double, in
//   order reference   the definition, f32 and f64
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

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

template <class T>
void forward(const LogitSumsArgs& a) {
  const int64_t P = a.x.dim(1), C = a.x.dim(2);
  parallel_for(a.x.dim(0) * C, 1, [&, y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) {
      double sums[4] = {};
      for (int64_t i = k / C * P * C + k % C, end = i + P * C; i < end; i += C) {
        const double x = a.x.data<T>()[i], t = a.t.data<T>()[i], s = 1 / (1 + std::exp(-x));
        sums[0] += s * t, sums[1] += a.squared ? s * s : s, sums[2] += a.squared ? t * t : t;
        sums[3] += (x < 0 ? 0 : x) - x * t + std::log1p(std::exp(-std::abs(x)));
      }
      for (int v = 0; v < 4; v++) y[4 * k + v] = static_cast<T>(sums[v]);
    }
  });
}

template <class T>
void backward(const LogitSumsBackwardArgs& a) {
  const int64_t C = a.x.dim(2), image = a.x.dim(1) * C;
  parallel_for(a.x.size(), 4096, [&, gx = a.gx.data<T>()](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const T* g = a.gy.data<T>() + 4 * (i / image * C + i % C);
      const double x = a.x.data<T>()[i], t = a.t.data<T>()[i], s = 1 / (1 + std::exp(-x)), slope = s * (1 - s);
      gx[i] = static_cast<T>((g[0] * t + g[1] * (a.squared ? 2 * s : 1)) * slope + g[3] * (s - t));
    }
  });
}

void run(const LogitSumsArgs& a) {
  visit_real("logit_sums", a.x.dtype(), [&]<class T>() { forward<T>(a); });
}
void run_backward(const LogitSumsBackwardArgs& a) {
  visit_real("logit_sums", a.x.dtype(), [&]<class T>() { backward<T>(a); });
}

}  // namespace reference

namespace vector {

using cpu::simd;

template <class Args>
bool fits(const Args& a) {
  return a.x.dtype() == Dtype::f32 && a.x.size() > 0 && a.x.dim(2) <= 256;
}

// Images in chunks of rows of `wide` values, a multiple of C and of 64; the last row of an image may be short.
struct Chunks {
  int64_t N, C, image, wide, size, per_image;
  explicit Chunks(const Tensor& x) : N(x.dim(0)), C(x.dim(2)), image(x.dim(1) * C), wide(std::lcm(C, int64_t{64})) {
    size = std::max<int64_t>(1, 8192 / wide) * wide, per_image = (image + size - 1) / size;
  }
  // Calls f(number, image, first value in x, values), in parallel.
  template <class F>
  void for_each(F f) const {
    parallel_for(N * per_image, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) {
        const int64_t n = i / per_image, from = i % per_image * size;
        f(i, n, n * image + from, std::min(size, image - from));
      }
    });
  }
};

void run(const LogitSumsArgs& a) {
  const Chunks c(a.x);
  const Tensor partial = Tensor::zeros({c.N * c.per_image, 4, c.wide});
  c.for_each([&](int64_t i, int64_t, int64_t first, int64_t n) {
    simd().logit_sums(a.x.data<float>() + first, a.t.data<float>() + first, n, c.wide, a.squared, partial.data<float>() + i * 4 * c.wide);
  });
  std::vector<double> sums(a.y.size());
  for (int64_t i = 0; i < partial.size(); i++) {
    const int64_t n = i / (4 * c.wide * c.per_image), v = i / c.wide % 4, channel = i % c.wide % c.C;
    sums[4 * (n * c.C + channel) + v] += partial.data<float>()[i];
  }
  std::copy(sums.begin(), sums.end(), a.y.data<float>());
}

void run_backward(const LogitSumsBackwardArgs& a) {
  const Chunks c(a.x);
  const Tensor table({c.N, 4, c.wide});  // gy for every column of the wide rows
  for (int64_t i = 0; i < table.size(); i++)
    table.data<float>()[i] = a.gy.data<float>()[4 * (i / (4 * c.wide) * c.C + i % c.wide % c.C) + i / c.wide % 4];
  c.for_each([&](int64_t, int64_t image, int64_t first, int64_t n) {
    simd().logit_gradient(a.x.data<float>() + first, a.t.data<float>() + first, n, c.wide, a.squared,
                          table.data<float>() + image * 4 * c.wide, a.gx.data<float>() + first);
  });
}

}  // namespace vector

constexpr Implementation<LogitSumsArgs> forward_list[] = {{"vector", vector::fits<LogitSumsArgs>, vector::run},
                                                          {"reference", reference::fits<LogitSumsArgs>, reference::run}};
constexpr Implementation<LogitSumsBackwardArgs> backward_list[] = {
    {"vector", vector::fits<LogitSumsBackwardArgs>, vector::run_backward},
    {"reference", reference::fits<LogitSumsBackwardArgs>, reference::run_backward}};

}  // namespace

Kernel<LogitSumsArgs> logit_sums{"logit_sums", forward_list, {}};
Kernel<LogitSumsBackwardArgs> logit_sums_backward{"logit_sums_backward", backward_list, {}};

}  // namespace sono::kernels
