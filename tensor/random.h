#pragma once
// Counter-based random numbers: Philox4x32-10 [Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011].
// A draw is a pure function of (seed, stream, counter): the same on CPU and CUDA, whatever the number of threads, and resumable.
//
//   Random random(seed, "augmentation", epoch, index);   // a stream of its own per epoch and sample
//   double angle = random.uniform(-15, 15);
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace sono {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Thirty-two of these blocks at once, in vectors: out[w][k] is word w of block first + k.
constexpr int philox_lanes = 32;
void philox_blocks(uint32_t (&out)[4][philox_lanes], uint64_t first, uint64_t stream, uint64_t seed);

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  Random(uint64_t seed, std::string_view purpose, uint64_t a = 0, uint64_t b = 0);  // stream = a hash of purpose, a and b

  uint32_t bits();                            // 32 random bits
  void bits(uint32_t* out, int64_t n);        // n times bits(), faster
  double uniform();                           // in [0, 1), 32 bits
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double normal();                            // mean 0, variance 1 (Box-Muller)
  int64_t below(int64_t n);                   // 0 … n-1, unbiased
  bool chance(double p) { return uniform() < p; }
  double gamma(double shape);                 // scale 1 [Marsaglia and Tsang 2000]
  int64_t poisson(double mean);
  std::vector<int64_t> permutation(int64_t n);

  uint64_t seed() const { return seed_; }
  uint64_t stream() const { return stream_; }
  uint64_t counter() const { return counter_; }
  void skip_to(uint64_t counter) { counter_ = counter, left_ = 0; }

 private:
  uint64_t seed_, stream_, counter_ = 0;
  std::array<uint32_t, 4> block_{};
  int left_ = 0;
};

// Whole tensors, in parallel; value i depends on (seed, stream, i) alone.
Tensor random_uniform(Shape shape, uint64_t seed, uint64_t stream, double low = 0, double high = 1, Dtype dtype = Dtype::f32);
Tensor random_normal(Shape shape, uint64_t seed, uint64_t stream, double mean = 0, double deviation = 1, Dtype dtype = Dtype::f32);
// Into `out`: 1 where the i-th of random_uniform(…, seed, stream) is below the i-th probability, else 0. f32 or f64, on the CPU; out may be
// the probabilities themselves.
void random_bernoulli(const Tensor& probability, const Tensor& out, uint64_t seed, uint64_t stream);

// The generator that layers draw from when they are built and that dropout uses: one seed per program, streams in order of use.
void set_seed(uint64_t seed);
uint64_t global_seed();
uint64_t next_stream();               // rises by one with each call; part of a checkpoint
void set_next_stream(uint64_t stream);

uint64_t hash64(std::string_view bytes);  // FNV-1a with a final mix: stable across machines

}  // namespace sono
