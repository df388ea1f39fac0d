#pragma once
// Order statistics that every metric shares.
//
//   percentile({1, 2, 3, 4}, 95);   // 3.85, as numpy.percentile
//   midranks({10, 20, 20});         // {1, 2.5, 2.5}
#include <vector>

namespace sono::zoo {

// The q-th percentile (0 … 100) with linear interpolation between the order statistics around q/100·(n-1): NumPy's default.
// Infinities keep their place in the order. NaN for no values; NumericError for a NaN among them.
double percentile(std::vector<double> values, double q);
double median(std::vector<double> values);

// Ranks 1 … n in ascending order; equal values share the mean of their ranks. NumericError for a NaN.
std::vector<double> midranks(const std::vector<double>& values);

}  // namespace sono::zoo
