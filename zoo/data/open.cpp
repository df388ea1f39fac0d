#include "zoo/data/open.h"

#include <algorithm>
#include <exception>

#include "tensor/parallel.h"
#include "zoo/data/file_dataset.h"
#include "zoo/data/image.h"
#include "zoo/data/message.h"
#include "zoo/data/scan_mask.h"

namespace sono::zoo {
namespace {

std::string lower(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return s;
}

float scan_threshold(const ImageInfo& info) { return info.format == "JPEG" || info.format == "DICOM" ? 0.04f : 0.0f; }

Tensor model_image(const Tensor& values, bool colour) { return to_unit(colour ? to_colour(values) : to_grey(values)); }

std::optional<std::array<double, 2>> plane_spacing(const std::vector<double>& spacing) {
  if (spacing.size() < 2) return std::nullopt;
  return std::array<double, 2>{spacing[0], spacing[1]};
}

class FileDataset : public Dataset {
 public:
  FileDataset(Collection c, bool colour) : c_(std::move(c)), colour_(colour) {}

  int64_t size() const override { return static_cast<int64_t>(c_.items.size()); }
  Meta meta(int64_t i) const override { return item(i).meta; }
  std::optional<int> category(int64_t i) const override { return item(i).category; }
  std::vector<std::string> categories() const override { return c_.categories; }
  std::vector<std::string> mask_labels() const override { return c_.mask_labels; }
  std::string name() const override { return c_.name; }

  Sample get(int64_t i) const override {
    const Item& it = item(i);
    const Image image = read_image(it.meta.source);
    Sample s;
    s.meta = it.meta;
    s.image = model_image(image.values, colour_);
    s.labels.category = it.category;
    if (it.label) it.label(s);
    if (!s.scan_mask) s.scan_mask = find_scan_mask(s.image, scan_threshold(image.info));
    return s;
  }

 private:
  const Item& item(int64_t i) const {
    if (i < 0 || i >= size())
      throw Error("[Dataset] " + shown(c_.name) + " has no sample " + std::to_string(i) + " (it has " + std::to_string(size()) + ")");
    return c_.items[static_cast<size_t>(i)];
  }
  Collection c_;
  bool colour_;
};

void check_item(Item& item) {
  const ImageInfo info = image_info(item.meta.source);
  if (info.shape.size() != 3)
    refuse(item.meta.source, "has several frames or slices " + to_string(info.shape) + "; this data set wants single images");
  item.height = info.shape[0], item.width = info.shape[1];
  if (!item.meta.spacing) item.meta.spacing = plane_spacing(info.spacing);
  if (item.check) item.check(item);
}

}  // namespace

void check_items(std::vector<Item>& items) {
  std::vector<std::exception_ptr> errors(items.size());
  parallel_for(static_cast<int64_t>(items.size()), 1, [&](int64_t first, int64_t last) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); i++) {
      try {
        check_item(items[i]);
      } catch (...) { errors[i] = std::current_exception(); }
    }
  });
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
}

std::shared_ptr<Dataset> file_dataset(Collection c, const fs::path& folder, const OpenOptions& options) {
  if (c.items.empty())
    refuse(folder, options.classes.empty() ? "holds no images" : "holds no images of the categories " + listed(options.classes));
  return std::make_shared<FileDataset>(std::move(c), options.colour);
}

void refuse(const fs::path& path, const std::string& why) { throw FileError("[open_dataset] " + shown(path) + ": " + why); }

std::string size_text(int64_t height, int64_t width) { return std::to_string(width) + " x " + std::to_string(height); }

bool natural_less(const std::string& a, const std::string& b) {
  size_t i = 0, j = 0;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      const size_t si = a.find_first_not_of('0', i), sj = b.find_first_not_of('0', j);
      size_t ei = std::min(si, a.size()), ej = std::min(sj, b.size());
      const size_t bi = ei, bj = ej;
      while (ei < a.size() && digit(a[ei])) ei++;
      while (ej < b.size() && digit(b[ej])) ej++;
      if (ei - bi != ej - bj) return ei - bi < ej - bj;
      const int order = a.compare(bi, ei - bi, b, bj, ej - bj);
      if (order) return order < 0;
      i = ei, j = ej;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      i++, j++;
    }
  }
  return a.size() - i != b.size() - j ? a.size() - i < b.size() - j : a < b;
}

std::vector<fs::path> images_in(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().filename().string()[0] != '.' && has_image_name(entry.path().string()))
      files.push_back(entry.path());
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) { return natural_less(a.filename().string(), b.filename().string()); });
  return files;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && entry.path().filename().string()[0] != '.') folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::string stem_of(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with(".nii.gz") ? name.substr(0, name.size() - 7) : file.stem().string();
}

std::optional<int> category_number(const std::string& name, const std::vector<std::string>& all, const OpenOptions& options) {
  const std::vector<std::string>& names = options.classes.empty() ? all : options.classes;
  for (size_t i = 0; i < names.size(); i++)
    if (lower(names[i]) == lower(name)) return static_cast<int>(i);
  return std::nullopt;
}

