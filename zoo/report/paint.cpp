#include "zoo/report/paint.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "zoo/metrics/segmentation.h"

namespace sono::zoo {

namespace {

uint8_t to_byte(float v) { return std::isnan(v) ? 0 : static_cast<uint8_t>(std::lround(std::clamp(v, 0.0f, 1.0f) * 255)); }

// Bilinear enlargement; centres of output pixels lie at (i + 1/2) / scale - 1/2 of the input.
Tensor enlarge(const Tensor& image, int64_t scale) {
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.rank() == 3 ? image.dim(2) : 1;
  struct Place {
    int64_t low, high;
    float share;  // of the higher one
  };
  const auto places = [&](int64_t n) {
    std::vector<Place> all;
    for (int64_t i = 0; i < n * scale; i++) {
      const double at = std::clamp((static_cast<double>(i) + 0.5) / static_cast<double>(scale) - 0.5, 0.0, static_cast<double>(n - 1));
      const auto low = static_cast<int64_t>(at);
      all.push_back({low, std::min(low + 1, n - 1), static_cast<float>(at - static_cast<double>(low))});
    }
    return all;
  };
  const std::vector<Place> rows = places(height), columns = places(width);
  Tensor out({height * scale, width * scale, 3}, Dtype::u8);
  std::vector<float> line(static_cast<size_t>(width * channels));
  uint8_t* to = out.data<uint8_t>();
  for (const Place& row : rows) {
    const uint8_t *upper = image.data<uint8_t>() + row.low * width * channels, *lower = image.data<uint8_t>() + row.high * width * channels;
    for (size_t i = 0; i < line.size(); i++) line[i] = (1 - row.share) * static_cast<float>(upper[i]) + row.share * static_cast<float>(lower[i]);
    for (const Place& column : columns)
      for (int64_t c = 0; c < 3; c++) {
        const int64_t k = std::min(c, channels - 1);
        const float left = line[static_cast<size_t>(column.low * channels + k)], right = line[static_cast<size_t>(column.high * channels + k)];
        *to++ = static_cast<uint8_t>((1 - column.share) * left + column.share * right + 0.5f);
      }
  }
  return out;
}

// Crossings of the outline with the grid, numbered: between (x, y) and its right (way 0) or lower (way 1) neighbour, on a grid with one
// pixel of background around. Each crossing has two neighbours along the outline, one in either of the cells that it touches.
class Crossings {
 public:
  explicit Crossings(const Tensor& mask)
      : height_(mask.dim(0)),
        width_(mask.dim(1)),
        mask_(mask.data<uint8_t>()),
        next_(static_cast<size_t>(2 * (height_ + 2) * (width_ + 2)), {-1, -1}) {
    for (int64_t y = -1; y < height_; y++)
      for (int64_t x = -1; x < width_; x++) visit_cell(x, y);
  }

