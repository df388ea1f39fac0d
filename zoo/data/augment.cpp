#include "zoo/data/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "tensor/random.h"
#include "zoo/data/resize.h"

namespace sono::zoo {
namespace {

using Row = std::vector<float>;

// Displacements on a grid of points around the image, smooth between them: u(x, y) = Σ B(y) B(x) grid, cubic B-splines.
struct Elastic {
  static constexpr int cells = 5, points = cells + 3;
  bool on = false;
  std::array<std::array<float, points * points>, 2> grid{};  // x and y displacement, pixels
};

struct Weights {
  std::vector<int> first;
  std::vector<std::array<float, 4>> weight;
};

Weights spline_weights(int64_t n) {
  Weights w;
  for (int64_t i = 0; i < n; i++) {
    const double at = (static_cast<double>(i) + 0.5) / static_cast<double>(n) * Elastic::cells, t = at - std::floor(at), r = 1 - t;
    w.first.push_back(static_cast<int>(at));
    w.weight.push_back({static_cast<float>(r * r * r / 6), static_cast<float>((3 * t * t * t - 6 * t * t + 4) / 6),
                        static_cast<float>((3 * r * r * r - 6 * r * r + 4) / 6), static_cast<float>(t * t * t / 6)});
  }
  return w;
}

struct Geometry {
  Affine source;  // pixel of the result -> pixel of the source
  Elastic elastic;
  bool identity = true, sheared = false;
  double zoom = 1;
};

// Drawn in a fixed order, whatever is switched off: a setting changes its own step and no other.
Geometry draw_geometry(const Augmentation& a, Random& random, int64_t height, int64_t width) {
  Geometry g;
  const auto signed_draw = [&](double range) { return random.uniform(-range, range); };
  const bool flip = random.chance(a.flip), affine = random.chance(a.affine);
  const double degrees = std::numbers::pi / 180, angle = signed_draw(a.rotation) * degrees,
               zoom = std::exp(signed_draw(std::log1p(a.scale)));
  const double shear = std::tan(signed_draw(a.shear) * degrees), dx = signed_draw(a.translation) * static_cast<double>(width),
               dy = signed_draw(a.translation) * static_cast<double>(height);
  const double cx = 0.5 * static_cast<double>(width - 1), cy = 0.5 * static_cast<double>(height - 1);
  Affine forward;  // about the centre
  if (flip) forward.xx = -1;
  if (affine) {
    const double c = zoom * std::cos(angle), s = zoom * std::sin(angle);
    forward = Affine{c, -s, dx, s, c, dy} * Affine{1, shear, 0, 0, 1, 0} * forward;
    g.zoom = zoom, g.sheared = shear != 0;
  }
  g.source = (Affine{1, 0, cx, 0, 1, cy} * forward * Affine{1, 0, -cx, 0, 1, -cy}).inverse();
  g.elastic.on = random.chance(a.elastic) && a.elastic_strength > 0;
  const double reach = a.elastic_strength * static_cast<double>(std::max(height, width));
  for (auto& axis : g.elastic.grid)
    for (float& d : axis) d = static_cast<float>(signed_draw(reach));
  g.identity = !flip && !affine && !g.elastic.on;
  return g;
}

// Where each pixel of row y comes from.
void source_row(const Geometry& g, int64_t y, const Weights& wx, const Weights& wy, Row& sx, Row& sy) {
  const auto [x0, y0] = g.source(0, static_cast<double>(y));
  for (size_t x = 0; x < sx.size(); x++)
    sx[x] = static_cast<float>(x0 + g.source.xx * static_cast<double>(x)),
    sy[x] = static_cast<float>(y0 + g.source.yx * static_cast<double>(x));
  if (!g.elastic.on) return;
  std::array<std::array<float, Elastic::points>, 2> column{};  // the grid, summed along y
  const auto row = static_cast<size_t>(y);
  for (size_t axis = 0; axis < 2; axis++)
    for (size_t k = 0; k < 4; k++)
      for (size_t p = 0; p < Elastic::points; p++)
        column[axis][p] += wy.weight[row][k] * g.elastic.grid[axis][(static_cast<size_t>(wy.first[row]) + k) * Elastic::points + p];
  for (size_t x = 0; x < sx.size(); x++)
    for (size_t k = 0; k < 4; k++) {
      const size_t p = static_cast<size_t>(wx.first[x]) + k;
      sx[x] += wx.weight[x][k] * column[0][p], sy[x] += wx.weight[x][k] * column[1][p];
    }
}

// Without a call into the mathematics library.
inline int64_t floor_of(float v) {
  const auto i = static_cast<int64_t>(v);
  return i - (v < static_cast<float>(i));
}

// Bilinear; 0 outside the image.
void sample_bilinear(const float* from, int64_t height, int64_t width, int64_t channels, const Row& sx, const Row& sy, float* to) {
  for (size_t i = 0; i < sx.size(); i++, to += channels) {
    const int64_t x = floor_of(sx[i]), y = floor_of(sy[i]);
    const float u = sx[i] - static_cast<float>(x), v = sy[i] - static_cast<float>(y);
    if (x >= 0 && y >= 0 && x + 1 < width && y + 1 < height) {
      const float* p = from + (y * width + x) * channels;
      const float* q = p + width * channels;
      for (int64_t c = 0; c < channels; c++) {
        const float top = p[c] + u * (p[c + channels] - p[c]), bottom = q[c] + u * (q[c + channels] - q[c]);
        to[c] = top + v * (bottom - top);
      }
      continue;
    }
    const auto value = [&](int64_t py, int64_t px, int64_t c) {
      return px >= 0 && py >= 0 && px < width && py < height ? from[(py * width + px) * channels + c] : 0.0f;
    };
    for (int64_t c = 0; c < channels; c++)
      to[c] =
          (1 - v) * ((1 - u) * value(y, x, c) + u * value(y, x + 1, c)) + v * ((1 - u) * value(y + 1, x, c) + u * value(y + 1, x + 1, c));
  }
}

void sample_nearest(const uint8_t* from, int64_t height, int64_t width, const Row& sx, const Row& sy, uint8_t* to) {
  for (size_t i = 0; i < sx.size(); i++) {
    const int64_t x = floor_of(sx[i] + 0.5f), y = floor_of(sy[i] + 0.5f);
    to[i] = x >= 0 && y >= 0 && x < width && y < height ? from[y * width + x] : 0;
  }
}

// Image, masks and score through one map; a missing scan mask means everywhere, and is then what still shows the image.
void resample(Sample& s, const Geometry& g) {
  const int64_t height = s.image.dim(0), width = s.image.dim(1), channels = s.image.dim(2);
  const Tensor scan = s.scan_mask ? s.scan_mask : Tensor::ones({height, width}, Dtype::u8);
  const Weights wx = spline_weights(width), wy = spline_weights(height);
  Sample out;
  out.image = Tensor::empty_like(s.image), out.scan_mask = Tensor::empty_like(scan);
  if (s.labels.mask) out.labels.mask = Tensor::empty_like(s.labels.mask);
  if (s.labels.score) out.labels.score = Tensor::empty_like(s.labels.score);
  Row sx(static_cast<size_t>(width)), sy(static_cast<size_t>(width));
  for (int64_t y = 0; y < height; y++) {
    source_row(g, y, wx, wy, sx, sy);
    sample_bilinear(s.image.data<float>(), height, width, channels, sx, sy, out.image.data<float>() + y * width * channels);
    sample_nearest(scan.data<uint8_t>(), height, width, sx, sy, out.scan_mask.data<uint8_t>() + y * width);
    if (s.labels.mask) sample_nearest(s.labels.mask.data<uint8_t>(), height, width, sx, sy, out.labels.mask.data<uint8_t>() + y * width);
    if (s.labels.score) sample_bilinear(s.labels.score.data<float>(), height, width, 1, sx, sy, out.labels.score.data<float>() + y * width);
  }
  s.image = out.image, s.scan_mask = out.scan_mask, s.labels.mask = out.labels.mask, s.labels.score = out.labels.score;
}

// The displacement of the elastic map at one place, to find where a point of the source went (a few steps of a fixed-point iteration).
std::array<double, 2> destination(const Geometry& g, const Affine& forward, double x, double y, const Weights& wx, const Weights& wy) {
  auto at = forward(x, y);
  if (!g.elastic.on) return at;
  Row sx(wx.first.size()), sy(wx.first.size());
  for (int step = 0; step < 8; step++) {
    const auto column = std::clamp<int64_t>(std::llround(at[0]), 0, static_cast<int64_t>(sx.size()) - 1),
               row = std::clamp<int64_t>(std::llround(at[1]), 0, static_cast<int64_t>(wy.first.size()) - 1);
    source_row(g, row, wx, wy, sx, sy);
    const auto straight = g.source(static_cast<double>(column), static_cast<double>(row));
    const auto i = static_cast<size_t>(column);
    at = forward(x - (static_cast<double>(sx[i]) - straight[0]), y - (static_cast<double>(sy[i]) - straight[1]));
  }
  return at;
}

void move_points(Sample& s, const Geometry& g) {
  Labels& l = s.labels;
  const int64_t height = s.image.dim(0), width = s.image.dim(1);
  const Affine forward = g.source.inverse();
  const Weights wx = spline_weights(width), wy = spline_weights(height);
  std::vector<Landmark> landmarks;
  for (Landmark m : l.landmarks) {
    const auto [x, y] = destination(g, forward, m.x, m.y, wx, wy);
    m.x = x, m.y = y;
    if (x >= -0.5 && y >= -0.5 && x < static_cast<double>(width) - 0.5 && y < static_cast<double>(height) - 0.5) landmarks.push_back(m);
  }
  std::vector<Box> boxes;
  for (const Box& b : l.boxes) {
    const auto before = forward(b.x + 0.5 * (b.width - 1), b.y + 0.5 * (b.height - 1)),
               after = destination(g, forward, b.x + 0.5 * (b.width - 1), b.y + 0.5 * (b.height - 1), wx, wy);
    const Affine moved = Affine{1, 0, after[0] - before[0], 0, 1, after[1] - before[1]} * forward;
    const Box whole = transformed(b, Affine{1, 0, 4e6, 0, 1, 4e6} * moved, 8'000'000, 8'000'000),
              seen = transformed(b, moved, height, width);
    if (seen.width * seen.height >= 0.25 * whole.width * whole.height && seen.width > 0) boxes.push_back(seen);
  }
  l.landmarks = landmarks, l.boxes = boxes;
  if (l.ellipse && g.elastic.on) l.ellipse.reset();
  if (l.ellipse) l.ellipse = transformed(*l.ellipse, forward);
  if (g.elastic.on || g.sheared) l.measurements.clear();
  if (s.meta.spacing) s.meta.spacing = {(*s.meta.spacing)[0] / g.zoom, (*s.meta.spacing)[1] / g.zoom};
}

// A fast normal-like number: the sum of four bytes, mean 0 and variance 1, within ± 3.5.
float rough_normal(Random& random) {
  const uint32_t b = random.bits();
  return (static_cast<float>((b & 255) + (b >> 8 & 255) + (b >> 16 & 255) + (b >> 24)) - 510.0f) * (1.0f / 147.8f);
}

Tensor noise_field(Random& random, int64_t height, int64_t width) {
  Tensor field({height, width}, Dtype::f32);
  float* f = field.data<float>();
  for (int64_t i = 0; i < field.size(); i++) f[i] = rough_normal(random);
  return field;
}

// Gaussian blur of (H, W[, C]) in two passes; the image ends at its edges (the weights are normalised again there).
struct Blur {
  explicit Blur(double sigma) : reach(static_cast<int64_t>(std::ceil(2.5 * sigma))) {
    for (int64_t k = 0; k <= reach; k++)
      weight.push_back(static_cast<float>(std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma))));
  }
  float at(int64_t k) const { return weight[static_cast<size_t>(std::abs(k))]; }
  Row scales(int64_t n) const {  // 1 / the sum of the weights that lie inside
    Row scale;
    for (int64_t i = 0; i < n; i++) {
      float sum = 0;
      for (int64_t k = std::max(-reach, -i); k <= std::min(reach, n - 1 - i); k++) sum += at(k);
      scale.push_back(1 / sum);
    }
    return scale;
  }
  int64_t reach;
  Row weight;
};

