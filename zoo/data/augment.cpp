#include "zoo/data/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "autograd/ops.h"
#include "tensor/cpu/simd.h"
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
inline int32_t floor_of(float v) {
  const auto i = static_cast<int32_t>(v);
  return i - (v < static_cast<float>(i));
}

// Where a row of the result reads an image: along each axis two neighbours and their weights (those outside of the image weigh nothing, and
// some pixel stands for them), and the nearest pixel. Loops without branches, which become vectors.
class Reads {
 public:
  Reads(int64_t height, int64_t width)
      : height_(static_cast<int32_t>(height)), width_(static_cast<int32_t>(width)), axes_{Axis(width), Axis(width)}, at_(axes_[0].low) {}

  void find(const Row& sx, const Row& sy) {
    find(axes_[0], sx.data(), width_, 1);
    find(axes_[1], sy.data(), height_, width_);
    const Axis &x = axes_[0], &y = axes_[1];
    for (size_t i = 0; i < at_.size(); i++) at_[i] = (x.nearest[i] | y.nearest[i]) < 0 ? -1 : y.nearest[i] + x.nearest[i];
  }

  void bilinear(const float* from, int64_t channels, float* to) const {
    channels == 1 ? bilinear<1>(from, 1, to) : bilinear<0>(from, channels, to);
  }

  void nearest(const uint8_t* from, uint8_t* to) const {
    for (size_t i = 0; i < at_.size(); i++) to[i] = at_[i] < 0 ? uint8_t{0} : from[at_[i]];
  }
  void inside(uint8_t* to) const {
    for (size_t i = 0; i < at_.size(); i++) to[i] = at_[i] >= 0;
  }

 private:
  struct Axis {
    explicit Axis(int64_t n) : low(static_cast<size_t>(n)), high(low), nearest(low), low_weight(low.size()), high_weight(low.size()) {}
    std::vector<int32_t> low, high, nearest;  // in pixels of the image; nearest -1: outside
    Row low_weight, high_weight;
  };

  template <int Channels>  // 0: any number
  void bilinear(const float* from, int64_t any_channels, float* to) const {
    const int64_t channels = Channels ? Channels : any_channels;
    const Axis &x = axes_[0], &y = axes_[1];
    for (size_t i = 0; i < at_.size(); i++, to += channels) {
      const float a = x.low_weight[i], b = x.high_weight[i], above = y.low_weight[i], below = y.high_weight[i];
      const float *p = from + (y.low[i] + x.low[i]) * channels, *q = from + (y.low[i] + x.high[i]) * channels,
                  *r = from + (y.high[i] + x.low[i]) * channels, *s = from + (y.high[i] + x.high[i]) * channels;
      for (int64_t c = 0; c < channels; c++) to[c] = above * (a * p[c] + b * q[c]) + below * (a * r[c] + b * s[c]);
    }
  }

  static void find(Axis& axis, const float* source, int32_t size, int32_t step) {
    int32_t *low = axis.low.data(), *high = axis.high.data(), *nearest = axis.nearest.data();
    float *low_weight = axis.low_weight.data(), *high_weight = axis.high_weight.data();
    const int32_t n = static_cast<int32_t>(axis.low.size()), last = size - 1;
#ifndef __clang__  // it finds this out itself
#pragma GCC ivdep
#endif
    for (int32_t i = 0; i < n; i++) {
      const int32_t at = floor_of(source[i]), next = at + 1, low_in = -((at >= 0) & (at <= last)),
                    high_in = -((next >= 0) & (next <= last));
      const float part = source[i] - static_cast<float>(at);
      low_weight[i] = low_in ? 1 - part : 0.0f, high_weight[i] = high_in ? part : 0.0f;
      low[i] = (low_in ? at : 0) * step, high[i] = (high_in ? next : 0) * step;
      const bool is_low = part < 0.5f;
      nearest[i] = (is_low ? low_in : high_in) ? (is_low ? low[i] : high[i]) : -1;
    }
  }

  int32_t height_, width_;
  std::array<Axis, 2> axes_;  // x, y
  std::vector<int32_t> at_;   // the nearest pixel, -1 outside
};

