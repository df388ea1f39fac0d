// Breast lesions: the contour and the matter that go with their descriptors.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/random.h"
#include "zoo/sim/breast.h"
#include "zoo/sim/breast_lesion.h"
#include "zoo/sim/decibel.h"

namespace sono::zoo::sim {
namespace {

Contour draw_contour(Random& random, const Descriptors& d) {
  Contour c;
  const double size = std::clamp(5.5 * std::exp(0.42 * random.normal()), 2.6, 11.0);  // geometric mean of the semi-axes, mm
  double aspect = d.not_parallel                  ? random.uniform(1.05, 1.5)
                  : d.shape == LesionShape::round ? random.uniform(0.85, 0.98)
                                                  : random.uniform(0.45, 0.8);
  c.a = size / std::sqrt(aspect), c.b = size * std::sqrt(aspect), c.tilt = random.normal() * 0.18;
  c.cosine = static_cast<float>(std::cos(c.tilt)), c.sine = static_cast<float>(std::sin(c.tilt));
  c.radius.fill(1);
  const auto phase = [&] { return random.uniform(0, 2 * std::numbers::pi); };
  if (d.shape == LesionShape::irregular) {
    for (int k = 2; k <= 8; k++) c.harmonic(k, std::clamp(random.normal(), -1.8, 1.8) * 0.15 / k, phase());
  } else {
    for (int k = 2; k <= 4; k++) c.harmonic(k, random.uniform(-0.03, 0.03), phase());
  }
  if (d.margin == LesionMargin::microlobulated)
    for (int k = 9; k <= 18; k += 3) c.harmonic(k, random.uniform(0.012, 0.03), phase());
  if (d.margin == LesionMargin::angular || d.margin == LesionMargin::spiculated) {  // sharp corners: |cos| has a kink, and its harmonics
    const double corners = static_cast<double>(3 + random.below(4)), turn = phase(), depth = random.uniform(0.08, 0.16);
    for (int s = 0; s <= Contour::steps; s++)
      c.radius[s] +=
          static_cast<float>(depth * (0.6366 - std::abs(std::cos(0.5 * corners * (2 * std::numbers::pi * s / Contour::steps) + turn))));
    c.radius[Contour::steps] = c.radius[0];
  }
  return c;
}

void draw_spicules(Random& random, Lesion& lesion) {
  const int64_t rays = 7 + random.below(10);
  const double size = std::sqrt(lesion.contour.a * lesion.contour.b);
  for (int64_t k = 0; k < rays; k++) {
    const double step = (static_cast<double>(k) + random.uniform(-0.35, 0.35)) / static_cast<double>(rays) * Contour::steps;
    lesion.spicules.push_back({static_cast<float>(std::fmod(step + Contour::steps, Contour::steps)),
                               static_cast<float>(size * random.uniform(0.25, 0.75)), static_cast<float>(random.uniform(0.3, 0.7))});
  }
}

void draw_calcifications(Random& random, Lesion& lesion) {
  const int64_t points = 3 + random.below(13);
  for (int64_t k = 0; k < points; k++) {
    const double angle = random.uniform(0, 2 * std::numbers::pi), reach = 0.75 * std::sqrt(random.uniform());
    lesion.calcifications.push_back(
        {lesion.contour.a * reach * std::cos(angle), lesion.contour.b * reach * std::sin(angle), random.uniform(14, 22)});
  }
}

}  // namespace

void Contour::harmonic(int k, double amplitude, double phase) {
  for (int s = 0; s <= steps; s++) radius[s] += static_cast<float>(amplitude * std::cos(k * 2 * std::numbers::pi * s / steps + phase));
}

float Contour::distance(double px, double pz, int* step) const {
  const float dx = static_cast<float>(px - x), dz = static_cast<float>(pz - z), fa = static_cast<float>(a), fb = static_cast<float>(b);
  const float u = (cosine * dx + sine * dz) / fa, v = (cosine * dz - sine * dx) / fb, rho = std::sqrt(u * u + v * v) + 1e-9f;
  const float at = (angle_of(v, u) + std::numbers::pi_v<float>)*(steps / (2 * std::numbers::pi_v<float>));
  const int k = std::clamp(static_cast<int>(at), 0, steps - 1);
  if (step) *step = k;
  const float r = radius[k] + (at - static_cast<float>(k)) * (radius[k + 1] - radius[k]);
  const float slope = std::sqrt(u * u / (fa * fa) + v * v / (fb * fb)) / rho;  // |grad rho| per mm
  return (rho - r) / slope;
}

std::array<double, 4> Contour::extent() const {
  std::array<double, 4> e{1e9, 1e9, -1e9, -1e9};
  for (int k = 0; k < steps; k++) {
    const double phi = -std::numbers::pi + 2 * std::numbers::pi * k / steps, u = a * radius[k] * std::cos(phi),
                 v = b * radius[k] * std::sin(phi);
    const double px = x + cosine * u - sine * v, pz = z + sine * u + cosine * v;
    e = {std::min(e[0], px), std::min(e[1], pz), std::max(e[2], px), std::max(e[3], pz)};
  }
  return e;
}

Lesion draw_lesion(Random& random, bool malignant, const SimulateOptions& o) {
  Lesion l;
  l.malignant = malignant;
  l.descriptors = draw_descriptors(random, malignant, o);
  const Descriptors& d = l.descriptors;
  l.contour = draw_contour(random, d);
  const double strength = 1.25 - 0.75 * o.difficulty;  // of contrasts
  const bool heterogeneous = d.echo == EchoPattern::heterogeneous;
  l.contrast_db = d.echo == EchoPattern::anechoic ? -42 : strength * (heterogeneous ? random.uniform(-19, -11) : random.uniform(-15, -9));
  l.heterogeneity_db = heterogeneous ? random.uniform(2.5, 4.5) : d.echo == EchoPattern::anechoic ? 0 : random.uniform(0.5, 1.2);
  l.texture = heterogeneous ? random.uniform(1, 3) : 0;
  l.attenuation = d.echo == EchoPattern::anechoic         ? 0
                  : d.posterior == Posterior::enhancement ? random.uniform(0.15, 0.35)
                  : d.posterior == Posterior::shadowing   ? random.uniform(1.0, 1.9)
                                                          : random.uniform(0.45, 0.65);
  l.margin_blur = d.margin == LesionMargin::circumscribed ? random.uniform(0.05, 0.2) : random.uniform(0.2, 0.5 + 0.6 * o.difficulty);
  if (d.halo) l.halo_db = random.uniform(3, 6), l.halo_width = random.uniform(1, 2);
  if (d.margin == LesionMargin::spiculated) draw_spicules(random, l);
  if (d.calcifications) draw_calcifications(random, l);
  return l;
}

}  // namespace sono::zoo::sim
