#pragma once
// Phantom "teus": temporal enhanced ultrasound of the prostate: radio-frequency (RF) echoes of a region of 1 mm², 100 frames at 40 Hz, from
// a probe and a patient held still. Scatterers of a speckle pattern move by micrometres with the pulse and with breathing:
//
//   rf(z, t) = Re Σ_k a_k h(z - z_k) exp(i 2 k0 (z - z_k - u_k(t))) + noise,   2 k0 = 4π f / c
//   u_k(t)   = Σ_m b ρ^(m-1) sin(2π m f_pulse t + φ_k + m φ) + b_r sin(2π f_breath t) + drift t
//
// How fast the harmonics of the pulse fall off, ρ, and how large the motion is, b, depend on the tissue: soft normal gland damps the
// harmonics, cancer is stiffer (b x 0.6) and damps them less, fibrosis and calcified tissue, which are benign, damp them least. Cancer has
// twice the scatterers, on a more regular lattice. That tissue answers like this is a hypothesis of the literature, not a fact: this is a
// didactic surrogate, not a model of cancer. b also varies from patient to patient, by more than between tissues.
#include <cstdint>

#include "zoo/data/sample.h"
#include "zoo/sim/options.h"

namespace sono::zoo::sim {

enum class ProstateTissue { gland, fibrosis, cancer };

struct TemporalRegion {
  uint64_t seed = 0, patient = 0;
  int64_t region = 0;
  ProstateTissue tissue = ProstateTissue::gland;
  double pulse = 1.2, breath = 0.3;        // Hz
  double motion = 2, breathing = 2;        // µm: b and b_r
  double damping = 0.5;                    // ρ
  double drift = 0.1;                      // µm/s
  double scatterers = 20, regularity = 0;  // in the region; 0: anywhere … 1: on a lattice
  double slip = 0.3;                       // rad: how much φ_k differs within the region
  double snr_db = 20;
  double boundary_mm = 5;  // distance to the boundary of the tissue; nearer than 1.5 mm neighbouring tissue is mixed in
  double mixed = 0;        // share of the neighbour's scatterers
};

struct TemporalTiming {
  int64_t frames = 100, depths = 32;
  double rate = 40;      // Hz
  double frequency = 6;  // MHz, of the echoes
  double depth_mm = 1;
};

TemporalRegion temporal_region(uint64_t seed, uint64_t patient, int64_t region, bool cancer, const SimulateOptions& options);
// image (depths, frames, 1): the echoes over time (M-mode, grey is 0); sequence (frames, depths) at 40 Hz: the RF samples.
// Measurements: damping, motion, distance to the boundary, "oracle malignancy".
Sample temporal_sample(const TemporalRegion& region, const SimulateOptions& options);

// P(cancer | ρ) when cancer and not cancer are equally frequent, and gland and fibrosis among the latter.
double oracle_damping(double damping, double difficulty);

// Mean over depths of the amplitudes |rfft| of the frames' RF, without their mean: sequence (T, D) -> (T/2), 50 components for 100 frames.
Tensor temporal_spectrum(const Tensor& sequence);

}  // namespace sono::zoo::sim
