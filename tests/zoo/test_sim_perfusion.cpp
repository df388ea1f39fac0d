#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/metrics/classification.h"
#include "zoo/sim/elasticity.h"
#include "zoo/sim/perfusion.h"
#include "zoo/sim/simulate.h"
#include "zoo/sim/temporal.h"

using namespace sono;
using namespace sono::zoo;
using namespace sono::zoo::sim;

namespace {

// ∫ f dt and ∫ t f dt from 0 to `end` by the midpoint rule, and where f is largest.
template <class F>
std::array<double, 3> moments(F f, double end) {
  double area = 0, first = 0, top = 0, at = 0;
  for (double dt = 0.002, t = dt / 2; t < end; t += dt) {
    const double v = f(t);
    area += v * dt, first += t * v * dt;
    if (v > top) top = v, at = t;
  }
  return {area, first / area, at};
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.data<float>(), a.data<float>() + a.size(), b.data<float>());
}

struct Oracle {
  std::vector<int> truth;
  std::vector<double> score;
};

Oracle oracle_of(const Dataset& data) {
  Oracle o;
  for (int64_t i = 0; i < data.size(); i++) {
    const Sample s = data.get(i);
    o.truth.push_back(*s.labels.category);
    for (const Measurement& m : s.labels.measurements)
      if (m.name == "oracle malignancy") o.score.push_back(m.value);
  }
  return o;
}

double value_of(const Sample& s, const std::string& name) {
  for (const Measurement& m : s.labels.measurements)
    if (m.name == name) return m.value;
  return NAN;
}

}  // namespace

TEST_CASE("boluses have the area, peak time and transit time of their closed forms") {
  const GammaVariate g{.arrival = 9, .alpha = 2.7, .beta = 4.5, .peak = 1.8};
  const auto [area, transit, top] = moments(g, 400);
  CHECK(area == doctest::Approx(g.area()).epsilon(1e-5));
  CHECK(transit == doctest::Approx(g.mean_transit()).epsilon(1e-5));
  CHECK(top == doctest::Approx(g.time_to_peak()).epsilon(1e-3));
  CHECK(g(g.time_to_peak()) == doctest::Approx(1.8));
  CHECK(g(8.9) == 0);
  const LognormalBolus l{.arrival = 7, .mu = 3.1, .sigma = 0.45, .area = 30};
  const auto [l_area, l_transit, l_top] = moments(l, 2000);
  CHECK(l_area == doctest::Approx(30).epsilon(1e-5));
  CHECK(l_transit == doctest::Approx(l.mean_transit()).epsilon(1e-4));
  CHECK(l_top == doctest::Approx(l.time_to_peak()).epsilon(1e-3));
}

TEST_CASE("what is measured on a curve is what its closed form says") {
  const GammaVariate g{.arrival = 10, .alpha = 3, .beta = 4, .peak = 2};
  std::vector<double> curve;
  for (int i = 0; i < 4000; i++) curve.push_back(g(i / 20.0));
  const CurveFeatures f = curve_features(curve, 20);
  CHECK(f.peak == doctest::Approx(2).epsilon(1e-4));
  CHECK(f.time_to_peak == doctest::Approx(22).epsilon(0.003));
  CHECK(f.area == doctest::Approx(g.area()).epsilon(1e-3));
  CHECK(f.mean_transit == doctest::Approx(g.mean_transit()).epsilon(1e-3));
  CHECK(f.wash_in > f.wash_out);  // a gamma variate rises faster than it falls
}

TEST_CASE("a region of M speckles has a coefficient of variation of 1/sqrt(M)") {
  for (const double m : {25.0, 100.0}) {
    Random random(3, static_cast<uint64_t>(m));
    double sum = 0, squares = 0;
    constexpr int n = 40000;
    for (int i = 0; i < n; i++) {
      const double v = region_speckle(random, m);
      sum += v, squares += v * v;
    }
    const double mean = sum / n, deviation = std::sqrt(squares / n - mean * mean);
    CHECK(mean == doctest::Approx(1).epsilon(0.005));
    CHECK(deviation / mean == doctest::Approx(1 / std::sqrt(m)).epsilon(0.03));
  }
}

TEST_CASE("malignant lesions wash out below the liver, benign ones stay; enhancement in the arterial phase does not tell") {
  SimulateOptions o{.width = 64, .height = 64, .difficulty = 0};
  int strong[2] = {};
  for (uint64_t p = 0; p < 60; p++) {
    const PerfusionPatient b = perfusion_patient(1, p, false, o), m = perfusion_patient(1, p, true, o);
    const double late = 600;  // the tail alone is left
    CHECK(m.lesion(late) / m.b < 0.85 * m.liver(late));
    CHECK(b.lesion(late) / b.b > 0.7 * b.liver(late));
    strong[0] += b.a > 0.4, strong[1] += m.a > 0.4;
  }
  CHECK(strong[0] == strong[1]);
}

TEST_CASE("the oracles know more of easy phantoms, and are calibrated") {
  for (const char* phantom : {"ceus", "teus"}) {
    double before = 2;
    for (const double difficulty : {0.0, 0.5, 1.0}) {
      const auto data = simulate(phantom, 500, 4, {.width = 16, .height = 16, .frames_per_patient = 1, .difficulty = difficulty});
      const Oracle o = oracle_of(*data);
      const double area = auc(o.truth, o.score);
      CHECK(area < before);
      before = area;
      double said = 0, is = 0;
      for (size_t i = 0; i < o.truth.size(); i++) said += o.score[i], is += o.truth[i];
      CHECK(said / is == doctest::Approx(1).epsilon(0.06));
    }
    CHECK(before > 0.75);
  }
}

