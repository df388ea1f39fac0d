#include "zoo/data/image.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <itkBMPImageIO.h>
#include <itkJPEGImageIO.h>
#include <itkMetaImageIO.h>
#include <itkNiftiImageIO.h>
#include <itkNrrdImageIO.h>
#include <itkObjectFactoryBase.h>
#include <itkPNGImageIO.h>
#include <itkTIFFImageIO.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>

#include "tensor/files.h"
#include "zoo/data/image_format.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) { throw FileError("[read_image] " + shown(path) + ": " + why); }

// ITK's smaller libraries print to stderr as they like and keep global state: they read one file at a time, and stderr is away while they
// do.
class QuietTurn {
 public:
  QuietTurn() : turn_(mutex()) {
    std::fflush(stderr);
    saved_ = dup(STDERR_FILENO);
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO), close(nowhere);
  }
  ~QuietTurn() {
    std::fflush(stderr);
    if (saved_ >= 0) dup2(saved_, STDERR_FILENO), close(saved_);
  }
  QuietTurn(const QuietTurn&) = delete;
  QuietTurn& operator=(const QuietTurn&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  std::lock_guard<std::mutex> turn_;
  int saved_ = -1;
};

// The DICOM reader takes 20 ms to load (GDCM builds its dictionaries when its library is loaded): it is loaded with the first DICOM file.
itk::ImageIOBase::Pointer dicom_reader(const std::string& path) {
  static const bool loaded = [] {
    const std::string name = "libITKIOGDCM-" + std::to_string(ITK_VERSION_MAJOR) + "." + std::to_string(ITK_VERSION_MINOR) + ".so";
    void* library = dlopen((name + ".1").c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!library) library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
    void* enlist = library ? dlsym(library, "_ZN3itk35GDCMImageIOFactoryRegister__PrivateEv") : nullptr;  // ITK's own entry for this
    if (enlist) reinterpret_cast<void (*)()>(enlist)();
    return enlist != nullptr;
  }();
  if (loaded)
    for (const auto& made : itk::ObjectFactoryBase::CreateAllInstance("itkImageIOBase"))
      if (auto* io = dynamic_cast<itk::ImageIOBase*>(made.GetPointer()); io && std::strcmp(io->GetNameOfClass(), "GDCMImageIO") == 0)
        return io;
  fail(path, "DICOM cannot be read: ITK's DICOM library (libITKIOGDCM) is not installed");
}

template <class IO>
itk::ImageIOBase::Pointer made() {
  return IO::New().GetPointer();
}

itk::ImageIOBase::Pointer reader(const std::string& path, Format format) {
  static std::once_flag once;  // ITK's factories are not thread-safe on their first use
  std::call_once(once, [] { itk::Object::SetGlobalWarningDisplay(false), made<itk::PNGImageIO>(), made<itk::JPEGImageIO>(); });
  switch (format) {
    case Format::png:
      return made<itk::PNGImageIO>();
    case Format::jpeg:
      return made<itk::JPEGImageIO>();
    case Format::tiff:
      return made<itk::TIFFImageIO>();
    case Format::bmp:
      return made<itk::BMPImageIO>();
    case Format::nifti:
      return made<itk::NiftiImageIO>();
    case Format::meta:
      return made<itk::MetaImageIO>();
    case Format::nrrd:
      return made<itk::NrrdImageIO>();
    case Format::dicom:
    case Format::npy:
      break;
  }
  return dicom_reader(path);
}

int64_t without_alpha(int64_t components) { return components == 2 || components == 4 ? components - 1 : components; }

// (H, W, C) or (D, H, W, C): ITK's sizes turned round, sizes of 1 beyond the second left out.
ImageInfo info_of(const std::string& path, const itk::ImageIOBase& io, const FileHeader& header) {
  ImageInfo info{format_name(header.format), {}, header.spacing, header.palette};
  unsigned dims = io.GetNumberOfDimensions();
  while (dims > 2 && io.GetDimensions(dims - 1) <= 1) dims--;
  double values = static_cast<double>(io.GetNumberOfComponents());
  for (unsigned d = dims; d-- > 0;)
    info.shape.push_back(static_cast<int64_t>(io.GetDimensions(d))), values *= static_cast<double>(io.GetDimensions(d));
  if (dims == 1) info.shape.insert(info.shape.begin(), 1);
  info.shape.push_back(without_alpha(io.GetNumberOfComponents()));
  if (values < 1) fail(path, std::string("the ") + info.format + " file holds no pixels");
  if (values > double{1 << 30}) fail(path, "is larger than 2^30 values");
  if (header.has_spacing)
    for (unsigned d = 0; d < std::min(dims, 3u); d++) info.spacing.push_back(std::abs(io.GetSpacing(d)));
  return info;
}

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

