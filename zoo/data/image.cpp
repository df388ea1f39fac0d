#include "zoo/data/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/files.h"
#include "zoo/data/image_format.h"
#include "zoo/data/itk_reader.h"
#include "zoo/data/message.h"
#include "zoo/data/png.h"

namespace sono::zoo {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) { throw FileError("[read_image] " + shown(path) + ": " + why); }

void refuse_not_finite(const std::string& path, const Tensor& t) {
  if (t.dtype() != Dtype::f32) return;
  const float* v = t.data<float>();
  for (int64_t i = 0; i < t.size(); i++) {
    if (std::isfinite(v[i])) continue;
    std::string place;
    int64_t rest = i;
    for (int64_t d = t.rank(); d-- > 0; rest /= t.dim(d)) place = std::to_string(rest % t.dim(d)) + (place.empty() ? "" : ", ") + place;
    fail(path, std::string("holds ") + (std::isnan(v[i]) ? "NaN" : "infinity") + " at index (" + place + ") of " + to_string(t.shape()) +
                   "; images must be finite");
  }
}

int64_t without_alpha(int64_t channels) { return channels == 2 || channels == 4 ? channels - 1 : channels; }

// (H, W, C) or (D, H, W, C): ITK's sizes turned round, sizes of 1 beyond the second left out.
ImageInfo info_of(const RawImage& raw, const FileHeader& header) {
  ImageInfo info{format_name(header.format), {}, header.spacing, false};
  size_t dims = raw.sizes.size();
  while (dims > 2 && raw.sizes[dims - 1] == 1) dims--;
  for (size_t d = dims; d-- > 0;) info.shape.push_back(raw.sizes[d]);
  if (dims == 1) info.shape.insert(info.shape.begin(), 1);
  info.shape.push_back(without_alpha(raw.channels));
  for (size_t d = 0; header.has_spacing && d < std::min<size_t>(dims, 3); d++) info.spacing.push_back(std::abs(raw.spacing[d]));
  return info;
}

ImageInfo info_of(const FileHeader& header, Palette palette) {
  return {format_name(header.format),
          {header.height, header.width, header.palette && palette == Palette::colours ? 3 : header.channels},
          {},
          header.palette};
}

template <class F>
void with_component(Component component, F&& f) {
  switch (component) {
    case Component::u8:
      return f.template operator()<uint8_t>();
    case Component::i8:
      return f.template operator()<int8_t>();
    case Component::u16:
      return f.template operator()<uint16_t>();
    case Component::i16:
      return f.template operator()<int16_t>();
    case Component::u32:
      return f.template operator()<uint32_t>();
    case Component::i32:
      return f.template operator()<int32_t>();
    case Component::u64:
      return f.template operator()<uint64_t>();
    case Component::i64:
      return f.template operator()<int64_t>();
    case Component::f32:
      return f.template operator()<float>();
    case Component::f64:
      return f.template operator()<double>();
  }
}

// Bytes stay bytes, all else becomes f32; alpha is dropped.
Tensor unpacked(const std::string& path, const RawImage& raw, const Shape& shape) {
  Tensor values(shape, raw.component == Component::u8 ? Dtype::u8 : Dtype::f32);
  const int64_t in = raw.channels, out = shape.back(), pixels = values.size() / out;
  with_component(raw.component, [&]<class From> {
    using To = std::conditional_t<std::is_same_v<From, uint8_t>, uint8_t, float>;
    if (raw.pixels.size() < static_cast<size_t>(pixels * in) * sizeof(From)) fail(path, "holds fewer pixels than it says");
    To* to = values.data<To>();
    for (int64_t i = 0; i < pixels; i++)
      for (int64_t c = 0; c < out; c++) {
        From value;
        std::memcpy(&value, raw.pixels.data() + static_cast<size_t>(i * in + c) * sizeof(From), sizeof(From));
        to[i * out + c] = static_cast<To>(value);
      }
  });
  return values;
}

Image open_npy(const std::string& path) {
  Tensor t;
  try {
    t = read_npy(path);
  } catch (const Error& e) {
    const std::string why = e.what();
    throw FileError(why.find(path) != std::string::npos ? why : "[read_image] " + shown(path) + ": " + why);
  }
  if (t.rank() == 2) t = t.view({t.dim(0), t.dim(1), 1});
  if (t.rank() < 3 || t.rank() > 4 || t.dim(-1) > 4 || t.size() == 0)
    fail(path, "has shape " + to_string(t.shape()) + "; an image is (H, W), (H, W, C) or (D, H, W, C) with at most 4 channels");
  if (t.dtype() != Dtype::u8) t = t.to(Dtype::f32);
  return {t, {"npy", t.shape(), {}, false}};
}

