#include "zoo/sim/fetal_head.h"

#include <numbers>

#include "zoo/sim/canvas.h"

namespace sono::zoo::sim {
namespace {

constexpr double pi = std::numbers::pi;

// Draws womb, skull and brain. Brain structures are placed in fractions of the semi-axes: u along a (forehead at +1), v along b.
class HeadPainter {
 public:
  HeadPainter(const HeadPatient& patient, const Window& window)
      : p(patient),
        canvas(window, patient.seed, patient.patient),
        random(patient.seed, "head details", patient.patient),
        texture(canvas.field(2.2, 2.6, "beads")),
        bend_x(canvas.field(9, 9, "bend x")),
        bend_z(canvas.field(8, 10, "bend z")) {}

  const Canvas& paint() {
    womb();
    brain();
    switch (p.plane) {
      case HeadPlane::thalamic:
        thalamic();
        break;
      case HeadPlane::ventricular:
        ventricular();
        break;
      case HeadPlane::cerebellar:
        cerebellar();
        break;
      case HeadPlane::off_plane:
        off_plane();
        break;
    }
    skull();
    canvas.to_amplitude();
    return canvas;
  }

 private:
  const HeadPatient& p;
  Canvas canvas;
  Random random;
  const Tensor texture, bend_x, bend_z;  // beads along lines; mm by which brain structures are bent
  const float cosine = static_cast<float>(std::cos(p.tilt)), sine = static_cast<float>(std::sin(p.tilt)), cx = static_cast<float>(p.x),
              cz = static_cast<float>(p.z), a = static_cast<float>(p.a), b = static_cast<float>(p.b), facing = static_cast<float>(p.facing);

  // Where a point lies: head coordinates in fractions, distance to the outer border in mm (negative inside), cosine between its normal and
  // the beam.
  struct Place {
    float u, v, distance, incidence;
  };
  Place place(float x, float z) const {
    const float dx = x - cx, dz = z - cz, u = (cosine * dx + sine * dz) / a, v = (cosine * dz - sine * dx) / b,
                rho = std::sqrt(u * u + v * v) + 1e-6f;
    const float gu = u / a, gv = v / b, slope = std::sqrt(gu * gu + gv * gv) + 1e-9f, nx = (cosine * gu - sine * gv) / slope,
                nz = (sine * gu + cosine * gv) / slope;
    return {facing * u, v, (rho - 1) * rho / slope, beam_cosine(x, z, nx, nz)};
  }
  float beam_cosine(float x, float z, float nx, float nz) const {
    const float depth = z + static_cast<float>(p.domain.radius);
    return std::abs(nx * x + nz * depth) / std::sqrt(x * x + depth * depth);
  }
  struct Spot {
    float x, z;
  };
  Spot at(float u, float v) const { return {cx + cosine * a * facing * u - sine * b * v, cz + sine * a * facing * u + cosine * b * v}; }
  float jitter(double size) { return static_cast<float>(random.uniform(-size, size)); }