// Raw components to the tensor's: bytes stay bytes, all else becomes f32; alpha is dropped.
template <class From, class To>
void unpack(const From* from, To* to, int64_t pixels, int64_t in, int64_t out) {
  for (int64_t i = 0; i < pixels; i++)
    for (int64_t c = 0; c < out; c++) to[i * out + c] = static_cast<To>(from[i * in + c]);
}

template <class F>
void with_component_type(const std::string& path, itk::IOComponentEnum type, F&& f) {
  switch (type) {
    case itk::IOComponentEnum::CHAR:
      return f.template operator()<int8_t>();
    case itk::IOComponentEnum::SHORT:
      return f.template operator()<int16_t>();
    case itk::IOComponentEnum::USHORT:
      return f.template operator()<uint16_t>();
    case itk::IOComponentEnum::INT:
      return f.template operator()<int32_t>();
    case itk::IOComponentEnum::UINT:
      return f.template operator()<uint32_t>();
    case itk::IOComponentEnum::LONG:
      return f.template operator()<long>();
    case itk::IOComponentEnum::ULONG:
      return f.template operator()<unsigned long>();
    case itk::IOComponentEnum::LONGLONG:
      return f.template operator()<long long>();
    case itk::IOComponentEnum::ULONGLONG:
      return f.template operator()<unsigned long long>();
    case itk::IOComponentEnum::FLOAT:
      return f.template operator()<float>();
    case itk::IOComponentEnum::DOUBLE:
      return f.template operator()<double>();
    default:
      fail(path, "has a pixel type that is not read");
  }
}

Tensor pixels_of(const std::string& path, itk::ImageIOBase& io, const Shape& shape) {
  itk::ImageIORegion all(io.GetNumberOfDimensions());
  for (unsigned d = 0; d < io.GetNumberOfDimensions(); d++) all.SetSize(d, io.GetDimensions(d));
  io.SetIORegion(all);
  const auto in = static_cast<int64_t>(io.GetNumberOfComponents()), out = shape.back();
  const bool bytes = io.GetComponentType() == itk::IOComponentEnum::UCHAR;
  Tensor values(shape, bytes ? Dtype::u8 : Dtype::f32);
  if (bytes && in == out && static_cast<int64_t>(io.GetImageSizeInBytes()) == values.bytes()) {
    io.Read(values.raw());
    return values;
  }
  std::vector<char> raw(static_cast<size_t>(io.GetImageSizeInBytes()));
  io.Read(raw.data());
  const int64_t pixels = values.size() / out;
  if (bytes)
    unpack(reinterpret_cast<const uint8_t*>(raw.data()), values.data<uint8_t>(), pixels, in, out);
  else
    with_component_type(path, io.GetComponentType(),
                        [&]<class T> { unpack(reinterpret_cast<const T*>(raw.data()), values.data<float>(), pixels, in, out); });
  return values;
}

Image open_with_itk(const std::string& path, Palette palette, const FileHeader& header, bool with_pixels) {
  std::optional<QuietTurn> turn;
  if (header.format != Format::png && header.format != Format::jpeg) turn.emplace();
  try {
    const auto io = reader(path, header.format);
    io->SetFileName(path);
    io->SetExpandRGBPalette(!(header.palette && palette == Palette::indices));
    io->ReadImageInformation();
    Image image{{}, info_of(path, *io, header)};
    if (with_pixels) image.values = pixels_of(path, *io, image.info.shape);
    return image;
  } catch (const Error&) { throw; } catch (const std::exception&) {  // ITK's message is for its developers
    fail(path, std::string("the ") + format_name(header.format) + " file is damaged or of a kind that is not read");
  }
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
  const FileHeader header = check_file(path);
  if (header.format == Format::npy) return open_npy(path).info;
  return open_with_itk(path, palette, header, false).info;
}

Image read_image(const std::string& path, Palette palette) {
  const FileHeader header = check_file(path);
  Image image = header.format == Format::npy ? open_npy(path) : open_with_itk(path, palette, header, true);
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
