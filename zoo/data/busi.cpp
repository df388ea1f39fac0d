// BUSI, breast ultrasound [Al-Dhabyani et al., Data in Brief 28:104863, 2020]. Several lesions have a mask each; normal images have an
// empty one.
#include <map>
#include <set>

#include "zoo/data/file_dataset.h"

namespace sono::zoo {
namespace {

const std::vector<std::string> classes = {"benign", "malignant", "normal"};

struct Places {
  fs::path images, masks;
};

// As mirrors ship it (images/ and mask/ below each class) or as published (all files in the class folder).
Places places(const fs::path& folder) {
  if (fs::is_directory(folder / "images") && fs::is_directory(folder / "mask")) return {folder / "images", folder / "mask"};
  return {folder, folder};
}

// "benign (7)_mask_1" -> "benign (7)"; empty if the name is no mask's.
std::string image_of_mask(const std::string& stem) {
  const size_t at = stem.rfind("_mask");
  if (at == std::string::npos) return "";
  const std::string rest = stem.substr(at + 5);
  const bool number = rest.empty() || (rest[0] == '_' && rest.size() > 1 && rest.find_first_not_of("0123456789", 1) == std::string::npos);
  return number ? stem.substr(0, at) : "";
}

void label(Sample& s, const std::vector<fs::path>& masks, int category) {
  Item size;
  size.height = s.image.dim(0), size.width = s.image.dim(1);
  for (const fs::path& file : masks) {
    const Tensor lesion = binary_mask(file, size);
    const Box box = box_around(lesion, 1, category);
    if (box.width > 0) s.labels.boxes.push_back(box);
    if (!s.labels.mask) {
      s.labels.mask = lesion;
      continue;
    }
    for (int64_t i = 0; i < lesion.size(); i++) s.labels.mask.data<uint8_t>()[i] |= lesion.data<uint8_t>()[i];
  }
}

void add_class(Collection& c, const fs::path& folder, int category) {
  const Places at = places(folder);
  std::map<std::string, std::vector<fs::path>> masks;
  for (const fs::path& file : images_in(at.masks)) {
    const std::string stem = image_of_mask(stem_of(file));
    if (!stem.empty())
      masks[stem].push_back(file);
    else if (at.masks != at.images)
      refuse(file, "is in mask/ but is not named …_mask or …_mask_1");
  }
  std::set<std::string> stems;
  for (const fs::path& image : images_in(at.images)) {
    const std::string stem = stem_of(image);
    if (at.masks == at.images && !image_of_mask(stem).empty()) continue;
    if (!masks.count(stem)) refuse(image, "has no mask: there is no " + stem + "_mask");
    stems.insert(stem);
    Item item;
    item.meta.id = stem, item.meta.source = image.string(), item.category = category;
    if (stem.find(classes[0]) && stem.find(classes[1]) && stem.find(classes[2]))
      item.meta.id = folder.filename().string() + " " + stem;  // ids are unique
    const std::vector<fs::path> files = masks[stem];
    item.check = [files](Item& it) {
      for (const fs::path& file : files) binary_mask(file, it);
    };
    item.label = [files, category](Sample& s) { label(s, files, category); };
    c.items.push_back(item);
  }
  for (const auto& [stem, files] : masks)
    if (!stems.count(stem)) refuse(files[0], "is a mask without an image: there is no " + stem);
}

}  // namespace

bool is_busi(const fs::path& folder) {
  for (const std::string& name : classes) {
    if (!fs::is_directory(folder / name)) continue;
    if (fs::is_directory(folder / name / "images") && fs::is_directory(folder / name / "mask")) return true;
    for (const fs::path& file : images_in(folder / name))
      if (!image_of_mask(stem_of(file)).empty()) return true;
  }
  return false;
}

Collection open_busi(const fs::path& folder, const OpenOptions& options) {
  Collection c{"busi", category_names(classes, options), {"background", "lesion"}, {}};
  for (const std::string& name : classes) {
    const auto category = category_number(name, classes, options);
    if (category && fs::is_directory(folder / name)) add_class(c, folder / name, *category);
  }
  check_items(c.items);
  return c;
}

}  // namespace sono::zoo
