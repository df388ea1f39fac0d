// Folders that `sonograd simulate` wrote, read back by their manifest: images and masks as PNG, sequences and elastograms as npy.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tensor/files.h"
#include "zoo/data/file_dataset.h"
#include "zoo/data/image.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

using nlohmann::json;

struct Entry {
  Meta meta;
  std::optional<int> category;
  fs::path image, mask, elasticity, sequence;  // empty: there is none
  double rate = 0;
  std::vector<std::string> channels;
  std::vector<Measurement> measurements;
};

// A file of the folder; a manifest may not point out of it.
fs::path inside(const fs::path& folder, const std::string& file) {
  const fs::path path = fs::path(file).lexically_normal();
  if (path.is_absolute() || path.empty() || *path.begin() == "..")
    refuse(folder / "manifest.json", "names '" + shown(file) + "', which is not in the folder");
  if (!fs::is_regular_file(folder / path)) refuse(folder / path, "is named by the manifest but does not exist");
  return folder / path;
}

Entry read_entry(const fs::path& folder, const json& j, const std::vector<std::string>& categories, const OpenOptions& options) {
  Entry e;
  e.meta.id = j.at("id"), e.meta.patient = j.value("patient", ""), e.meta.domain = j.value("scanner", "");
  e.image = inside(folder, j.at("image"));
  e.meta.source = e.image.string();
  if (j.contains("mask")) e.mask = inside(folder, j.at("mask"));
  if (j.contains("elasticity")) e.elasticity = inside(folder, j.at("elasticity"));
  if (j.contains("spacing_mm")) e.meta.spacing = j.at("spacing_mm").get<std::array<double, 2>>();
  if (j.contains("category")) e.category = category_number(j.at("category"), categories, options);
  if (j.contains("sequence")) {
    const json& s = j.at("sequence");
    e.sequence = inside(folder, s.at("file")), e.rate = s.at("rate_hz"), e.channels = s.at("channels").get<std::vector<std::string>>();
  }
  if (j.contains("measurements"))
    for (const auto& [name, m] : j.at("measurements").items()) e.measurements.push_back({name, m.at("value"), m.at("unit")});
  return e;
}

Tensor matrix(const fs::path& file, int64_t columns) {
  const Tensor t = read_npy(file.string());
  if (t.dtype() != Dtype::f32 || t.rank() != 2 || (columns && t.dim(1) != columns) || t.size() == 0)
    refuse(file, "holds " + to_string(t.shape()) + " of " + to_string(t.dtype()) + ", the manifest promises f32 with two dimensions" +
                     (columns ? " and " + std::to_string(columns) + " columns" : ""));
  return t;
}

class SimulatedFolder : public Dataset {
 public:
  SimulatedFolder(std::string name, std::vector<Entry> entries, std::vector<std::string> categories, std::vector<std::string> mask_labels)
      : name_(std::move(name)), entries_(std::move(entries)), categories_(std::move(categories)), mask_labels_(std::move(mask_labels)) {}
  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  Meta meta(int64_t i) const override { return entries_.at(static_cast<size_t>(i)).meta; }
  std::optional<int> category(int64_t i) const override { return entries_.at(static_cast<size_t>(i)).category; }
  std::vector<std::string> categories() const override { return categories_; }
  std::vector<std::string> mask_labels() const override { return mask_labels_; }
  std::string name() const override { return name_; }

  Sample get(int64_t i) const override {
    const Entry& e = entries_.at(static_cast<size_t>(i));
    Sample s;
    s.meta = e.meta;
    const Tensor values = read_image(e.image.string()).values;
    s.image = to_unit(values.dim(2) == 3 ? to_colour(values) : to_grey(values));
    s.labels.category = e.category, s.labels.measurements = e.measurements;
    if (!e.mask.empty()) {
      Item size;
      size.height = s.image.dim(0), size.width = s.image.dim(1);
      s.labels.mask = binary_mask(e.mask, size);
      if (const Box box = box_around(s.labels.mask, 1, e.category.value_or(0)); box.width > 0) s.labels.boxes = {box};
    }
    if (!e.elasticity.empty()) s.elasticity = matrix(e.elasticity, s.image.dim(1));
    if (!e.sequence.empty()) s.sequence = {matrix(e.sequence, static_cast<int64_t>(e.channels.size())), e.rate, e.channels};
    return s;
  }

 private:
  std::string name_;
  std::vector<Entry> entries_;
  std::vector<std::string> categories_, mask_labels_;
};

}  // namespace

bool is_simulated(const fs::path& folder) {
  if (!fs::is_regular_file(folder / "manifest.json")) return false;
  const json j = json::parse(read_file((folder / "manifest.json").string()), nullptr, false);
  return j.is_object() && j.contains("phantom") && j.contains("cases");
}

std::shared_ptr<Dataset> open_simulated(const fs::path& folder, const OpenOptions& options) {
  const fs::path manifest = folder / "manifest.json";
  const json j = json::parse(read_file(manifest.string()), nullptr, false);
  std::vector<Entry> entries;
  std::vector<std::string> categories, mask_labels;
  try {
    mask_labels = j.value("mask_labels", std::vector<std::string>{});
    categories = j.value("categories", std::vector<std::string>{});
    for (const json& c : j.at("cases")) {
      Entry e = read_entry(folder, c, categories, options);
      if (options.classes.empty() || e.category) entries.push_back(std::move(e));
    }
  } catch (const json::exception&) { refuse(manifest, "is damaged, or was written by another version"); }
  if (entries.empty())
    refuse(folder, options.classes.empty() ? "holds no images" : "holds no images of the categories " + listed(options.classes));
  if (options.require_masks && std::any_of(entries.begin(), entries.end(), [](const Entry& e) { return e.mask.empty(); }))
    refuse(folder, "has no masks");
  auto data = std::make_shared<SimulatedFolder>(folder.filename().string(), std::move(entries), category_names(categories, options),
                                                std::move(mask_labels));
  for (int64_t i = 0; i < data->size(); i++) data->get(i);  // files that are whole, of the sizes that the manifest promises
  return data;
}

}  // namespace sono::zoo
