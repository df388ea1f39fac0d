// Cross-entropy on the CPU: log-softmax and choice of the target in one pass, and its gradient, softmax minus target, in another.
//   vector      f32: of up to 64 classes as many rows side by side as a vector has lanes, of more a row at a time
//   reference   one row at a time, sums in double, f32 and f64
#include <algorithm>
#include <cmath>
#include <string>

#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/scalar_math.h"

namespace sono::kernels {
namespace {

namespace reference {

template <class Args>
bool fits(const Args&) {
  return true;
}

template <class Args>
int64_t grain(const Args& a) {  // rows
  return std::max<int64_t>(1, 65536 / std::max<int64_t>(64, a.x.dim(1)));
}

template <class T>
struct Weights {
  const T* values;
  double at(int64_t c) const { return values ? values[c] : 1; }
  explicit Weights(const Tensor& weight) : values(weight ? weight.data<T>() : nullptr) {}
};

void check(const Tensor& target, int64_t classes, int64_t ignore) {
  const int32_t *t = target.data<int32_t>(), none = static_cast<int32_t>(ignore) == ignore ? static_cast<int32_t>(ignore) : 0;
  const auto n = static_cast<uint32_t>(classes);
  uint32_t wrong = 0;  // without a branch: the loop is vectors
  for (int64_t r = 0; r < target.size(); r++) wrong |= static_cast<uint32_t>((t[r] != none) & (static_cast<uint32_t>(t[r]) >= n));
  for (int64_t r = 0; wrong && r < target.size(); r++)
    if (t[r] != ignore && (t[r] < 0 || t[r] >= classes))
      throw ShapeError("[cross_entropy] target " + std::to_string(t[r]) + " at position " + std::to_string(r) + " is outside of 0 … " +
                       std::to_string(classes - 1));
}

template <class T>
double log_sum_exp(const T* x, int64_t n) {
  T largest = x[0];
  for (int64_t c = 1; c < n; c++) largest = x[c] > largest ? x[c] : largest;
  const T shift = std::isfinite(largest) ? largest : T(0);
  double sum = 0;
  for (int64_t c = 0; c < n; c++) sum += math::exp(x[c] - shift);
  return static_cast<double>(math::log(static_cast<T>(sum))) + shift;
}

template <class T>
void forward(const CrossEntropyArgs& a) {
  const int64_t classes = a.x.dim(1);
  const Weights<T> weight(a.weight);
  parallel_for(a.x.dim(0), grain(a), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; r++) {
      const T* x = a.x.data<T>() + r * classes;
      const int64_t t = a.target.data<int32_t>()[r];
      const double total = log_sum_exp(x, classes);
      a.log_sum.data<T>()[r] = static_cast<T>(total);
      const bool counts = t != a.ignore;
      double loss = counts ? (1 - a.smoothing) * weight.at(t) * (total - x[t]) : 0;
      if (counts && a.smoothing > 0)
        for (int64_t c = 0; c < classes; c++) loss += a.smoothing / static_cast<double>(classes) * weight.at(c) * (total - x[c]);
      a.y.data<T>()[r] = static_cast<T>(loss);
      a.row_weight.data<T>()[r] = static_cast<T>(counts ? weight.at(t) : 0);
    }
  });
}

// dy/dx[c] = p[c] * (sum of counts) - counts[c], counts as in y = -sum over c of counts[c] log p[c].
template <class T>
void backward(const CrossEntropyBackwardArgs& a) {
  const int64_t classes = a.x.dim(1);
  const Weights<T> weight(a.weight);
  const double share = a.smoothing / static_cast<double>(classes);
  double all = 0;
  for (int64_t c = 0; c < classes; c++) all += weight.at(c);
  parallel_for(a.x.dim(0), grain(a), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; r++) {
      const T* x = a.x.data<T>() + r * classes;
      T* gx = a.gx.data<T>() + r * classes;
      const int64_t t = a.target.data<int32_t>()[r];
      if (t == a.ignore) {
        std::fill_n(gx, classes, T(0));
        continue;
      }
      const double g = a.gy.data<T>()[r], hit = (1 - a.smoothing) * weight.at(t), sum = hit + share * all, total = a.log_sum.data<T>()[r];
      for (int64_t c = 0; c < classes; c++)
        gx[c] = static_cast<T>(g * (math::exp(static_cast<T>(x[c] - total)) * sum - share * weight.at(c) - (c == t ? hit : 0)));
    }
  });
}

void forward(const CrossEntropyArgs& a) {
  check(a.target, a.x.dim(1), a.ignore);
  visit_real("cross_entropy", a.x.dtype(), [&]<class T>() { forward<T>(a); });
}
void backward(const CrossEntropyBackwardArgs& a) {
  visit_real("cross_entropy", a.x.dtype(), [&]<class T>() { backward<T>(a); });
}

}  // namespace reference

namespace vector {

using cpu::simd;

template <class Args>
bool fits(const Args& a) {
  return a.x.dtype() == Dtype::f32;
}

template <class Args>
cpu::ClassRows rows(const Args& a, int64_t first, int64_t last) {
  const int64_t classes = a.x.dim(1);
  return {a.x.template data<float>() + first * classes,
          a.target.template data<int32_t>() + first,
          a.weight ? a.weight.template data<float>() : nullptr,
          last - first,
          classes,
          a.ignore,
          static_cast<float>(a.smoothing)};
}

void forward(const CrossEntropyArgs& a) {
  reference::check(a.target, a.x.dim(1), a.ignore);
  parallel_for(a.x.dim(0), reference::grain(a), [&](int64_t first, int64_t last) {
    simd().cross_entropy_rows(rows(a, first, last), a.y.data<float>() + first, a.row_weight.data<float>() + first,
                              a.log_sum.data<float>() + first);
  });
}

void backward(const CrossEntropyBackwardArgs& a) {
  parallel_for(a.x.dim(0), reference::grain(a), [&](int64_t first, int64_t last) {
    simd().cross_entropy_gradient(rows(a, first, last), a.log_sum.data<float>() + first, a.gy.data<float>() + first,
                                  a.gx.data<float>() + first * a.x.dim(1));
  });
}

}  // namespace vector

constexpr Implementation<CrossEntropyArgs> forward_list[] = {{"vector", vector::fits<CrossEntropyArgs>, vector::forward},
                                                             {"reference", reference::fits<CrossEntropyArgs>, reference::forward}};
constexpr Implementation<CrossEntropyBackwardArgs> backward_list[] = {
    {"vector", vector::fits<CrossEntropyBackwardArgs>, vector::backward},
    {"reference", reference::fits<CrossEntropyBackwardArgs>, reference::backward}};

}  // namespace

Kernel<CrossEntropyArgs> cross_entropy{"cross_entropy", forward_list, {}};
Kernel<CrossEntropyBackwardArgs> cross_entropy_backward{"cross_entropy_backward", backward_list, {}};

}  // namespace sono::kernels
