#pragma once
// Gradient clipping, after backward() and before the optimiser's step.
//
//   const double norm = clip_norm(model, 1.0);
#include "optim/optimizer.h"

namespace sono {

double gradient_norm(const Parameters& parameters);  // sqrt of the sum of squares of all gradients; 0 if there are none

// Scales all gradients by min(1, largest / (norm + 1e-6)) [Pascanu et al., ICML 2013]. Returns the norm before; if it is NaN or infinite,
// nothing is scaled.
double clip_norm(const Parameters& parameters, double largest);

// Every value of every gradient into [-largest, largest].
void clip_value(const Parameters& parameters, double largest);

}  // namespace sono
