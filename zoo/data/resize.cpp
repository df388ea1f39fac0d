#include "zoo/data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace sono::zoo {
namespace {

struct Size {
  int64_t height, width, channels;
};

Size size_of(const char* operation, const Tensor& t) {
  if (t.rank() < 2 || t.rank() > 3 || t.size() == 0)
    throw ShapeError(std::string("[") + operation + "] image " + to_string(t.shape()) + " must be (H, W) or (H, W, C)");
  return {t.dim(0), t.dim(1), t.rank() == 3 ? t.dim(2) : 1};
}

Shape resized_shape(const char* operation, const Tensor& t, int64_t height, int64_t width) {
  if (height < 1 || width < 1)
    throw ShapeError(std::string("[") + operation + "] cannot resize " + to_string(t.shape()) + " to " + to_string(Shape{height, width}));
  Shape shape = t.shape();
  shape[0] = height, shape[1] = width;
  return shape;
}

// The weights of a resize along one axis: output i = Σ_k weight[i * taps + k] · input[first[i] + k].
struct Taps {
  int64_t taps = 0;
  std::vector<int64_t> first;
  std::vector<float> weight;
};

Taps triangle(int64_t in, int64_t out, bool antialias) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), reach = antialias ? std::max(scale, 1.0) : 1.0;
  Taps t;
  t.taps = std::min<int64_t>(in, static_cast<int64_t>(std::ceil(2 * reach)) + 1);
  t.first.resize(static_cast<size_t>(out));
  t.weight.assign(static_cast<size_t>(out * t.taps), 0.0f);
  for (int64_t i = 0; i < out; i++) {
    const double centre = (static_cast<double>(i) + 0.5) * scale - 0.5;
    const auto low = static_cast<int64_t>(std::ceil(centre - reach));
    const int64_t first = std::clamp<int64_t>(low, 0, in - t.taps);
    float* w = t.weight.data() + i * t.taps;
    double sum = 0;
    for (int64_t k = 0; k < t.taps; k++) {
      // Without antialias the edge pixel stands for what lies beyond it; with it the filter is cut off there and normalised again.
      const double distance = antialias ? std::abs(static_cast<double>(first + k) - centre)
                                        : std::abs(static_cast<double>(first + k) - std::clamp(centre, 0.0, static_cast<double>(in - 1)));
      const double v = std::max(0.0, 1 - distance / reach);
      w[k] = static_cast<float>(v), sum += v;
    }
    for (int64_t k = 0; k < t.taps; k++) w[k] = static_cast<float>(w[k] / sum);
    t.first[static_cast<size_t>(i)] = first;
  }
  return t;
}

void resize_rows(const float* from, float* to, int64_t rows, int64_t in, int64_t out, int64_t channels, const Taps& t) {
  for (int64_t y = 0; y < rows; y++)
    for (int64_t x = 0; x < out; x++) {
      const float* source = from + (y * in + t.first[static_cast<size_t>(x)]) * channels;
      const float* w = t.weight.data() + x * t.taps;
      for (int64_t c = 0; c < channels; c++) {
        float sum = 0;
        for (int64_t k = 0; k < t.taps; k++) sum += w[k] * source[k * channels + c];
        to[(y * out + x) * channels + c] = sum;
      }
    }
}

void resize_columns(const float* from, float* to, int64_t out, int64_t row, const Taps& t) {
  std::memset(to, 0, static_cast<size_t>(out * row) * sizeof(float));
  for (int64_t y = 0; y < out; y++)
    for (int64_t k = 0; k < t.taps; k++) {
      const float w = t.weight[static_cast<size_t>(y * t.taps + k)];
      if (w == 0) continue;
      const float* source = from + (t.first[static_cast<size_t>(y)] + k) * row;
      float* target = to + y * row;
      for (int64_t i = 0; i < row; i++) target[i] += w * source[i];
    }
}

// A (height, width[, C]) tensor of zeros with `part` at (top, left).
Tensor placed(const Tensor& part, int64_t top, int64_t left, int64_t height, int64_t width) {
  return crop(part, -top, -left, height, width);
}

}  // namespace

