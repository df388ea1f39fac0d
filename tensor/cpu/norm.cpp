// Normalisation on the CPU: x as (A, L, G, K), statistics over L and K.
//   reference   two passes for mean and variance, sums in double, f32 and f64
#include <algorithm>
#include <cmath>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace sono::kernels {
namespace {

namespace reference {

template <class Args>
bool fits(const Args&) {
  return true;
}

// Calls f(index in x, channel) for every value that belongs to statistic s = a * G + g.
template <class F>
void for_each_value(const std::array<int64_t, 4>& view, int64_t s, F f) {
  const auto [A, L, G, K] = view;
  const int64_t a = s / G, g = s % G;
  for (int64_t l = 0; l < L; l++)
    for (int64_t k = 0; k < K; k++) f(((a * L + l) * G + g) * K + k, g * K + k);
}

template <class T>
void given(const NormArgs& a) {
  const T *x = a.x.data<T>(), *scale = a.scale ? a.scale.data<T>() : nullptr, *shift = a.shift ? a.shift.data<T>() : nullptr;
  const T *mean = a.mean.data<T>(), *rstd = a.rstd.data<T>();
  parallel_for(a.view[0] * a.view[2], 1, [&, y = a.y.data<T>()](int64_t first, int64_t last) {
    for (int64_t s = first; s < last; s++)
      for_each_value(a.view, s, [&](int64_t i, int64_t channel) {
        const T value = (x[i] - mean[s]) * rstd[s] * (scale ? scale[channel] : T(1)) + (shift ? shift[channel] : T(0));
        y[i] = a.relu && value < 0 ? T(0) : value;
      });
  });
}

template <class T>
void normalize(const NormArgs& a) {
  const double n = static_cast<double>(a.view[1] * a.view[3]);
  const T* x = a.x.data<T>();
  for (int64_t s = 0; s < a.view[0] * a.view[2]; s++) {
    double sum = 0, squares = 0;
    for_each_value(a.view, s, [&](int64_t i, int64_t) { sum += x[i]; });
    const double mean = sum / n;
    for_each_value(a.view, s, [&](int64_t i, int64_t) { squares += (x[i] - mean) * (x[i] - mean); });
    a.mean.data<T>()[s] = static_cast<T>(mean);
    a.rstd.data<T>()[s] = static_cast<T>(1 / std::sqrt(squares / n + a.epsilon));
  }
  given<T>(a);
}

// With h = (x - mean) * rstd and d = gy * scale (0 where relu cut): gx = rstd * (d - mean of d - h * mean of d h).
template <class T>
void backward(const NormBackwardArgs& a) {
  const double n = static_cast<double>(a.view[1] * a.view[3]);
  const T *gy = a.gy.data<T>(), *x = a.x.data<T>(), *y = a.relu ? a.y.data<T>() : nullptr, *scale = a.scale ? a.scale.data<T>() : nullptr;
  const T *mean = a.mean.data<T>(), *rstd = a.rstd.data<T>();
  std::vector<double> gscale(a.view[2] * a.view[3]), gshift(gscale.size());
  for (int64_t s = 0; s < a.view[0] * a.view[2]; s++) {
    double sum = 0, sum_h = 0;
    const auto upstream = [&](int64_t i) { return y && y[i] <= 0 ? T(0) : gy[i]; };
    for_each_value(a.view, s, [&](int64_t i, int64_t channel) {
      const double h = (x[i] - mean[s]) * rstd[s], g = upstream(i), d = g * (scale ? scale[channel] : T(1));
      gscale[channel] += g * h, gshift[channel] += g;
      sum += d, sum_h += d * h;
    });
    for_each_value(a.view, s, [&](int64_t i, int64_t channel) {
      const double h = (x[i] - mean[s]) * rstd[s], d = upstream(i) * (scale ? scale[channel] : T(1));
      a.gx.data<T>()[i] = static_cast<T>(rstd[s] * (d - sum / n - h * sum_h / n));
    });
  }
  if (a.gscale) std::copy(gscale.begin(), gscale.end(), a.gscale.data<T>());
  if (a.gshift) std::copy(gshift.begin(), gshift.end(), a.gshift.data<T>());
}

}  // namespace reference

template <class Args, class F>
constexpr auto both_dtypes(F) {
  return +[](const Args& a) { visit_real("normalize", a.x.dtype(), [&]<class T>() { F{}.template operator()<T>(a); }); };
}
constexpr auto reference_normalize = both_dtypes<NormArgs>([]<class T>(const NormArgs& a) { reference::normalize<T>(a); });
constexpr auto reference_given = both_dtypes<NormArgs>([]<class T>(const NormArgs& a) { reference::given<T>(a); });
constexpr auto reference_backward = both_dtypes<NormBackwardArgs>([]<class T>(const NormBackwardArgs& a) { reference::backward<T>(a); });

constexpr Implementation<NormArgs> normalize_list[] = {{"reference", reference::fits<NormArgs>, reference_normalize}};
constexpr Implementation<NormArgs> given_list[] = {{"reference", reference::fits<NormArgs>, reference_given}};
constexpr Implementation<NormBackwardArgs> backward_list[] = {{"reference", reference::fits<NormBackwardArgs>, reference_backward}};

}  // namespace

Kernel<NormArgs> normalize{"normalize", normalize_list, {}}, normalize_given{"normalize_given", given_list, {}};
Kernel<NormBackwardArgs> normalize_backward{"normalize_backward", backward_list, {}};

}  // namespace sono::kernels
