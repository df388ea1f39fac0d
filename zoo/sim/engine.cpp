#include "zoo/sim/engine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "tensor/cpu/simd.h"
#include "tensor/random.h"
#include "zoo/sim/decibel.h"
#include "zoo/sim/noise.h"

namespace sono::zoo::sim {
namespace {

constexpr double cut = 3.2;  // kernels reach so many standard deviations; the rest holds 1e-5 of the energy

// Half of a symmetric Gaussian kernel of unit energy, w[0] at its centre; sigma in samples.
void gaussian_kernel(double sigma, std::vector<float>& w) {
  const int64_t reach = static_cast<int64_t>(std::ceil(cut * sigma));
  w.resize(static_cast<size_t>(reach) + 1);
  const float sharp = static_cast<float>(-0.5 / (sigma * sigma));
  double energy = 0;
  for (int64_t k = 0; k <= reach; k++) {
    w[k] = math::exp(sharp * static_cast<float>(k * k));
    energy += (k == 0 ? 1 : 2) * double{w[k]} * w[k];
  }
  for (float& v : w) v = static_cast<float>(v / std::sqrt(energy));
}

// out[x] = sum over k of w[|k|] in[x + k]; in has the kernel's reach before and after.
void filter_row(const float* in, float* out, int64_t n, const std::vector<float>& w) {
  cpu::simd().symmetric_filter(in, 1, w.data(), static_cast<int64_t>(w.size()) - 1, n, out);
}

// out row z = sum over k of w[|k|] (in row z + reach + k): in has `reach` rows more at each end.
void filter_columns(const float* in, float* out, int64_t rows, int64_t n, const std::vector<float>& w) {
  const int64_t reach = static_cast<int64_t>(w.size()) - 1;
  for (int64_t z = 0; z < rows; z++) cpu::simd().symmetric_filter(in + (z + reach) * n, n, w.data(), reach, n, out + z * n);
}

// A row of the scatterers g, with `pad` cells more on each side where the medium is continued: amplitude and coherent part held, noise its
// own.
struct ScattererRow {
  const Medium& medium;
  const Tensor& transmitted;
  int64_t pad;
  std::vector<float> noise;  // real parts of the row, then imaginary parts
  std::vector<float> level, coherent, none;

  ScattererRow(const Medium& m, const Tensor& t, int64_t p)
      : medium(m),
        transmitted(t),
        pad(p),
        noise(2 * static_cast<size_t>(m.grid.beams + 2 * p)),
        level(noise.size() / 2),
        coherent(level),
        none(level) {}

