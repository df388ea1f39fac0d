// The simulated data sets: labels that agree with the shapes, determinism, patients that do not leak, the oracle that knows the priors.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <numbers>
#include <set>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/heads/head.h"
#include "zoo/sim/breast.h"
#include "zoo/sim/fetal_head.h"
#include "zoo/sim/simulate.h"

using namespace sono;
using namespace sono::zoo;
using namespace sono::zoo::sim;

namespace {

uint64_t hash_of(const Tensor& t) { return hash64({static_cast<const char*>(t.raw()), static_cast<size_t>(t.bytes())}); }

std::vector<uint64_t> hashes(const Dataset& data, int thread_count) {
  set_threads(thread_count);
  std::vector<uint64_t> all(static_cast<size_t>(data.size()));
  parallel_for(data.size(), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const Sample s = data.get(i);
      all[static_cast<size_t>(i)] = hash_of(s.image) ^ hash_of(s.labels.mask) * 3;
    }
  });
  set_threads(0);
  return all;
}

double measurement(const Sample& s, const std::string& name) {
  for (const Measurement& m : s.labels.measurements)
    if (m.name == name) return m.value;
  FAIL("no measurement " << name);
  return 0;
}

// Area under the receiver operating characteristic: share of (positive, negative) pairs in the right order, ties half.
double auc(const std::vector<double>& positive, const std::vector<double>& negative) {
  double right = 0;
  for (double p : positive)
    for (double n : negative) right += p > n ? 1 : p == n ? 0.5 : 0;
  return right / static_cast<double>(positive.size() * negative.size());
}

double oracle_auc(double overlap, int patients) {
  SimulateOptions o;
  o.width = 192, o.height = 160, o.overlap = overlap;
  std::vector<double> scores[2];
  for (int p = 0; p < patients; p++)
    scores[p % 2].push_back(oracle_malignancy(breast_patient(11, static_cast<uint64_t>(p), p % 2, o).lesion.descriptors, o));
  return auc(scores[1], scores[0]);
}

// Mean of the picture over pixels where keep(row, column, mask) holds.
template <class F>
double mean_where(const Sample& s, F keep) {
  double sum = 0;
  int64_t n = 0;
  const int64_t width = s.image.dim(1);
  for (int64_t i = 0; i < s.image.size(); i++)
    if (keep(i / width, i % width, s.labels.mask.data<uint8_t>()[i] != 0)) sum += s.image.data<float>()[i], n++;
  return n ? sum / static_cast<double>(n) : 0;
}

// 64-bit difference hash: the picture in 8 x 9 block means, one bit for each rise from left to right.
uint64_t difference_hash(const Tensor& image) {
  const int64_t height = image.dim(0), width = image.dim(1);
  double blocks[8][9];
  for (int64_t i = 0; i < 8; i++)
    for (int64_t j = 0; j < 9; j++) {
      double sum = 0;
      const int64_t y0 = i * height / 8, y1 = (i + 1) * height / 8, x0 = j * width / 9, x1 = (j + 1) * width / 9;
      for (int64_t y = y0; y < y1; y++)
        for (int64_t x = x0; x < x1; x++) sum += image.data<float>()[y * width + x];
      blocks[i][j] = sum / static_cast<double>((y1 - y0) * (x1 - x0));
    }
  uint64_t bits = 0;
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) bits = bits << 1 | (blocks[i][j + 1] > blocks[i][j]);
  return bits;
}

}  // namespace

TEST_CASE("acceptance 12: sixteen samples have the same bits in any order, with any number of threads") {
  for (const std::string& phantom : phantoms()) {
    CAPTURE(phantom);
    const auto data = simulate(phantom, 16, 3, {.width = 96, .height = 80});
    const auto one = hashes(*data, 1);
    CHECK(one == hashes(*data, 2));
    CHECK(one == hashes(*data, 3));
    CHECK(hash_of(simulate(phantom, 400, 3, {.width = 96, .height = 80})->get(9).image) ==
          hash_of(data->get(9).image));  // the count changes nothing
    CHECK(std::set<uint64_t>(one.begin(), one.end()).size() == 16);
    CHECK(hashes(*simulate(phantom, 16, 4, {.width = 96, .height = 80}), 2) != one);
  }
}