Tensor resize_bilinear(const Tensor& image, int64_t height, int64_t width, bool antialias) {
  const Size s = size_of("resize_bilinear", image);
  Tensor y(resized_shape("resize_bilinear", image, height, width), Dtype::f32), between({s.height, width * s.channels}, Dtype::f32);
  if (height == s.height && width == s.width) return image.clone();
  resize_rows(image.data<float>(), between.data<float>(), s.height, s.width, width, s.channels, triangle(s.width, width, antialias));
  resize_columns(between.data<float>(), y.data<float>(), height, width * s.channels, triangle(s.height, height, antialias));
  return y;
}

Tensor resize_nearest(const Tensor& image, int64_t height, int64_t width) {
  const Size s = size_of("resize_nearest", image);
  Tensor out(resized_shape("resize_nearest", image, height, width), image.dtype());
  const auto pixel = static_cast<size_t>(s.channels * byte_size(image.dtype()));
  const auto nearest = [](int64_t i, int64_t in, int64_t size) { return std::min((2 * i + 1) * in / (2 * size), in - 1); };
  const char* from = static_cast<const char*>(image.raw());
  char* to = static_cast<char*>(out.raw());
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++, to += pixel)
      std::memcpy(to, from + static_cast<size_t>(nearest(y, s.height, height) * s.width + nearest(x, s.width, width)) * pixel, pixel);
  return out;
}

Tensor crop(const Tensor& image, int64_t top, int64_t left, int64_t rows, int64_t columns) {
  const Size s = size_of("crop", image);
  Tensor out = Tensor::zeros(resized_shape("crop", image, rows, columns), image.dtype());
  const int64_t pixel = s.channels * byte_size(image.dtype());
  const int64_t x0 = std::max<int64_t>(0, -left), x1 = std::min(columns, s.width - left);
  for (int64_t y = std::max<int64_t>(0, -top); y < std::min(rows, s.height - top) && x0 < x1; y++)
    std::memcpy(static_cast<char*>(out.raw()) + (y * columns + x0) * pixel,
                static_cast<const char*>(image.raw()) + ((y + top) * s.width + x0 + left) * pixel, static_cast<size_t>((x1 - x0) * pixel));
  return out;
}

Affine Affine::inverse() const {
  const double d = xx * yy - xy * yx;
  if (d == 0) throw NumericError("[Affine] a map without area has no inverse");
  return {yy / d, -xy / d, (xy * y0 - yy * x0) / d, -yx / d, xx / d, (yx * x0 - xx * y0) / d};
}

Affine operator*(const Affine& b, const Affine& a) {
  return {b.xx * a.xx + b.xy * a.yx, b.xx * a.xy + b.xy * a.yy, b.xx * a.x0 + b.xy * a.y0 + b.x0,
          b.yx * a.xx + b.yy * a.yx, b.yx * a.xy + b.yy * a.yy, b.yx * a.x0 + b.yy * a.y0 + b.y0};
}

// The ellipse is the image of the unit circle under L = R diag(a, b); its map has the semi-axes that are the singular values of A L.
Ellipse transformed(const Ellipse& e, const Affine& m) {
  const double c = std::cos(e.angle), s = std::sin(e.angle);
  const double p = e.a * (m.xx * c + m.xy * s), q = e.b * (-m.xx * s + m.xy * c), r = e.a * (m.yx * c + m.yy * s),
               t = e.b * (-m.yx * s + m.yy * c);
  const double sxx = p * p + q * q, sxy = p * r + q * t, syy = r * r + t * t;  // A L Lᵀ Aᵀ
  const double mean = (sxx + syy) / 2, spread = std::hypot((sxx - syy) / 2, sxy);
  const auto [cx, cy] = m(e.cx, e.cy);
  return {cx, cy, std::sqrt(mean + spread), std::sqrt(std::max(0.0, mean - spread)), 0.5 * std::atan2(2 * sxy, sxx - syy)};
}

Box transformed(const Box& box, const Affine& map, int64_t height, int64_t width) {
  double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
  for (int corner = 0; corner < 4; corner++) {  // a box of pixels reaches half a pixel around their centres
    const auto [x, y] = map(box.x - 0.5 + (corner & 1) * box.width, box.y - 0.5 + (corner >> 1) * box.height);
    x0 = std::min(x0, x), x1 = std::max(x1, x), y0 = std::min(y0, y), y1 = std::max(y1, y);
  }
  Box b = box;
  b.x = std::max(x0 + 0.5, 0.0), b.y = std::max(y0 + 0.5, 0.0);
  b.width = std::max(0.0, std::min(x1 + 0.5, static_cast<double>(width)) - b.x);
  b.height = std::max(0.0, std::min(y1 + 0.5, static_cast<double>(height)) - b.y);
  if (b.width == 0 || b.height == 0) b.width = b.height = 0;
  return b;
}