std::vector<std::string> category_names(const std::vector<std::string>& all, const OpenOptions& options) {
  return options.classes.empty() ? all : options.classes;
}

std::vector<int> values_of(const Tensor& mask) {
  bool seen[256] = {};
  const uint8_t* m = mask.data<uint8_t>();
  for (int64_t i = 0; i < mask.size(); i++) seen[m[i]] = true;
  std::vector<int> values;
  for (int v = 0; v < 256; v++)
    if (seen[v]) values.push_back(v);
  return values;
}

Tensor checked_mask(const fs::path& file, const Item& item) {
  const Tensor mask = read_mask(file.string());
  if (mask.dim(0) != item.height || mask.dim(1) != item.width)
    refuse(file, "the mask is " + size_text(mask.dim(0), mask.dim(1)) + " pixels, its image " + size_text(item.height, item.width) +
                     "; save it at the size of the image");
  return mask;
}

void refuse_values(const fs::path& file, const std::vector<int>& values) {
  std::vector<std::string> words;
  for (int v : values) words.push_back(std::to_string(v));
  refuse(file, "mask values that are no labels: " + listed(words, 30) +
                   "; masks are 0 and 255, 0 and 1, or labels 0 … K (K <= 15), saved without smoothing and not as JPEG");
}

Tensor binary_mask(const fs::path& file, const Item& item) {
  const Tensor mask = checked_mask(file, item);
  const std::vector<int> values = values_of(mask);
  const bool one = std::all_of(values.begin(), values.end(), [](int v) { return v == 0 || v == 1; });
  const bool full = std::all_of(values.begin(), values.end(), [](int v) { return v == 0 || v == 255; });
  if (!one && !full) refuse_values(file, values);
  uint8_t* m = mask.data<uint8_t>();
  for (int64_t i = 0; i < mask.size(); i++) m[i] = m[i] != 0;
  return mask;
}

Box box_around(const Tensor& mask, uint8_t value, int category) {
  const int64_t height = mask.dim(0), width = mask.dim(1);
  int64_t x0 = width, x1 = -1, y0 = height, y1 = -1;
  const uint8_t* m = mask.data<uint8_t>();
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      if (m[y * width + x] == value) x0 = std::min(x0, x), x1 = std::max(x1, x), y0 = std::min(y0, y), y1 = y;
  Box b{0, 0, 0, 0, category, 1};
  if (x1 >= 0)
    b = {static_cast<double>(x0), static_cast<double>(y0), static_cast<double>(x1 - x0 + 1), static_cast<double>(y1 - y0 + 1), category, 1};
  return b;
}

std::shared_ptr<Dataset> open_dataset(const std::string& path, const OpenOptions& options) {
  std::error_code error;
  const fs::path folder = fs::weakly_canonical(path, error);
  if (error || !fs::exists(folder, error)) refuse(path, "no such folder");
  if (!fs::is_directory(folder, error)) refuse(path, "is a file, a data set is a folder");
  try {
    if (fs::is_empty(folder)) refuse(path, "the folder is empty; a data set has images/ and masks/, or a folder of images per category");
    if (is_simulated(folder)) return open_simulated(folder, options);
    Collection c = is_busi(folder)    ? open_busi(folder, options)
                   : is_hc18(folder)  ? open_hc18(folder, options)
                   : is_aul(folder)   ? open_aul(folder, options)
                   : is_pairs(folder) ? open_pairs(folder, options)
                                      : open_classes(folder, options);
    return file_dataset(std::move(c), folder, options);
  } catch (const fs::filesystem_error& e) { refuse(e.path1().empty() ? folder : e.path1(), "cannot be read: " + e.code().message()); }
}

std::vector<Sample> read_samples(const std::string& path, bool colour) {
  const Image image = read_image(path);
  const int64_t planes =
      image.values.rank() == 3 ? 1 : count(image.values.shape()) / (image.values.dim(-1) * image.values.dim(-2) * image.values.dim(-3));
  const Shape plane(image.values.shape().end() - 3, image.values.shape().end());
  Shape stack = plane;
  stack.insert(stack.begin(), planes);
  const Tensor unit =
      model_image(image.values, colour).view({planes, plane[0], plane[1], colour ? 3 : 1});  // scaled as a whole: frames stay comparable
  std::vector<Sample> samples;
  for (int64_t i = 0; i < planes; i++) {
    Sample s;
    s.image = unit.rows(i, i + 1).view({plane[0], plane[1], unit.dim(3)});
    s.scan_mask = find_scan_mask(s.image, scan_threshold(image.info));
    s.meta.id = stem_of(path);
    if (planes > 1) s.meta.video = s.meta.id, s.meta.frame = i, s.meta.id += " frame " + std::to_string(i);
    s.meta.spacing = plane_spacing(image.info.spacing);
    s.meta.source = path;
    samples.push_back(s);
  }
  return samples;
}

}  // namespace sono::zoo
