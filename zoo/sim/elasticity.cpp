#include "zoo/sim/elasticity.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/random.h"
#include "zoo/sim/decibel.h"
#include "zoo/sim/noise.h"

namespace sono::zoo::sim {
namespace {

// P(kind | benign), P(kind | malignant), before the overlap is mixed in.
constexpr double kinds[2][4] = {{0.7, 0.3, 0, 0}, {0, 0, 0.5, 0.5}};
// Of the level: medians in kPa, deviation of the logarithm.
constexpr double level_of[2] = {48, 58}, level_deviation = 0.45;

double probability(int kind, bool malignant, double overlap) {
  return (1 - overlap) * kinds[malignant][kind] + overlap * kinds[!malignant][kind];
}

// One to three stretches of the margin, about a third of it in all.
void draw_arcs(Random& random, LesionStiffness& s) {
  const int64_t count = 1 + random.below(3);
  for (int64_t k = 0; k < count; k++)
    s.arcs.push_back({static_cast<float>(random.uniform(0, Contour::steps)),
                      static_cast<float>(random.uniform(0.13, 0.2) / static_cast<double>(count) * Contour::steps)});
}

void draw_cords(Random& random, LesionStiffness& s, const Contour& c) {
  const int64_t count = 1 + random.below(2);
  const bool up = random.chance(0.5);
  for (int64_t k = 0; k < count; k++)
    s.cords.push_back({random.uniform(-0.7, 0.7) * c.a, random.uniform(1.5, 3.5), count == 2 ? k == 0 : up});
}

}  // namespace

LesionStiffness lesion_stiffness(const BreastPatient& p, const SimulateOptions& o) {
  Random random(p.seed, "breast stiffness", p.patient);
  LesionStiffness s;
  double left = random.uniform();
  int kind = 0;
  while (kind < 3 && (left -= probability(kind, p.lesion.malignant, 0.2 * o.overlap)) >= 0) kind++;
  s.kind = static_cast<Stiffness>(kind);
  s.level = std::clamp(level_of[p.lesion.malignant] * std::exp(level_deviation * random.normal()), 12.0, 160.0);
  s.contrast = random.uniform(2.0, 3.0) * (1.1 - 0.3 * o.difficulty);
  s.profile = 0.35 * random.normal(), s.tilt = 0.25 * random.normal(), s.tilt_angle = random.uniform(0, 2 * std::numbers::pi);
  s.compression = std::exp(0.3 * random.normal());
  const double size = std::sqrt(p.lesion.contour.a * p.lesion.contour.b);
  s.rim_width = std::clamp(0.35 * size * random.uniform(0.8, 1.2), 0.9, 3.0), s.patch = 0.55 * size;
  s.noise = 0.08 + 0.2 * o.difficulty, s.lost = random.uniform(0, 0.3) * (0.5 + o.difficulty);
  if (s.kind == Stiffness::margin) draw_arcs(random, s);
  if (s.kind == Stiffness::cords) draw_cords(random, s, p.lesion.contour);
  return s;
}

double oracle_stiffness(const LesionStiffness& s, double overlap) {
  double likelihood[2];
  for (const bool malignant : {false, true}) {
    const double z = std::log(s.level / level_of[malignant]) / level_deviation;
    likelihood[malignant] = probability(static_cast<int>(s.kind), malignant, 0.2 * overlap) * std::exp(-0.5 * z * z);
  }
  return likelihood[1] / (likelihood[0] + likelihood[1]);
}

namespace {

// Young's modulus of one lesion at a place, and how much of a place is stiff.
class LesionMap {
 public:
  LesionMap(const BreastPatient& p, const LesionStiffness& s)
      : c_(p.lesion.contour),
        s_(s),
        size_(static_cast<float>(std::sqrt(c_.a * c_.b))),
        contrast_(static_cast<float>(std::log(s.contrast))) {}

  // kPa: `around` outside; patch is a normal field.
  float operator()(float x, float z, float around, float patch) const {
    int step = 0;
    const float d = c_.distance(static_cast<double>(x), static_cast<double>(z), &step);
    float kpa = mix(around, inside(x, z, d, patch), 1 - smooth_step(d, -0.5f, 0.5f));
    const float stiff = s_.kind == Stiffness::margin ? at_margin(d, step) : s_.kind == Stiffness::cords ? in_cord(x, z, d) : 0;
    return mix(kpa, base() * static_cast<float>(s_.contrast), stiff);
  }

