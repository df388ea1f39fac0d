#pragma once
// What the adapters of open_dataset share (internal to zoo/data): a list of files with the labels that belong to them.
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "zoo/data/open.h"

namespace sono::zoo {

namespace fs = std::filesystem;

struct Item {
  Meta meta;  // source: the image's file
  std::optional<int> category;
  int64_t height = 0, width = 0;       // filled in when the set is opened
  std::function<void(Item&)> check;    // reads the labels once, after height and width are known; throws. May be empty
  std::function<void(Sample&)> label;  // fills in labels and scan mask from what `check` left or from the files. May be empty
};

struct Collection {
  std::string name;
  std::vector<std::string> categories, mask_labels;
  std::vector<Item> items;
};

// Checks every item, in parallel; the first bad one in order is the one that is named.
void check_items(std::vector<Item>& items);

// A data set of checked items. FileError if there are none.
std::shared_ptr<Dataset> file_dataset(Collection collection, const fs::path& folder, const OpenOptions& options);

// The adapters. Each says whether the folder has its layout, and reads it.
bool is_busi(const fs::path& folder);
bool is_hc18(const fs::path& folder);
bool is_aul(const fs::path& folder);
bool is_pairs(const fs::path& folder);
Collection open_busi(const fs::path& folder, const OpenOptions& options);
Collection open_hc18(const fs::path& folder, const OpenOptions& options);
Collection open_aul(const fs::path& folder, const OpenOptions& options);
Collection open_pairs(const fs::path& folder, const OpenOptions& options);
Collection open_classes(const fs::path& folder, const OpenOptions& options);

// What `sonograd simulate` wrote: manifest.json names images, masks, sequences, elastograms, patients and categories.
bool is_simulated(const fs::path& folder);
std::shared_ptr<Dataset> open_simulated(const fs::path& folder, const OpenOptions& options);

// Images of a folder in natural order ("a 2" before "a 10"); hidden and other files are passed over.
std::vector<fs::path> images_in(const fs::path& folder);
std::vector<fs::path> folders_in(const fs::path& folder);
bool natural_less(const std::string& a, const std::string& b);
std::string stem_of(const fs::path& file);  // without .nii.gz, too

// The number of a category: its place in options.classes (upper and lower case are the same), else in `all`. None: leave the sample out.
std::optional<int> category_number(const std::string& name, const std::vector<std::string>& all, const OpenOptions& options);
std::vector<std::string> category_names(const std::vector<std::string>& all, const OpenOptions& options);

[[noreturn]] void refuse(const fs::path& path, const std::string& why);  // FileError "[open_dataset] PATH: why"
std::string size_text(int64_t height, int64_t width);                    // "400 x 335": width x height, as people say it

// A mask file as values, its size compared with the item's.
Tensor checked_mask(const fs::path& file, const Item& item);
// The mask's values as "0, 1, 7, 255".
std::vector<int> values_of(const Tensor& mask);
[[noreturn]] void refuse_values(const fs::path& file, const std::vector<int>& values);
// 1 where the mask is not 0; refuses values other than 0 and 1 or 0 and 255.
Tensor binary_mask(const fs::path& file, const Item& item);

Box box_around(const Tensor& mask, uint8_t value, int category);  // of the pixels with this value; width 0 if there are none

}  // namespace sono::zoo