TEST_CASE("acceptance 13: splitting by patient leaks nothing") {
  for (const std::string& phantom : phantoms()) {
    CAPTURE(phantom);
    const auto data = simulate(phantom, 120, 5, {.width = 96, .height = 80});
    std::map<std::string, std::set<int>> classes;
    std::vector<uint64_t> hash;
    std::vector<std::string> patient;
    for (int64_t i = 0; i < data->size(); i++) {
      const Meta m = data->meta(i);
      CHECK(m.patient == data->meta(i / 2 * 2).patient);
      classes[m.patient].insert(*data->category(i));
      hash.push_back(difference_hash(data->get(i).image)), patient.push_back(m.patient);
    }
    CHECK(classes.size() == 60);
    if (phantom != "teus")  // regions of a prostate have tissues of their own
      for (const auto& [name, seen] : classes) CHECK(seen.size() == 1);
    if (phantom == "teus") continue;  // echoes over time are lines, which this hash of neighbours does not tell apart
    int leaks = 0;
    for (size_t i = 0; i < hash.size(); i++)
      for (size_t j = 0; j < i; j++) leaks += patient[i] != patient[j] && __builtin_popcountll(hash[i] ^ hash[j]) <= 3;
    CHECK(leaks == 0);
    CHECK(simulate(phantom, 2, 6)->meta(0).patient != data->meta(0).patient);  // another seed: another patient
  }
}

TEST_CASE("a breast sample's labels agree with one another and with the picture") {
  const auto data = simulate("breast", 40, 21);
  CHECK(data->name() == "sim:breast");
  CHECK(data->categories() == std::vector<std::string>{"benign", "malignant"});
  CHECK(data->mask_labels() == std::vector<std::string>{"background", "lesion"});
  int malignant = 0, darker = 0;
  for (int64_t i = 0; i < 40; i++) {
    CAPTURE(i);
    const Sample s = data->get(i);
    CHECK(s.image.shape() == Shape{160, 192, 1});
    CHECK(s.labels.mask.shape() == Shape{160, 192});
    for (int64_t k = 0; k < s.image.size(); k++) REQUIRE((s.image.data<float>()[k] >= 0 && s.image.data<float>()[k] <= 1));
    CHECK(s.labels.category == data->category(i));
    CHECK(s.meta.id == data->meta(i).id);
    CHECK(s.meta.domain == data->meta(i).domain);
    malignant += *s.labels.category;
    const double spacing = (*s.meta.spacing)[0];
    const Box box = s.labels.boxes.at(0);
    CHECK(std::abs(box.width * spacing - measurement(s, "lesion width")) <= 2 * spacing);
    CHECK(std::abs(box.height * spacing - measurement(s, "lesion height")) <= 2 * spacing);
    CHECK(box.x > 0);
    CHECK(box.y > 0);
    CHECK(box.x + box.width < 192);
    CHECK(box.y + box.height < 160);
    const double inside = mean_where(s, [](int64_t, int64_t, bool lesion) { return lesion; });
    const double around = mean_where(s, [&](int64_t y, int64_t x, bool lesion) {
      const double margin = 6;
      return !lesion && x > box.x - margin && x < box.x + box.width + margin && y > box.y - margin && y < box.y + box.height;
    });
    darker += inside < around;
  }
  CHECK(malignant == 20);
  CHECK(darker >= 38);
}

TEST_CASE("a breast lesion's area is that of its contour") {
  Contour c;
  c.x = 20, c.z = 15, c.a = 6, c.b = 4, c.tilt = 0.3, c.cosine = std::cos(0.3f), c.sine = std::sin(0.3f);
  c.radius.fill(1);
  c.harmonic(3, 0.1, 0.4), c.harmonic(5, 0.05, 1.0);
  double inside = 0;
  const double step = 0.02;
  for (double z = 5; z < 25; z += step)
    for (double x = 10; x < 30; x += step) inside += c.contains(x, z) * step * step;
  CHECK(inside == doctest::Approx(std::numbers::pi * 6 * 4 * (1 + 0.5 * (0.01 + 0.0025))).epsilon(0.003));  // ½ ∫ r² dφ
  CHECK(c.distance(20, 15, nullptr) < -3);
  CHECK(c.distance(35, 15, nullptr) == doctest::Approx(9).epsilon(0.2));
}

TEST_CASE("the oracle: perfect without overlap, blind at full overlap, in between at the default") {
  CHECK(oracle_auc(0, 400) > 0.99);
  const double usual = oracle_auc(0.25, 600);
  CHECK(usual > 0.85);
  CHECK(usual < 0.98);
  CHECK(oracle_auc(0.1, 400) > usual);
  CHECK(oracle_auc(0.5, 200) == 0.5);
  const auto data = simulate("breast", 8, 1);
  for (int64_t i = 0; i < 8; i++) {
    const double p = measurement(data->get(i), "oracle malignancy");
    CHECK(p > 0);
    CHECK(p < 1);
  }
}

