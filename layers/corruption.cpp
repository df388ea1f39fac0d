#include "layers/corruption.h"

#include <sstream>

#include "tensor/random.h"

namespace sono {
namespace {

void check(const Corruption& c) {
  const bool probability = c.noise == Noise::masking || c.noise == Noise::salt_and_pepper;
  if (!(c.amount >= 0) || (probability && c.amount > 1))
    throw Error(std::string("[corrupt] the amount of ") + to_string(c.noise) + " noise must be " +
                (probability ? "a probability in [0, 1]" : "at least 0") + ", got " + std::to_string(c.amount));
}

// Drawn on the CPU, so that every device sees the same noise.
Tensor uniform_like(const Tensor& x, uint64_t seed, uint64_t stream) {
  return random_uniform(x.shape(), seed, stream, 0, 1, x.dtype()).to(x.device());
}

}  // namespace

const char* to_string(Noise noise) {
  constexpr const char* names[] = {"none", "masking", "salt_and_pepper", "gaussian"};
  return names[static_cast<size_t>(noise)];
}

Tensor corrupt(const Tensor& x, const Corruption& c, uint64_t seed, uint64_t stream) {
  check(c);
  if (x.dtype() != Dtype::f32 && x.dtype() != Dtype::f64) not_real("corrupt", x.dtype());
  switch (c.noise) {
    case Noise::masking:
      return select(uniform_like(x, seed, stream) >= c.amount, x, Tensor::zeros({}, x.dtype(), x.device()));
    case Noise::salt_and_pepper: {
      const Tensor u = uniform_like(x, seed, stream);
      const Tensor value =
          select(u < c.amount / 2, Tensor::full({}, c.low, x.dtype(), x.device()), Tensor::full({}, c.high, x.dtype(), x.device()));
      return select(u < c.amount, value, x);
    }
    case Noise::gaussian:
      return x + random_normal(x.shape(), seed, stream, 0, c.amount, x.dtype()).to(x.device());
    case Noise::none:
      break;
  }
  return x;
}

Corrupt::Corrupt(Module* parent, std::string name, const Options& options) : Module(parent, std::move(name)), options_(options) {
  check(options);
}

Tensor Corrupt::operator()(const Tensor& x) const {
  const Scope scope(*this);
  return training() ? corrupt(x, options_, global_seed(), next_stream()) : x;
}

std::string Corrupt::describe() const {
  std::ostringstream text;
  text << to_string(options_.noise) << " " << options_.amount;
  return text.str();
}

}  // namespace sono
