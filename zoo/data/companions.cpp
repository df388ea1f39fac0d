#include "zoo/data/companions.h"

#include <algorithm>

#include "zoo/data/file_dataset.h"
#include "zoo/data/image.h"
#include "zoo/data/message.h"
#include "zoo/data/scan_mask.h"

namespace sono::zoo {
namespace {

// The file in `folder` of that stem, whatever kind of picture it is; empty: none.
fs::path picture_named(const fs::path& folder, const std::string& stem) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return {};
  for (const char* end : {".npy", ".png", ".tif", ".tiff", ".bmp", ".mha", ".mhd", ".nrrd", ".nii", ".nii.gz", ".dcm"})
    if (fs::is_regular_file(folder / (stem + end), error)) return folder / (stem + end);
  return {};
}

fs::path companion(const fs::path& picture, const std::string& ending, const std::string& sibling) {
  const std::string stem = stem_of(picture);
  if (const fs::path beside = picture_named(picture.parent_path(), stem + ending); !beside.empty()) return beside;
  const fs::path folder = fs::absolute(picture).parent_path();
  return folder.filename() == "images" ? picture_named(folder.parent_path() / sibling, stem) : fs::path();
}

// (H, W) f32 in kPa.
Tensor read_elastogram(const fs::path& file, int64_t height, int64_t width) {
  const Tensor values = read_image(file.string()).values;
  if (values.rank() != 3 || values.dim(2) != 1)
    throw FileError(shown(file) + ": holds " + to_string(values.shape()) +
                    "; an elastogram is grey, its values are kPa (a coloured overlay cannot be read back)");
  if (values.dim(0) != height || values.dim(1) != width)
    throw FileError(shown(file) + ": the elastogram is " + size_text(values.dim(0), values.dim(1)) + " pixels, its picture " +
                    size_text(height, width) + "; save it at the size of the picture");
  const Tensor kpa = values.to(Dtype::f32).view({height, width});
  if (std::any_of(kpa.data<float>(), kpa.data<float>() + kpa.size(), [](float v) { return v < 0; }))
    throw FileError(shown(file) + ": has negative values; an elastogram's are kPa, 0 where it was not measured");
  return kpa;
}

}  // namespace

void add_companions(Sample& s, const std::string& path) {
  Item size;
  size.height = s.image.dim(0), size.width = s.image.dim(1);
  const fs::path mask = companion(path, "_mask", "masks"), swe = companion(path, "_swe", "elasticity");
  if (!s.labels.mask && !mask.empty()) {
    s.labels.mask = binary_mask(mask, size);
    if (const Box box = box_around(s.labels.mask, 1, 0); box.width > 0) s.labels.boxes = {box};
  }
  if (!s.elasticity && !swe.empty()) s.elasticity = read_elastogram(swe, size.height, size.width);
}

std::vector<Sample> read_with_companions(const std::string& path) {
  std::vector<Sample> all = read_samples(path, false);
  if (all.size() == 1) add_companions(all[0], path);
  return all;
}

Sample read_phases(const std::string& path, int64_t phases) {
  const Tensor values = read_image(path).values;
  const bool one = values.rank() == 3;
  const int64_t found = one ? values.dim(2) : values.rank() == 4 ? values.dim(0) : 0;
  if (found != phases)
    throw FileError(shown(path) + ": has " + std::to_string(found) +
                    (one && found != 1 ? " channels"
                     : found == 1      ? " picture"
                                       : " frames") +
                    "; this system wants " + std::to_string(phases) +
                    " contrast phases: a colour picture whose channels are the phases, or a file of " + std::to_string(phases) + " frames");
  Sample s;
  s.image = to_unit(values);
  if (!one) {
    const Tensor grey = to_grey(s.image);  // (P, H, W, 1)
    const int64_t pixels = grey.dim(1) * grey.dim(2);
    s.image = Tensor({grey.dim(1), grey.dim(2), phases});
    for (int64_t p = 0; p < phases; p++)
      for (int64_t i = 0; i < pixels; i++) s.image.data<float>()[i * phases + p] = grey.data<float>()[p * pixels + i];
  }
  s.meta.id = stem_of(path), s.meta.source = path;
  add_companions(s, path);
  return s;
}

}  // namespace sono::zoo
