#pragma once
// A rectangle of tissue being drawn: maps over a window of the image plane, in decibels until they become a Medium's amplitudes.
#include <algorithm>
#include <cmath>

#include "tensor/random.h"
#include "zoo/sim/decibel.h"
#include "zoo/sim/engine.h"
#include "zoo/sim/noise.h"

namespace sono::zoo::sim {

class Canvas {
 public:
  Canvas(const Window& w, uint64_t seed_, uint64_t patient_)
      : window(w),
        backscatter({w.rows, w.columns}),
        attenuation({w.rows, w.columns}),
        specular({w.rows, w.columns}),
        seed(seed_),
        patient(patient_) {}

  const Window window;
  Tensor backscatter, attenuation, specular;  // dB relative to parenchyma, dB/cm/MHz, amplitude

  float* db() const { return backscatter.data<float>(); }
  float* alpha() const { return attenuation.data<float>(); }
  float* mirror() const { return specular.data<float>(); }
  float z(int64_t row) const { return static_cast<float>(window.z0 + window.dz * static_cast<double>(row)); }
  float x(int64_t column) const { return static_cast<float>(window.x0 + window.dx * static_cast<double>(column)); }

  // The patient's random texture of that name.
  Tensor field(double cell_z, double cell_x, const char* name) const {
    return smooth_field(window, cell_z, cell_x, seed, hash64(name) ^ patient * 0x9E3779B97F4A7C15u);
  }

  // Calls f(index, x mm, z mm) for the cells of a rectangle in mm.
  template <class F>
  void for_cells(double left, double top, double right, double bottom, F f) const {
    const auto cell = [](double at, double first, double step, int64_t n) {
      return std::clamp<int64_t>(static_cast<int64_t>(std::ceil((at - first) / step)), 0, n);
    };
    const int64_t z0 = cell(top, window.z0, window.dz, window.rows), z1 = cell(bottom, window.z0, window.dz, window.rows);
    const int64_t x0 = cell(left, window.x0, window.dx, window.columns), x1 = cell(right, window.x0, window.dx, window.columns);
    for (int64_t row = z0; row < z1; row++)
      for (int64_t column = x0; column < x1; column++) f(row * window.columns + column, x(column), z(row));
  }

  // Decibels to amplitudes, in place.
  void to_amplitude() const {
    for (int64_t i = 0; i < backscatter.size(); i++) db()[i] = amplitude(db()[i]);
  }

 private:
  uint64_t seed, patient;
};

// The named scanner, or the patient's: the first draw of its generator.
inline Domain drawn_domain(Random& random, const std::vector<Domain>& all, const std::string& name) {
  const size_t drawn = static_cast<size_t>(random.below(static_cast<int64_t>(all.size())));
  for (const Domain& d : all)
    if (d.name == name) return d;
  return all[drawn];
}

// The profile of a thin line: about exp(-(distance / width)² / 2), and 0 beyond 2.7 widths.
inline float line_profile(float distance, float width) { return bump(distance * distance / (width * width)); }

}  // namespace sono::zoo::sim
