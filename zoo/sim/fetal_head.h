#pragma once
// Phantom P3: a fetal head in an axial plane, seen by a convex probe: the skull's ellipse with lateral drop-outs, brain structures of the
// thalamic, ventricular or cerebellar plane (or of none), amniotic fluid, uterine wall.
//
// The label is the ellipse of the skull's outer border (HC18's convention): mask, ellipse in pixels, head circumference by Ramanujan's
// second formula,
//   HC = π (a + b) (1 + 3h / (10 + sqrt(4 - 3h))),  h = ((a - b)/(a + b))²,
// biparietal diameter BPD = 2b and occipitofrontal diameter OFD = 2a, outer border to outer border, all in mm.
#include <cstdint>
#include <vector>

#include "zoo/data/sample.h"
#include "zoo/sim/engine.h"
#include "zoo/sim/options.h"
#include "zoo/sim/scan_convert.h"

namespace sono::zoo::sim {

enum class HeadPlane { thalamic, ventricular, cerebellar, off_plane };  // the sample's category

struct HeadPatient {
  uint64_t seed = 0, patient = 0;
  Domain domain;
  HeadPlane plane = HeadPlane::thalamic;
  double a = 45, b = 35, tilt = 0;  // outer semi-axes in mm; angle of a to the x axis in radians
  double x = 0, z = 80;             // centre: mm from the middle beam, mm below the probe's face
  double skull = 3, loss = 3;       // thickness in mm, attenuation in dB/cm/MHz
  double specular_power = 6;        // m of |n . b|^m: how fast the skull fades where the beam grazes it
  double fluid = 0;                 // more of it: more amniotic fluid around the head
  double facing = 1;                // ±1: forehead to the right or to the left
  double zoom = 1.2;                // picture over head
  std::vector<double> gaps;         // sutures: angles on the skull in radians
};

const std::vector<Domain>& head_domains();
Domain head_domain(uint64_t seed, uint64_t patient, const SimulateOptions& options);  // the patient's scanner

HeadPatient head_patient(uint64_t seed, uint64_t patient, const SimulateOptions& options);
Sample head_sample(const HeadPatient& patient, int64_t frame, const SimulateOptions& options);  // without Meta.id, patient, source

double ramanujan_circumference(double a, double b);

}  // namespace sono::zoo::sim