Tensor blurred(const Tensor& image, double sigma) {
  const int64_t height = image.dim(0), row = image.size() / height, channels = image.rank() == 3 ? image.dim(2) : 1, width = row / channels;
  const Blur blur(sigma);
  const Row down_scale = blur.scales(height), across_scale = blur.scales(width);
  Tensor out = Tensor::zeros(image.shape(), Dtype::f32);
  Row line(static_cast<size_t>(row));
  for (int64_t y = 0; y < height; y++) {
    std::fill(line.begin(), line.end(), 0.0f);
    for (int64_t k = std::max(-blur.reach, -y); k <= std::min(blur.reach, height - 1 - y); k++) {
      const float w = blur.at(k) * down_scale[static_cast<size_t>(y)];
      const float* source = image.data<float>() + (y + k) * row;
      for (int64_t i = 0; i < row; i++) line[static_cast<size_t>(i)] += w * source[i];
    }
    float* target = out.data<float>() + y * row;
    for (int64_t k = -blur.reach; k <= blur.reach; k++) {
      const float w = blur.at(k);
      const float* source = line.data() + k * channels;
      for (int64_t i = std::max<int64_t>(0, -k) * channels; i < std::min(width, width - k) * channels; i++) target[i] += w * source[i];
    }
    for (int64_t x = 0; x < width; x++)
      for (int64_t c = 0; c < channels; c++) target[x * channels + c] *= across_scale[static_cast<size_t>(x)];
  }
  return out;
}