 private:
  // What is not stiff of a lesion with stiff places, so that the lesion's mean is its level.
  float base() const { return static_cast<float>(s_.level / (s_.kind == Stiffness::margin ? 1 + 0.2 * (s_.contrast - 1) : 1)); }

  float inside(float x, float z, float d, float patch) const {
    const float along = ((x - static_cast<float>(c_.x)) * static_cast<float>(std::cos(s_.tilt_angle)) +
                         (z - static_cast<float>(c_.z)) * static_cast<float>(std::sin(s_.tilt_angle))) /
                        size_;
    const float rho = clamped(1 + d / size_, 0, 1.2f),
                smooth = static_cast<float>(s_.profile) * (rho - 0.66f) + static_cast<float>(s_.tilt) * along;
    const float uneven = s_.kind == Stiffness::heterogeneous ? contrast_ * (clamped(patch, -1.5f, 1.5f)) - 0.4f * contrast_ * contrast_ : 0;
    return base() * math::exp(smooth + uneven);
  }

  float at_margin(float d, int step) const {
    const float width = static_cast<float>(s_.rim_width);
    const float band = smooth_step(d, -width - 0.5f, -width + 0.5f) * (1 - smooth_step(d, 0.2f * width, 0.2f * width + 1));
    float most = 0;
    for (const StiffArc& a : s_.arcs) {
      const float off = std::abs(a.step - static_cast<float>(step)), away = std::min(off, Contour::steps - off);
      most = std::max(most, 1 - smooth_step(away, a.half - 40, a.half + 40));
    }
    return band * most;
  }

  float in_cord(float x, float z, float d) const {
    const float outside = smooth_step(d, -static_cast<float>(s_.rim_width), 0.3f - static_cast<float>(s_.rim_width));
    float most = 0;
    for (const StiffCord& cord : s_.cords) {
      const float off = std::abs(x - static_cast<float>(c_.x + cord.x)), half = 0.5f * static_cast<float>(cord.width);
      const bool side = (z < static_cast<float>(c_.z)) == cord.up;
      if (side) most = std::max(most, 1 - smooth_step(off, half - 0.7f, half + 0.7f));
    }
    return outside * most * (1 - 0.8f * smooth_step(d, 0, 2 * size_));  // weaker away from the lesion
  }

  const Contour& c_;
  const LesionStiffness& s_;
  float size_, contrast_;
};

}  // namespace

Tensor elastogram(const BreastPatient& p, const LesionStiffness& s, const Frame& frame) {
  const Window window{
      .rows = frame.height, .columns = frame.width, .z0 = frame.z(0), .dz = frame.spacing, .x0 = frame.x(0), .dx = frame.spacing};
  const auto field = [&](double cell, const char* name) {
    return smooth_field(window, cell, cell, p.seed, hash64(name) ^ p.patient * 0x9E3779B97F4A7C15u);
  };
  const Tensor tissue = field(4, "elastic tissue"), noise = field(1.2, "elastic noise"), lost = field(2.5, "elastic loss"),
               patches = field(s.patch, "elastic patches");
  const Tensor map({frame.height, frame.width});
  const LesionMap lesion(p, s);
  const auto threshold = static_cast<float>(2.2 - 3 * s.lost);  // of a normal field
  for (int64_t i = 0; i < frame.height; i++)
    for (int64_t j = 0; j < frame.width; j++) {
      const int64_t k = i * frame.width + j;
      const auto x = static_cast<float>(frame.x(static_cast<double>(j))), z = static_cast<float>(frame.z(static_cast<double>(i)));
      const float around = static_cast<double>(z) < p.skin + p.fat ? 14 : 26;
      float kpa = lesion(x, z, around * math::exp(0.3f * tissue.data<float>()[k]), patches.data<float>()[k]);
      kpa *= static_cast<float>(s.compression) * math::exp(static_cast<float>(s.noise) * noise.data<float>()[k]);
      const float stiff = kpa > 170 ? (kpa - 170) / 60 : 0, deep = z > 25 ? (z - 25) / 12 : 0;
      map.data<float>()[k] = lost.data<float>()[k] + stiff + deep > threshold ? 0 : std::min(kpa, 300.0f);
    }
  return map;
}

}  // namespace sono::zoo::sim
