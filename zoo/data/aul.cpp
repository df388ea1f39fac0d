// AUL, annotated ultrasound liver images [Xu et al., Zenodo 7272660, 2022]. Polygons [[x, y], …] in pixels: the liver, the mass, the
// visible sector.
#include <cmath>
#include <nlohmann/json.hpp>

#include "tensor/files.h"
#include "zoo/data/file_dataset.h"
#include "zoo/data/scan_mask.h"

namespace sono::zoo {
namespace {

const std::vector<std::string> classes = {"benign", "malignant", "normal"};
using Polygon = std::vector<std::array<double, 2>>;

struct Outlines {
  std::vector<Polygon> liver, mass, sector;
};

Polygon polygon_of(const nlohmann::json& list) {
  Polygon p;
  for (const auto& point : list) p.push_back({point.at(0).get<double>(), point.at(1).get<double>()});
  return p;
}

// One polygon, or a list of polygons.
std::vector<Polygon> read_polygons(const fs::path& file) {
  std::vector<Polygon> polygons;
  if (!fs::exists(file)) return polygons;
  const std::string text = read_file(file.string());
  try {
    const auto json = nlohmann::json::parse(text);
    const bool nested = json.at(0).at(0).is_array();
    if (!nested) polygons.push_back(polygon_of(json));
    for (size_t i = 0; nested && i < json.size(); i++) polygons.push_back(polygon_of(json[i]));
  } catch (const nlohmann::json::exception&) { refuse(file, "is no polygon; expected JSON [[x, y], [x, y], …] in pixels"); }
  for (const Polygon& p : polygons)
    if (p.size() < 3) refuse(file, "has " + std::to_string(p.size()) + " points, a polygon has at least 3");
  return polygons;
}

void check_inside(const fs::path& file, const std::vector<Polygon>& polygons, const Item& item) {
  const double margin = 2;  // annotators click a little beside the image
  for (const Polygon& p : polygons)
    for (const auto& [x, y] : p)
      if (!(x >= -margin && y >= -margin && x <= static_cast<double>(item.width) + margin &&
            y <= static_cast<double>(item.height) + margin))
        refuse(file, "point (" + std::to_string(x) + ", " + std::to_string(y) + ") lies outside its image of " +
                         size_text(item.height, item.width) + " pixels");
}

void fill(const Tensor& mask, const std::vector<Polygon>& polygons, uint8_t value) {
  for (const Polygon& p : polygons) fill_polygon(mask, p, value);
}

void label(Sample& s, const Outlines& o, const std::string& target, int category) {
  s.labels.mask = Tensor::zeros({s.image.dim(0), s.image.dim(1)}, Dtype::u8);
  if (target != "mass") fill(s.labels.mask, o.liver, 1);
  if (target != "liver") fill(s.labels.mask, o.mass, target == "all" ? 2 : 1);
  const auto lesion = static_cast<uint8_t>(target == "all" ? 2 : 1);
  const Box box = target == "liver" ? Box{} : box_around(s.labels.mask, lesion, category);
  if (box.width > 0) s.labels.boxes.push_back(box);
  if (o.sector.empty()) return;
  s.scan_mask = Tensor::zeros(s.labels.mask.shape(), Dtype::u8);
  fill(s.scan_mask, o.sector, 1);
}

fs::path class_folder(const fs::path& folder, const std::string& name) {
  const std::string capital = static_cast<char>(name[0] - 'a' + 'A') + name.substr(1);
  return fs::is_directory(folder / capital) ? folder / capital : folder / name;
}

void add_class(Collection& c, const fs::path& folder, const std::string& name, int category, const std::string& target) {
  for (const fs::path& image : images_in(folder / "image")) {
    const fs::path annotations = folder / "segmentation";
    const std::string file = stem_of(image) + ".json";
    if (name != "normal" && target != "liver" && !fs::exists(annotations / "mass" / file))
      refuse(image, "has no mask: there is no segmentation/mass/" + file);
    if (target != "mass" && !fs::exists(annotations / "liver" / file)) continue;  // a few livers were never outlined
    Item item;
    item.meta.id = name + " " + stem_of(image), item.meta.source = image.string(), item.category = category;
    const auto outlines = std::make_shared<Outlines>();
    item.check = [=](Item& it) {
      const auto read = [&](const char* what) {
        auto polygons = read_polygons(annotations / what / file);
        check_inside(annotations / what / file, polygons, it);
        return polygons;
      };
      *outlines = {read("liver"), read("mass"), read("outline")};
    };
    item.label = [=](Sample& s) { label(s, *outlines, target, category); };
    c.items.push_back(item);
  }
}

}  // namespace

bool is_aul(const fs::path& folder) {
  for (const std::string& name : classes)
    if (fs::is_directory(class_folder(folder, name) / "image") && fs::is_directory(class_folder(folder, name) / "segmentation"))
      return true;
  return false;
}

Collection open_aul(const fs::path& folder, const OpenOptions& options) {
  if (options.target != "mass" && options.target != "liver" && options.target != "all")
    refuse(folder, "target '" + options.target + "' is none of mass, liver, all");
  Collection c{"aul-liver", category_names(classes, options), {"background"}, {}};
  if (options.target != "mass") c.mask_labels.push_back("liver");
  if (options.target != "liver") c.mask_labels.push_back("mass");
  for (const std::string& name : classes)
    if (const auto category = category_number(name, classes, options))
      add_class(c, class_folder(folder, name), name, *category, options.target);
  check_items(c.items);
  return c;
}

}  // namespace sono::zoo