TEST_CASE("curves and echoes are the same bits with any number of threads, and differ between patients") {
  for (const char* phantom : {"ceus", "teus", "breast-swe"}) {
    const auto data = simulate(phantom, 4, 9);
    set_threads(1);
    const Sample one = data->get(2);
    set_threads(2);
    const Sample two = data->get(2), other = data->get(0);
    set_threads(0);
    CHECK(same(one.image, two.image));
    if (one.sequence) CHECK(same(one.sequence.values, two.sequence.values));
    if (one.elasticity) CHECK(same(one.elasticity, two.elasticity));
    CHECK_FALSE(same(one.image, other.image));
    CHECK(static_cast<bool>(one.sequence) == (std::string(phantom) != "breast-swe"));
  }
}

TEST_CASE("the decibel curves are the linear ones, cut at the scanner's range") {
  const Sample s = simulate("ceus", 2, 5)->get(0);
  const float* v = s.sequence.values.data<float>();
  CHECK(s.sequence.values.shape() == Shape{400, 4});
  CHECK(s.image.shape() == Shape{64, 64, 3});
  int compared = 0;
  for (int64_t i = 1; i < 400; i++) {
    const float a = v[4 * i - 2], b = v[4 * i + 2];
    if (a <= 0.01f || b <= 0.01f || a >= 0.99f || b >= 0.99f) continue;
    CHECK(static_cast<double>(b - a) * 45 == doctest::Approx(10 * std::log10(static_cast<double>(v[4 * i] / v[4 * i - 4]))).epsilon(0.02));
    compared++;
  }
  CHECK(compared > 100);
  CHECK(value_of(s, "time to peak") > 5);
}

TEST_CASE("the spectrum of a region shows the pulse at its frequency; harmonics fall off as the tissue damps them") {
  SimulateOptions o{.difficulty = 0};
  double ratio[2] = {};
  for (uint64_t p = 0; p < 12; p++)
    for (const int tissue : {0, 1}) {
      TemporalRegion r = temporal_region(2, p, 0, false, o);
      r.tissue = ProstateTissue::gland, r.pulse = 1.2, r.breathing = 0, r.drift = 0, r.snr_db = 60, r.motion = 1, r.mixed = 0,
      r.damping = tissue ? 0.75 : 0.25;
      const Tensor spectrum = temporal_spectrum(temporal_sample(r, o).sequence.values);
      CHECK(spectrum.shape() == Shape{50});
      const float* s = spectrum.data<float>();  // component k is (k + 1) 0.4 Hz: the pulse is the third
      CHECK(s[2] > s[1]);
      CHECK(s[2] > s[3]);
      ratio[tissue] += static_cast<double>(s[5] / s[2]) / 12;
    }
  CHECK(ratio[0] == doctest::Approx(0.25).epsilon(0.35));
  CHECK(ratio[1] == doctest::Approx(0.75).epsilon(0.35));
}

TEST_CASE("cysts enhance in no phase: dark in the late picture without having washed out, and benign") {
  SimulateOptions o{.width = 64, .height = 64};
  int cysts = 0;
  for (uint64_t p = 0; p < 200; p++) {
    const PerfusionPatient b = perfusion_patient(3, p, false, o);
    CHECK(perfusion_patient(3, p, true, o).kind != LiverLesion::cyst);
    if (b.kind != LiverLesion::cyst) continue;
    cysts++;
    CHECK(oracle_perfusion(b, o.difficulty) == 0);
    for (const double t : {20.0, 60.0, 150.0}) CHECK(b.lesion(b.injection + t) < 0.15 * b.liver(b.injection + t) + 0.01);
  }
  CHECK(cysts == doctest::Approx(40).epsilon(0.4));
}

// P(stiffer | malignant, benign) of the kind's mean level: the area under its ROC curve.
double level_auc(const SimulateOptions& o) {
  std::vector<int> truth;
  std::vector<double> level;
  for (uint64_t p = 0; p < 200; p++)
    for (const bool malignant : {false, true})
      truth.push_back(malignant), level.push_back(lesion_stiffness(breast_patient(6, p, malignant, o), o).level);
  return auc(truth, level);
}

TEST_CASE("patterns of stiffness tell the classes, the level of stiffness alone hardly does; the oracle knows both") {
  SimulateOptions o{.width = 96, .height = 80, .overlap = 0, .elasticity = true};
  for (uint64_t p = 0; p < 80; p++)
    for (const bool malignant : {false, true}) {
      const LesionStiffness s = lesion_stiffness(breast_patient(6, p, malignant, o), o);
      CHECK((s.kind == Stiffness::margin || s.kind == Stiffness::heterogeneous) == malignant);
      CHECK(s.arcs.empty() == (s.kind != Stiffness::margin));
      CHECK(s.cords.empty() == (s.kind != Stiffness::cords));
      CHECK(oracle_stiffness(s, 0) == static_cast<double>(malignant));
    }
  CHECK(level_auc(o) > 0.5);
  CHECK(level_auc(o) < 0.72);
  const Sample s = simulate("breast-swe", 2, 6, o)->get(0);
  CHECK(s.elasticity.shape() == Shape{80, 96});
  double inside = 0, outside = 0, n = 0, m = 0;
  for (int64_t i = 0; i < s.elasticity.size(); i++) {
    const double kpa = static_cast<double>(s.elasticity.data<float>()[i]);
    CHECK(kpa >= 0);
    CHECK(kpa <= 300);
    if (kpa == 0) continue;
    if (s.labels.mask.data<uint8_t>()[i])
      inside += kpa, n++;
    else
      outside += kpa, m++;
  }
  CHECK(inside / n > outside / m);
}
