// The simulator's physics against closed forms: speckle statistics, point spread, attenuation, contrast, scan conversion.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/random.h"
#include "zoo/sim/engine.h"
#include "zoo/sim/noise.h"
#include "zoo/sim/scan_convert.h"

using namespace sono;
using namespace sono::zoo::sim;

namespace {

// A scanner whose point-spread function is the same at all depths (the focus is far deeper than anything), without electronic noise.
Domain plain(double frequency = 7.5) {
  Domain d;
  d.frequency = frequency, d.compound = 1, d.noise_db = -200, d.beam_spread = 0, d.tgc = 0;
  return d;
}

// Samples per deviation of the kernel: `axial` rows and, at the focus, `lateral` beams.
Grid grid_for(const Domain& d, int64_t rows, int64_t beams, double axial = 1.5, double lateral = 1.5) {
  Grid g;
  g.rows = rows, g.beams = beams, g.dz = axial_sigma(d) / axial, g.dx = lateral_sigma(d, d.focus) / lateral;
  return g;
}

std::vector<double> intensities(const Iq& s, int64_t first, int64_t last, int64_t step = 1) {
  std::vector<double> all;
  const int64_t n = s.real.dim(1);
  for (int64_t z = first; z < last; z += step)
    for (int64_t x = 0; x < n; x += step) {
      const double a = s.real.data<float>()[z * n + x], b = s.imaginary.data<float>()[z * n + x];
      all.push_back(a * a + b * b);
    }
  return all;
}

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x;
  return sum / static_cast<double>(v.size());
}
double deviation(const std::vector<double>& v) {
  const double m = mean(v);
  double sum = 0;
  for (double x : v) sum += (x - m) * (x - m);
  return std::sqrt(sum / static_cast<double>(v.size()));
}
template <class F>
std::vector<double> mapped(std::vector<double> v, F f) {
  for (double& x : v) x = f(x);
  return v;
}
double decibel(double power) { return 10 * std::log10(power); }

// Full width at half maximum of a sampled peak, in samples, by linear interpolation of the flanks.
double fwhm(const std::vector<double>& v) {
  const auto peak = std::max_element(v.begin(), v.end());
  const double half = *peak / 2;
  double left = 0, right = 0;
  for (auto i = peak; i > v.begin(); i--)
    if (*(i - 1) < half) {
      left = static_cast<double>(i - v.begin()) - (*i - half) / (*i - *(i - 1));
      break;
    }
  for (auto i = peak; i + 1 < v.end(); i++)
    if (*(i + 1) < half) {
      right = static_cast<double>(i - v.begin()) + (*i - half) / (*i - *(i + 1));
      break;
    }
  return right - left;
}

// Normalised autocovariance of rows [first, last) at a lag.
double autocovariance(const Iq& s, int64_t first, int64_t last, int64_t dz, int64_t dx) {
  const int64_t n = s.real.dim(1);
  const auto at = [&](int64_t z, int64_t x) {
    const double a = s.real.data<float>()[z * n + x], b = s.imaginary.data<float>()[z * n + x];
    return a * a + b * b;
  };
  double sum = 0, square = 0, product = 0;
  int64_t count = 0;
  for (int64_t z = first; z < last - dz; z++)
    for (int64_t x = 0; x < n - dx; x++, count++) sum += at(z, x), square += at(z, x) * at(z, x), product += at(z, x) * at(z + dz, x + dx);
  const double m = sum / static_cast<double>(count);
  return (product / static_cast<double>(count) - m * m) / (square / static_cast<double>(count) - m * m);
}

}  // namespace

TEST_CASE("the simulator's Philox blocks are the engine's") {
  uint32_t blocks[4][philox_lanes];
  const uint64_t seed = 0x123456789abcdef0, stream = 0xfedcba9876543210, first = 0xfffffffe;  // the counter carries into its second word
  philox_blocks(blocks, first, stream, seed);
  for (int k = 0; k < philox_lanes; k++) {
    const uint64_t counter = first + static_cast<uint64_t>(k);
    const auto expected = philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(stream),
                                      static_cast<uint32_t>(stream >> 32)},
                                     {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    for (int w = 0; w < 4; w++) CHECK(blocks[w][k] == expected[w]);
  }
}