// The steps that change brightness, on the image alone; the caller restores what lies outside the scan mask.
struct Brightness {
  bool gamma, noise, blur, speckle, attenuation, shadow;
  double exponent, deviation, sigma, strength, rate, depth, x, y, width, height;
  uint64_t noise_stream, speckle_stream;
  bool any() const { return gamma || noise || blur || speckle || attenuation || shadow; }
};

Brightness draw_brightness(const Augmentation& a, Random& random) {
  Brightness b{};
  b.gamma = random.chance(a.gamma), b.noise = random.chance(a.noise), b.blur = random.chance(a.blur), b.speckle = random.chance(a.speckle);
  b.attenuation = random.chance(a.attenuation), b.shadow = random.chance(a.shadow);
  b.exponent = std::exp(random.uniform(-a.gamma_range, a.gamma_range));
  b.deviation = random.uniform(0, a.noise_deviation);
  b.sigma = random.uniform(std::min(0.3, a.blur_sigma), a.blur_sigma);
  b.strength = random.uniform(0, a.speckle_strength);
  b.rate = random.uniform(0, a.attenuation_rate);
  b.depth = random.uniform(std::min(0.2, a.shadow_strength), a.shadow_strength);
  b.x = random.uniform(), b.y = random.uniform(), b.width = random.uniform(0.02, 0.2), b.height = random.uniform(0.02, 0.2);
  b.noise_stream = random.bits(), b.speckle_stream = random.bits();
  return b;
}