  void draw(int64_t row, uint64_t first, uint64_t seed, uint64_t stream, float* real, float* imaginary) {
    const int64_t beams = medium.grid.beams, n = beams + 2 * pad;
    fill_normal(noise.data(), 2 * n, seed, stream, first);
    const float *b = medium.backscatter.data<float>() + row * beams, *t = transmitted.data<float>() + row * beams;
    const float* s = medium.specular ? medium.specular.data<float>() + row * beams : none.data();
    for (int64_t x = 0; x < beams; x++) level[pad + x] = b[x] * t[x] * 0.707106781f, coherent[pad + x] = s[x] * t[x];
    for (std::vector<float>* v : {&level, &coherent}) {
      std::fill_n(v->begin(), pad, (*v)[pad]);
      std::fill_n(v->end() - pad, pad, (*v)[pad + beams - 1]);
    }
    for (int64_t x = 0; x < n; x++) real[x] = level[x] * noise[x] + coherent[x], imaginary[x] = level[x] * noise[n + x];
  }
};

// Both parts of IQ before the axial filter, (rows + 2 reach, beams): scatterers seen through the lateral kernel of their depth, plus
// electronic noise.
void lateral(const Medium& m, const Domain& d, const Tensor& transmitted, int64_t reach, uint64_t seed, uint64_t stream, float* real,
             float* imaginary) {
  const Grid& g = m.grid;
  const auto sigma = [&](int64_t row) {
    return lateral_sigma(d, g.depth(static_cast<double>(row))) / g.beam_spacing(std::max(0.0, g.depth(static_cast<double>(row))));
  };
  double widest = 0;
  for (int64_t row : {int64_t{0}, g.rows / 2, g.rows - 1})
    widest = std::max(widest, sigma(row));  // σ falls towards the focus and rises after it
  const int64_t pad = static_cast<int64_t>(std::ceil(cut * widest)) + 1;
  ScattererRow scatterers(m, transmitted, pad);
  std::vector<float> a(static_cast<size_t>(g.beams + 2 * pad)), b(a.size()), w, electronic(2 * static_cast<size_t>(g.beams));
  const float noise = amplitude(static_cast<float>(d.noise_db)) * 0.707106781f;
  const uint64_t blocks = static_cast<uint64_t>((2 * (g.beams + 2 * pad) + 7) / 8 + philox_lanes);  // Philox blocks kept for a row
  for (int64_t r = 0; r < g.rows + 2 * reach; r++) {
    const int64_t row = std::clamp<int64_t>(r - reach, 0, g.rows - 1);
    scatterers.draw(row, static_cast<uint64_t>(r) * blocks, seed, stream, a.data(), b.data());
    gaussian_kernel(sigma(row), w);
    if (static_cast<int64_t>(w.size()) > pad + 1) w.resize(static_cast<size_t>(pad) + 1);
    filter_row(a.data() + pad, real + r * g.beams, g.beams, w);
    filter_row(b.data() + pad, imaginary + r * g.beams, g.beams, w);
    if (d.noise_db < -150) continue;
    fill_normal(electronic.data(), 2 * g.beams, seed, ~stream, static_cast<uint64_t>(r) * blocks);
    for (int64_t x = 0; x < g.beams; x++)
      real[r * g.beams + x] += noise * electronic[x], imaginary[r * g.beams + x] += noise * electronic[g.beams + x];
  }
}

Iq iq_through(const Medium& m, const Domain& d, const Tensor& transmitted, uint64_t seed, uint64_t stream) {
  std::vector<float> w;
  gaussian_kernel(axial_sigma(d) / m.grid.dz, w);
  const int64_t reach = static_cast<int64_t>(w.size()) - 1;
  const Tensor real({m.grid.rows + 2 * reach, m.grid.beams}), imaginary = Tensor::empty_like(real);
  lateral(m, d, transmitted, reach, seed, stream, real.data<float>(), imaginary.data<float>());
  Iq out{Tensor({m.grid.rows, m.grid.beams}), Tensor({m.grid.rows, m.grid.beams})};
  filter_columns(real.data<float>(), out.real.data<float>(), m.grid.rows, m.grid.beams, w);
  filter_columns(imaginary.data<float>(), out.imaginary.data<float>(), m.grid.rows, m.grid.beams, w);
  return out;
}

// The level in dB below which a share of all values lies, to a tenth of a dB.
float percentile(const float* decibel, int64_t n, double share) {
  std::array<int64_t, 4096> bins{};
  for (int64_t i = 0; i < n; i++) bins[static_cast<size_t>(clamped(10 * decibel[i] + 3000, 0, 4095))]++;
  int64_t below = 0;
  size_t bin = 0;
  while (bin < 4095 && static_cast<double>(below += bins[bin]) < share * static_cast<double>(n)) bin++;
  return 0.1f * (static_cast<float>(bin) + 0.5f) - 300;
}

// Sums over 3 x 3 neighbours, borders held.
void box3(const float* in, float* out, int64_t rows, int64_t n) {
  std::vector<float> sums(static_cast<size_t>(n));
  for (int64_t z = 0; z < rows; z++) {
    const float *a = in + std::max<int64_t>(z - 1, 0) * n, *b = in + z * n, *c = in + std::min(z + 1, rows - 1) * n;
    float* o = out + z * n;
    for (int64_t x = 0; x < n; x++) sums[x] = a[x] + b[x] + c[x];
    for (int64_t x = 1; x < n - 1; x++) o[x] = sums[x - 1] + sums[x] + sums[x + 1];
    o[0] = 2 * sums[0] + sums[std::min<int64_t>(1, n - 1)], o[n - 1] = 2 * sums[n - 1] + sums[std::max<int64_t>(n - 2, 0)];
  }
}

// Lee's filter on the log image [Lee 1980]: mean + k (x - mean), k = max(0, 1 - speckle variance / local variance); `share` of it is mixed
// in.
void lee(float* x, int64_t rows, int64_t n, float speckle_variance, float share) {
  const int64_t size = rows * n;
  std::vector<float> square(static_cast<size_t>(size)), mean(square.size()), power(square.size());
  for (int64_t i = 0; i < size; i++) square[i] = x[i] * x[i];
  box3(x, mean.data(), rows, n);
  box3(square.data(), power.data(), rows, n);
  for (int64_t i = 0; i < size; i++) {
    const float m = mean[i] / 9, variance = power[i] / 9 - m * m + 1e-6f;
    const float k = clamped(1 - speckle_variance / variance, 0, 1);
    x[i] = mix(x[i], m + k * (x[i] - m), share);
  }
}

}  // namespace

double axial_sigma(const Domain& d) {
  return sound_speed * std::sqrt(2 * std::numbers::ln2) / (2 * std::numbers::pi * d.bandwidth * d.frequency);
}

double lateral_sigma(const Domain& d, double depth) {
  const double wavelength = sound_speed / d.frequency, waist = 1.2 * wavelength * d.f_number / 2.3548200450309493;
  const double rayleigh = d.zones * std::numbers::pi * 4 * waist * waist / wavelength, away = (depth - d.focus) / rayleigh;
  return waist * std::sqrt(1 + away * away);
}

Medium uniform_medium(const Grid& g, double attenuation) {
  return {g, Tensor::ones({g.rows, g.beams}), Tensor::full({g.rows, g.beams}, attenuation), Tensor()};
}

Tensor transmission(const Medium& m, const Domain& d) {
  const Grid& g = m.grid;
  const float per_row = static_cast<float>(0.2 * d.frequency * g.dz), spread = static_cast<float>(d.beam_spread);  // 2 f dz, dz in cm
  std::vector<float> loss(static_cast<size_t>(g.beams)), before(loss.size());
  const float* alpha = m.attenuation.data<float>();
  for (int64_t x = 0; x < g.beams; x++) loss[x] = alpha[x] * static_cast<float>(0.2 * d.frequency * g.z0);
  Tensor out({g.rows, g.beams});
  for (int64_t z = 0; z < g.rows; z++) {
    float* o = out.data<float>() + z * g.beams;
    for (int64_t x = 0; x < g.beams; x++) o[x] = amplitude(-loss[x]);
    before = loss;
    for (int64_t x = 1; x < g.beams - 1; x++) loss[x] += spread * (before[x - 1] - 2 * before[x] + before[x + 1]);
    for (int64_t x = 0; x < g.beams; x++) loss[x] += per_row * alpha[z * g.beams + x];
  }
  return out;
}

Iq iq(const Medium& medium, const Domain& domain, uint64_t seed, uint64_t stream) {
  return iq_through(medium, domain, transmission(medium, domain), seed, stream);
}

std::vector<float> tgc_gain(const Grid& g, const Domain& d, const std::vector<double>& sliders) {
  std::vector<float> gain(static_cast<size_t>(g.rows));
  for (int64_t z = 0; z < g.rows; z++) {
    double decibel = 0.2 * d.tgc * d.frequency * g.depth(static_cast<double>(z));
    if (!sliders.empty()) {
      const double at = static_cast<double>(z) / static_cast<double>(g.rows) * static_cast<double>(sliders.size() - 1);
      const size_t k = static_cast<size_t>(at), next = std::min(k + 1, sliders.size() - 1);
      decibel += sliders[k] + (at - static_cast<double>(k)) * (sliders[next] - sliders[k]);
    }
    gain[z] = amplitude(static_cast<float>(decibel));
  }
  return gain;
}

Tensor envelope(const Medium& m, const Domain& d, const std::vector<float>& gain, uint64_t seed, uint64_t stream) {
  const Tensor transmitted = transmission(m, d);
  Tensor out = Tensor::zeros({m.grid.rows, m.grid.beams});
  for (int draw = 0; draw < d.compound; draw++) {
    const Iq one = iq_through(m, d, transmitted, seed, stream + static_cast<uint64_t>(draw));
    const float *re = one.real.data<float>(), *im = one.imaginary.data<float>();
    for (int64_t z = 0; z < m.grid.rows; z++) {
      const float scale = gain[z] / static_cast<float>(d.compound);
      float* o = out.data<float>() + z * m.grid.beams;
      const float *a = re + z * m.grid.beams, *b = im + z * m.grid.beams;
      for (int64_t x = 0; x < m.grid.beams; x++) o[x] += scale * std::sqrt(a[x] * a[x] + b[x] * b[x]);
    }
  }
  return out;
}

Tensor display(const Tensor& e, const Domain& d) {
  const int64_t n = e.size(), rows = e.dim(0), beams = e.dim(1);
  Tensor grey = Tensor::empty_like(e);
  const float* in = e.data<float>();
  float* out = grey.data<float>();
  for (int64_t i = 0; i < n; i++) out[i] = decibel_of_power(in[i] * in[i] + 1e-20f);
  // Log-compressed Rayleigh speckle varies by 5.57 dB, n draws by less.
  if (d.smoothing > 0) lee(out, rows, beams, static_cast<float>(5.57 * 5.57 / d.compound), static_cast<float>(d.smoothing));
  std::array<float, 1025> map;  // the grey map, as a scanner stores it
  for (size_t k = 0; k < map.size(); k++) map[k] = static_cast<float>(std::pow(static_cast<double>(k) / 1024, d.gamma));
  const float scale = static_cast<float>(1024 / d.dynamic_range), floor = percentile(out, n, 0.999) - static_cast<float>(d.dynamic_range);
  for (int64_t i = 0; i < n; i++) out[i] = map[static_cast<size_t>(clamped((out[i] - floor) * scale, 0, 1024))];
  return grey;
}

}  // namespace sono::zoo::sim
