#pragma once
// k-means [Lloyd 1982] from k-means++ seeds [Arthur and Vassilvitskii 2007]: the words of a visual dictionary. Random numbers are ours
// (seed, "k-means", restart), sums run in a fixed order: the same words with any number of threads. A word that loses its last point moves
// to the point that is farthest from its own word.
//
//   Codebook words = Codebook::fit(descriptors, {.words = 200, .seed = 1});   // descriptors (N, F) f32
//   std::vector<int32_t> word = words.assign(descriptors);                    // of each descriptor
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo {

struct CodebookOptions {
  int64_t words = 200;
  int64_t iterations = 100;  // at most; ends when no point changes its word
  int64_t restarts = 1;      // the best of so many seeds
  uint64_t seed = 0;
};

class Codebook {
 public:
  static Codebook fit(const Tensor& x, const CodebookOptions& options = {});
  explicit Codebook(Tensor words) : words_(std::move(words)) {}

  std::vector<int32_t> assign(const Tensor& x) const;  // the nearest word; of equals the first
  const Tensor& words() const { return words_; }  // (words, F) f32
  double inertia() const { return inertia_; }     // sum of squared distances of the points to their words, of fit()

 private:
  Tensor words_;
  double inertia_ = 0;
};

}  // namespace sono::zoo
