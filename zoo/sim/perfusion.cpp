#include "zoo/sim/perfusion.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/random.h"
#include "zoo/sim/decibel.h"
#include "zoo/sim/noise.h"

namespace sono::zoo::sim {

// ---- boluses ---------------------------------------------------------------------------------------------------------------------------

double GammaVariate::operator()(double t) const {
  const double x = t - arrival;
  return x <= 0 ? 0 : peak * std::exp(alpha * std::log(x / (alpha * beta)) + alpha - x / beta);
}

double GammaVariate::area() const {
  return peak * std::exp(alpha - alpha * std::log(alpha * beta) + (alpha + 1) * std::log(beta) + std::lgamma(alpha + 1));
}

double LognormalBolus::operator()(double t) const {
  const double x = t - arrival;
  if (x <= 0) return 0;
  const double z = (std::log(x) - mu) / sigma;
  return area / (x * sigma * std::sqrt(2 * std::numbers::pi)) * std::exp(-0.5 * z * z);
}

double LognormalBolus::time_to_peak() const { return arrival + std::exp(mu - sigma * sigma); }
double LognormalBolus::mean_transit() const { return arrival + std::exp(mu + 0.5 * sigma * sigma); }

// ---- patients --------------------------------------------------------------------------------------------------------------------------

namespace {

constexpr double cysts = 0.4;  // share of the benign lesions that enhance little

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// Depth of the washout: its mean in either class and its deviation; they come nearer to each other with difficulty.
struct WashoutPrior {
  double benign, malignant, deviation;
  explicit WashoutPrior(double difficulty) : benign(-0.02), malignant(0.52 - 0.2 * difficulty), deviation(0.1 + 0.04 * difficulty) {}
};

double tail(const PerfusionPatient& p, double t) {
  const double x = (t - p.arterial.arrival) * p.speed;
  return x <= 0 ? 0 : p.recirculation * (1 - std::exp(-x / 25)) * std::exp(-x / p.decay);
}

// How the kinds enhance, whatever their class: strongly from the artery, or little; haemangiomas from their border.
void draw_enhancement(Random& random, PerfusionPatient& p) {
  const bool strong = p.kind == LiverLesion::hyperplasia || p.kind == LiverLesion::carcinoma;
  p.a = strong ? random.uniform(0.5, 1.1) : random.uniform(0.05, 0.35);
  p.b = std::exp(0.25 * random.normal());
  p.onset =
      (p.kind == LiverLesion::metastasis || p.kind == LiverLesion::hemangioma ? random.uniform(20, 50) : random.uniform(40, 90)) / p.speed;
  p.width = random.uniform(6, 14) / p.speed;
  if (p.kind == LiverLesion::hemangioma) p.fill = random.uniform(0.3, 0.8), p.fill_time = random.uniform(15, 35) / p.speed;
  if (p.kind == LiverLesion::cyst) p.a *= 0.06, p.b = random.uniform(0.01, 0.06);
  const double centre = random.uniform(0.3, 0.65);
  if (p.kind == LiverLesion::hyperplasia)
    p.core = 0.25;
  else if (p.kind != LiverLesion::carcinoma && random.chance(0.5))
    p.core = centre;
}

Contour draw_outline(Random& random, const SimulateOptions& o) {
  Contour c;
  const double size = 0.2 * static_cast<double>(std::min(o.width, o.height)) * random.uniform(0.75, 1.3), aspect = random.uniform(0.75, 1);
  c.a = size / std::sqrt(aspect), c.b = size * std::sqrt(aspect), c.tilt = random.uniform(-1.5, 1.5);
  c.cosine = static_cast<float>(std::cos(c.tilt)), c.sine = static_cast<float>(std::sin(c.tilt));
  c.radius.fill(1);
  for (int k = 2; k <= 5; k++) c.harmonic(k, random.uniform(-0.08, 0.08) / k, random.uniform(0, 2 * std::numbers::pi));
  c.x = static_cast<double>(o.width) * random.uniform(0.4, 0.6), c.z = static_cast<double>(o.height) * random.uniform(0.4, 0.6);
  return c;
}

}  // namespace

double PerfusionPatient::liver(double t) const { return arterial_share * arterial(t) + (1 - arterial_share) * portal(t) + tail(*this, t); }

double PerfusionPatient::lesion(double t) const {
  const double since = t - arterial.arrival;
  const double w = 1 - depth * logistic((since - onset) / width) - fill * std::exp(-std::max(0.0, since) / fill_time);
  return a * lesion_artery(t) + b * ((1 - arterial_share) * portal(t) + tail(*this, t)) * std::max(0.0, w);
}

PerfusionPatient perfusion_patient(uint64_t seed, uint64_t patient, bool malignant, const SimulateOptions& o) {
  Random random(seed, "ceus patient", patient);
  PerfusionPatient p;
  p.seed = seed, p.patient = patient, p.malignant = malignant;
  const bool strong = random.chance(0.5);
  const LiverLesion faint = random.chance(cysts) ? LiverLesion::cyst : LiverLesion::hemangioma;
  p.kind = malignant ? (strong ? LiverLesion::carcinoma : LiverLesion::metastasis) : (strong ? LiverLesion::hyperplasia : faint);
  p.speed = std::exp(0.35 * random.normal());
  p.injection = random.uniform(0, 25);
  const double start = p.injection + random.uniform(5, 15);
  const auto bolus = [&](double after, double low, double high) {
    const double alpha = random.uniform(2.2, 3.5), rise = random.uniform(low, high) / p.speed;
    return GammaVariate{start + after / p.speed, alpha, rise / alpha, 1};
  };
  p.arterial = bolus(0, 7, 11), p.portal = bolus(random.uniform(10, 15), 16, 26), p.lesion_artery = bolus(random.uniform(-1, 2), 6, 10);
  p.arterial_share = random.uniform(0.2, 0.35), p.recirculation = random.uniform(0.4, 0.5), p.decay = random.uniform(150, 200);
  draw_enhancement(random, p);
  const WashoutPrior prior(o.difficulty);
  p.depth = (malignant ? prior.malignant : prior.benign) + prior.deviation * random.normal();
  p.gain_db = random.uniform(-5, 5), p.speckles = random.uniform(80, 300) * (1.3 - o.difficulty), p.lost_frames = random.uniform(0, 0.05);
  p.breathing = random.uniform(0, 0.25), p.breathing_phase = random.uniform(0, 2 * std::numbers::pi), p.headroom_db = random.uniform(0, 8);
  p.contour = draw_outline(random, o);
  return p;
}

double oracle_washout(double depth, double difficulty) {
  const WashoutPrior prior(difficulty);
  const double z0 = (depth - prior.benign) / prior.deviation, z1 = (depth - prior.malignant) / prior.deviation;
  return logistic(0.5 * (z0 * z0 - z1 * z1));
}

double oracle_perfusion(const PerfusionPatient& p, double difficulty) {
  if (p.kind == LiverLesion::cyst) return 0;
  const double odds = 1 / (1 - 0.5 * cysts), washout = oracle_washout(p.depth, difficulty);  // of the classes, cysts left out
  return odds * washout / (odds * washout + 1 - washout);
}

double region_speckle(Random& random, double speckles) { return random.gamma(speckles) / speckles; }

CurveFeatures curve_features(const std::vector<double>& curve, double rate) {
  CurveFeatures f{};
  const auto top = std::max_element(curve.begin(), curve.end());
  f.peak = curve.empty() ? 0 : *top;
  f.time_to_peak = static_cast<double>(top - curve.begin()) / rate;
  double moment = 0;
  for (size_t i = 0; i < curve.size(); i++) {
    f.area += curve[i] / rate, moment += curve[i] * static_cast<double>(i) / (rate * rate);
    if (i)
      f.wash_in = std::max(f.wash_in, (curve[i] - curve[i - 1]) * rate),
      f.wash_out = std::max(f.wash_out, (curve[i - 1] - curve[i]) * rate);
  }
  f.mean_transit = f.area > 0 ? moment / f.area : 0;
  return f;
}

// ---- what is seen ----------------------------------------------------------------------------------------------------------------------

namespace {

constexpr double range_db = 45;  // of the scanner

// In [0, 1]: decibels below the level that saturates.
double displayed(double power, const PerfusionPatient& p) {
  return std::clamp(1 + (decibel_of_power(static_cast<float>(power + 1e-9)) - p.headroom_db + 3) / range_db, 0.0, 1.0);
}

Sequence curves(const PerfusionPatient& p, const PerfusionTiming& timing, Random& random) {
  Sequence s{Tensor({timing.frames(), 4}), timing.rate, {"lesion", "liver", "lesion dB", "liver dB"}};
  const double gain = std::pow(10, p.gain_db / 10), noise = 0.004;
  for (int64_t i = 0; i < timing.frames(); i++) {
    const double t = static_cast<double>(i) / timing.rate;
    const double mixed = p.breathing * 0.5 * (1 + std::cos(2 * std::numbers::pi * t / 4 + p.breathing_phase));
    const double contact = random.chance(p.lost_frames) ? random.uniform(0.02, 0.5) : 1;
    const double liver = p.liver(t), lesion = (1 - mixed) * p.lesion(t) + mixed * liver;
    const double seen[2] = {gain * contact * (lesion + noise) * region_speckle(random, p.speckles),
                            gain * contact * (liver + noise) * region_speckle(random, 2 * p.speckles)};
    float* row = s.values.data<float>() + i * 4;
    for (int k = 0; k < 2; k++) row[k] = static_cast<float>(seen[k]), row[k + 2] = static_cast<float>(displayed(seen[k], p));
  }
  return s;
}

// How the vessels of a lesion are laid out: a weight of its concentration at relative radius rho, in this phase.
double pattern(LiverLesion kind, double rho, int phase, float blotch) {
  switch (kind) {
    case LiverLesion::metastasis:
      return phase == 0 ? (rho > 0.7 ? 1.8 : 0.5) : 1;
    case LiverLesion::hemangioma:
      return phase == 0 ? (rho > 0.7 && blotch > 0 ? 2.2 : 0.5) : phase == 1 ? (rho > 0.4 ? 1.2 : 0.6) : 1;
    case LiverLesion::hyperplasia:
      return 1.05;
    case LiverLesion::carcinoma:
      return std::max(0.3, 1 + 0.3 * static_cast<double>(blotch));
    case LiverLesion::cyst:
      return 1;
  }
  return 1;
}

// |n|² of complex Gaussian noise behind a small point-spread function, mean 1: exponential, correlated over about two pixels.
std::vector<float> speckle(int64_t height, int64_t width, uint64_t seed, uint64_t stream) {
  const int64_t rows = height + 2, columns = width + 2;
  std::vector<float> power(static_cast<size_t>(height * width), 0), noise(static_cast<size_t>(rows * columns));
  constexpr float taps[3] = {0.5f, 0.70710678f, 0.5f};  // of unit energy
  for (uint64_t part = 0; part < 2; part++) {
    fill_normal(noise.data(), rows * columns, seed, stream + part);
    for (int64_t y = 0; y < height; y++)
      for (int64_t x = 0; x < width; x++) {
        float v = 0;
        for (int64_t j = 0; j < 3; j++)
          for (int64_t i = 0; i < 3; i++) v += taps[j] * taps[i] * noise[static_cast<size_t>((y + j) * columns + x + i)];
        power[static_cast<size_t>(y * width + x)] += 0.5f * v * v;
      }
  }
  return power;
}

void draw_phase(const PerfusionPatient& p, int phase, double t, int64_t frame, const SimulateOptions& o, const Tensor& image) {
  const double gain = std::pow(10, p.gain_db / 10), liver = p.liver(t), lesion = p.lesion(t);
  const uint64_t stream =
      hash64("ceus speckle") + 16 * (p.patient * 4096 + static_cast<uint64_t>(frame)) + 2 * static_cast<uint64_t>(phase);
  const std::vector<float> grain = speckle(o.height, o.width, p.seed, stream);
  const Tensor blotches =
      smooth_field({.rows = o.height, .columns = o.width}, 5, 5, p.seed, hash64("ceus vessels") ^ p.patient * 0x9E3779B97F4A7C15u);
  for (int64_t y = 0; y < o.height; y++)
    for (int64_t x = 0; x < o.width; x++) {
      const int64_t k = y * o.width + x;
      const float blotch = blotches.data<float>()[k];
      const double d = static_cast<double>(p.contour.distance(static_cast<double>(x), static_cast<double>(y), nullptr));
      const double rho = std::max(0.0, 1 + d / std::sqrt(p.contour.a * p.contour.b));
      const double c =
          d < 0 ? lesion * (rho < p.core ? 0.1 : pattern(p.kind, rho, phase, blotch)) : liver * (1 + 0.15 * static_cast<double>(blotch));
      image.data<float>()[k * 3 + phase] =
          static_cast<float>(displayed(gain * (std::max(0.0, c) + 0.004) * static_cast<double>(grain[static_cast<size_t>(k)]), p));
    }
}

Tensor outline_mask(const Contour& contour, int64_t height, int64_t width) {
  const Tensor mask({height, width}, Dtype::u8);
  for (int64_t k = 0; k < mask.size(); k++)
    mask.data<uint8_t>()[k] = contour.contains(static_cast<double>(k % width), static_cast<double>(k / width));
  return mask;
}

std::vector<Measurement> measurements(const PerfusionPatient& p, const PerfusionTiming& timing, double difficulty) {
  std::vector<double> curve;
  for (int64_t i = 0; i < timing.frames(); i++) curve.push_back(p.lesion(static_cast<double>(i) / timing.rate));
  const CurveFeatures f = curve_features(curve, timing.rate);
  return {{"peak", f.peak, "of the bolus"},
          {"time to peak", f.time_to_peak, "s"},
          {"area", f.area, "s"},
          {"mean transit", f.mean_transit, "s"},
          {"wash-in", f.wash_in, "1/s"},
          {"wash-out", f.wash_out, "1/s"},
          {"washout depth", p.depth, "share"},
          {"kind", static_cast<double>(p.kind), "code"},
          {"oracle malignancy", oracle_perfusion(p, difficulty), "probability"}};
}

}  // namespace

Sample perfusion_sample(const PerfusionPatient& p, int64_t frame, const SimulateOptions& o) {
  const PerfusionTiming timing;
  Random random(p.seed, "ceus examination", p.patient, static_cast<uint64_t>(frame));
  Sample s;
  s.sequence = curves(p, timing, random);
  s.image = Tensor({o.height, o.width, 3});
  for (int phase = 0; phase < 3; phase++) draw_phase(p, phase, p.injection + timing.phases[static_cast<size_t>(phase)], frame, o, s.image);
  s.labels.category = p.malignant;
  s.labels.mask = outline_mask(p.contour, o.height, o.width);
  s.labels.measurements = measurements(p, timing, o.difficulty);
  s.meta.frame = frame;
  return s;
}

}  // namespace sono::zoo::sim