TEST_CASE("normal numbers have the moments of the normal law and do not depend on how they are asked for") {
  std::vector<float> n(200000), again(1000);
  fill_normal(n.data(), 200000, 5, 6);
  const std::vector<double> v(n.begin(), n.end());
  CHECK(mean(v) == doctest::Approx(0).epsilon(0.01));
  CHECK(deviation(v) == doctest::Approx(1).epsilon(0.01));
  CHECK(mean(mapped(v, [](double x) { return x * x * x * x; })) == doctest::Approx(3).epsilon(0.03));
  fill_normal(again.data(), 1000, 5, 6, 100);  // eight numbers a block
  CHECK(std::equal(again.begin(), again.end(), n.begin() + 800));
  for (const int64_t some : {1, 7, 8, 9, 100, 127, 129, 300}) {
    std::vector<float> few(static_cast<size_t>(some) + 1, 99.0f);
    fill_normal(few.data(), some, 5, 6);
    CHECK(std::equal(few.begin(), few.end() - 1, n.begin()));
    CHECK(few.back() == 99.0f);
  }
}

TEST_CASE("a smooth field has variance 1 everywhere and belongs to the plane, not to the window") {
  const Window small{40, 50, 3, 0.1, -2, 0.2}, large{80, 100, 1, 0.1, -6, 0.2};
  const Tensor a = smooth_field(small, 1.3, 2.1, 1, 2), b = smooth_field(large, 1.3, 2.1, 1, 2);
  double worst = 0, power = 0;
  for (int64_t z = 0; z < 40; z++)
    for (int64_t x = 0; x < 50; x++) worst = std::max(worst, std::abs(a.at({z, x}) - b.at({z + 20, x + 20})));
  CHECK(worst < 1e-4);
  const Tensor wide = smooth_field({300, 300, 0, 0.31, 0, 0.47}, 1, 1, 1, 3);
  for (int64_t i = 0; i < wide.size(); i++) power += wide.data<float>()[i] * wide.data<float>()[i];
  CHECK(power / static_cast<double>(wide.size()) == doctest::Approx(1).epsilon(0.03));
}

TEST_CASE("acceptance 1: uniform tissue gives fully developed speckle") {
  const Domain d = plain();
  const std::vector<double> power = intensities(iq(uniform_medium(grid_for(d, 512, 512), 0), d, 1, 2), 0, 512);
  const auto envelope = mapped(power, [](double x) { return std::sqrt(x); }), level = mapped(power, decibel);
  CHECK(std::abs(mean(envelope) / deviation(envelope) - 1.9131) < 0.02);
  CHECK(std::abs(mean(mapped(power, [](double x) { return x * x; })) / (mean(power) * mean(power)) - 2) < 0.03);
  CHECK(std::abs(deviation(level) - 5.57) < 0.05);
  CHECK(std::abs(mean(level) - decibel(mean(power)) + 2.507) < 0.05);
  CHECK(std::abs(mean(power) - 1) < 0.03);  // the kernels have unit energy
}

TEST_CASE("averaging n decorrelated draws raises the signal-to-noise ratio by the root of n") {
  Domain d = plain();
  d.compound = 4;
  const Grid g = grid_for(d, 400, 400);
  const Tensor e = envelope(uniform_medium(g, 0), d, tgc_gain(g, d, {}), 1, 2);
  const std::vector<double> v = e.to_vector<double>();
  CHECK(std::abs(mean(v) / deviation(v) - 2 * 1.9131) < 0.06);
}

TEST_CASE("acceptance 4: speckle is as large as the point-spread function says, at three depths") {
  Domain d = plain();
  d.focus = 12;
  double narrowest = 1e9, widest = 0;
  for (const double depth : {4.0, 12.0, 30.0}) {
    CAPTURE(depth);
    Grid g = grid_for(d, 30, 1500, 2, 2);
    g.z0 = depth - 15 * g.dz;
    const double sigma = lateral_sigma(d, depth) / g.dx;
    narrowest = std::min(narrowest, sigma), widest = std::max(widest, sigma);
    std::vector<double> axial(5), lateral(static_cast<size_t>(2 * sigma) + 1);
    const int draws = 40;
    for (uint64_t stream = 0; stream < draws; stream++) {
      const Iq s = iq(uniform_medium(g, 0), d, 3, stream);
      for (size_t lag = 0; lag < axial.size(); lag++) axial[lag] += autocovariance(s, 0, 30, static_cast<int64_t>(lag), 0) / draws;
      for (size_t lag = 0; lag < lateral.size(); lag++) lateral[lag] += autocovariance(s, 0, 30, 0, static_cast<int64_t>(lag)) / draws;
    }
    for (size_t lag = 0; lag < axial.size(); lag++)
      CHECK(std::abs(axial[lag] - std::exp(-static_cast<double>(lag * lag) / (2 * 2 * 2))) < 0.02);
    for (size_t lag = 0; lag < lateral.size(); lag++)
      CHECK(std::abs(lateral[lag] - std::exp(-static_cast<double>(lag * lag) / (2 * sigma * sigma))) < 0.02);
  }
  CHECK(widest > 1.5 * narrowest);  // the depths do differ
}