  std::vector<Polyline> trace() const {
    std::vector<Polyline> lines;
    std::vector<bool> seen(next_.size());
    for (size_t start = 0; start < next_.size(); start++) {
      if (next_[start][0] < 0 || seen[start]) continue;
      Polyline line;
      for (auto at = static_cast<int64_t>(start); at >= 0;) {
        seen[static_cast<size_t>(at)] = true;
        line.push_back(position(at));
        const auto [one, other] = next_[static_cast<size_t>(at)];
        at = !seen[static_cast<size_t>(one)] ? one : !seen[static_cast<size_t>(other)] ? other : -1;
      }
      line.push_back(line.front());
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  bool inside(int64_t x, int64_t y) const { return x >= 0 && y >= 0 && x < width_ && y < height_ && mask_[y * width_ + x]; }
  int64_t id(int64_t x, int64_t y, int64_t way) const { return ((y + 1) * (width_ + 2) + x + 1) * 2 + way; }
  std::array<double, 2> position(int64_t id) const {
    const double x = static_cast<double>(id / 2 % (width_ + 2) - 1), y = static_cast<double>(id / 2 / (width_ + 2) - 1);
    return id % 2 ? std::array{x, y + 0.5} : std::array{x + 0.5, y};
  }
  void join(int64_t a, int64_t b) {
    for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
      auto& ways = next_[static_cast<size_t>(from)];
      (ways[0] < 0 ? ways[0] : ways[1]) = to;
    }
  }
  // The cell between the centres (x, y) and (x + 1, y + 1); of two diagonal foreground pixels each keeps its own outline.
  void visit_cell(int64_t x, int64_t y) {
    const bool a = inside(x, y), b = inside(x + 1, y), c = inside(x, y + 1), d = inside(x + 1, y + 1);
    const int64_t top = id(x, y, 0), bottom = id(x, y + 1, 0), left = id(x, y, 1), right = id(x + 1, y, 1);
    if (a == d && b == c && a != b) {
      if (a)
        join(top, left), join(bottom, right);
      else
        join(top, right), join(bottom, left);
      return;
    }
    int64_t cut[2] = {}, n = 0;
    if (a != b) cut[n++] = top;
    if (c != d) cut[n++] = bottom;
    if (a != c) cut[n++] = left;
    if (b != d) cut[n++] = right;
    if (n == 2) join(cut[0], cut[1]);
  }

  int64_t height_, width_;
  const uint8_t* mask_;
  std::vector<std::array<int64_t, 2>> next_;
};

// A binomial mean (1 4 6 4 1)/16 along a closed line, twice: takes the stairs of the pixels out and moves a circle of radius 20 by 0.03.
Polyline smoothed(Polyline line) {
  line.pop_back();
  const size_t n = line.size();
  for (int pass = 0; pass < 2 && n >= 16; pass++) {
    Polyline next(n);
    for (size_t i = 0; i < n; i++)
      for (size_t k = 0; k < 2; k++)
        next[i][k] =
            (line[(i + n - 2) % n][k] + 4 * line[(i + n - 1) % n][k] + 6 * line[i][k] + 4 * line[(i + 1) % n][k] + line[(i + 2) % n][k]) /
            16;
    line = std::move(next);
  }
  line.push_back(line.front());
  return line;
}

Polyline ellipse_line(const Ellipse& e) {
  Polyline line;
  for (int i = 0; i <= 96; i++) {
    const double t = 2 * std::numbers::pi * i / 96, u = e.a * std::cos(t), v = e.b * std::sin(t);
    line.push_back({e.cx + u * std::cos(e.angle) - v * std::sin(e.angle), e.cy + u * std::sin(e.angle) + v * std::cos(e.angle)});
  }
  return line;
}

double distance_to_segment(double x, double y, const std::array<double, 2>& p, const std::array<double, 2>& q) {
  const double dx = q[0] - p[0], dy = q[1] - p[1], length2 = dx * dx + dy * dy;
  const double t = length2 > 0 ? std::clamp(((x - p[0]) * dx + (y - p[1]) * dy) / length2, 0.0, 1.0) : 0;
  const double u = x - p[0] - t * dx, v = y - p[1] - t * dy;
  return std::sqrt(u * u + v * v);
}

void draw_all(const Tensor& canvas, const Labels& labels, int64_t scale, const Colour& colour, double width) {
  const auto s = static_cast<double>(scale);
  for (Polyline line : outlines(labels)) {
    for (auto& [x, y] : line) x = (x + 0.5) * s - 0.5, y = (y + 0.5) * s - 0.5;
    draw(canvas, line, colour, width);
  }
}

}  // namespace

Tensor visible_image(const Sample& sample) {
  const Tensor& image = sample.image;
  if (!image || image.rank() != 3 || image.dtype() != Dtype::f32)
    throw ShapeError("[paint] wants an image (H, W, C) of f32, got " + to_string(image.shape()));
  const int64_t height = image.dim(0), width = image.dim(1), channels = image.dim(2);
  const int64_t shown = channels == 3 ? 3 : 1;
  if (height < 1 || width < 1 || channels < 1) throw ShapeError("[paint] the image " + to_string(image.shape()) + " has no pixels");
  if (sample.scan_mask && sample.scan_mask.shape() != Shape{height, width})
    throw ShapeError("[paint] image " + to_string(image.shape()) + " and scan mask " + to_string(sample.scan_mask.shape()) +
                     " differ in size");
  Tensor out(shown == 3 ? Shape{height, width, 3} : Shape{height, width}, Dtype::u8);
  const float* from = image.data<float>();
  const uint8_t* scan = sample.scan_mask ? sample.scan_mask.data<uint8_t>() : nullptr;
  for (int64_t i = 0; i < height * width; i++)
    for (int64_t c = 0; c < shown; c++) out.data<uint8_t>()[i * shown + c] = scan && !scan[i] ? 0 : to_byte(from[i * channels + c]);
  return out;
}

std::vector<Polyline> contours(const Tensor& mask) {
  mask_extent("contours", mask);
  if (mask.rank() != 2) throw ShapeError("[contours] wants a mask (H, W), got " + to_string(mask.shape()));
  std::vector<Polyline> lines = Crossings(mask).trace();
  for (Polyline& line : lines) line = smoothed(std::move(line));
  return lines;
}

std::vector<Polyline> outlines(const Labels& labels) {
  std::vector<Polyline> lines;
  if (labels.mask && labels.mask.rank() == 2) {
    mask_extent("paint", labels.mask);
    bool seen[256] = {};
    for (int64_t i = 0; i < labels.mask.size(); i++) seen[labels.mask.data<uint8_t>()[i]] = true;
    for (int label = 1; label < 256; label++)
      if (seen[label])
        for (Polyline& line : contours(label_mask(labels.mask, label))) lines.push_back(std::move(line));
  }
  if (labels.ellipse) lines.push_back(ellipse_line(*labels.ellipse));
  for (const Box& b : labels.boxes)
    lines.push_back({{b.x, b.y}, {b.x + b.width, b.y}, {b.x + b.width, b.y + b.height}, {b.x, b.y + b.height}, {b.x, b.y}});
  for (const Landmark& l : labels.landmarks) {
    lines.push_back({{l.x - 3, l.y}, {l.x + 3, l.y}});
    lines.push_back({{l.x, l.y - 3}, {l.x, l.y + 3}});
  }
  return lines;
}

void draw(const Tensor& canvas, const Polyline& line, const Colour& colour, double line_width) {
  const int64_t height = canvas.dim(0), width = canvas.dim(1);
  const double reach = line_width / 2 + 1;
  uint8_t* pixels = canvas.data<uint8_t>();
  // Coverage is kept per line, so that segments that meet do not darken their common pixels twice.
  double low[2] = {1e30, 1e30}, high[2] = {-1e30, -1e30};
  for (const auto& p : line)
    for (int k = 0; k < 2; k++) low[k] = std::min(low[k], p[k] - reach), high[k] = std::max(high[k], p[k] + reach);
  const auto first = [](double v) { return static_cast<int64_t>(std::max(0.0, std::floor(v))); };
  const auto last = [](double v, int64_t n) { return static_cast<int64_t>(std::min(static_cast<double>(n - 1), std::ceil(v))); };
  const int64_t x0 = first(low[0]), y0 = first(low[1]), x1 = last(high[0], width), y1 = last(high[1], height);
  if (line.size() < 2 || x1 < x0 || y1 < y0) return;
  std::vector<float> cover(static_cast<size_t>((x1 - x0 + 1) * (y1 - y0 + 1)));
  for (size_t i = 0; i + 1 < line.size(); i++) {
    const auto &p = line[i], &q = line[i + 1];
    for (int64_t y = first(std::min(p[1], q[1]) - reach); y <= last(std::max(p[1], q[1]) + reach, height); y++)
      for (int64_t x = first(std::min(p[0], q[0]) - reach); x <= last(std::max(p[0], q[0]) + reach, width); x++) {
        const double d = distance_to_segment(static_cast<double>(x), static_cast<double>(y), p, q);
        float& c = cover[static_cast<size_t>((y - y0) * (x1 - x0 + 1) + x - x0)];
        c = std::max(c, static_cast<float>(std::clamp(line_width / 2 + 0.5 - d, 0.0, 1.0)));
      }
  }
  for (int64_t y = y0; y <= y1; y++)
    for (int64_t x = x0; x <= x1; x++) {
      const float c = cover[static_cast<size_t>((y - y0) * (x1 - x0 + 1) + x - x0)];
      for (int64_t k = 0; k < 3; k++) {
        uint8_t& v = pixels[(y * width + x) * 3 + k];
        v = static_cast<uint8_t>(std::lround((1 - c) * static_cast<float>(v) + c * static_cast<float>(colour[static_cast<size_t>(k)])));
      }
    }
}

Tensor paint(const Sample& sample, const Labels& prediction, const PaintOptions& options) {
  const Tensor image = visible_image(sample);
  const int64_t longer = std::max(image.dim(0), image.dim(1));
  const int64_t scale = options.scale > 0 ? options.scale : std::max<int64_t>(1, (512 + longer - 1) / longer);
  const Tensor canvas = enlarge(image, scale);
  if (options.truth) draw_all(canvas, sample.labels, scale, options.truth_line, 2.8);
  draw_all(canvas, prediction, scale, options.prediction_line, 1.4);
  return canvas;
}

}  // namespace sono::zoo