void invert(const Tensor& t) {
  visit(t.dtype(), [&]<class T> {
    T* v = t.data<T>();
    const T top = std::is_same_v<T, uint8_t> ? T(255) : *std::max_element(v, v + t.size());
    for (int64_t i = 0; i < t.size(); i++) v[i] = static_cast<T>(top - v[i]);
  });
}

}  // namespace

ImageInfo image_info(const std::string& path, Palette palette) {
  std::string bytes;
  const FileHeader header = check_file(path, bytes);
  if (header.format == Format::npy) return open_npy(path).info;
  if (header.format == Format::png || header.format == Format::jpeg) return info_of(header, palette);
  return info_of(read_with_itk(path, header.format, false), header);
}

Image read_image(const std::string& path, Palette palette) {
  std::string bytes;
  const FileHeader header = check_file(path, bytes);
  Image image;
  if (header.format == Format::npy) {
    image = open_npy(path);
  } else if (header.format == Format::png) {
    image = {read_png(path, bytes, palette == Palette::indices), info_of(header, palette)};
  } else {
    const RawImage raw = read_with_itk(path, header.format, true);
    image.info = info_of(raw, header);
    image.values = unpacked(path, raw, image.info.shape);
  }
  refuse_not_finite(path, image.values);
  if (header.inverted) invert(image.values);
  return image;
}

Tensor read_mask(const std::string& path) {
  const Tensor t = read_image(path, Palette::indices).values;
  if (t.rank() != 3) fail(path, "is a volume of shape " + to_string(t.shape()) + ", not a mask of one image");
  const int64_t channels = t.dim(2);
  if (t.dtype() == Dtype::u8 && channels == 1) return t.view({t.dim(0), t.dim(1)});
  Tensor mask({t.dim(0), t.dim(1)}, Dtype::u8);
  visit(t.dtype(), [&]<class T> {
    const T* from = t.data<T>();
    for (int64_t i = 0; i < mask.size(); i++) {
      const T value = *std::max_element(from + i * channels, from + (i + 1) * channels);
      if (value < T(0) || value > T(255) || value != std::floor(static_cast<double>(value)))
        fail(path, "mask values that are no labels: " + std::to_string(value));
      mask.data<uint8_t>()[i] = static_cast<uint8_t>(value);
    }
  });
  return mask;
}

Tensor to_grey(const Tensor& image) {
  const int64_t channels = image.dim(-1);
  if (channels == 1) return image;
  if (channels != 3) throw ShapeError("[to_grey] image " + to_string(image.shape()) + " must have 1 or 3 channels");
  Shape shape = image.shape();
  shape.back() = 1;
  Tensor grey(shape, image.dtype());
  visit(image.dtype(), [&]<class T> {
    const T* v = image.data<T>();
    T* g = grey.data<T>();
    for (int64_t i = 0; i < grey.size(); i++) {
      const double luma = 0.299 * v[3 * i] + 0.587 * v[3 * i + 1] + 0.114 * v[3 * i + 2];
      g[i] = v[3 * i] == v[3 * i + 1] && v[3 * i] == v[3 * i + 2] ? v[3 * i] : static_cast<T>(std::is_integral_v<T> ? luma + 0.5 : luma);
    }
  });
  return grey;
}

Tensor to_colour(const Tensor& image) {
  if (image.dim(-1) == 3) return image;
  if (image.dim(-1) != 1) throw ShapeError("[to_colour] image " + to_string(image.shape()) + " must have 1 or 3 channels");
  Shape shape = image.shape();
  shape.back() = 3;
  Tensor colour(shape, image.dtype());
  visit(image.dtype(), [&]<class T> {
    for (int64_t i = 0; i < colour.size(); i++) colour.data<T>()[i] = image.data<T>()[i / 3];
  });
  return colour;
}

Tensor to_unit(const Tensor& image) {
  Tensor unit(image.shape(), Dtype::f32);
  float* u = unit.data<float>();
  if (image.dtype() == Dtype::u8) {
    const uint8_t* v = image.data<uint8_t>();
    for (int64_t i = 0; i < unit.size(); i++) u[i] = static_cast<float>(v[i]) / 255.0f;
    return unit;
  }
  const Tensor values = image.to(Dtype::f32);
  const float* v = values.data<float>();
  const auto [low, high] = std::minmax_element(v, v + values.size());
  if (low == v + values.size()) return unit;
  const bool stretched = *low < 0 || *high > 255;
  const float offset = stretched ? *low : 0.0f, range = stretched ? *high - *low : *high > 1 ? 255.0f : 1.0f;
  for (int64_t i = 0; i < unit.size(); i++) u[i] = range > 0 ? (v[i] - offset) / range : 0.0f;
  return unit;
}

bool has_image_name(const std::string& path) {
  std::string s = path;
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* end : {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".npy"})
    if (s.ends_with(end)) return true;
  return false;
}

}  // namespace sono::zoo
