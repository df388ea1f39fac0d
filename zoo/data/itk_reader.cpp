#include "zoo/data/itk_reader.h"

#include <dlfcn.h>

// Debian's ITK was configured for g++ alone and its first header refuses other compilers: clang passes as g++ 12 for this one header.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wbuiltin-macro-redefined"
#pragma push_macro("__clang__")
#pragma push_macro("__GNUC__")
#undef __clang__
#undef __GNUC__
#define __GNUC__ 12
#include <itk_compiler_detection.h>
#pragma pop_macro("__GNUC__")
#pragma pop_macro("__clang__")
#endif

#include <itkBMPImageIO.h>
#include <itkJPEGImageIO.h>
#include <itkMetaImageIO.h>
#include <itkNiftiImageIO.h>
#include <itkNrrdImageIO.h>
#include <itkObjectFactoryBase.h>
#include <itkTIFFImageIO.h>

#include <cstring>
#include <optional>

#include "tensor/error.h"
#include "zoo/data/isolated.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

// GDCM takes 20 ms to load (it builds its dictionaries then): ITK's DICOM library is not linked but loaded with the first DICOM file,
// through ITK's own entry for enlisting a reader.
bool load_dicom() {
  static const bool loaded = [] {
    const std::string name = "libITKIOGDCM-" + std::to_string(ITK_VERSION_MAJOR) + "." + std::to_string(ITK_VERSION_MINOR) + ".so";
    void* library = dlopen((name + ".1").c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!library) library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
    void* enlist = library ? dlsym(library, "_ZN3itk35GDCMImageIOFactoryRegister__PrivateEv") : nullptr;
    if (enlist) reinterpret_cast<void (*)()>(enlist)();
    return enlist != nullptr;
  }();
  return loaded;
}

itk::ImageIOBase::Pointer dicom_reader() {
  for (const auto& made : itk::ObjectFactoryBase::CreateAllInstance("itkImageIOBase"))
    if (auto* io = dynamic_cast<itk::ImageIOBase*>(made.GetPointer()); io && std::strcmp(io->GetNameOfClass(), "GDCMImageIO") == 0)
      return io;
  throw FileError("no DICOM reader");
}

template <class IO>
itk::ImageIOBase::Pointer made() {
  return IO::New().GetPointer();
}

itk::ImageIOBase::Pointer reader(Format format) {
  switch (format) {
    case Format::tiff:
      return made<itk::TIFFImageIO>();
    case Format::bmp:
      return made<itk::BMPImageIO>();
    case Format::jpeg:
      return made<itk::JPEGImageIO>();
    case Format::nifti:
      return made<itk::NiftiImageIO>();
    case Format::meta:
      return made<itk::MetaImageIO>();
    case Format::nrrd:
      return made<itk::NrrdImageIO>();
    default:
      return dicom_reader();
  }
}

Component component_of(itk::IOComponentEnum type) {
  using Type = itk::IOComponentEnum;
  switch (type) {
    case Type::UCHAR:
      return Component::u8;
    case Type::CHAR:
      return Component::i8;
    case Type::USHORT:
      return Component::u16;
    case Type::SHORT:
      return Component::i16;
    case Type::UINT:
      return Component::u32;
    case Type::INT:
      return Component::i32;
    case Type::ULONG:
      return sizeof(long) == 8 ? Component::u64 : Component::u32;
    case Type::LONG:
      return sizeof(long) == 8 ? Component::i64 : Component::i32;
    case Type::ULONGLONG:
      return Component::u64;
    case Type::LONGLONG:
      return Component::i64;
    case Type::FLOAT:
      return Component::f32;
    case Type::DOUBLE:
      return Component::f64;
    default:
      throw FileError("unknown component type");
  }
}

// What the child says: 24 values of 8 bytes (component, channels, dimensions, sizes, spacing), then the pixels.
constexpr size_t header_values = 24, most_dims = 8;

std::string described(const std::string& request) {  // format, 1 for pixels, path
  const auto format = static_cast<Format>(request[0]);
  const bool with_pixels = request[1] == 1;
  const std::string path = request.substr(2);
  if (format == Format::dicom && !load_dicom()) return "";
  const auto io = reader(format);
  io->SetFileName(path);
  io->ReadImageInformation();
  const unsigned dims = io->GetNumberOfDimensions();
  if (dims < 1 || dims > most_dims) throw FileError("dimensions");
  int64_t header[header_values] = {static_cast<int64_t>(component_of(io->GetComponentType())),
                                   static_cast<int64_t>(io->GetNumberOfComponents()), dims};
  double values = static_cast<double>(io->GetNumberOfComponents());
  itk::ImageIORegion all(dims);
  for (unsigned d = 0; d < dims; d++) {
    const double spacing = io->GetSpacing(d);
    header[3 + d] = static_cast<int64_t>(io->GetDimensions(d)), values *= static_cast<double>(io->GetDimensions(d));
    std::memcpy(&header[3 + most_dims + d], &spacing, sizeof spacing);
    all.SetSize(d, io->GetDimensions(d));
  }
  std::string bytes(reinterpret_cast<const char*>(header), sizeof header);
  if (!with_pixels || values < 1 || values > double{1 << 30}) return bytes;
  bytes.resize(sizeof header + static_cast<size_t>(io->GetImageSizeInBytes()));
  io->SetIORegion(all);
  io->Read(bytes.data() + sizeof header);
  return bytes;
}

}  // namespace

RawImage read_with_itk(const std::string& path, Format format, bool with_pixels) {
  const std::string start = "[read_image] " + shown(path) + ": ";
  static IsolatedWorkers workers(described);
  std::optional<std::string> bytes = workers(std::string{static_cast<char>(format), static_cast<char>(with_pixels ? 1 : 0)} + path);
  if (bytes && bytes->empty()) throw FileError(start + "DICOM cannot be read: ITK's DICOM library (libITKIOGDCM) is not installed");
  if (!bytes || bytes->size() < header_values * 8)
    throw FileError(start + "the " + format_name(format) + " file is damaged or of a kind that is not read");
  int64_t header[header_values];
  std::memcpy(header, bytes->data(), sizeof header);
  RawImage image;
  image.component = static_cast<Component>(header[0]), image.channels = header[1];
  double values = static_cast<double>(image.channels);
  for (int64_t d = 0; d < header[2]; d++) {
    double spacing = 0;
    std::memcpy(&spacing, &header[3 + static_cast<int64_t>(most_dims) + d], sizeof spacing);
    image.sizes.push_back(header[3 + d]), image.spacing.push_back(spacing), values *= static_cast<double>(header[3 + d]);
  }
  if (values < 1) throw FileError(start + "holds no pixels");
  if (values > double{1 << 30}) throw FileError(start + "is larger than 2^30 values");
  bytes->erase(0, sizeof header);
  image.pixels = std::move(*bytes);
  return image;
}

}  // namespace sono::zoo
