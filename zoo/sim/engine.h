#pragma once
// The image-forming engine: fully developed speckle by filtering circular Gaussian noise with a separable, depth-dependent point-spread
// function in the acquisition grid (depth x beam) [Bamber and Dickinson 1980, Meunier and Bertrand 1995], then the display chain of a
// scanner.
//
//   g(z,x)  = 10^(-A(z,x)/20) (b(z,x) (n1 + i n2)/sqrt(2) + s(z,x)),   n ~ N(0,1),   A = 2 f ∫ α dz   (dB, round trip)
//   IQ(z,x) = h_z * (h_x(z) * g + noise),   h_z = exp(-z²/2σ_z²),   h_x = exp(-x²/2σ_x(z)²),   each of unit energy: mean |IQ|² = b² in
//   uniform tissue envelope = gain(z) * mean over decorrelated draws of |IQ|
//
// The envelope of one draw is Rayleigh wherever b is constant: mean/deviation 1.913 [Wagner et al. 1983], times sqrt(n) with n draws.
//
//   Medium m = uniform_medium({.rows = 512, .beams = 192, .dz = 0.07, .dx = 0.2}, 0.5);
//   Tensor e = envelope(m, domain, tgc_gain(m.grid, domain, {}), seed, stream);
//   Tensor grey = display(e, domain);   // (rows, beams) in [0, 1]
//
// Units: mm, MHz, dB, dB/cm/MHz, radians.
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sono::zoo::sim {

constexpr double sound_speed = 1.54;  // mm per microsecond

// The acquisition grid. Row i lies at depth z0 + i dz below the probe's face; beam j at x0 + j dx: mm for a linear probe, the angle in
// radians for a convex one with a face of radius `radius` mm.
struct Grid {
  int64_t rows = 0, beams = 0;
  double z0 = 0, dz = 0.1, x0 = 0, dx = 0.2, radius = 0;
  double depth(double row) const { return z0 + dz * row; }
  double beam_spacing(double depth) const { return radius > 0 ? (radius + depth) * dx : dx; }  // mm
};

// How a vendor's scanner, at one site, makes its pictures.
struct Domain {
  std::string name = "";
  double frequency = 7.5;     // MHz, centre
  double bandwidth = 0.5;     // two-way, -6 dB amplitude width over the centre frequency
  double f_number = 2;        // lateral FWHM at the focus is 1.2 λ F#
  double focus = 18;          // mm
  double zones = 1;           // stretches the focal range z_R: multiple transmit zones and dynamic receive focusing
  int compound = 2;           // decorrelated draws whose envelopes are averaged (frequency and spatial compounding)
  double noise_db = -50;      // electronic noise relative to parenchyma at the probe's face, before time gain compensation
  double beam_spread = 0.05;  // how fast a finite aperture washes out the sides of a shadow: fraction mixed with the neighbour beam per row
  double tgc = 0.5;           // dB/cm/MHz that time gain compensation assumes
  double tgc_error = 4;       // dB, largest error of each of its eight sliders
  double dynamic_range = 60;  // dB
  double gamma = 1;           // grey = (dB / dynamic range)^gamma
  double smoothing = 0;       // 0 … 1: share of Lee's speckle filter in the picture
  double width = 40;          // mm: the probe's face (linear)
  double radius = 0, angle = 0;  // convex: radius of the face in mm, half opening angle in radians
};

double axial_sigma(const Domain& domain);                  // σ_z = c sqrt(2 ln 2) / (2 π B f), mm
double lateral_sigma(const Domain& domain, double depth);  // σ_x = σ_0 sqrt(1 + ((z - focus)/z_R)²), z_R = zones π (2σ_0)²/λ, mm

// The tissue on the grid: maps of (rows, beams), f32.
struct Medium {
  Grid grid;
  Tensor backscatter;  // b: amplitude relative to parenchyma (1 = 0 dB)
  Tensor attenuation;  // α: dB/cm/MHz
  Tensor specular;     // s: amplitude of coherent reflectors; an empty handle: none
};
Medium uniform_medium(const Grid& grid, double attenuation);

// 10^(-A/20) on the grid, A accumulated along each beam from the probe's face; the medium above row 0 is that of row 0.
Tensor transmission(const Medium& medium, const Domain& domain);

struct Iq {
  Tensor real, imaginary;
};  // (rows, beams) each
Iq iq(const Medium& medium, const Domain& domain, uint64_t seed, uint64_t stream);

// Amplitude gain of each row: tgc * 2 f z in dB, plus a piecewise linear curve through `sliders` (dB, at equal steps of depth; empty:
// none).
std::vector<float> tgc_gain(const Grid& grid, const Domain& domain, const std::vector<double>& sliders);

// The mean of |IQ| over domain.compound draws, times the gain of each row.
Tensor envelope(const Medium& medium, const Domain& domain, const std::vector<float>& gain, uint64_t seed, uint64_t stream);

// Log compression against the 99.9th percentile (the maximum would vary with the size of the sample), Lee's filter in dB, the grey map.
Tensor display(const Tensor& envelope, const Domain& domain);

}  // namespace sono::zoo::sim
