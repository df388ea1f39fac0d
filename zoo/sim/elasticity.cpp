#include "zoo/sim/elasticity.h"

#include <algorithm>
#include <cmath>

#include "tensor/random.h"
#include "zoo/sim/decibel.h"
#include "zoo/sim/noise.h"

namespace sono::zoo::sim {
namespace {

// P(kind | benign), P(kind | malignant), before the overlap is mixed in.
constexpr double kinds[2][4] = {{0.6, 0.4, 0, 0}, {0, 0, 0.6, 0.4}};

double probability(int kind, bool malignant, double overlap) {
  return (1 - overlap) * kinds[malignant][kind] + overlap * kinds[!malignant][kind];
}

}  // namespace

LesionStiffness lesion_stiffness(const BreastPatient& p, const SimulateOptions& o) {
  Random random(p.seed, "breast stiffness", p.patient);
  LesionStiffness s;
  double left = random.uniform();
  int kind = 0;
  while (kind < 3 && (left -= probability(kind, p.lesion.malignant, 0.4 * o.overlap)) >= 0) kind++;
  s.kind = static_cast<Stiffness>(kind);
  s.core = s.kind == Stiffness::soft || s.kind == Stiffness::rim_only ? random.uniform(20, 60) : random.uniform(80, 140);
  s.rim = s.kind == Stiffness::stiff_rim  ? s.core * random.uniform(1.3, 1.6)
          : s.kind == Stiffness::rim_only ? random.uniform(70, 130)
                                          : s.core;
  s.rim_width = random.uniform(1.2, 2.2);
  s.noise = 0.08 + 0.2 * o.difficulty, s.lost = random.uniform(0, 0.3) * (0.5 + o.difficulty);
  return s;
}

double oracle_stiffness(Stiffness kind, double overlap) {
  const double malignant = probability(static_cast<int>(kind), true, 0.4 * overlap),
               benign = probability(static_cast<int>(kind), false, 0.4 * overlap);
  return malignant / (malignant + benign);
}

Tensor elastogram(const BreastPatient& p, const LesionStiffness& s, const Frame& frame) {
  const Window window{
      .rows = frame.height, .columns = frame.width, .z0 = frame.z(0), .dz = frame.spacing, .x0 = frame.x(0), .dx = frame.spacing};
  const auto field = [&](double cell, const char* name) {
    return smooth_field(window, cell, cell, p.seed, hash64(name) ^ p.patient * 0x9E3779B97F4A7C15u);
  };
  const Tensor tissue = field(4, "elastic tissue"), noise = field(1.2, "elastic noise"), lost = field(2.5, "elastic loss");
  const Tensor map({frame.height, frame.width});
  const auto threshold = static_cast<float>(2.2 - 3 * s.lost);  // of a normal field
  for (int64_t i = 0; i < frame.height; i++)
    for (int64_t j = 0; j < frame.width; j++) {
      const int64_t k = i * frame.width + j;
      const double x = frame.x(static_cast<double>(j)), z = frame.z(static_cast<double>(i));
      const float d = p.lesion.contour.distance(x, z, nullptr), width = static_cast<float>(s.rim_width);
      const float around = z < p.skin + p.fat ? 14 : 26;
      const float inside = 1 - smooth_step(d, -0.3f, 0.3f),
                  in_rim = smooth_step(d, -width - 0.3f, -width + 0.3f) * (1 - smooth_step(d, 0.5f * width, 0.5f * width + 0.6f));
      float kpa = mix(around * math::exp(0.3f * tissue.data<float>()[k]), static_cast<float>(s.core), inside);
      if (s.rim != s.core) kpa = mix(kpa, static_cast<float>(s.rim), in_rim);
      kpa *= math::exp(static_cast<float>(s.noise) * noise.data<float>()[k]);
      const float stiff = kpa > 170 ? (kpa - 170) / 60 : 0, deep = z > 25 ? static_cast<float>(z - 25) / 12 : 0;
      map.data<float>()[k] = lost.data<float>()[k] + stiff + deep > threshold ? 0 : std::min(kpa, 300.0f);
    }
  return map;
}

}  // namespace sono::zoo::sim
