#include "zoo/sim/temporal.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "autograd/ops.h"
#include "tensor/random.h"

namespace sono::zoo::sim {
namespace {

constexpr double sound = 1.54;  // mm per microsecond

// Normal priors of ρ, by tissue; their deviation grows with difficulty.
struct DampingPrior {
  double mean[3] = {0.25, 0.75, 0.5};  // gland, fibrosis, cancer
  double deviation;
  explicit DampingPrior(double difficulty) : deviation(0.06 + 0.06 * difficulty) {}
  double density(int tissue, double x) const {
    const double z = (x - mean[tissue]) / deviation;
    return std::exp(-0.5 * z * z);
  }
};

struct Scatterer {
  double z, amplitude, phase, slip;
  bool neighbour;  // of the tissue beside it
};

std::vector<Scatterer> draw_scatterers(Random& random, const TemporalRegion& r, const TemporalTiming& timing) {
  const auto n = static_cast<int64_t>(r.scatterers * (timing.depth_mm + 0.6));
  std::vector<Scatterer> all;
  for (int64_t k = 0; k < n; k++) {
    const double free = random.uniform(), lattice = (static_cast<double>(k) + 0.5) / static_cast<double>(n);
    const double place = (1 - r.regularity) * free + r.regularity * lattice;
    all.push_back({-0.3 + place * (timing.depth_mm + 0.6), 0.7 + 0.6 * random.uniform(), random.uniform(0, 2 * std::numbers::pi),
                   r.slip * random.normal(), random.chance(r.mixed)});
  }
  return all;
}

// u(t) in mm. A neighbour moves as the other tissue does: gland beside cancer, and the other way round.
double displacement(const TemporalRegion& r, const Scatterer& s, double t, double phase) {
  const bool cancer = (r.tissue == ProstateTissue::cancer) != s.neighbour;
  const DampingPrior prior(0);
  const double damping = s.neighbour ? prior.mean[cancer ? 2 : 0] : r.damping;
  double u = r.breathing * std::sin(2 * std::numbers::pi * r.breath * t + 0.7 * phase) + r.drift * t, b = r.motion;
  for (int m = 1; m <= 5; m++, b *= damping) u += b * std::sin(2 * std::numbers::pi * m * r.pulse * t + m * phase + s.slip);
  return u * 1e-3;
}

// The analytic echo (depths, frames).
std::vector<std::complex<double>> echoes(const TemporalRegion& r, const TemporalTiming& timing, Random& random) {
  const double k0 = 4 * std::numbers::pi * timing.frequency / sound, sigma = 0.12, phase = random.uniform(0, 2 * std::numbers::pi);
  const std::vector<Scatterer> all = draw_scatterers(random, r, timing);
  std::vector<std::complex<double>> rf(static_cast<size_t>(timing.depths * timing.frames));
  for (const Scatterer& s : all)
    for (int64_t t = 0; t < timing.frames; t++) {
      const double u = displacement(r, s, static_cast<double>(t) / timing.rate, phase);
      for (int64_t d = 0; d < timing.depths; d++) {
        const double z = timing.depth_mm * (static_cast<double>(d) + 0.5) / static_cast<double>(timing.depths), away = z - s.z;
        if (std::abs(away) > 3 * sigma) continue;
        rf[static_cast<size_t>(d * timing.frames + t)] +=
            s.amplitude * std::exp(-0.5 * away * away / (sigma * sigma)) * std::polar(1.0, k0 * (away - u) + s.phase);
      }
    }
  return rf;
}

}  // namespace

double oracle_damping(double damping, double difficulty) {
  const DampingPrior prior(difficulty);
  const double cancer = prior.density(2, damping), benign = 0.5 * (prior.density(0, damping) + prior.density(1, damping));
  return cancer / (cancer + benign + 1e-300);
}

TemporalRegion temporal_region(uint64_t seed, uint64_t patient, int64_t region, bool cancer, const SimulateOptions& o) {
  Random person(seed, "teus patient", patient), random(seed, "teus region", patient, static_cast<uint64_t>(region));
  TemporalRegion r;
  r.seed = seed, r.patient = patient, r.region = region;
  r.pulse = person.uniform(0.9, 1.5), r.breath = person.uniform(0.2, 0.35), r.breathing = person.uniform(0.5, 3),
  r.drift = person.normal() * 0.2;
  r.motion = std::exp(person.uniform(std::log(1.5), std::log(5)));
  r.tissue = cancer ? ProstateTissue::cancer : random.chance(0.5) ? ProstateTissue::gland : ProstateTissue::fibrosis;
  const DampingPrior prior(o.difficulty);
  r.damping = std::clamp(prior.mean[static_cast<int>(r.tissue)] + prior.deviation * random.normal(), 0.02, 0.98);
  r.motion *= (r.tissue == ProstateTissue::gland ? 1 : 0.6) * std::exp(0.15 * random.normal());
  r.scatterers = r.tissue == ProstateTissue::cancer ? 40 : 20, r.regularity = r.tissue == ProstateTissue::cancer ? 0.5 : 0.1;
  r.snr_db = random.uniform(26, 34) - 12 * o.difficulty;
  r.boundary_mm = random.uniform(0.5, 8);
  r.mixed = r.boundary_mm < 1.5 ? 0.5 * (1 - r.boundary_mm / 1.5) : 0;
  return r;
}

Sample temporal_sample(const TemporalRegion& r, const SimulateOptions& o) {
  TemporalTiming timing;
  Random random(r.seed, "teus echoes", r.patient, static_cast<uint64_t>(r.region));
  const auto rf = echoes(r, timing, random);
  double power = 0;
  for (const auto& v : rf) power += std::norm(v);
  power /= static_cast<double>(rf.size());
  const double noise = std::sqrt(power / 2 * std::pow(10, -r.snr_db / 10)), scale = 1 / std::sqrt(power + 1e-12);
  Sample s;
  s.sequence = {Tensor({timing.frames, timing.depths}), timing.rate, {}};
  s.image = Tensor({timing.depths, timing.frames, 1});
  for (int64_t d = 0; d < timing.depths; d++) {
    s.sequence.channels.push_back("rf " + std::to_string(d));
    for (int64_t t = 0; t < timing.frames; t++) {
      const std::complex<double> v =
          rf[static_cast<size_t>(d * timing.frames + t)] + std::complex<double>(noise * random.normal(), noise * random.normal());
      s.sequence.values.data<float>()[t * timing.depths + d] = static_cast<float>(v.real() * scale);
      s.image.data<float>()[d * timing.frames + t] = static_cast<float>(std::clamp(0.5 + 0.15 * v.real() * scale, 0.0, 1.0));
    }
  }
  s.labels.category = r.tissue == ProstateTissue::cancer;
  s.labels.measurements = {{"damping", r.damping, "share"},
                           {"motion", r.motion, "µm"},
                           {"distance to boundary", r.boundary_mm, "mm"},
                           {"tissue", static_cast<double>(r.tissue), "code"},
                           {"oracle malignancy", oracle_damping(r.damping, o.difficulty), "probability"}};
  s.meta.frame = r.region;
  return s;
}

Tensor temporal_spectrum(const Tensor& sequence) {
  const NoGrad off;
  const int64_t frames = sequence.dim(0), depths = sequence.dim(1), bins = frames / 2;
  const Tensor f = rfft(transpose(sequence));  // (D, T/2 + 1, 2)
  Tensor spectrum = Tensor::zeros({bins});
  for (int64_t d = 0; d < depths; d++)
    for (int64_t k = 1; k <= bins; k++) {
      const float* c = f.data<float>() + (d * (bins + 1) + k) * 2;
      spectrum.data<float>()[k - 1] += std::hypot(c[0], c[1]) / static_cast<float>(depths);
    }
  return spectrum;
}

}  // namespace sono::zoo::sim
