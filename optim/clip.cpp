#include "optim/clip.h"

#include <cmath>

namespace sono {
namespace {

// Replaces each gradient g by f(g). A gradient may share its memory with another, so that it is not written in place.
template <class F>
void change_gradients(const Parameters& parameters, const F& f) {
  const NoGrad no_grad;
  for (const auto& p : parameters)
    if (wants_gradient(*p.value))
      if (const Tensor g = gradient(*p.value)) set_gradient(*p.value, f(g.detach()));
}

void check_limit(const char* name, double largest) {
  if (!(largest > 0)) throw Error(std::string("[") + name + "] the limit must be positive, got " + std::to_string(largest));
}

}  // namespace

double gradient_norm(const Parameters& parameters) {
  const NoGrad no_grad;
  double total = 0;
  for (const auto& p : parameters)
    if (wants_gradient(*p.value))
      if (const Tensor g = gradient(*p.value)) total += sum(square(g.detach())).item();
  return std::sqrt(total);
}

double clip_norm(const Parameters& parameters, double largest) {
  check_limit("clip_norm", largest);
  const double norm = gradient_norm(parameters), scale = largest / (norm + 1e-6);
  if (std::isfinite(norm) && scale < 1) change_gradients(parameters, [&](const Tensor& g) { return g * scale; });
  return norm;
}

void clip_value(const Parameters& parameters, double largest) {
  check_limit("clip_value", largest);
  change_gradients(parameters, [&](const Tensor& g) { return clamp(g, -largest, largest); });
}

}  // namespace sono
