// Layouts "pairs" (images/ and masks/) and "classes" (a folder of images per category).
#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "zoo/data/file_dataset.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

constexpr int largest_label = 15;

fs::path part(const fs::path& folder, const std::string& one, const std::string& many) {
  return fs::is_directory(folder / many) ? folder / many : folder / one;
}

// "202201121748_slice_12" is frame 12 of a video.
Meta meta_of(const fs::path& file) {
  static const std::regex frame_name("^(.+?)[_-](slice|frame)[_-]?([0-9]{1,9})$", std::regex::icase);
  Meta meta;
  meta.id = stem_of(file), meta.source = file.string();
  std::smatch found;
  if (std::regex_match(meta.id, found, frame_name)) meta.video = found[1], meta.frame = std::stoll(found[3]);
  return meta;
}

std::map<std::string, fs::path> by_stem(const fs::path& folder) {
  std::map<std::string, fs::path> files;
  for (const fs::path& file : images_in(folder))
    if (const auto [other, fresh] = files.try_emplace(stem_of(file), file); !fresh)
      refuse(file, "has the same stem as " + other->second.filename().string() + "; one of them is too many");
  return files;
}

// The scale of a whole set's masks: 0/255, or labels. Every set of values is compared, so that the first mask that fits neither is named.
struct MaskValues {
  std::vector<std::vector<int>> of;  // per item
  std::vector<fs::path> files;

  int64_t labels(bool& full) const {
    int top = 0;
    for (const auto& values : of) top = std::max(top, values.empty() ? 0 : values.back());
    full = top == 255;
    for (size_t i = 0; i < of.size(); i++)
      for (int v : of[i])
        if (full ? v != 0 && v != 255 : v > largest_label) refuse_values(files[worst()], of[worst()]);
    return full ? 2 : top + 1;
  }
  size_t worst() const {  // the mask with the most values
    return static_cast<size_t>(std::max_element(of.begin(), of.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); }) -
                               of.begin());
  }
};

std::vector<std::string> label_names(int64_t n) {
  if (n <= 2) return {"background", "foreground"};
  std::vector<std::string> names = {"background"};
  for (int64_t k = 1; k < n; k++) names.push_back("label " + std::to_string(k));
  return names;
}

Item pair_item(const fs::path& image, const fs::path& mask, std::vector<int>* values, const std::shared_ptr<bool>& full) {
  Item item;
  item.meta = meta_of(image);
  item.check = [mask, values](Item& it) { *values = values_of(checked_mask(mask, it)); };
  item.label = [mask, full](Sample& s) {
    Item size;
    size.height = s.image.dim(0), size.width = s.image.dim(1);
    s.labels.mask = checked_mask(mask, size);
    uint8_t* m = s.labels.mask.data<uint8_t>();
    for (int64_t i = 0; *full && i < s.labels.mask.size(); i++) m[i] = m[i] != 0;
  };
  return item;
}

}  // namespace

bool is_pairs(const fs::path& folder) {
  const bool images = fs::is_directory(folder / "images") || fs::is_directory(folder / "image"),
             masks = fs::is_directory(folder / "masks") || fs::is_directory(folder / "mask");
  if (images != masks) refuse(folder, images ? "has images/ but no masks/" : "has masks/ but no images/");
  return images && masks;
}

Collection open_pairs(const fs::path& folder, const OpenOptions& options) {
  const fs::path images = part(folder, "image", "images"), masks = part(folder, "mask", "masks");
  const auto mask_of = by_stem(masks), image_of = by_stem(images);
  if (image_of.empty()) refuse(images, "holds no images");
  for (const auto& [stem, file] : image_of)
    if (!mask_of.count(stem)) refuse(file, "has no mask: there is no " + shown(stem) + " in " + masks.filename().string() + "/");
  for (const auto& [stem, file] : mask_of)
    if (!image_of.count(stem))
      refuse(file, "is a mask without an image: there is no " + shown(stem) + " in " + images.filename().string() + "/");
  Collection c{folder.filename().string(), {}, {}, {}};
  MaskValues values;
  values.of.resize(image_of.size());
  const auto full = std::make_shared<bool>(false);
  for (const fs::path& image : images_in(images)) {
    const fs::path mask = mask_of.at(stem_of(image));
    c.items.push_back(pair_item(image, mask, &values.of[c.items.size()], full));
    values.files.push_back(mask);
  }
  check_items(c.items);
  for (Item& item : c.items) item.check = {};
  const int64_t labels = values.labels(*full);
  if (options.mask_labels && labels > options.mask_labels)
    refuse(masks, "mask values reach " + std::to_string(labels - 1) + ", but only labels 0 … " + std::to_string(options.mask_labels - 1) +
                      " are known");
  c.mask_labels = label_names(std::max({labels, options.mask_labels, int64_t{2}}));
  return c;
}

Collection open_classes(const fs::path& folder, const OpenOptions& options) {
  std::vector<std::string> names;
  for (const fs::path& sub : folders_in(folder))
    if (!images_in(sub).empty()) names.push_back(sub.filename().string());
  if (names.empty()) refuse(folder, "is no data set: it has neither images/ and masks/ nor a folder of images per category");
  if (options.require_masks) refuse(folder, "has no masks; to learn to segment, give images in images/ and their masks in masks/");
  Collection c{folder.filename().string(), category_names(names, options), {}, {}};
  for (const std::string& name : names) {
    const auto category = category_number(name, names, options);
    for (const fs::path& image : category ? images_in(folder / name) : std::vector<fs::path>{}) {
      Item item;
      item.meta = meta_of(image), item.category = category;
      item.meta.id = name + "/" + item.meta.id;
      if (!item.meta.video.empty()) item.meta.video = name + "/" + item.meta.video;
      c.items.push_back(item);
    }
  }
  check_items(c.items);
  return c;
}

}  // namespace sono::zoo
