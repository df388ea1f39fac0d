#include "zoo/heads/spatial_pyramid.h"

#include <algorithm>
#include <string>

namespace sono::zoo {

Tensor spatial_pyramid(const std::vector<int32_t>& word, const std::vector<double>& x, const std::vector<double>& y, int64_t words,
                       const PyramidOptions& options) {
  if (word.empty() || x.size() != word.size() || y.size() != word.size())
    throw ShapeError("[spatial_pyramid] " + std::to_string(word.size()) + " words at " + std::to_string(x.size()) + " and " +
                     std::to_string(y.size()) + " places");
  if (options.grids.size() != options.weights.size() || options.grids.empty())
    throw ShapeError("[spatial_pyramid] " + std::to_string(options.grids.size()) + " grids and " + std::to_string(options.weights.size()) +
                     " weights");
  int64_t cells = 0;
  for (const int64_t g : options.grids) cells += g * g;
  Tensor histogram = Tensor::zeros({cells * words});
  float* level = histogram.data<float>();
  for (size_t l = 0; l < options.grids.size(); l++) {
    const int64_t g = options.grids[l];
    std::vector<double> sums(static_cast<size_t>(g * g * words));
    for (size_t i = 0; i < word.size(); i++) {
      if (word[i] < 0 || word[i] >= words)
        throw NumericError("[spatial_pyramid] word " + std::to_string(word[i]) + " is not within 0 … " + std::to_string(words - 1));
      const auto cell = [&](double share) { return std::clamp<int64_t>(static_cast<int64_t>(share * static_cast<double>(g)), 0, g - 1); };
      sums[static_cast<size_t>((cell(y[i]) * g + cell(x[i])) * words + word[i])] +=
          options.weights[l] / static_cast<double>(word.size());
    }
    level = std::transform(sums.begin(), sums.end(), level, [](double v) { return static_cast<float>(v); });
  }
  return histogram;
}

}  // namespace sono::zoo
