// HC18, fetal head circumference [van den Heuvel et al., PLoS ONE 2018]. The annotation is the outline of an ellipse: it is fitted and
// filled. Names: NNN_HC, NNN_2HC … are images of patient NNN.
#include <cmath>
#include <map>
#include <regex>
#include <sstream>

#include "tensor/files.h"
#include "zoo/data/file_dataset.h"
#include "zoo/metrics/measurement.h"

namespace sono::zoo {
namespace {

const std::regex name_pattern("^([0-9]+)_[0-9]*HC$");

struct Row {
  double pixel = 0, circumference = 0;
};  // mm per pixel, mm; 0: not stated

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> all;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');) {
    while (!cell.empty() && (cell.back() == '\r' || cell.back() == ' ')) cell.pop_back();
    all.push_back(cell);
  }
  return all;
}

// Columns: file name, mm per pixel, and, for images with a truth, the circumference in mm.
void read_table(const fs::path& file, std::map<std::string, Row>& rows) {
  std::istringstream in(read_file(file.string()));
  std::string line;
  std::getline(in, line);
  if (cells(line).size() < 2 || line.find("pixel size") == std::string::npos)
    refuse(file, "its first line does not name the columns filename, pixel size(mm), head circumference (mm)");
  for (int number = 2; std::getline(in, line); number++) {
    const auto c = cells(line);
    if (c.empty()) continue;
    Row row;
    char* end = nullptr;
    if (c.size() > 1) row.pixel = std::strtod(c[1].c_str(), &end);
    const bool good = end && end != c[1].c_str() && row.pixel > 0 && std::isfinite(row.pixel);
    if (c.size() > 2) row.circumference = std::strtod(c[2].c_str(), &end);
    if (!good || (c.size() > 2 && (end == c[2].c_str() || !(row.circumference > 0) || !std::isfinite(row.circumference))))
      refuse(file, "line " + std::to_string(number) + " does not hold a file name and positive sizes");
    rows[c[0]] = row;
  }
}

fs::path annotation_of(const fs::path& image) { return image.parent_path() / (stem_of(image) + "_Annotation.png"); }

std::vector<fs::path> heads_in(const fs::path& folder) {
  std::vector<fs::path> heads;
  for (const fs::path& file : images_in(folder))
    if (std::regex_match(stem_of(file), name_pattern)) heads.push_back(file);
  return heads;
}

// training_set/, else test_set/, else the folder itself.
fs::path place(const fs::path& folder) {
  for (const char* name : {"training_set", "test_set"})
    if (!heads_in(folder / name).empty()) return folder / name;
  return folder;
}

Ellipse fitted(const fs::path& annotation, const Item& item) {
  const Tensor outline = binary_mask(annotation, item);
  std::vector<Point> points;
  for (int64_t i = 0; i < outline.size(); i++)
    if (outline.data<uint8_t>()[i]) points.push_back({static_cast<double>(i % item.width), static_cast<double>(i / item.width)});
  const auto ellipse = fit_ellipse(points);
  if (!ellipse) refuse(annotation, "the annotation is not the outline of an ellipse");
  return *ellipse;
}

void label(Sample& s, const Ellipse& ellipse, const Row& row) {
  s.labels.ellipse = ellipse;
  s.labels.mask = ellipse_mask(ellipse, s.image.dim(0), s.image.dim(1));
  const double hc = row.circumference > 0 ? row.circumference : row.pixel > 0 ? perimeter(ellipse) * row.pixel : 0;
  if (hc > 0) s.labels.measurements.push_back({"head circumference", hc, "mm"});
}

}  // namespace

bool is_hc18(const fs::path& folder) { return !heads_in(place(folder)).empty(); }

Collection open_hc18(const fs::path& folder, const OpenOptions&) {
  std::map<std::string, Row> rows;
  const fs::path images = place(folder);
  for (const fs::path& root : {images.parent_path(), images})  // the table lies beside training_set/, or in it
    for (const auto& entry : fs::directory_iterator(root)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_regular_file() && name.ends_with(".csv") && name.find("pixel_size") != std::string::npos) read_table(entry.path(), rows);
    }
  Collection c{"hc18", {}, {"background", "head"}, {}};
  for (const fs::path& image : heads_in(images)) {
    const fs::path annotation = annotation_of(image);
    if (!fs::exists(annotation)) refuse(image, "has no mask: there is no " + annotation.filename().string());
    const auto row = rows.find(image.filename().string());
    if (!rows.empty() && row == rows.end()) refuse(image, "is not in the CSV table of pixel sizes");
    const Row known = row == rows.end() ? Row{} : row->second;
    Item item;
    item.meta.id = stem_of(image), item.meta.source = image.string();
    item.meta.patient = item.meta.id.substr(0, item.meta.id.find('_'));
    if (known.pixel > 0) item.meta.spacing = {known.pixel, known.pixel};
    const auto ellipse = std::make_shared<Ellipse>();
    item.check = [annotation, ellipse](Item& it) { *ellipse = fitted(annotation, it); };
    item.label = [ellipse, known](Sample& s) { label(s, *ellipse, known); };
    c.items.push_back(item);
  }
  check_items(c.items);
  return c;
}

}  // namespace sono::zoo