TEST_CASE("acceptance 6: contrast and gCNR follow the closed forms") {
  const Domain d = plain();
  for (const double contrast : {-6.0, -12.0, -20.0}) {
    CAPTURE(contrast);
    Medium m = uniform_medium(grid_for(d, 600, 400), 0);
    for (int64_t i = m.backscatter.size() / 2; i < m.backscatter.size(); i++)
      m.backscatter.data<float>()[i] = static_cast<float>(std::pow(10, contrast / 20));
    const Iq s = iq(m, d, 7, 8);
    const std::vector<double> outside = intensities(s, 0, 285), inside = intensities(s, 315, 600);
    CHECK(std::abs(decibel(mean(inside) / mean(outside)) - contrast) < 0.5);
    // generalised contrast-to-noise ratio [Rodriguez-Molares et al. 2020]: 1 minus the overlap of the histograms, here of the log image
    std::vector<double> a(256), b(256);
    const auto bin = [](double power) { return static_cast<size_t>(std::clamp((decibel(power) + 60) / 80 * 256, 0.0, 255.0)); };
    for (double p : outside) a[bin(p)] += 1.0 / static_cast<double>(outside.size());
    for (double p : inside) b[bin(p)] += 1.0 / static_cast<double>(inside.size());
    double overlap = 0;
    for (size_t k = 0; k < 256; k++) overlap += std::min(a[k], b[k]);
    const double r = std::pow(10, contrast / 10), t = std::log(1 / r) * r / (1 - r);
    CHECK(std::abs(1 - overlap - (std::exp(-t) - std::exp(-t / r))) < 0.03);
  }
}

namespace {

// Slope of mean dB against depth (cm) by least squares.
double slope_db_per_cm(const Tensor& e, const Grid& g) {
  double sz = 0, sy = 0, szz = 0, szy = 0;
  for (int64_t z = 0; z < g.rows; z++) {
    double power = 0;
    for (int64_t x = 0; x < g.beams; x++) power += std::pow(e.data<float>()[z * g.beams + x], 2);
    const double depth = g.depth(static_cast<double>(z)) / 10, y = decibel(power / static_cast<double>(g.beams));
    sz += depth, sy += y, szz += depth * depth, szy += depth * y;
  }
  const double n = static_cast<double>(g.rows);
  return (n * szy - sz * sy) / (n * szz - sz * sz);
}

}  // namespace

TEST_CASE("acceptance 7: attenuation, time gain compensation and posterior enhancement in exact decibels") {
  Domain d = plain(5);
  const Grid g = grid_for(d, 500, 400, 1);
  const auto slope = [&](double alpha) { return slope_db_per_cm(envelope(uniform_medium(g, alpha), d, tgc_gain(g, d, {}), 1, 2), g); };
  CHECK(slope(0.7) == doctest::Approx(-2 * 5 * 0.7).epsilon(0.02));
  d.tgc = 0.7;
  CHECK(std::abs(slope(0.7)) < 0.1);

  // A block of length L mm in the right half: what lies behind it is brighter, or darker, by 2 f (α0 - α) L.
  d.tgc = 0.5;
  for (const double alpha : {0.0, 0.5, 1.5}) {
    Medium m = uniform_medium(g, 0.5);
    const int64_t from = 150, to = 250;
    for (int64_t z = from; z < to; z++)
      for (int64_t x = 200; x < 400; x++) m.attenuation.data<float>()[z * 400 + x] = static_cast<float>(alpha);
    const Tensor e = envelope(m, d, tgc_gain(g, d, {}), 9, 10);
    double beside = 0, behind = 0;
    for (int64_t z = 270; z < 500; z++)
      for (int64_t x = 0; x < 190; x++)
        beside += std::pow(e.data<float>()[z * 400 + x], 2), behind += std::pow(e.data<float>()[z * 400 + 399 - x], 2);
    CHECK(std::abs(decibel(behind / beside) - 2 * 5 * (0.5 - alpha) * static_cast<double>(to - from) * g.dz / 10) < 0.5);
  }
}