Fit::Fit(int64_t sh, int64_t sw, int64_t h, int64_t w, FitMode mode)
    : source_height(sh), source_width(sw), height(h), width(w), rows(h), columns(w) {
  if (sh < 1 || sw < 1 || h < 1 || w < 1)
    throw ShapeError("[Fit] cannot fit " + to_string(Shape{sh, sw}) + " into " + to_string(Shape{h, w}));
  if (mode == FitMode::stretch) return;
  const double scale = std::min(static_cast<double>(h) / static_cast<double>(sh), static_cast<double>(w) / static_cast<double>(sw));
  rows = std::clamp<int64_t>(std::llround(scale * static_cast<double>(sh)), 1, h);
  columns = std::clamp<int64_t>(std::llround(scale * static_cast<double>(sw)), 1, w);
  top = (h - rows) / 2, left = (w - columns) / 2;
}

Affine Fit::forward() const {
  const double sx = static_cast<double>(columns) / static_cast<double>(source_width),
               sy = static_cast<double>(rows) / static_cast<double>(source_height);
  return {sx, 0, 0.5 * sx - 0.5 + static_cast<double>(left), 0, sy, 0.5 * sy - 0.5 + static_cast<double>(top)};
}

Tensor Fit::image(const Tensor& image) const { return placed(resize_bilinear(image, rows, columns), top, left, height, width); }
Tensor Fit::mask(const Tensor& mask) const { return placed(resize_nearest(mask, rows, columns), top, left, height, width); }
Tensor Fit::restore_mask(const Tensor& mask) const {
  return resize_nearest(crop(mask, top, left, rows, columns), source_height, source_width);
}
Tensor Fit::restore_image(const Tensor& image) const {
  return resize_bilinear(crop(image, top, left, rows, columns), source_height, source_width);
}

Sample Fit::sample(const Sample& s, bool hide_outside) const {
  Sample out = s;
  const Affine map = forward();
  out.image = image(s.image);
  out.scan_mask = mask(s.scan_mask ? s.scan_mask : Tensor::ones({source_height, source_width}, Dtype::u8));
  if (s.labels.mask) out.labels.mask = mask(s.labels.mask);
  if (s.labels.score) out.labels.score = image(s.labels.score);
  for (Box& b : out.labels.boxes) b = transformed(b, map, height, width);
  for (Landmark& l : out.labels.landmarks) std::tie(l.x, l.y) = std::make_pair(map(l.x, l.y)[0], map(l.x, l.y)[1]);
  if (s.labels.ellipse) out.labels.ellipse = transformed(*s.labels.ellipse, map);
  if (s.meta.spacing) out.meta.spacing = {(*s.meta.spacing)[0] / map.xx, (*s.meta.spacing)[1] / map.yy};
  if (hide_outside) hide_outside_scan(out);
  return out;
}

void hide_outside_scan(Sample& sample) {
  if (!sample.scan_mask) return;
  const Size s = size_of("hide_outside_scan", sample.image);
  if (sample.scan_mask.dim(0) != s.height || sample.scan_mask.dim(1) != s.width)
    throw ShapeError("[hide_outside_scan] image " + to_string(sample.image.shape()) + ", scan mask " + to_string(sample.scan_mask.shape()));
  const Tensor image = Tensor::empty_like(sample.image);
  const uint8_t* inside = sample.scan_mask.data<uint8_t>();
  const float* from = sample.image.data<float>();
  float* to = image.data<float>();
  if (s.channels == 1)
    for (int64_t i = 0; i < image.size(); i++) to[i] = inside[i] ? from[i] : 0.0f;
  else
    for (int64_t i = 0; i < image.size(); i++) to[i] = inside[i / s.channels] ? from[i] : 0.0f;
  sample.image = image;
}

}  // namespace sono::zoo