TEST_CASE("the oracle is calibrated: of lesions it gives p, a share p is malignant") {
  SimulateOptions o;
  o.width = 192, o.height = 160;
  SUBCASE("breast") {}
  SUBCASE("breast-types") { o.types = true; }
  double expected[4] = {}, seen[4] = {}, n[4] = {};
  for (uint64_t p = 0; p < 4000; p++) {
    const bool malignant = p % 2;
    const double q = oracle_malignancy(breast_patient(2, p, malignant, o).lesion.descriptors, o);
    const int bin = std::min(3, static_cast<int>(4 * q));
    expected[bin] += q, seen[bin] += malignant, n[bin]++;
  }
  for (int k = 0; k < 4; k++) CHECK(std::abs(expected[k] - seen[k]) / n[k] < 3.5 * std::sqrt(0.25 / n[k]));
}

namespace {

// Areas of the oracle and of logistic regression on all descriptors, learnt from 3000 patients, on 3000 others.
std::pair<double, double> oracle_and_linear(bool types) {
  SimulateOptions o;
  o.width = 192, o.height = 160, o.types = types;
  constexpr int64_t n = 6000;
  const Tensor x = Tensor::zeros({n, 16});
  std::vector<int> y;
  std::vector<double> oracle[2], linear[2];
  for (int64_t p = 0; p < n; p++) {
    y.push_back(static_cast<int>(p % 2));
    const Descriptors d = breast_patient(4, static_cast<uint64_t>(p), p % 2, o).lesion.descriptors;
    float* row = x.data<float>() + 16 * p;
    row[static_cast<int>(d.shape)] = row[3 + static_cast<int>(d.margin)] = row[7 + static_cast<int>(d.echo)] = 1;
    row[10 + static_cast<int>(d.posterior)] = 1;
    row[13] = d.not_parallel, row[14] = d.halo, row[15] = d.calcifications;
    if (p >= n / 2) oracle[p % 2].push_back(oracle_malignancy(d, o));
  }
  const auto head = make_head("logistic");
  head->fit(x.rows(0, n / 2), {y.begin(), y.begin() + n / 2}, 2);
  const Tensor q = head->probabilities(x.rows(n / 2, n));
  for (int64_t p = 0; p < n / 2; p++) linear[p % 2].push_back(q.data<float>()[2 * p + 1]);
  return {auc(oracle[1], oracle[0]), auc(linear[1], linear[0])};
}

}  // namespace

TEST_CASE("a linear classifier of the descriptors is as good as the oracle on breast, and far from it on breast-types") {
  const auto [oracle, linear] = oracle_and_linear(false);
  CHECK(linear > oracle - 0.01);
  const auto [oracle_of_types, linear_of_types] = oracle_and_linear(true);
  CHECK(oracle_of_types > 0.88);
  CHECK(linear_of_types < oracle_of_types - 0.1);
}

TEST_CASE("cysts enhance and shadowing cancers shadow what lies behind them") {
  SimulateOptions o;
  o.width = 192, o.height = 160, o.difficulty = 0;
  double enhanced = 0, shadowed = 0;
  int cysts = 0, shadows = 0;
  for (uint64_t k = 0; k < 150; k++) {
    BreastPatient p = breast_patient(31, k, k % 2, o);
    const bool cyst = p.lesion.descriptors.echo == EchoPattern::anechoic, shadow = p.lesion.descriptors.posterior == Posterior::shadowing;
    if ((!cyst && !shadow) || cysts + shadows > 40 || p.lesion.contour.z > 16) continue;
    const Sample s = breast_sample(p, 0, o);
    const Box box = s.labels.boxes.at(0);
    const auto behind = [&](int64_t y, int64_t x, bool) {
      return y > box.y + box.height + 6 && y < box.y + box.height + 22 && x > box.x + 0.3 * box.width && x < box.x + 0.7 * box.width;
    };
    const auto beside = [&](int64_t y, int64_t x, bool) {
      return y > box.y + box.height + 6 && y < box.y + box.height + 22 && (x < box.x - 10 || x > box.x + box.width + 10);
    };
    const double change = mean_where(s, behind) - mean_where(s, beside);
    if (cyst) enhanced += change, cysts++;
    if (shadow) shadowed += change, shadows++;
  }
  REQUIRE(cysts >= 4);
  REQUIRE(shadows >= 4);
  CHECK(enhanced / cysts > 0.04);
  CHECK(shadowed / shadows < -0.1);
}

