#pragma once
// Phantom "ceus": contrast-enhanced ultrasound of a focal liver lesion, benign or malignant: time-intensity curves (TIC) of the lesion and
// of the liver around it, and three pictures at 20, 60 and 150 s after the injection (arterial, portal, late phase).
//
// A bolus of microbubbles passes as a gamma variate [Thompson et al., Circulation Research 1964]; the liver has two supplies, the artery
// and, later, the portal vein, and a slow tail of recirculation:
//   G(t)       = ((t - t0)/(αβ))^α exp(α - (t - t0)/β)                                      peak 1 at t0 + αβ
//   liver(t)   = f G_a(t) + (1 - f) G_p(t) + R(t)
//   lesion(t)  = a G_l(t) + b ((1 - f) G_p(t) + R(t)) w(t)
//   w(t)       = 1 - depth S((t - t0 - onset)/width) - fill exp(-(t - t0)/fill_time)        S the logistic function
// Washout of malignant lesions is `depth` > 0 [CEUS LI-RADS; Claudon et al., Ultrasound in Medicine and Biology 2013]; hepatocellular
// carcinoma enhances strongly in the arterial phase (large a), so does focal nodular hyperplasia, which then does not wash out; metastases
// enhance little, haemangiomas fill from their border. Cysts, 1 benign lesion in 5, enhance in no phase (a and b near 0): a lesion darker
// than the liver in the late phase has washed out only if it was bright before. In the pictures a part of the lesions has a centre that
// does not enhance either: the necrosis of metastases, thrombosed haemangiomas, the scar of hyperplasia [Claudon et al. 2013]. b, the
// bolus, the moment of the injection and the patient's speed of circulation say nothing of malignancy. Depth does, where there is any
// enhancement, and its priors overlap: oracle_perfusion() is what no reader of the curves can beat by much.
//
// What is seen: linear echo power times a Gamma(M, 1/M) variable (the mean of M independent speckles: CV = 1/sqrt(M)), breathing that mixes
// the liver into the region, frames lost, gain; and the same in decibels, cut at the scanner's dynamic range.
// The constants are constructed to resemble the literature: results on these curves are no clinical claims.
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/random.h"
#include "zoo/data/sample.h"
#include "zoo/sim/breast.h"
#include "zoo/sim/options.h"

namespace sono::zoo::sim {

// I(t) = A (t - t0)^α exp(-(t - t0)/β), scaled to the peak given; 0 before t0. Seconds.
struct GammaVariate {
  double arrival = 10, alpha = 3, beta = 4, peak = 1;
  double operator()(double t) const;
  double time_to_peak() const { return arrival + alpha * beta; }
  double area() const;                                                  // ∫ I dt = A β^(α+1) Γ(α+1)
  double mean_transit() const { return arrival + (alpha + 1) * beta; }  // ∫ t I dt / ∫ I dt
};

// I(t) = area / (x σ sqrt(2π)) exp(-(ln x - μ)²/2σ²), x = t - t0.
struct LognormalBolus {
  double arrival = 10, mu = 3, sigma = 0.5, area = 1;
  double operator()(double t) const;
  double time_to_peak() const;  // t0 + exp(μ - σ²)
  double mean_transit() const;  // t0 + exp(μ + σ²/2)
};

enum class LiverLesion { hemangioma, hyperplasia, carcinoma, metastasis, cyst };

struct PerfusionPatient {
  uint64_t seed = 0, patient = 0;
  LiverLesion kind = LiverLesion::hemangioma;
  bool malignant = false;
  double speed = 1;                              // of the circulation; times are divided by it
  double injection = 0;                          // s after the recording began; the phases count from it
  GammaVariate arterial, portal, lesion_artery;  // peaks 1
  double arterial_share = 0.3, recirculation = 0.4, decay = 150;
  double a = 1, b = 1, depth = 0, onset = 60, width = 12, fill = 0, fill_time = 60;
  double core = 0;  // radius that never enhances, as a share of the lesion's
  double gain_db = 0, speckles = 150, breathing = 0.1, breathing_phase = 0, lost_frames = 0.02, headroom_db = 4;
  Contour contour;  // of the lesion, in pixels of the phase pictures
  double liver(double t) const;
  double lesion(double t) const;
};

struct PerfusionTiming {
  double rate = 2, seconds = 200;           // of the curves
  std::vector<double> phases{20, 60, 150};  // s after the injection
  int64_t frames() const { return static_cast<int64_t>(rate * seconds); }
};

PerfusionPatient perfusion_patient(uint64_t seed, uint64_t patient, bool malignant, const SimulateOptions& options);
// image (H, W, 3): the phases; mask: the lesion; sequence (400, 4) at 2 Hz: lesion, liver (linear power), lesion dB, liver dB (of the
// scanner's range, in [0, 1]). Measurements: those of the lesion's curve without noise, and "oracle malignancy".
Sample perfusion_sample(const PerfusionPatient& patient, int64_t frame, const SimulateOptions& options);

// What is measured on a curve: peak, time to peak, area, mean transit time (both until the end of the curve), steepest rise and fall per
// second.
struct CurveFeatures {
  double peak, time_to_peak, area, mean_transit, wash_in, wash_out;
};
CurveFeatures curve_features(const std::vector<double>& curve, double rate);

// P(malignant | depth) with equal classes: depth is normal in either class.
double oracle_washout(double depth, double difficulty);
// P(malignant | kind is a cyst or not, depth), with equal classes.
double oracle_perfusion(const PerfusionPatient& patient, double difficulty);

// A region's mean over M independent speckles, relative to its expectation: Gamma(M, 1/M).
double region_speckle(Random& random, double speckles);

}  // namespace sono::zoo::sim