TEST_CASE("a row-0 depth below the face has its attenuation too, and shadows of a finite aperture keep their total") {
  Domain d = plain(5);
  Grid g = grid_for(d, 40, 64);
  g.z0 = 20;
  const Tensor t = transmission(uniform_medium(g, 0.5), d);
  CHECK(20 * std::log10(t.at({0, 5})) == doctest::Approx(-2 * 5 * 0.5 * 2.0).epsilon(1e-4));
  d.beam_spread = 0.2;
  Medium m = uniform_medium(g, 0.5);
  for (int64_t x = 30; x < 34; x++) m.attenuation.data<float>()[5 * 64 + x] = 30;
  const Tensor sharp_then_soft = transmission(m, d);
  const auto loss = [&](int64_t z, int64_t x) {
    return -20 * std::log10(sharp_then_soft.at({z, x})) + 20 * std::log10(transmission(uniform_medium(g, 0.5), d).at({z, x}));
  };
  double near = 0, deep = 0;
  for (int64_t x = 0; x < 64; x++) near += loss(6, x), deep += loss(39, x);
  CHECK(deep == doctest::Approx(near).epsilon(1e-3));
  CHECK(loss(39, 32) < 0.8 * loss(6, 32));
}

TEST_CASE("acceptance 8: a point target is as wide as the kernels say") {
  Domain d = plain();
  d.focus = 12;
  for (const double depth : {6.0, 12.0, 24.0}) {
    CAPTURE(depth);
    Grid g = grid_for(d, 81, 161, 5, 5);
    g.z0 = depth - 40 * g.dz;
    Medium m = uniform_medium(g, 0);
    m.backscatter.fill(0);
    m.specular = Tensor::zeros({g.rows, g.beams});
    m.specular.data<float>()[40 * g.beams + 80] = 1;
    const Iq s = iq(m, d, 1, 2);
    std::vector<double> axial, lateral;
    for (int64_t z = 0; z < g.rows; z++)
      axial.push_back(std::sqrt(intensities({s.real.rows(z, z + 1), s.imaginary.rows(z, z + 1)}, 0, 1)[80]));
    for (double p : intensities(s, 40, 41)) lateral.push_back(std::sqrt(p));
    CHECK(fwhm(axial) * g.dz == doctest::Approx(0.187 * 1.54 / (d.bandwidth * d.frequency) * 2.355).epsilon(0.05));
    CHECK(fwhm(lateral) * g.dx == doctest::Approx(2.3548 * lateral_sigma(d, depth)).epsilon(0.05));
  }
  CHECK(2.3548 * lateral_sigma(d, 12) == doctest::Approx(1.2 * 1.54 / 7.5 * d.f_number));
}

TEST_CASE("the display maps the 99.9th percentile to white, the dynamic range below it to black, whatever the gain") {
  Domain d = plain();
  d.dynamic_range = 50, d.gamma = 1;
  const Grid g = grid_for(d, 200, 200, 0.8, 0.8);
  Medium m = uniform_medium(g, 0);
  for (int64_t i = 0; i < 10000; i++) m.backscatter.data<float>()[i] = 0.1f;  // -20 dB
  const Tensor e = envelope(m, d, tgc_gain(g, d, {}), 1, 2), louder = e.clone();
  for (int64_t i = 0; i < louder.size(); i++) louder.data<float>()[i] *= 37;
  const Tensor grey = display(e, d), same = display(louder, d);
  double dark = 0, bright = 0, difference = 0;
  for (int64_t i = 0; i < 9000; i++) dark += grey.data<float>()[i] / 9000, bright += grey.data<float>()[i + 20000] / 9000;
  for (int64_t i = 0; i < grey.size(); i++)
    difference = std::max(difference, std::abs(double{grey.data<float>()[i]} - same.data<float>()[i]));
  CHECK((bright - dark) * 50 == doctest::Approx(20).epsilon(0.05));
  CHECK(difference < 0.01);
  const auto [low, high] = std::minmax_element(grey.data<float>(), grey.data<float>() + grey.size());
  CHECK(*low >= 0);
  CHECK(*high == 1);
  d.smoothing = 1;
  const std::vector<double> rough = grey.rows(60, 190).to_vector<double>(), filtered = display(e, d).rows(60, 190).to_vector<double>();
  CHECK(deviation(filtered) < 0.7 * deviation(rough));  // Lee's filter
}

namespace {

Grid sector() {
  Grid g;
  g.rows = 400, g.beams = 300, g.z0 = 0, g.dz = 0.25, g.radius = 40, g.dx = 1.1 / 299, g.x0 = -0.55;
  return g;
}

}  // namespace

