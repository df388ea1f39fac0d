#pragma once
// Phantom P1: a breast with one lesion, benign or malignant, seen by a linear probe.
//
// A virtual patient is layers (skin, fat with Cooper's ligaments, gland, pectoral muscle, chest wall), a scanner (Domain) and a lesion
// whose BI-RADS descriptors are drawn from the priors of its class (breast_descriptors.h); frames of a patient differ in the probe's place, gain and speckle.
// Priors are constructed to resemble the literature's [ACR BI-RADS Ultrasound 2013]: accuracies on these pictures are no clinical claims.
//
// The lesion's contour is r(φ) = 1 + Σ a_k cos(kφ + ψ_k) in its own axes (semi-axes a, b, turned by `tilt`): the mask is rasterised from
// it, spicules excluded.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "zoo/data/sample.h"
#include "zoo/sim/breast_descriptors.h"
#include "zoo/sim/engine.h"
#include "zoo/sim/options.h"
#include "zoo/sim/scan_convert.h"

namespace sono::zoo::sim {

// A star-shaped contour, and where a point lies relative to it.
struct Contour {
  static constexpr int steps = 1024;
  double x = 0, z = 0, a = 5, b = 4, tilt = 0;  // centre and semi-axes in mm, angle of a to the x axis in radians
  std::array<float, steps + 1> radius{};        // r(φ) at φ = -π + 2π k / steps
  float cosine = 1, sine = 0;                   // of tilt
  void harmonic(int k, double amplitude, double phase);
  bool contains(double px, double pz) const { return distance(px, pz, nullptr) < 0; }
  // About the signed distance in mm, negative inside; also the step 0 … steps-1 of φ when wanted.
  float distance(double px, double pz, int* step) const;
  // Extent: {left, top, right, bottom} in mm.
  std::array<double, 4> extent() const;
};

struct Spicule {
  float angle, length, width;  // step of φ, mm, mm
  float away(int step) const {
    const float d = angle > static_cast<float>(step) ? angle - static_cast<float>(step) : static_cast<float>(step) - angle;
    return d < Contour::steps - d ? d : Contour::steps - d;
  }
};
struct Point {
  double x, z, level_db;
};  // mm

struct Lesion {
  bool malignant = false;
  Descriptors descriptors;
  Contour contour;
  double contrast_db = -12;  // mean backscatter relative to the tissue around it
  double attenuation = 0.5;  // dB/cm/MHz
  double margin_blur = 0.1;  // mm
  double heterogeneity_db = 0.5;
  double texture = 0;  // μ of the compound K law; 0: Rayleigh
  double halo_db = 0, halo_width = 1;
  std::vector<Spicule> spicules;
  std::vector<Point> calcifications;
};

// What a patient is: everything except what a frame adds.
struct BreastPatient {
  uint64_t seed = 0, patient = 0;
  Domain domain;
  double skin = 2, fat = 10, gland = 12, muscle = 8;   // thicknesses in mm, from the skin downwards
  double slope = 0, density = 0.5, attenuation = 0.6;  // of the layers; 0 fatty … 1 dense; of the tissue, dB/cm/MHz
  double rib_x = 20, rib_width = 0;                    // mm; no rib: width 0
  Lesion lesion;
};

const std::vector<Domain>& breast_domains();
Domain breast_domain(uint64_t seed, uint64_t patient, const SimulateOptions& options);  // the patient's scanner

BreastPatient breast_patient(uint64_t seed, uint64_t patient, bool malignant, const SimulateOptions& options);
Sample breast_sample(const BreastPatient& patient, int64_t frame, const SimulateOptions& options);  // without Meta.id, patient, source

}  // namespace sono::zoo::sim