  void womb();
  void brain();
  void skull();
  void line(float u0, float v0, float u1, float v1, float width, float strength);
  void blob(float u, float v, float ru, float rv, float level, float rim);
  void midline(float from, float to);
  void septum();
  void thalami(float level);
  void plexus(float near_chance);
  void thalamic();
  void ventricular();
  void cerebellar();
  void off_plane();
};

// Uterine wall and placenta with fibrous layers, amniotic fluid where there is room, mostly around the head; the mother's abdominal wall
// near the probe.
void HeadPainter::womb() {
  const Window& w = canvas.window;
  const Tensor room = canvas.field(16, 20, "fluid"), coarse = canvas.field(5, 9, "tissue"), fine = canvas.field(1.2, 2.2, "fine"),
               layers = canvas.field(2.2, 24, "layers");
  const Tensor fibres = level_lines(canvas.field(5, 14, "fibres"), w, 0.45), wall = level_lines(layers, w, 0.35);
  const float more = static_cast<float>(p.fluid);
  canvas.for_cells(-1e9, -1e9, 1e9, 1e9, [&](int64_t k, float x, float z) {
    const float gap = clamped(place(x, z).distance, 0, 60),
                depth = std::sqrt(x * x + (z + static_cast<float>(p.domain.radius)) * (z + static_cast<float>(p.domain.radius))) -
                        static_cast<float>(p.domain.radius);
    const float near = 1 - smooth_step(depth, 12, 22),
                fluid = smooth_step(room.data<float>()[k] + more - gap / 14 - 1.5f * near, -0.12f, 0.12f);
    const float tissue = -5 + 2.5f * coarse.data<float>()[k] + 1.5f * fine.data<float>()[k] + 6 * fibres.data<float>()[k] * (1 - near) +
                         near * (3 + 9 * wall.data<float>()[k]);
    canvas.db()[k] = mix(tissue, -34 + 3 * coarse.data<float>()[k], fluid);
    canvas.alpha()[k] = mix(0.5f, 0.05f, fluid);
    canvas.mirror()[k] = (0.5f * fibres.data<float>()[k] * (1 - near) + 0.7f * near * wall.data<float>()[k]) * (1 - fluid);
  });
}

// Parenchyma with faint gyri; the hemisphere next to the probe lies under the skull's reverberation.
void HeadPainter::brain() {
  const float reach = a + 4;
  const Tensor gyri = level_lines(canvas.field(3.2, 4.5, "gyri"), canvas.window, 0.45), coarse = canvas.field(5, 6, "brain");
  canvas.for_cells(cx - reach, cz - reach, cx + reach, cz + reach, [&](int64_t k, float x, float z) {
    const Place o = place(x, z);
    if (o.distance > 0) return;
    const float under = z < cz ? math::exp((o.distance + static_cast<float>(p.skull)) / 9) * o.incidence * o.incidence : 0;
    const float cortex = smooth_step(o.distance, -14, -3),
                lines = gyri.data<float>()[k] * clamped(0.6f + 0.5f * coarse.data<float>()[k], 0, 1.5f);
    canvas.db()[k] =
        -14.5f + 2.2f * coarse.data<float>()[k] + 1.6f * texture.data<float>()[k] + (5 + 3 * cortex) * lines + 2 * cortex + 6 * under;
    canvas.alpha()[k] = 0.4f;
    canvas.mirror()[k] = (0.12f + 0.12f * cortex) * lines;
  });
}

// Bright where the beam meets it squarely, broken at the sutures, casting the shadow of its path length.
void HeadPainter::skull() {
  const float reach = a + 4, thick = static_cast<float>(p.skull), power = static_cast<float>(p.specular_power);
  canvas.for_cells(cx - reach, cz - reach, cx + reach, cz + reach, [&](int64_t k, float x, float z) {
    const Place o = place(x, z);
    if (o.distance > 2.5f || o.distance < -thick - 2.5f) return;
    float bone = clamped(0.85f + 0.3f * bend_z.data<float>()[k], 0.35f, 1.3f);
    const float angle = angle_of(o.v, o.u);
    for (const double gap : p.gaps) {
      const float away = std::abs(std::remainder(angle - static_cast<float>(gap), 2 * static_cast<float>(pi))) * std::sqrt(a * b);
      bone *= smooth_step(away, 0.8f, 2.6f);
    }
    const float inside = smooth_step(o.distance, -thick - 0.3f, -thick + 0.3f) * (1 - smooth_step(o.distance, -0.3f, 0.3f));
    const float facing_beam = math::exp(power * math::log(o.incidence + 1e-3f)), beads = 1 + 0.3f * texture.data<float>()[k];
    canvas.db()[k] = mix(canvas.db()[k], -4 + 12 * facing_beam + 2 * texture.data<float>()[k], inside * (0.35f + 0.65f * bone));
    canvas.alpha()[k] = mix(canvas.alpha()[k], static_cast<float>(p.loss), inside * bone);
    canvas.mirror()[k] = mix(canvas.mirror()[k], 0, inside) +
                         bone * beads * (0.15f + 4.5f * facing_beam) *
                             line_profile(o.distance + (0.45f + 0.08f * bend_x.data<float>()[k]) * thick, 0.27f * thick);
  });
}

// A thin interface between two points, in fractions.
void HeadPainter::line(float u0, float v0, float u1, float v1, float width, float strength) {
  const Spot from = at(u0, v0), to = at(u1, v1);
  const float ex = to.x - from.x, ez = to.z - from.z, length2 = ex * ex + ez * ez + 1e-6f, length = std::sqrt(length2),
              margin = 4 * width + 3;
  canvas.for_cells(std::min(from.x, to.x) - margin, std::min(from.z, to.z) - margin, std::max(from.x, to.x) + margin,
                   std::max(from.z, to.z) + margin, [&](int64_t k, float x, float z) {
                     const float dx = x + 0.7f * bend_x.data<float>()[k] - from.x, dz = z + 0.7f * bend_z.data<float>()[k] - from.z,
                                 t = clamped((dx * ex + dz * ez) / length2, 0, 1), away = std::hypot(dx - t * ex, dz - t * ez);
                     const float on = line_profile(away, width), square = beam_cosine(x, z, -ez / length, ex / length),
                                 bead = clamped(0.9f + 0.6f * texture.data<float>()[k], 0, 2);
                     canvas.mirror()[k] += strength * bead * (0.2f + 0.8f * square * square) * on;
                     canvas.db()[k] += 5 * strength * bead * on;
                   });
}

// A soft ellipse of another echo level, with a rim.
void HeadPainter::blob(float u, float v, float ru, float rv, float level, float rim) {
  const Spot c = at(u, v);
  const float reach = std::max(ru * a, rv * b) + 4;
  canvas.for_cells(c.x - reach, c.z - reach, c.x + reach, c.z + reach, [&](int64_t k, float x, float z) {
    const Place o = place(x + 0.9f * bend_x.data<float>()[k], z + 0.9f * bend_z.data<float>()[k]);
    const float du = (o.u - u) / ru, dv = (o.v - v) / rv, rho = std::sqrt(du * du + dv * dv) + 0.12f * texture.data<float>()[k] * 0.5f,
                size = std::min(ru * a, rv * b);
    const float inside = 1 - smooth_step((rho - 1) * size, -1.2f, 0.8f);
    canvas.db()[k] = mix(canvas.db()[k], level + 1.5f * texture.data<float>()[k], inside);
    canvas.mirror()[k] = canvas.mirror()[k] * (1 - inside) + rim * clamped(0.7f + 0.7f * texture.data<float>()[k], 0, 2) * o.incidence *
                                                                 o.incidence * line_profile((rho - 1) * size, 0.45f);
  });
}

void HeadPainter::midline(float from, float to) {
  float u = from;
  const float tilt = jitter(0.02);
  while (u < to) {  // the falx is seen in pieces
    const float end = std::min(to, u + static_cast<float>(random.uniform(0.15, 0.45)));
    line(u, tilt * u + jitter(0.008), end, tilt * end + jitter(0.008), 0.45f, static_cast<float>(random.uniform(0.6, 1.5)));
    u = end + static_cast<float>(random.uniform(0.0, 0.06));
  }
}

void HeadPainter::septum() {  // cavum septi pellucidi: an empty box on the midline
  const float u = 0.45f + jitter(0.05), half = 0.11f + jitter(0.02), side = 0.075f + jitter(0.015);
  blob(u, 0, half, side, -27, 0);
  line(u - half, side, u + half, side, 0.4f, 1.1f), line(u - half, -side, u + half, -side, 0.4f, 1.1f);
}

void HeadPainter::thalami(float level) {
  const float u = jitter(0.05), size = 0.17f + jitter(0.02);
  for (const float side : {-1.0f, 1.0f}) blob(u, side * 0.165f, size, 0.145f, level, 0.15f);
  line(u - 0.1f, 0, u + 0.12f, 0, 0.4f, 0.7f);  // third ventricle
}

// The choroid plexus of the far hemisphere, in its ventricle; the near one is hidden by reverberation more often than not.
void HeadPainter::plexus(float near_chance) {
  for (const float side : {-1.0f, 1.0f}) {
    if (side * cosine < 0 && !random.chance(near_chance)) continue;
    const float u = -0.42f + jitter(0.08), v = side * (0.36f + jitter(0.05));
    blob(u - 0.05f, v, 0.24f, 0.11f, -24, 0.15f);
    blob(u + 0.06f, v, 0.15f + jitter(0.03), 0.08f + jitter(0.01), side * cosine > 0 ? -3.5f : -8.0f, 0.1f);
  }
}

void HeadPainter::thalamic() {
  midline(-0.92f, -0.2f), midline(0.6f, 0.93f);
  septum(), thalami(-20);
  plexus(0.5f);
  for (const float side : {-1.0f, 1.0f})
    line(-0.15f + jitter(0.05), side * 0.6f, 0.25f + jitter(0.05), side * (0.55f + jitter(0.05)), 0.5f, 0.6f);  // insula
  line(0.3f, 0.18f, 0.52f, 0.2f, 0.4f, 0.5f), line(0.3f, -0.18f, 0.52f, -0.2f, 0.4f, 0.3f);                     // frontal horns
}

void HeadPainter::ventricular() {
  midline(-0.92f, 0.3f), midline(0.6f, 0.93f);
  septum();
  for (const float side : {-1.0f, 1.0f}) {
    const float u = -0.42f + jitter(0.05), v = side * (0.36f + jitter(0.03)),
                strength = side * cosine > 0 ? 1.0f : 0.5f;  // the far one is seen better
    blob(u, v, 0.27f, 0.115f, -27, 0);
    line(u - 0.25f, v + side * 0.11f, u + 0.3f, v + side * 0.09f, 0.45f, 0.9f * strength),
        line(u - 0.22f, v - side * 0.11f, u + 0.25f, v - side * 0.1f, 0.4f, 0.6f * strength);
    blob(u + 0.05f, v, 0.16f + jitter(0.02), 0.085f, -5 - 4 * (1 - strength), 0.2f);  // choroid plexus
    line(0.35f, side * 0.2f, 0.6f, side * 0.24f, 0.4f, 0.6f * strength);
  }
}

void HeadPainter::cerebellar() {
  midline(-0.35f, 0.25f), midline(0.6f, 0.93f);
  septum(), thalami(-20);
  const float u = -0.62f + jitter(0.03), size = 0.19f + jitter(0.02);
  blob(u - 0.2f, 0, 0.09f, 0.3f, -28, 0);  // cisterna magna
  for (const float side : {-1.0f, 1.0f}) blob(u, side * 0.235f, size, 0.22f, -18, 0.4f);
  blob(u, 0, 0.1f, 0.07f, -6, 0.3f);  // vermis
}

// Too high, too low or tilted: a midline beside its place or none, no septum, no thalami, bright bones of the base.
void HeadPainter::off_plane() {
  if (random.chance(0.5)) {
    const float v = static_cast<float>(random.uniform(0.1, 0.28)) * (random.chance(0.5) ? 1.0f : -1.0f);
    line(-0.7f, v, -0.1f, v * 0.9f, 0.5f, 0.8f), line(0.1f, v, 0.6f, v * 1.1f, 0.5f, 0.6f);
  }
  const int64_t bones = 2 + random.below(4);
  for (int64_t k = 0; k < bones; k++) {
    const float u = jitter(0.65), v = jitter(0.5), du = jitter(0.2), dv = jitter(0.2);
    line(u, v, u + du, v + dv, 0.7f, static_cast<float>(random.uniform(0.8, 2)));
  }
  const int64_t lumps = 1 + random.below(3);
  for (int64_t k = 0; k < lumps; k++)
    blob(jitter(0.5), jitter(0.5), static_cast<float>(random.uniform(0.1, 0.25)), static_cast<float>(random.uniform(0.1, 0.25)),
         static_cast<float>(random.uniform(-26, -8)), 0.3f);
}

double half_width(const HeadPatient& p) { return std::hypot(p.a * std::cos(p.tilt), p.b * std::sin(p.tilt)); }
double half_height(const HeadPatient& p) { return std::hypot(p.a * std::sin(p.tilt), p.b * std::cos(p.tilt)); }

double polar_depth(double radius, double x, double z) { return std::hypot(x, z + radius) - radius; }

// The grid that covers the picture: depths and angles from its corners, no farther than the sector and the head need.
Grid acquisition_grid(const HeadPatient& p, const Frame& f) {
  const double R = p.domain.radius, left = f.x(0), right = f.x(static_cast<double>(f.width - 1)), top = f.z(0),
               bottom = f.z(static_cast<double>(f.height - 1));
  double angle = p.domain.angle;
  for (int k = 0; k < 64; k++) {  // the operator has the head inside the sector
    const double u = p.a * std::cos(2 * pi * k / 64), v = p.b * std::sin(2 * pi * k / 64);
    angle = std::max(angle, std::abs(std::atan2(p.x + u * std::cos(p.tilt) - v * std::sin(p.tilt),
                                                p.z + u * std::sin(p.tilt) + v * std::cos(p.tilt) + R)) +
                                0.03);
  }
  const double deepest =
      std::min(std::max(polar_depth(R, left, bottom), polar_depth(R, right, bottom)), std::max(p.z + half_height(p) + 25, bottom));
  Grid g;
  g.radius = R, g.z0 = std::max(0.0, top), g.dz = 1.1 * axial_sigma(p.domain);
  g.rows = static_cast<int64_t>(std::ceil((deepest - g.z0) / g.dz)) + 1;
  const double widest = std::max(std::abs(std::atan2(left, std::max(top, 0.0) + R)), std::abs(std::atan2(right, std::max(top, 0.0) + R)));
  angle = std::min(angle, widest);
  g.dx = 1.0 * lateral_sigma(p.domain, p.domain.focus) / (R + p.domain.focus);
  g.beams = static_cast<int64_t>(std::ceil(2 * angle / g.dx)) + 1, g.x0 = -0.5 * g.dx * static_cast<double>(g.beams - 1);
  return g;
}

Frame picture(const HeadPatient& p, const SimulateOptions& o, Random& random) {
  const double W = static_cast<double>(o.width), H = static_cast<double>(o.height);
  Frame f{o.height, o.width, o.spacing > 0 ? o.spacing : std::max(2 * half_width(p) / W, 2 * half_height(p) / H) * p.zoom, 0, 0};
  const double spare_x = W * f.spacing / 2 - half_width(p), spare_z = H * f.spacing / 2 - half_height(p);
  f.left = p.x - W * f.spacing / 2 + 0.6 * spare_x * random.uniform(-1, 1),
  f.top = std::max(p.z - H * f.spacing / 2 + 0.6 * spare_z * random.uniform(-1, 1), -3.0);
  return f;
}

Medium to_polar(const Canvas& canvas, const Grid& grid) {
  const Window& w = canvas.window;
  const InverseScanConverter convert(grid, {w.rows, w.columns, w.dz, w.x0 - w.dx / 2, w.z0 - w.dz / 2});
  return {grid, convert(canvas.backscatter), convert(canvas.attenuation), convert(canvas.specular)};
}

Tensor head_mask(const HeadPatient& p, const Frame& f) {
  Tensor mask({f.height, f.width}, Dtype::u8);
  const double c = std::cos(p.tilt), s = std::sin(p.tilt);
  for (int64_t i = 0; i < f.height; i++)
    for (int64_t j = 0; j < f.width; j++) {
      const double dx = f.x(static_cast<double>(j)) - p.x, dz = f.z(static_cast<double>(i)) - p.z, u = (c * dx + s * dz) / p.a,
                   v = (c * dz - s * dx) / p.b;
      mask.data<uint8_t>()[i * f.width + j] = u * u + v * v < 1;
    }
  return mask;
}

Labels labels(const HeadPatient& p, const Frame& f) {
  Labels l;
  l.category = static_cast<int>(p.plane);
  l.mask = head_mask(p, f);
  // Pixel centres are whole numbers.
  const double cx = (p.x - f.left) / f.spacing - 0.5, cy = (p.z - f.top) / f.spacing - 0.5, w = half_width(p) / f.spacing,
               h = half_height(p) / f.spacing;
  l.ellipse = Ellipse{cx, cy, p.a / f.spacing, p.b / f.spacing, p.tilt};
  l.boxes = {{cx - w, cy - h, 2 * w, 2 * h, *l.category, 1}};
  l.measurements = {{"head circumference", ramanujan_circumference(p.a, p.b), "mm"}, {"BPD", 2 * p.b, "mm"}, {"OFD", 2 * p.a, "mm"}};
  return l;
}

}  // namespace

double ramanujan_circumference(double a, double b) {
  const double h = (a - b) * (a - b) / ((a + b) * (a + b));
  return pi * (a + b) * (1 + 3 * h / (10 + std::sqrt(4 - 3 * h)));
}

const std::vector<Domain>& head_domains() {
  static const std::vector<Domain> all = {
      {.name = "head-a",
       .frequency = 3.8,
       .bandwidth = 0.5,
       .f_number = 2.6,
       .focus = 75,
       .zones = 3,
       .compound = 2,
       .noise_db = -58,
       .tgc_error = 3,
       .dynamic_range = 56,
       .gamma = 1.5,
       .smoothing = 0.6,
       .radius = 50,
       .angle = 0.58},
      {.name = "head-b",
       .frequency = 4.5,
       .bandwidth = 0.45,
       .f_number = 3,
       .focus = 65,
       .zones = 3,
       .compound = 2,
       .noise_db = -56,
       .tgc_error = 4,
       .dynamic_range = 60,
       .gamma = 1.9,
       .smoothing = 0.7,
       .radius = 40,
       .angle = 0.65},
      {.name = "head-c",
       .frequency = 3.2,
       .bandwidth = 0.5,
       .f_number = 2.4,
       .focus = 85,
       .zones = 3,
       .compound = 1,
       .noise_db = -52,
       .tgc_error = 5,
       .dynamic_range = 54,
       .gamma = 1.3,
       .smoothing = 0.5,
       .radius = 60,
       .angle = 0.5},
  };
  return all;
}

Domain head_domain(uint64_t seed, uint64_t patient, const SimulateOptions& o) {
  Random random(seed, "head patient", patient);
  return drawn_domain(random, head_domains(), o.domain);
}

HeadPatient head_patient(uint64_t seed, uint64_t patient, const SimulateOptions& o) {
  Random random(seed, "head patient", patient);
  HeadPatient p;
  p.seed = seed, p.patient = patient;
  p.domain = drawn_domain(random, head_domains(), o.domain);
  p.domain.noise_db += 8 * o.difficulty - 2.4;
  p.plane = static_cast<HeadPlane>(random.below(4));
  p.a = random.uniform(25, 60), p.b = p.a * random.uniform(0.70, 0.85);
  p.tilt = random.chance(0.75) ? std::clamp(0.3 * random.normal(), -1.4, 1.4) : random.uniform(-pi / 2, pi / 2);
  p.skull = std::clamp(2 + 1.6 * (p.a - 25) / 35 + random.uniform(-0.3, 0.5), 1.8, 4.0), p.loss = random.uniform(1.2, 3.2);
  p.specular_power = random.uniform(3, 6 + 10 * o.difficulty), p.fluid = random.uniform(-0.9, 0.7), p.facing = random.chance(0.5) ? 1 : -1;
  p.x = random.uniform(-12, 12), p.z = half_height(p) + random.uniform(16, 45), p.zoom = random.uniform(1.08, 1.55);
  const int64_t gaps = random.below(3) + (random.chance(o.difficulty) ? 2 : 0);
  for (int64_t k = 0; k < gaps; k++) p.gaps.push_back(random.uniform(-pi, pi));
  return p;
}

Sample head_sample(const HeadPatient& patient, int64_t frame, const SimulateOptions& o) {
  HeadPatient p = patient;
  Random random(p.seed, "head frame", p.patient, static_cast<uint64_t>(frame));
  p.tilt = std::remainder(p.tilt + random.uniform(-0.08, 0.08), pi), p.x += random.uniform(-4, 4), p.z += random.uniform(-2, 4);
  const Frame view = picture(p, o, random);
  const Grid grid = acquisition_grid(p, view);
  const double step = std::max(0.4, 0.6 * view.spacing), margin = 6;
  const double left = view.left - margin, top = std::max(view.top, 0.0) - margin,
               width = view.spacing * static_cast<double>(o.width) + 2 * margin,
               height = view.top + view.spacing * static_cast<double>(o.height) + margin - top;
  const Window window{static_cast<int64_t>(height / step), static_cast<int64_t>(width / step), top, step, left, step};
  const Medium medium = to_polar(HeadPainter(p, window).paint(), grid);
  std::vector<double> sliders(8);
  for (double& s : sliders) s = random.uniform(-p.domain.tgc_error, p.domain.tgc_error);
  const Tensor grey = display(envelope(medium, p.domain, tgc_gain(grid, p.domain, sliders), p.seed,
                                       hash64("head speckle") + 16 * (p.patient * 4096 + static_cast<uint64_t>(frame))),
                              p.domain);
  const int64_t thin = std::max<int64_t>(1, static_cast<int64_t>(view.spacing / grid.dz));
  const ScanConverter convert(thinned(grid, thin), view);
  Sample s;
  s.image = convert(mean_rows(grey, thin)).view({o.height, o.width, 1});
  s.scan_mask = convert.scan_mask();
  s.labels = labels(p, view);
  s.meta.frame = frame, s.meta.spacing = {view.spacing, view.spacing}, s.meta.domain = p.domain.name;
  return s;
}

}  // namespace sono::zoo::sim
