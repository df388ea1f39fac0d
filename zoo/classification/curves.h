#pragma once
// Curves over time as inputs.
#include "zoo/data/sample.h"

namespace sono::zoo {

Tensor curve_of(const Sample& sample, const std::string& channel);  // (T); Error: the case has no such curve
Tensor resampled_curve(const Tensor& curve, int64_t length);        // (length): means of equal stretches, minus the mean of the first 2 %
// One after the other, both divided by the largest value of either; second may be empty. NumericError: the first never rises above 0.
Tensor joined_curves(const Tensor& first, const Tensor& second);
// A .npy file (T, C) as a sample to predict on: its columns are the channels, as many as it has. The picture shows the first of them.
std::vector<Sample> read_curve(const std::string& path, double rate, const std::vector<std::string>& channels);

}  // namespace sono::zoo