TEST_CASE("a fetal head's labels agree with one another: mask, ellipse, millimetres") {
  const auto data = simulate("fetal-head", 24, 8);
  CHECK(data->mask_labels() == std::vector<std::string>{"background", "head"});
  CHECK(data->categories().size() == 4);
  std::set<int> planes;
  for (int64_t i = 0; i < 24; i++) {
    CAPTURE(i);
    const Sample s = data->get(i);
    CHECK(s.image.shape() == Shape{128, 192, 1});
    planes.insert(*s.labels.category);
    const Ellipse e = *s.labels.ellipse;
    const double spacing = (*s.meta.spacing)[0];
    double area = 0, outside_sector = 0;
    for (int64_t k = 0; k < s.labels.mask.size(); k++) {
      area += s.labels.mask.data<uint8_t>()[k];
      outside_sector += s.labels.mask.data<uint8_t>()[k] && !s.scan_mask.data<uint8_t>()[k];
      if (!s.scan_mask.data<uint8_t>()[k]) REQUIRE(s.image.data<float>()[k] == 0);
    }
    CHECK(area == doctest::Approx(std::numbers::pi * e.a * e.b).epsilon(0.01));  // the whole head is in the picture
    CHECK(outside_sector / area < 0.01);
    CHECK(e.a >= e.b);
    CHECK(std::abs(e.angle) <= std::numbers::pi / 2);
    CHECK(measurement(s, "OFD") == doctest::Approx(2 * e.a * spacing));
    CHECK(measurement(s, "BPD") == doctest::Approx(2 * e.b * spacing));
    CHECK(measurement(s, "head circumference") == doctest::Approx(ramanujan_circumference(e.a, e.b) * spacing));
    // The skull is brighter than the brain.
    const auto rho = [&](int64_t y, int64_t x) {
      const double dx = static_cast<double>(x) - e.cx, dy = static_cast<double>(y) - e.cy;
      return std::hypot((std::cos(e.angle) * dx + std::sin(e.angle) * dy) / e.a, (std::cos(e.angle) * dy - std::sin(e.angle) * dx) / e.b);
    };
    CHECK(mean_where(s, [&](int64_t y, int64_t x, bool) { return rho(y, x) > 0.93 && rho(y, x) < 0.99; }) >
          1.3 * mean_where(s, [&](int64_t y, int64_t x, bool) { return rho(y, x) < 0.85; }));
  }
  CHECK(planes.size() >= 3);
}

TEST_CASE("Ramanujan's circumference is that of a polygon with many corners") {
  double polygon = 0;
  const int n = 200000;
  for (int k = 0; k < n; k++) {
    const double s = 2 * std::numbers::pi * k / n, t = 2 * std::numbers::pi * (k + 1) / n;
    polygon += std::hypot(58 * (std::cos(t) - std::cos(s)), 43 * (std::sin(t) - std::sin(s)));
  }
  CHECK(ramanujan_circumference(58, 43) == doctest::Approx(polygon).epsilon(1e-8));
}

TEST_CASE("difficulty lowers the lesion's contrast") {
  const auto contrast = [](double difficulty) {
    double sum = 0;
    const auto data = simulate("breast", 24, 77, {.frames_per_patient = 1, .difficulty = difficulty});
    for (int64_t i = 0; i < 24; i++) {
      const Sample s = data->get(i);
      sum += mean_where(s, [](int64_t, int64_t, bool lesion) { return !lesion; }) -
             mean_where(s, [](int64_t, int64_t, bool lesion) { return lesion; });
    }
    return sum;
  };
  CHECK(contrast(0) > contrast(1));
}

TEST_CASE("one scanner can be asked for, frames of a patient differ, the spacing is as wished") {
  const auto data = simulate("breast", 6, 2, {.frames_per_patient = 3, .domain = "breast-b"});
  for (int64_t i = 0; i < 6; i++) CHECK(data->get(i).meta.domain == "breast-b");
  CHECK(*data->meta(4).frame == 1);
  CHECK(hash_of(data->get(0).image) != hash_of(data->get(1).image));
  const Sample s = simulate("breast", 1, 2, {.width = 100, .height = 90, .spacing = 0.4})->get(0);
  CHECK((*s.meta.spacing)[1] == 0.4);
}

TEST_CASE("what cannot be simulated is refused in one line") {
  CHECK_THROWS_WITH_AS(simulate("brest", 1, 1),
                       "unknown phantom 'brest': known are breast, fetal-head, breast-types, breast-swe, ceus, teus", Error);
  CHECK_THROWS_WITH_AS(simulate("breast", 1, 1, {.domain = "x"}),
                       "unknown domain 'x' of phantom breast: known are breast-a, breast-b, breast-c", Error);
  CHECK_THROWS_WITH_AS(simulate("breast", 0, 1), "[simulate] asked for 0 samples: expected at least 1", Error);
  CHECK_THROWS_WITH_AS(simulate("breast", 1, 1, {.difficulty = 1.5}), "[simulate] difficulty is 1.5: expected 0 to 1", Error);
  CHECK_THROWS_AS(simulate("fetal-head", 1, 1, {.width = 4}), Error);
  CHECK_THROWS_AS(simulate("fetal-head", 1, 1)->get(1), Error);
}
