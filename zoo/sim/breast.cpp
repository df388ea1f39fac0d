// Breast anatomy on the acquisition grid, and the sample with its labels.
#include "zoo/sim/breast.h"

#include <algorithm>
#include <cmath>

#include "tensor/random.h"
#include "zoo/sim/breast_lesion.h"
#include "zoo/sim/canvas.h"
#include "zoo/sim/elasticity.h"

namespace sono::zoo::sim {
namespace {

// Draws one patient's breast on the acquisition grid.
class BreastPainter {
 public:
  BreastPainter(const BreastPatient& patient, const Window& w)
      : p(patient), canvas(w, patient.seed, patient.patient), window(canvas.window) {}

  const Canvas& paint() {
    layers();
    skin();
    if (p.rib_width > 0) rib();
    veil();
    lesion();
    if (p.lesion.descriptors.margin == LesionMargin::circumscribed) edge_shadows();
    canvas.to_amplitude();
    calcifications();
    return canvas;
  }

 private:
  const BreastPatient& p;
  Canvas canvas;
  const Window& window;

  Tensor displacement() const;
  void layers();
  void veil();
  void skin();
  void rib();
  void lesion();
  void edge_shadows();
  void calcifications();
};

// mm by which tissue is displaced along z: waves that bend layers and textures alike, and tissue pushed aside by a smooth lesion.
Tensor BreastPainter::displacement() const {
  const Tensor bend = canvas.field(6, 8, "bend"), kinks = canvas.field(2.5, 3.5, "kinks");
  float* u = bend.data<float>();
  for (int64_t i = 0; i < bend.size(); i++) u[i] = 1.2f * u[i] + 0.3f * kinks.data<float>()[i];
  const Contour& c = p.lesion.contour;
  const float width = static_cast<float>(1.5 * c.a), height = static_cast<float>(c.b),
              push = p.lesion.descriptors.margin == LesionMargin::circumscribed ? 0.55f : 0.2f;
  canvas.for_cells(c.x - 2 * width, c.z - 3 * height, c.x + 2 * width, c.z + 3 * height, [&](int64_t k, float x, float z) {
    const float dx = (x - static_cast<float>(c.x)) / width, dz = (z - static_cast<float>(c.z)) / height;
    u[k] -= push * height * clamped(2 * dz, -1, 1) * math::exp(-dx * dx - 0.6f * dz * dz);
  });
  return bend;
}

// One row of the textures that layers are mixed of, and of the displacement (with the layers' slope added).
struct TextureRow {
  const float *shift, *fine, *islands, *streaks, *patches, *septa, *strands, *strand_field;
};

// Ends of the layers in mm, and their nature.
struct Strata {
  float fat_end, gland_end, muscle_end, density, alpha;
};

// Fat with septa, gland with streaks and fatty islands, muscle with fibres, what lies behind, for one row. The outputs overlap nothing: the
// loop vectorises.
void mix_layers(int64_t n, float depth, const TextureRow& r, const Strata& e, float* __restrict level, float* __restrict alpha,
                float* __restrict mirror) {
  for (int64_t x = 0; x < n; x++) {
    const float f = r.fine[x], i = r.islands[x], s = r.streaks[x], q = r.patches[x], septum = r.septa[x], strand = r.strands[x];
    const float place = depth + r.shift[x], soft = 0.3f + 0.25f * s * s;  // frayed borders
    const float gland = smooth_step(place + 0.5f * i, e.fat_end - soft, e.fat_end + soft),
                muscle = smooth_step(place, e.gland_end - soft, e.gland_end + soft),
                deep = smooth_step(place, e.muscle_end - 0.3f, e.muscle_end + 0.3f);
    const float patch = clamped(0.5f + 0.45f * q, 0, 1), broken = clamped(0.55f + 0.4f * s + 0.3f * q, 0.05f, 1.6f);
    const float island = smooth_step(i + 0.4f * q, 1.9f * e.density - 0.9f, 1.9f * e.density - 0.1f);  // fatty islands in the gland
    const float in_fat = -9 + 1.0f * f + 0.9f * i + 11 * septum * broken + 8 * strand * patch;
    const float in_gland = 1.5f + 2.1f * s + 1.2f * f + 1.5f * q - 8.5f * island + 9 * strand * patch;
    const float in_muscle = -10 + 2.2f * r.strand_field[x] + 1.6f * s + 12 * strand * broken;
    const float in_deep = -17 + 1.5f * s + 1.5f * r.strand_field[x] - 0.5f * (place - e.muscle_end);
    level[x] = mix(mix(mix(in_fat, in_gland, gland), in_muscle, muscle), in_deep, deep) + 1.2f * q;
    alpha[x] = mix(mix(0.45f, e.alpha, gland), e.alpha + 0.15f, muscle);
    const float fascia = 0.5f * line_profile(place - e.gland_end, 0.1f) + 0.8f * line_profile(place - e.muscle_end, 0.12f) +
                         0.3f * line_profile(place - e.fat_end, 0.1f);
    mirror[x] = broken * (0.55f * septum * (1 - muscle) + 0.4f * strand * (muscle * (1 - deep) + 0.6f * patch) + fascia);
  }
}

void BreastPainter::layers() {
  const Tensor bend = displacement(), fine = canvas.field(0.4, 0.9, "fine"), patches = canvas.field(4, 5, "patches");
  const auto bent = [&](double cell_z, double cell_x, const char* name) {
    return shifted_rows(canvas.field(cell_z, cell_x, name), bend, window.dz);
  };
  const Tensor islands = bent(1.6, 3.6, "islands"), streaks = bent(0.45, 3, "streaks"), strand_field = bent(1.0, 3.2, "strands");
  const Tensor septa = level_lines(bent(2.6, 7, "septa"), window, 0.11), strands = level_lines(strand_field, window, 0.09);
  Strata ends{static_cast<float>(p.skin + p.fat), static_cast<float>(p.skin + p.fat + p.gland),
              static_cast<float>(p.skin + p.fat + p.gland + p.muscle), static_cast<float>(p.density), static_cast<float>(p.attenuation)};
  std::vector<float> tilt(static_cast<size_t>(window.columns)), shift(tilt.size());
  for (int64_t x = 0; x < window.columns; x++)
    tilt[x] = static_cast<float>(p.slope) * (canvas.x(x) - static_cast<float>(p.domain.width / 2));
  for (int64_t z = 0; z < window.rows; z++) {
    const auto row = [&](const Tensor& t) { return t.data<float>() + z * window.columns; };
    for (int64_t x = 0; x < window.columns; x++) shift[x] = tilt[x] + row(bend)[x];
    mix_layers(window.columns, canvas.z(z),
               {shift.data(), row(fine), row(islands), row(streaks), row(patches), row(septa), row(strands), row(strand_field)}, ends,
               row(canvas.backscatter), row(canvas.attenuation), row(canvas.specular));
  }
}

// Uneven transmission through the superficial tissue: faint shadows along the beams.
void BreastPainter::veil() {
  const Tensor uneven = canvas.field(9, 1.6, "veil"), broad = canvas.field(14, 6, "broad veil");
  for (int64_t z = 0; z < window.rows; z++) {
    const float rate = 0.35f * (1 - smooth_step(canvas.z(z), 14, 24));
    for (int64_t x = 0, k = z * window.columns; x < window.columns; x++, k++)
      canvas.alpha()[k] += rate * (0.3f * uneven.data<float>()[k] + 0.35f * broad.data<float>()[k]);
  }
}

// The probe's face and the skin: a bright entry, a band, the border of the fat, and what rings down after the pulse.
void BreastPainter::skin() {
  const float end = static_cast<float>(p.skin);
  const Tensor wave = canvas.field(4, 9, "skin wave"), grain = canvas.field(0.3, 2, "skin grain");
  canvas.for_cells(-1e9, -1, 1e9, end + 2, [&](int64_t k, float, float z) {
    const float d = z + 0.1f * wave.data<float>()[k], inside = 1 - smooth_step(d, end - 0.15f, end + 0.15f),
                uneven = clamped(1 + 0.45f * grain.data<float>()[k], 0.15f, 2);
    canvas.db()[k] = mix(canvas.db()[k], 1 - 4 * smooth_step(d, 0.2f, end) + 1.8f * grain.data<float>()[k], inside);
    canvas.mirror()[k] =
        canvas.mirror()[k] * (1 - inside) +
        uneven * (1.6f * line_profile(d - 0.15f, 0.09f) + 0.35f * line_profile(d - 0.65f, 0.1f) + 0.7f * line_profile(d - end, 0.09f));
  });
}

// A rib: a bright arc and nothing but its shadow behind it.
void BreastPainter::rib() {
  const double top = p.skin + p.fat + p.gland + p.muscle + 1, a = p.rib_width / 2, b = 0.45 * a;
  const Tensor grain = canvas.field(0.5, 1.5, "rib grain");
  canvas.for_cells(p.rib_x - a - 1, top - 1, p.rib_x + a + 1, top + 2 * b + 1, [&](int64_t k, float x, float z) {
    const float u = (x - static_cast<float>(p.rib_x)) / static_cast<float>(a),
                v = (z - static_cast<float>(top + b)) / static_cast<float>(b), rho = std::sqrt(u * u + v * v + 1e-6f);
    const float inside = 1 - smooth_step(rho, 0.94f, 1.06f);
    canvas.db()[k] = mix(canvas.db()[k], -22, inside);
    canvas.alpha()[k] = mix(canvas.alpha()[k], 8, inside);
    if (v < 0)
      canvas.mirror()[k] += clamped(1.2f + 0.5f * grain.data<float>()[k], 0.1f, 3) * line_profile((rho - 1) * static_cast<float>(b), 0.2f) *
                            v * v / (rho * rho);
  });
}

// For each step of φ the nearest spicule; empty without spicules.
std::vector<int> nearest_spicules(const Lesion& l) {
  std::vector<int> nearest;
  for (int step = 0; step < Contour::steps && !l.spicules.empty(); step++) {
    nearest.push_back(0);
    for (int k = 1; k < static_cast<int>(l.spicules.size()); k++)
      if (l.spicules[k].away(step) < l.spicules[nearest.back()].away(step)) nearest.back() = k;
  }
  return nearest;
}

// dB that a spicule adds at `off` mm beside its axis and `d` mm outside the contour: dark within, bright at its sides, tapering.
float spicule_db(const Spicule& ray, float off, float d) {
  const float along = clamped(1 - d / ray.length, 0, 1), width = ray.width * along;
  if (along == 0) return 0;
  return -10 * std::min(1.0f, 2 * along) * line_profile(off, width + 0.05f) + 4 * along * line_profile(off - 1.6f * width, 0.25f);
}

// Level inside the lesion: its mean, a slow field, and for a compound K law the power of a Gamma(μ, 1/μ) variable, made of a normal one by
// Wilson and Hilferty's cube.
float lesion_db(const Lesion& l, float mean_db, float slow, float quick) {
  const float level = mean_db + static_cast<float>(l.heterogeneity_db) * slow + 0.5f * quick, mu = static_cast<float>(l.texture);
  if (mu <= 0) return level;
  const float root = 1 - 1 / (9 * mu) + quick / (3 * std::sqrt(mu));
  return level + decibel_of_power(std::max(0.03f, root * root * root));
}

// The lesion's matter inside its contour, halo and spicules around it, the capsule of a smooth one.
void BreastPainter::lesion() {
  const Lesion& l = p.lesion;
  const Contour& c = l.contour;
  const auto [left, top, right, bottom] = c.extent();
  const Tensor slow = canvas.field(1.3, 1.9, "lesion texture"), quick = canvas.field(0.7, 1.0, "lesion speckle");
  const float blur = static_cast<float>(l.margin_blur), halo = static_cast<float>(l.halo_width), cx = static_cast<float>(c.x),
              cz = static_cast<float>(c.z);
  const bool capsule = l.descriptors.margin == LesionMargin::circumscribed, in_gland = c.z > p.skin + p.fat;
  const float tissue_db =
      in_gland ? 1 - 3 * static_cast<float>(1 - p.density) : -9.0f;  // what it grows in; its contrast is relative to that
  const float mean_db = tissue_db + static_cast<float>(l.contrast_db), reach = static_cast<float>(0.8 * std::sqrt(c.a * c.b) + 2);
  const std::vector<int> nearest = nearest_spicules(l);
  canvas.for_cells(left - reach, top - reach, right + reach, bottom + reach, [&](int64_t k, float x, float z) {
    int step = 0;
    const float d = c.distance(x, z, &step), inside = 1 - smooth_step(d, -blur, blur + 0.02f);
    if (d > reach) return;
    if (!nearest.empty() && d > -0.5f) {
      const Spicule& ray = l.spicules[nearest[step]];
      canvas.db()[k] +=
          spicule_db(ray, ray.away(step) * (6.2831853f / Contour::steps) * std::sqrt((x - cx) * (x - cx) + (z - cz) * (z - cz)), d);
    }
    if (l.halo_db > 0)
      canvas.db()[k] += static_cast<float>(l.halo_db) * smooth_step(d, -0.2f, 0.2f) * (1 - smooth_step(d, 0.6f * halo, 1.4f * halo));
    canvas.db()[k] = mix(canvas.db()[k], lesion_db(l, mean_db, slow.data<float>()[k], quick.data<float>()[k]), inside);
    canvas.alpha()[k] = mix(canvas.alpha()[k], static_cast<float>(l.attenuation), inside);
    canvas.mirror()[k] *= 1 - inside;
    if (capsule) {  // thin, seen where it faces the beam
      const float across = (z - cz) / static_cast<float>(c.b);
      canvas.mirror()[k] += 0.9f * line_profile(d - 0.12f, 0.13f) * std::min(1.0f, across * across * across * across);
    }
  });
}

// Refraction at the sides of a smooth lesion: a loss of up to 5 dB below each.
void BreastPainter::edge_shadows() {
  const Contour& c = p.lesion.contour;
  const auto [left, top, right, bottom] = c.extent();
  const float rate = static_cast<float>(5 / (0.4 * p.domain.frequency));  // over 2 mm of depth
  for (const double edge : {left, right})
    canvas.for_cells(edge - 2, c.z - 1, edge + 2, c.z + 1,
                     [&](int64_t k, float x, float) { canvas.alpha()[k] += rate * line_profile(x - static_cast<float>(edge), 0.45f); });
}

void BreastPainter::calcifications() {
  const Contour& c = p.lesion.contour;
  for (const Point& point : p.lesion.calcifications) {
    const double x = c.x + point.x, z = c.z + point.z;
    const float strength = amplitude(static_cast<float>(point.level_db)) * 0.25f;
    canvas.for_cells(x - 0.6, z - 0.3, x + 0.6, z + 0.3, [&](int64_t k, float px, float pz) {
      const float dx = (px - static_cast<float>(x)) / 0.18f, dz = (pz - static_cast<float>(z)) / 0.09f;
      canvas.mirror()[k] += strength * math::exp(-0.5f * (dx * dx + dz * dz));
    });
  }
}

Grid acquisition_grid(const Domain& d, const Frame& frame) {
  Grid g;
  g.dz = std::min(1.1 * axial_sigma(d), 0.12),
  g.rows = static_cast<int64_t>(std::ceil(frame.spacing * static_cast<double>(frame.height) / g.dz)) + 2;
  g.dx = 0.95 * lateral_sigma(d, d.focus),
  g.beams = static_cast<int64_t>(std::ceil(frame.spacing * static_cast<double>(frame.width) / g.dx)) + 2;
  g.z0 = 0, g.x0 = 0;
  return g;
}

// Badly coupled beams: a band of shadow from the skin down, at one side or anywhere.
void lose_contact(Medium& m, const Domain& d, Random& random) {
  const double width = static_cast<double>(m.grid.beams) * m.grid.dx,
               centre = random.chance(0.6) ? (random.chance(0.5) ? 0 : width) : random.uniform(0, width), half = random.uniform(2, 7);
  const float loss = static_cast<float>(random.uniform(6, 16));
  const int64_t rows = std::min<int64_t>(m.grid.rows, static_cast<int64_t>(1.5 / m.grid.dz));
  for (int64_t z = 0; z < rows; z++)
    for (int64_t x = 0; x < m.grid.beams; x++) {
      const float away = static_cast<float>(std::abs(m.grid.x0 + m.grid.dx * static_cast<double>(x) - centre));
      m.attenuation.data<float>()[z * m.grid.beams + x] +=
          loss / static_cast<float>(0.3 * d.frequency) *
          (1 - smooth_step(away, static_cast<float>(half) - 1.5f, static_cast<float>(half) + 1.5f));
    }
}

Tensor lesion_mask(const Contour& contour, const Frame& frame) {
  Tensor mask = Tensor::zeros({frame.height, frame.width}, Dtype::u8);
  uint8_t* out = mask.data<uint8_t>();
  const auto [left, top, right, bottom] = contour.extent();
  for (int64_t i = 0; i < frame.height; i++) {
    if (frame.z(static_cast<double>(i)) < top || frame.z(static_cast<double>(i)) > bottom) continue;
    for (int64_t j = 0; j < frame.width; j++)
      out[i * frame.width + j] = contour.contains(frame.x(static_cast<double>(j)), frame.z(static_cast<double>(i)));
  }
  return mask;
}

// The mask's bounding box in pixels.
Box bounding_box(const Tensor& mask, int category) {
  const int64_t height = mask.dim(0), width = mask.dim(1);
  int64_t left = width, top = height, right = -1, bottom = -1;
  for (int64_t i = 0; i < height; i++)
    for (int64_t j = 0; j < width; j++)
      if (mask.data<uint8_t>()[i * width + j])
        left = std::min(left, j), right = std::max(right, j), top = std::min(top, i), bottom = std::max(bottom, i);
  return {static_cast<double>(left),
          static_cast<double>(top),
          static_cast<double>(right - left + 1),
          static_cast<double>(bottom - top + 1),
          category,
          1};
}

std::vector<Measurement> measurements(const BreastPatient& p, const SimulateOptions& o) {
  const Lesion& l = p.lesion;
  const Descriptors& d = l.descriptors;
  const auto [left, top, right, bottom] = l.contour.extent();
  const auto code = [](auto value) { return static_cast<double>(static_cast<int>(value)); };
  return {{"lesion width", right - left, "mm"},
          {"lesion height", bottom - top, "mm"},
          {"lesion depth", l.contour.z, "mm"},
          {"contrast", l.contrast_db, "dB"},
          {"attenuation", l.attenuation, "dB/cm/MHz"},
          {"shape", code(d.shape), "code"},
          {"not parallel", code(d.not_parallel), "code"},
          {"margin", code(d.margin), "code"},
          {"echo pattern", code(d.echo), "code"},
          {"posterior features", code(d.posterior), "code"},
          {"halo", code(d.halo), "code"},
          {"calcifications", code(d.calcifications), "code"},
          {"oracle malignancy", oracle_malignancy(d, o), "probability"}};
}

Frame picture(const Domain& d, const SimulateOptions& o) {
  return {o.height, o.width, o.spacing > 0 ? o.spacing : d.width / static_cast<double>(o.width), 0, 0};
}

}  // namespace

const std::vector<Domain>& breast_domains() {
  static const std::vector<Domain> all = {
      {.name = "breast-a",
       .frequency = 7.5,
       .bandwidth = 0.42,
       .f_number = 2.2,
       .focus = 16,
       .zones = 4,
       .compound = 3,
       .noise_db = -52,
       .tgc_error = 3,
       .dynamic_range = 58,
       .gamma = 1.4,
       .smoothing = 0.5,
       .width = 42},
      {.name = "breast-b",
       .frequency = 9,
       .bandwidth = 0.40,
       .f_number = 2.4,
       .focus = 14,
       .zones = 4,
       .compound = 2,
       .noise_db = -56,
       .tgc_error = 4,
       .dynamic_range = 62,
       .gamma = 1.4,
       .smoothing = 0.7,
       .width = 38},
      {.name = "breast-c",
       .frequency = 6.5,
       .bandwidth = 0.45,
       .f_number = 2.0,
       .focus = 20,
       .zones = 4,
       .compound = 2,
       .noise_db = -48,
       .tgc_error = 5,
       .dynamic_range = 54,
       .gamma = 1.25,
       .smoothing = 0.3,
       .width = 48},
  };
  return all;
}

Domain breast_domain(uint64_t seed, uint64_t patient, const SimulateOptions& o) {
  Random random(seed, "breast patient", patient);
  return drawn_domain(random, breast_domains(), o.domain);
}

BreastPatient breast_patient(uint64_t seed, uint64_t patient, bool malignant, const SimulateOptions& o) {
  Random random(seed, "breast patient", patient);
  BreastPatient p;
  p.seed = seed, p.patient = patient;
  p.domain = drawn_domain(random, breast_domains(), o.domain);
  p.skin = random.uniform(1.2, 2.4), p.fat = random.uniform(3, 11), p.gland = random.uniform(8, 18), p.muscle = random.uniform(4, 9);
  p.slope = random.normal() * 0.06, p.density = random.uniform(0.2, 1), p.attenuation = random.uniform(0.5, 0.85),
  p.rib_width = random.chance(0.35) ? random.uniform(8, 16) : 0, p.rib_x = random.uniform(0, p.domain.width);
  p.domain.noise_db += 8 * o.difficulty - 2.4;
  p.lesion = draw_lesion(random, malignant, o);
  const Frame frame = picture(p.domain, o);
  const double width = frame.spacing * static_cast<double>(frame.width), depth = frame.spacing * static_cast<double>(frame.height);
  Contour& c = p.lesion.contour;
  const auto [left, top, right, bottom] = c.extent();  // about the origin
  const double shrink = std::min({1.0, 0.62 * width / (right - left), 0.62 * depth / (bottom - top)});
  c.a *= shrink, c.b *= shrink;
  const double low = p.skin + 0.8 - top * shrink, high = std::max(low, std::min(0.86 * depth - bottom * shrink, p.skin + p.fat + p.gland));
  c.z = random.uniform(low, high);
  p.gland = std::max(p.gland, c.z + bottom * shrink + 0.5 - p.skin - p.fat);  // it has not grown into the muscle
  c.x = random.uniform(0.1 * width - left * shrink, 0.9 * width - right * shrink);
  for (Point& point : p.lesion.calcifications) point.x *= shrink, point.z *= shrink;
  return p;
}

Sample breast_sample(const BreastPatient& p, int64_t frame_index, const SimulateOptions& o) {
  Random random(p.seed, "breast frame", p.patient, static_cast<uint64_t>(frame_index));
  Frame frame = picture(p.domain, o);
  const double shift = random.uniform(-0.06, 0.06) * p.domain.width;
  const Grid grid = acquisition_grid(p.domain, frame);
  BreastPainter painter(p, {grid.rows, grid.beams, grid.z0, grid.dz, grid.x0 + shift, grid.dx});
  const Canvas& canvas = painter.paint();
  Medium medium{grid, canvas.backscatter, canvas.attenuation, canvas.specular};
  if (random.chance(0.12 + 0.4 * o.difficulty)) lose_contact(medium, p.domain, random);
  std::vector<double> sliders(8);
  for (double& s : sliders) s = random.uniform(-p.domain.tgc_error, p.domain.tgc_error);
  const Tensor grey = display(envelope(medium, p.domain, tgc_gain(grid, p.domain, sliders), p.seed,
                                       hash64("breast speckle") + 16 * (p.patient * 4096 + static_cast<uint64_t>(frame_index))),
                              p.domain);
  Sample s;
  s.image = resample(grey, grid, frame).view({o.height, o.width, 1});
  frame.left += shift;  // labels live in the patient's coordinates
  s.labels.category = p.lesion.malignant ? 1 : 0;
  s.labels.mask = lesion_mask(p.lesion.contour, frame);
  s.labels.boxes = {bounding_box(s.labels.mask, *s.labels.category)};
  s.labels.measurements = measurements(p, o);
  if (o.elasticity) {
    const LesionStiffness stiffness = lesion_stiffness(p, o);
    s.elasticity = elastogram(p, stiffness, frame);
    s.labels.measurements.back().value = oracle_stiffness(stiffness, o.overlap);  // of the elastogram alone
    s.labels.measurements.push_back({"stiffness", static_cast<double>(static_cast<int>(stiffness.kind)), "code"});
  }
  s.meta.frame = frame_index, s.meta.spacing = {frame.spacing, frame.spacing}, s.meta.domain = p.domain.name;
  return s;
}

}  // namespace sono::zoo::sim