// A factor per pixel: depth attenuation and shadow.
Tensor shading(const Brightness& b, int64_t height, int64_t width) {
  Tensor factor({height, width}, Dtype::f32);
  const auto bell = [](int64_t n, double centre, double sigma) {
    Row values;
    for (int64_t i = 0; i < n; i++) {
      const double d = ((static_cast<double>(i) + 0.5) / static_cast<double>(n) - centre) / sigma;
      values.push_back(static_cast<float>(std::exp(-0.5 * d * d)));
    }
    return values;
  };
  const Row across = bell(width, b.x, b.width), down = bell(height, b.y, b.height);
  const auto size = static_cast<float>(height);
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++) {
      const float dx = (static_cast<float>(x) + 0.5f - 0.5f * static_cast<float>(width)) / size, dy = (static_cast<float>(y) + 0.5f) / size;
      float f = b.attenuation ? std::exp(-static_cast<float>(b.rate) * std::sqrt(dx * dx + dy * dy)) : 1.0f;
      if (b.shadow) f *= 1 - static_cast<float>(b.depth) * across[static_cast<size_t>(x)] * down[static_cast<size_t>(y)];
      factor.data<float>()[y * width + x] = f;
    }
  return factor;
}

// image := image + amount(image) · field, per pixel, the same for all channels.
template <class F>
void each_pixel(const Tensor& image, F&& f) {
  const int64_t channels = image.dim(2), pixels = image.size() / channels;
  float* v = image.data<float>();
  for (int64_t i = 0; i < pixels; i++)
    for (int64_t c = 0; c < channels; c++) f(v[i * channels + c], i);
}

