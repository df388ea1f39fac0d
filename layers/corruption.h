#pragma once
// Noise on an autoencoder's input: it must give back the clean one [Vincent et al., JMLR 11, 2010].
//
//   Tensor noisy = corrupt(x, {.noise = Noise::masking, .amount = 0.25}, seed, step);
//   Corrupt noise{this, "noise", {.noise = Noise::gaussian, .amount = 0.1}};   // in training only
#include "layers/module.h"

namespace sono {

enum class Noise : uint8_t {
  none,
  masking,          // each value is zero with probability `amount`
  salt_and_pepper,  // each value is `low` or `high`, with probability amount / 2 each
  gaussian          // x + amount * n, n of mean 0 and variance 1
};

struct Corruption {
  Noise noise = Noise::none;
  double amount = 0.25;      // a probability in [0, 1]; of Gaussian noise its deviation, at least 0
  double low = 0, high = 1;  // of salt_and_pepper
};

// x (…) f32 or f64 -> the same shape. What happens to value i depends on (seed, stream, i) alone: the same with any number of threads.
// Gradients flow to the values that are kept. Error: an amount out of its range.
Tensor corrupt(const Tensor& x, const Corruption& corruption, uint64_t seed, uint64_t stream);

const char* to_string(Noise noise);  // "salt_and_pepper"

// The same as a layer; each call in training takes the program's next stream. In eval() nothing happens.
class Corrupt : public Module {
 public:
  using Options = Corruption;
  explicit Corrupt(const Options& options = {}) : Corrupt(nullptr, "", options) {}
  Corrupt(Module* parent, std::string name, const Options& options = {});
  Tensor operator()(const Tensor& x) const;
  const char* kind() const override { return "Corrupt"; }
  std::string describe() const override;

 private:
  Options options_;
};

}  // namespace sono
