#include "zoo/classification/lesion_texture.h"

#include <algorithm>
#include <cmath>

#include "zoo/common/stages.h"
#include "zoo/data/image.h"
#include "zoo/features/hog.h"
#include "zoo/features/texture.h"

namespace sono::zoo {
namespace {

void append(std::vector<float>& all, const Tensor& t) { all.insert(all.end(), t.data<float>(), t.data<float>() + t.size()); }

// Mean grey in the rectangle {left, top, right, bottom} of the picture, 0 … 1 of the box around the lesion.
double brightness(const Tensor& grey, const Box& b, double left, double top, double right, double bottom) {
  const int64_t height = grey.dim(0), width = grey.dim(1);
  const auto column = [&](double u) { return std::clamp<int64_t>(std::lround(b.x + u * b.width), 0, width); };
  const auto row = [&](double v) { return std::clamp<int64_t>(std::lround(b.y + v * b.height), 0, height); };
  double sum = 0, n = 0;
  for (int64_t y = row(top); y < row(bottom); y++)
    for (int64_t x = column(left); x < column(right); x++) sum += static_cast<double>(grey.data<float>()[y * width + x]), n++;
  return n > 0 ? sum / n : 0;
}

// The lesion against what is above and beside it, and what lies behind it against what lies behind its sides: shadow or enhancement.
std::vector<float> surroundings(const Sample& s) {
  const Tensor grey = to_grey(s.image);
  const Box b = lesion_extent(s);
  const double inside = brightness(grey, b, 0.2, 0.2, 0.8, 0.8), above = brightness(grey, b, 0, -0.4, 1, -0.05);
  const double beside = (brightness(grey, b, -0.5, 0, -0.05, 1) + brightness(grey, b, 1.05, 0, 1.5, 1)) / 2;
  const double behind = brightness(grey, b, 0.2, 1.05, 0.8, 1.5),
               behind_sides = (brightness(grey, b, -0.6, 1.05, -0.1, 1.5) + brightness(grey, b, 1.1, 1.05, 1.6, 1.5)) / 2;
  return {static_cast<float>(inside - beside), static_cast<float>(inside - above), static_cast<float>(behind - inside),
          static_cast<float>(behind - behind_sides)};
}

}  // namespace

Tensor lesion_texture(const Sample& s, const LesionTextureOptions& o) {
  const CropOptions window{.height = o.size, .width = o.size, .margin = o.margin};
  const Tensor crop = lesion_crop(s, window);
  const bool outlined = o.outline && s.labels.mask;
  std::vector<float> all;
  if (o.crop || !outlined) all = texture_features(crop, {}).values;
  if (outlined) {
    const Tensor outline = outline_crop(s, window), inside(outline.shape(), Dtype::u8);
    for (int64_t i = 0; i < outline.size(); i++) inside.data<uint8_t>()[i] = outline.data<float>()[i] > 0.5f;
    const std::vector<float> within = texture_features(crop, inside).values;
    all.insert(all.end(), within.begin(), within.end());
    append(all, lesion_shape(s));
  }
  if (o.gradients) {
    const std::vector<float> gradients = hog(crop, {.orientations = 9, .cell = o.size / 4, .block = 1});
    all.insert(all.end(), gradients.begin(), gradients.end());
  }
  const std::vector<float> around = surroundings(s);
  all.insert(all.end(), around.begin(), around.end());
  append(all, lesion_sizes(s));
  return Tensor::from<float>({static_cast<int64_t>(all.size())}, all);
}

std::vector<Views> lesion_texture_rows(const Sample& s, const LesionTextureOptions& options, int64_t crops) {
  std::vector<Views> all;
  const double middle = static_cast<double>(crops - 1) / 2;
  const Sample other = mirrored(s);
  for (int64_t k = 0; k < crops; k++) {
    LesionTextureOptions o = options;
    if (middle > 0) o.margin *= 1 + 0.6 * (static_cast<double>(k) - middle) / middle;
    for (const Sample* version : {&s, &other}) all.push_back({lesion_texture(*version, o)});
  }
  return all;
}

Pipeline lesion_texture_svm() { return plain_pipeline("svm", {}, {{"C", {"1", "10", "100"}}, {"gamma", {"scale", "0.001", "0.0003"}}}); }

Rival lesion_texture_rival(bool outline) {
  return {std::string("RBF support vector machine on texture and gradient histograms of the same lesions") +
              (outline ? ", outline included" : ""),
          [outline](const Sample& s) { return std::vector<Views>{{lesion_texture(s, {.outline = outline})}}; }, lesion_texture_svm()};
}

}  // namespace sono::zoo