TEST_CASE("acceptance 9: scan conversion keeps areas, constants and band-limited pictures") {
  const Grid g = sector();
  const Frame frame{320, 360, 0.35, -63, 2};
  const ScanConverter convert(g, frame);

  // A disc drawn in the polar grid: its area in the picture.
  Tensor disc({g.rows, g.beams});
  for (int64_t z = 0; z < g.rows; z++)
    for (int64_t b = 0; b < g.beams; b++) {
      const double r = g.radius + g.depth(static_cast<double>(z)), t = g.x0 + g.dx * static_cast<double>(b);
      disc.data<float>()[z * g.beams + b] = std::hypot(r * std::sin(t) - 5, r * std::cos(t) - g.radius - 55) < 20;
    }
  const Tensor drawn = convert(disc);
  double area = 0;
  for (int64_t i = 0; i < drawn.size(); i++) area += drawn.data<float>()[i] * frame.spacing * frame.spacing;
  CHECK(area == doctest::Approx(std::numbers::pi * 400).epsilon(0.01));

  // A constant stays one inside the mask and is 0 outside; the mask is the sector.
  const Tensor flat = convert(Tensor::full({g.rows, g.beams}, 0.7)), mask = convert.scan_mask();
  int64_t wrong = 0, inside = 0;
  for (int64_t i = 0; i < flat.size(); i++) {
    const bool in = mask.data<uint8_t>()[i];
    inside += in, wrong += std::abs(flat.data<float>()[i] - (in ? 0.7f : 0.0f)) > 1e-5f;
  }
  CHECK(wrong == 0);
  CHECK(inside > flat.size() / 3);
  CHECK(inside < flat.size());
  CHECK(mask.at({0, 0}) == 0);
  CHECK(mask.at({100, 180}) == 1);

  // Polar to picture to polar of a smooth field.
  const Frame fine{800, 1000, 0.15, -75, 0};
  Tensor wave({g.rows, g.beams});
  for (int64_t z = 0; z < g.rows; z++)
    for (int64_t b = 0; b < g.beams; b++)
      wave.data<float>()[z * g.beams + b] =
          static_cast<float>(0.5 + 0.25 * std::sin(0.15 * static_cast<double>(z)) + 0.25 * std::cos(0.12 * static_cast<double>(b)));
  const Tensor back = InverseScanConverter(g, fine)(ScanConverter(g, fine)(wave));
  double error = 0;
  int64_t compared = 0;
  for (int64_t z = 20; z < g.rows - 20; z++)
    for (int64_t b = 20; b < g.beams - 20; b++, compared++)
      error += std::pow(back.data<float>()[z * g.beams + b] - wave.data<float>()[z * g.beams + b], 2);
  CHECK(-decibel(error / static_cast<double>(compared)) > 30);
}

TEST_CASE("resampling a linear grid keeps constants and positions, and averages what is finer than a pixel") {
  Grid g;
  g.rows = 300, g.beams = 200, g.dz = 0.1, g.dx = 0.2;
  Tensor ramp({g.rows, g.beams}), checks({g.rows, g.beams});
  for (int64_t z = 0; z < g.rows; z++)
    for (int64_t x = 0; x < g.beams; x++) {
      ramp.data<float>()[z * g.beams + x] = static_cast<float>(0.1 * g.dz * static_cast<double>(z) + 0.03 * g.dx * static_cast<double>(x));
      checks.data<float>()[z * g.beams + x] = static_cast<float>(z % 2);
    }
  const Frame frame{50, 60, 0.5, 2, 3};
  const Tensor r = resample(ramp, g, frame), c = resample(checks, g, frame);
  for (int64_t i = 0; i < 50; i += 7)
    for (int64_t j = 0; j < 60; j += 9) {
      CHECK(r.at({i, j}) == doctest::Approx(0.1 * frame.z(static_cast<double>(i)) + 0.03 * frame.x(static_cast<double>(j))).epsilon(1e-3));
      CHECK(c.at({i, j}) == doctest::Approx(0.5).epsilon(0.05));
    }
  CHECK_THROWS_AS(resample(Tensor::zeros({3, 4}), g, frame), ShapeError);
  CHECK_THROWS_AS(ScanConverter(g, frame)(Tensor::zeros({3, 4})), ShapeError);
}

TEST_CASE("mean_rows and thinned agree on where rows lie") {
  Grid g;
  g.rows = 103, g.beams = 4, g.z0 = 5, g.dz = 0.1;
  Tensor depth({g.rows, g.beams});
  for (int64_t i = 0; i < depth.size(); i++) depth.data<float>()[i] = static_cast<float>(g.depth(static_cast<double>(i / 4)));
  const Grid thin = thinned(g, 4);
  const Tensor m = mean_rows(depth, 4);
  CHECK(m.dim(0) == thin.rows);
  CHECK(m.at({7, 2}) == doctest::Approx(thin.depth(7)).epsilon(1e-5));
}