void apply(Sample& s, const Brightness& b, uint64_t seed) {
  const int64_t height = s.image.dim(0), width = s.image.dim(1);
  Tensor image = b.blur ? blurred(s.image, b.sigma) : s.image.clone();
  if (b.blur && s.scan_mask) {  // light does not leak in from outside: divided by the blurred scan mask
    const Tensor inside = blurred(s.scan_mask.to(Dtype::f32), b.sigma);
    each_pixel(image, [w = inside.data<float>()](float& v, int64_t i) { v /= std::max(w[i], 0.05f); });
  }
  if (b.attenuation || b.shadow) each_pixel(image, [t = shading(b, height, width)](float& v, int64_t i) { v *= t.data<float>()[i]; });
  if (b.gamma) each_pixel(image, [e = static_cast<float>(b.exponent)](float& v, int64_t) { v = std::pow(std::max(v, 0.0f), e); });
  if (b.speckle) {
    Random random(seed, "speckle", b.speckle_stream);
    const Tensor field = blurred(noise_field(random, height, width), 0.8);
    const auto amount = static_cast<float>(b.strength * 2 * std::sqrt(std::numbers::pi) * 0.8);  // the blur takes this out of the deviation
    each_pixel(image, [=, n = field.data<float>()](float& v, int64_t i) { v += amount * std::sqrt(std::max(v, 0.0f)) * n[i]; });
  }
  if (b.noise) {
    Random random(seed, "noise", b.noise_stream);
    const Tensor field = noise_field(random, height, width);
    each_pixel(image, [d = static_cast<float>(b.deviation), n = field.data<float>()](float& v, int64_t i) { v += d * n[i]; });
  }
  each_pixel(image, [](float& v, int64_t) { v = std::clamp(v, 0.0f, 1.0f); });
  s.image = image;
}

}  // namespace

void check(const Augmentation& a) {
  const auto refuse = [](const char* name, double value, const char* wanted) {
    throw Error(std::string("[augment] ") + name + " " + std::to_string(value) + " is not in " + wanted);
  };
  const std::pair<const char*, double> chances[] = {
      {"flip", a.flip}, {"affine", a.affine},   {"elastic", a.elastic},         {"gamma", a.gamma},  {"noise", a.noise},
      {"blur", a.blur}, {"speckle", a.speckle}, {"attenuation", a.attenuation}, {"shadow", a.shadow}};
  for (const auto& [name, p] : chances)
    if (!(p >= 0 && p <= 1)) refuse(name, p, "0 … 1");
  const std::tuple<const char*, double, double> ranges[] = {{"rotation", a.rotation, 180},
                                                            {"scale", a.scale, 9},
                                                            {"shear", a.shear, 60},
                                                            {"translation", a.translation, 1},
                                                            {"elastic_strength", a.elastic_strength, 0.1},
                                                            {"gamma_range", a.gamma_range, 3},
                                                            {"noise_deviation", a.noise_deviation, 1},
                                                            {"blur_sigma", a.blur_sigma, 20},
                                                            {"speckle_strength", a.speckle_strength, 2},
                                                            {"attenuation_rate", a.attenuation_rate, 20},
                                                            {"shadow_strength", a.shadow_strength, 1}};
  for (const auto& [name, value, most] : ranges)
    if (!(value >= 0 && value <= most)) refuse(name, value, ("0 … " + std::to_string(most)).c_str());
}

Sample augment(const Sample& sample, const Augmentation& a, uint64_t seed, int64_t epoch, int64_t index) {
  if (sample.image.rank() != 3 || sample.image.dtype() != Dtype::f32)
    throw ShapeError("[augment] image " + to_string(sample.image.shape()) + " " + to_string(sample.image.dtype()) +
                     " must be (H, W, C) f32");
  check(a);
  Random random(seed, "augment", static_cast<uint64_t>(epoch), static_cast<uint64_t>(index));
  Sample s = sample;
  const Geometry geometry = draw_geometry(a, random, s.image.dim(0), s.image.dim(1));
  const Brightness brightness = draw_brightness(a, random);
  if (!geometry.identity) resample(s, geometry), move_points(s, geometry);
  if (brightness.any()) apply(s, brightness, random.stream() ^ seed);
  hide_outside_scan(s);
  return s;
}

}  // namespace sono::zoo
