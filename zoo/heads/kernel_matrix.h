#pragma once
// Kernels between the rows of a (M, F) and b (N, F): (M, N) f64.
//   linear_kernel            a . b
//   rbf_kernel               exp(-gamma |a - b|^2)
//   histogram_intersection   sum_f min(a_f, b_f), of features that are not negative; levels and their weights: spatial_pyramid.h
//
//   Tensor k = rbf_kernel(x, x, 1.0 / 40);
#include "tensor/tensor.h"

namespace sono::zoo {

Tensor linear_kernel(const Tensor& a, const Tensor& b);
Tensor rbf_kernel(const Tensor& a, const Tensor& b, double gamma);
Tensor histogram_intersection(const Tensor& a, const Tensor& b);

// scikit-learn's gamma="scale": 1 / (F variance of all values of x); 1 / F if they are all equal.
double scale_gamma(const Tensor& x);

}  // namespace sono::zoo
