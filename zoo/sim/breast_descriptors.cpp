#include "zoo/sim/breast_descriptors.h"

#include <array>
#include <vector>

namespace sono::zoo::sim {
namespace {

// P(value) of each descriptor of a lesion type.
struct LesionType {
  double share;  // of its class
  std::array<double, 3> shape;
  std::array<double, 2> not_parallel;
  std::array<double, 4> margin;
  std::array<double, 3> echo, posterior;
  std::array<double, 2> halo, calcifications;
};
using Population = std::array<std::vector<LesionType>, 2>;  // benign, malignant

// clang-format off
const Population& population(const SimulateOptions& o) {
  //                      share  shape                 not parallel  margin                    echo pattern          posterior             halo          calcifications
  static const Population one_each{{
      {/* benign         */ {1.00, {0.72, 0.25, 0.03}, {0.95, 0.05}, {0.94, 0.04, 0.01, 0.01}, {0.28, 0.64, 0.08}, {0.55, 0.40, 0.05}, {0.96, 0.04}, {0.95, 0.05}}},
      {/* malignant      */ {1.00, {0.05, 0.05, 0.90}, {0.40, 0.60}, {0.04, 0.28, 0.28, 0.40}, {0.01, 0.34, 0.65}, {0.05, 0.30, 0.65}, {0.45, 0.55}, {0.55, 0.45}}},
  }};
  static const Population types{{
      {/* cyst           */ {0.20, {0.70, 0.28, 0.02}, {0.95, 0.05}, {0.97, 0.03, 0.00, 0.00}, {1.00, 0.00, 0.00}, {1.00, 0.00, 0.00}, {0.97, 0.03}, {1.00, 0.00}},
       /* fibroadenoma   */ {0.35, {0.80, 0.15, 0.05}, {0.95, 0.05}, {0.90, 0.08, 0.01, 0.01}, {0.00, 0.95, 0.05}, {0.15, 0.80, 0.05}, {0.97, 0.03}, {0.92, 0.08}},
       /* scar           */ {0.25, {0.05, 0.05, 0.90}, {0.60, 0.40}, {0.04, 0.06, 0.40, 0.50}, {0.00, 0.95, 0.05}, {0.03, 0.12, 0.85}, {0.92, 0.08}, {0.85, 0.15}},
       /* inflammation   */ {0.20, {0.30, 0.30, 0.40}, {0.80, 0.20}, {0.25, 0.65, 0.08, 0.02}, {0.02, 0.08, 0.90}, {0.85, 0.13, 0.02}, {0.30, 0.70}, {0.98, 0.02}}},
      {/* scirrhous      */ {0.50, {0.03, 0.05, 0.92}, {0.35, 0.65}, {0.02, 0.08, 0.35, 0.55}, {0.00, 0.10, 0.90}, {0.02, 0.13, 0.85}, {0.35, 0.65}, {0.50, 0.50}},
       /* high-grade     */ {0.35, {0.30, 0.45, 0.25}, {0.45, 0.55}, {0.45, 0.47, 0.06, 0.02}, {0.00, 0.92, 0.08}, {0.80, 0.18, 0.02}, {0.92, 0.08}, {0.85, 0.15}},
       /* mucinous       */ {0.15, {0.35, 0.45, 0.20}, {0.70, 0.30}, {0.40, 0.50, 0.08, 0.02}, {0.00, 0.15, 0.85}, {0.10, 0.85, 0.05}, {0.95, 0.05}, {0.90, 0.10}}},
  }};
  return o.types ? types : one_each;
}
// clang-format on

// The marginal of a descriptor over the types of a class.
template <class Prior>
double marginal(const std::vector<LesionType>& types, Prior LesionType::*prior, int value) {
  double sum = 0;
  for (const LesionType& t : types) sum += t.share * (t.*prior)[static_cast<size_t>(value)];
  return sum;
}

// One type of a class, with what the other class lends it.
struct Source {
  const LesionType& type;
  const std::vector<LesionType>& others;
  double overlap;

  template <class Prior>
  double probability(Prior LesionType::*prior, int value) const {
    return (1 - overlap) * (type.*prior)[static_cast<size_t>(value)] + overlap * marginal(others, prior, value);
  }

  template <class T, class Prior>
  T draw(Random& random, Prior LesionType::*prior) const {
    double left = random.uniform();
    const int values = static_cast<int>((type.*prior).size());
    for (int v = 0; v < values - 1; v++)
      if ((left -= probability(prior, v)) < 0) return static_cast<T>(v);
    return static_cast<T>(values - 1);
  }

  double likelihood(const Descriptors& d) const {
    const auto of = [&](auto prior, auto value) { return probability(prior, static_cast<int>(value)); };
    double p = of(&LesionType::shape, d.shape) * of(&LesionType::not_parallel, d.not_parallel) * of(&LesionType::margin, d.margin) *
               of(&LesionType::echo, d.echo) * of(&LesionType::halo, d.halo);
    if (d.echo != EchoPattern::anechoic) p *= of(&LesionType::posterior, d.posterior) * of(&LesionType::calcifications, d.calcifications);
    return p;
  }
};

// Types of one class differ already: less is drawn from the other class.
double overlap_of(const SimulateOptions& o) { return o.types ? 0.4 * o.overlap : o.overlap; }

const LesionType& draw_type(Random& random, const std::vector<LesionType>& types) {
  if (types.size() == 1) return types[0];
  double left = random.uniform();
  for (size_t t = 0; t + 1 < types.size(); t++)
    if ((left -= types[t].share) < 0) return types[t];
  return types.back();
}

}  // namespace

Descriptors draw_descriptors(Random& random, bool malignant, const SimulateOptions& o) {
  const Population& all = population(o);
  const Source source{draw_type(random, all[malignant]), all[!malignant], overlap_of(o)};
  Descriptors d;
  d.shape = source.draw<LesionShape>(random, &LesionType::shape);
  d.not_parallel = source.draw<bool>(random, &LesionType::not_parallel);
  d.margin = source.draw<LesionMargin>(random, &LesionType::margin);
  d.echo = source.draw<EchoPattern>(random, &LesionType::echo);
  d.posterior = source.draw<Posterior>(random, &LesionType::posterior);
  d.halo = source.draw<bool>(random, &LesionType::halo);
  d.calcifications = source.draw<bool>(random, &LesionType::calcifications);
  if (d.echo == EchoPattern::anechoic) d.posterior = Posterior::enhancement, d.calcifications = false;
  return d;
}

double oracle_malignancy(const Descriptors& d, const SimulateOptions& o) {
  const Population& all = population(o);
  double likelihood[2] = {};
  for (const bool malignant : {false, true})
    for (const LesionType& type : all[malignant])
      likelihood[malignant] += type.share * Source{type, all[!malignant], overlap_of(o)}.likelihood(d);
  return likelihood[1] / (likelihood[0] + likelihood[1]);
}

}  // namespace sono::zoo::sim