// Image, masks and score through one map; a missing scan mask means everywhere, and is then what still shows the image.
void resample(Sample& s, const Geometry& g) {
  const int64_t height = s.image.dim(0), width = s.image.dim(1), channels = s.image.dim(2);
  const Weights wx = spline_weights(width), wy = spline_weights(height);
  Sample out;
  out.image = Tensor::empty_like(s.image), out.scan_mask = Tensor({height, width}, Dtype::u8);
  if (s.labels.mask) out.labels.mask = Tensor::empty_like(s.labels.mask);
  if (s.labels.score) out.labels.score = Tensor::empty_like(s.labels.score);
  Row sx(static_cast<size_t>(width)), sy(static_cast<size_t>(width));
  Reads reads(height, width);
  for (int64_t y = 0; y < height; y++) {
    source_row(g, y, wx, wy, sx, sy);
    reads.find(sx, sy);
    reads.bilinear(s.image.data<float>(), channels, out.image.data<float>() + y * width * channels);
    uint8_t* scan = out.scan_mask.data<uint8_t>() + y * width;
    s.scan_mask ? reads.nearest(s.scan_mask.data<uint8_t>(), scan) : reads.inside(scan);
    if (s.labels.mask) reads.nearest(s.labels.mask.data<uint8_t>(), out.labels.mask.data<uint8_t>() + y * width);
    if (s.labels.score) reads.bilinear(s.labels.score.data<float>(), 1, out.labels.score.data<float>() + y * width);
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

// (H, W, 1) of fast normal-like numbers: sums of four bytes, mean 0 and variance 1, within ± 3.5.
Tensor noise_field(Random& random, int64_t height, int64_t width) {
  const Tensor words({height, width}, Dtype::i32), field({height, width, 1});
  uint32_t* bits = reinterpret_cast<uint32_t*>(words.data<int32_t>());
  float* f = field.data<float>();
  random.bits(bits, words.size());
  for (int64_t i = 0; i < field.size(); i++) {
    const uint32_t b = bits[i];
    f[i] = (static_cast<float>(static_cast<int32_t>((b & 255) + (b >> 8 & 255) + (b >> 16 & 255) + (b >> 24))) - 510.0f) * (1.0f / 147.8f);
  }
  return field;
}

// A value per pixel, repeated for its channels.
Row spread(const Row& pixels, int64_t channels) {
  if (channels == 1) return pixels;
  Row all;
  for (const float v : pixels) all.insert(all.end(), static_cast<size_t>(channels), v);
  return all;
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
  const int64_t margin = blur.reach * channels;
  const Row down_scale = blur.scales(height), across_scale = spread(blur.scales(width), channels);
  Tensor out(image.shape(), Dtype::f32);
  Row padded(static_cast<size_t>(row + 2 * margin));  // zeros around
  float* line = padded.data() + margin;
  for (int64_t y = 0; y < height; y++) {
    const float* centre = image.data<float>() + y * row;
    for (int64_t i = 0; i < row; i++) line[i] = blur.weight[0] * centre[i];
    for (int64_t k = 1; k <= blur.reach; k++)
      for (const int64_t from : {y - k, y + k}) {
        if (from < 0 || from >= height) continue;
        const float *source = image.data<float>() + from * row, w = blur.at(k);
        for (int64_t i = 0; i < row; i++) line[i] += w * source[i];
      }
    float* target = out.data<float>() + y * row;
    cpu::simd().symmetric_filter(line, channels, blur.weight.data(), blur.reach, row, target);
    const float scale = down_scale[static_cast<size_t>(y)];
    for (int64_t i = 0; i < row; i++) target[i] *= scale * across_scale[static_cast<size_t>(i)];
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

// A factor per pixel (H, W, 1): depth attenuation and shadow.
Tensor shading(const Brightness& b, int64_t height, int64_t width) {
  const auto bell = [](int64_t n, double centre, double sigma) {
    Row values;
    for (int64_t i = 0; i < n; i++) {
      const double d = ((static_cast<double>(i) + 0.5) / static_cast<double>(n) - centre) / sigma;
      values.push_back(static_cast<float>(std::exp(-0.5 * d * d)));
    }
    return values;
  };
  Tensor factor({height, width, 1});
  float* f = factor.data<float>();
  const auto size = static_cast<float>(height), middle = 0.5f * static_cast<float>(width) - 0.5f;
  for (int64_t y = 0; b.attenuation && y < height; y++)
    for (int64_t x = 0; x < width; x++) {
      const float dx = (static_cast<float>(x) - middle) / size, dy = (static_cast<float>(y) + 0.5f) / size;
      f[y * width + x] = dx * dx + dy * dy;
    }
  if (b.attenuation)
    factor = exp(sqrt(factor) * -b.rate);
  else
    factor.fill(1);
  if (!b.shadow) return factor;
  f = factor.data<float>();
  const Row across = bell(width, b.x, b.width), down = bell(height, b.y, b.height);
  for (int64_t y = 0; y < height; y++) {
    const float depth = static_cast<float>(b.depth) * down[static_cast<size_t>(y)];
    for (int64_t x = 0; x < width; x++) f[y * width + x] *= 1 - depth * across[static_cast<size_t>(x)];
  }
  return factor;
}

bool whole(const Tensor& mask) {
  const uint8_t* m = mask.data<uint8_t>();
  return std::all_of(m, m + mask.size(), [](uint8_t v) { return v != 0; });
}

// Whole-tensor operations: they are vectors of the widest kind that the processor has.
void apply(Sample& s, const Brightness& b, uint64_t seed) {
  const int64_t height = s.image.dim(0), width = s.image.dim(1);
  Tensor image = s.image;
  if (b.blur) {
    image = blurred(image, b.sigma);
    if (s.scan_mask && !whole(s.scan_mask))  // light does not leak in from outside: divided by the blurred scan mask
      image = image / clamp(blurred(s.scan_mask.to(Dtype::f32), b.sigma).view({height, width, 1}), 0.05, 1);
  }
  if (b.attenuation || b.shadow) image = image * shading(b, height, width);
  if (b.gamma) image = exp(log(relu(image)) * b.exponent);
  if (b.speckle) {
    Random random(seed, "speckle", b.speckle_stream);
    const double amount = b.strength * 2 * std::sqrt(std::numbers::pi) * 0.8;  // the blur takes this out of the deviation
    image = image + sqrt(relu(image)) * (blurred(noise_field(random, height, width), 0.8) * amount);
  }
  if (b.noise) {
    Random random(seed, "noise", b.noise_stream);
    image = image + noise_field(random, height, width) * b.deviation;
  }
  s.image = clamp(image, 0, 1);
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
