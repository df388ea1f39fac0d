#include "zoo/classification/curves.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tensor/files.h"
#include "zoo/data/message.h"
#include "zoo/report/figure.h"

namespace sono::zoo {

Tensor curve_of(const Sample& s, const std::string& channel) {
  const auto& names = s.sequence.channels;
  const auto at = std::find(names.begin(), names.end(), channel);
  if (!s.sequence || at == names.end())
    throw Error(shown(s.meta.id) + ": has no curve '" + channel +
                "'; a picture alone is not enough, give curves (a .npy of T rows) or a folder of `sonograd simulate ceus`");
  const int64_t frames = s.sequence.values.dim(0), columns = s.sequence.values.dim(1);
  Tensor curve({frames});
  for (int64_t t = 0; t < frames; t++) curve.data<float>()[t] = s.sequence.values.data<float>()[t * columns + (at - names.begin())];
  return curve;
}

Tensor resampled_curve(const Tensor& curve, int64_t length) {
  const int64_t frames = curve.size();
  if (frames < length)
    throw ShapeError("[resampled_curve] a curve of " + std::to_string(frames) + " samples cannot give " + std::to_string(length) +
                     " points; lower --set length");
  const float* v = curve.data<float>();
  Tensor out({length});
  for (int64_t i = 0; i < length; i++) {
    const int64_t first = i * frames / length, last = (i + 1) * frames / length;
    double sum = 0;
    for (int64_t t = first; t < last; t++) sum += static_cast<double>(v[t]);
    out.data<float>()[i] = static_cast<float>(sum / static_cast<double>(last - first));
  }
  const int64_t before = std::max<int64_t>(1, length / 50);
  float base = 0;
  for (int64_t i = 0; i < before; i++) base += out.data<float>()[i] / static_cast<float>(before);
  for (int64_t i = 0; i < length; i++) out.data<float>()[i] -= base;
  return out;
}

Tensor joined_curves(const Tensor& first, const Tensor& second) {
  const auto largest = [](const Tensor& t) { return *std::max_element(t.data<float>(), t.data<float>() + t.size()); };
  const float peak = largest(first), top = second ? std::max(peak, largest(second)) : peak;
  if (!(peak > 0))
    throw NumericError(
        "[joined_curves] the curve has zero variance, or never rises above its beginning: there is no enhancement to classify");
  Tensor all({first.size() + (second ? second.size() : 0)});
  for (int64_t i = 0; i < all.size(); i++)
    all.data<float>()[i] = (i < first.size() ? first.data<float>()[i] : second.data<float>()[i - first.size()]) / top;
  return all;
}

std::vector<Sample> read_curve(const std::string& path, double rate, const std::vector<std::string>& channels) {
  if (!path.ends_with(".npy"))
    throw FileError(path + ": this system predicts on curves: a .npy file with a row per frame and the columns " + channels.at(0) +
                    (channels.size() > 1 ? ", " + channels[1] : "") + " …");
  const Tensor t = read_npy(path).to(Dtype::f32);
  if (t.rank() != 2 || t.dim(0) < 2 || t.dim(1) > static_cast<int64_t>(channels.size()))
    throw FileError(path + ": holds " + to_string(t.shape()) + ", wanted are (frames, 1 … " + std::to_string(channels.size()) + " curves)");
  Sample s;
  s.sequence = {t, rate, {channels.begin(), channels.begin() + t.dim(1)}};
  Tensor first({1, t.dim(0)});
  for (int64_t i = 0; i < t.dim(0); i++) first.data<float>()[i] = t.data<float>()[i * t.dim(1)];
  const Tensor picture = curve_figure("", first).image;
  s.image = picture.view({picture.dim(0), picture.dim(1), 1});
  s.meta.id = std::filesystem::path(path).stem().string(), s.meta.source = path;
  return {s};
}

}  // namespace sono::zoo
