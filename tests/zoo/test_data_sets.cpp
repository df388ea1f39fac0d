// Data sets in folders: each layout, made small, and everything that is refused when it is opened. The public sets where they are there.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "tests/zoo/test_data_common.h"
#include "zoo/data/cache.h"
#include "zoo/data/open.h"
#include "zoo/metrics/measurement.h"

using namespace sono;
using namespace sono::zoo;
using namespace sono::zoo::tests;

namespace {

// images/ and masks/ with n pairs of 40 x 32 pixels.
void make_pairs(const fs::path& folder, int n, int value = 255) {
  for (int i = 0; i < n; i++) {
    const std::string name = "case" + std::to_string(i) + ".png";
    save(folder / "images" / name, picture(32, 40, static_cast<uint64_t>(i)));
    save(folder / "masks" / name, disc(32, 40, 15 + i, 16, 6, value));
  }
}

std::string refusal(const fs::path& folder, const OpenOptions& options = {}) {
  return error_of([&] { open_dataset(folder.string(), options); });
}

int64_t area(const Tensor& mask, uint8_t value = 1) {
  int64_t n = 0;
  for (int64_t i = 0; i < mask.size(); i++) n += mask.data<uint8_t>()[i] == value;
  return n;
}

void make_busi(const fs::path& folder) {
  const auto add = [&](const std::string& kind, int i, const std::vector<Tensor>& masks) {
    const std::string stem = kind + " (" + std::to_string(i) + ")";
    save(folder / kind / "images" / (stem + ".png"), picture(30, 40, static_cast<uint64_t>(i)));
    for (size_t k = 0; k < masks.size(); k++)
      save(folder / kind / "mask" / (stem + "_mask" + (k ? "_" + std::to_string(k) : "") + ".png"), masks[k]);
  };
  add("benign", 2, {disc(30, 40, 10, 10, 4), disc(30, 40, 30, 20, 3)});
  add("benign", 10, {disc(30, 40, 20, 15, 5)});
  Tensor colour({30, 40, 3}, Dtype::u8);
  const Tensor lesion = disc(30, 40, 12, 12, 5);
  for (int64_t i = 0; i < colour.size(); i++) colour.data<uint8_t>()[i] = lesion.data<uint8_t>()[i / 3];
  add("malignant", 1, {colour});
  add("normal", 1, {Tensor::zeros({30, 40}, Dtype::u8)});
}

}  // namespace

TEST_CASE("pairs: images, masks, labels and names") {
  TemporaryFolder folder;
  make_pairs(folder.path, 3);
  const auto data = open_dataset(folder.path.string());
  REQUIRE(data->size() == 3);
  CHECK(data->name() == folder.path.filename().string());
  CHECK(data->mask_labels().size() == 2);
  CHECK(data->categories().empty());
  const Sample s = data->get(1);
  CHECK(s.meta.id == "case1");
  CHECK(s.image.shape() == Shape{32, 40, 1});
  CHECK(s.image.at({3, 4, 0}) == doctest::Approx(picture(32, 40, 1).at({3, 4}) / 255));
  CHECK(area(s.labels.mask) == area(disc(32, 40, 16, 16, 6, 1)));
  CHECK(s.scan_mask.shape() == Shape{32, 40});
  CHECK(!s.labels.category);
  CHECK(data->get(1).image.to_vector<float>() == s.image.to_vector<float>());
  CHECK(open_dataset(folder.path.string(), {.colour = true})->get(0).image.shape() == Shape{32, 40, 3});
  CHECK(open_dataset(folder.path.string() + "/")->name() == data->name());
  CHECK_THROWS_AS(data->get(3), Error);
}

TEST_CASE("pairs: 0 and 1, and label sets") {
  TemporaryFolder folder;
  make_pairs(folder / "ones", 2, 1);
  CHECK(area(open_dataset((folder / "ones").string())->get(0).labels.mask) == area(disc(32, 40, 15, 16, 6, 1)));
  make_pairs(folder / "labels", 2, 1);
  save(folder / "labels/masks/case1.png", disc(32, 40, 15, 16, 6, 3));
  const auto data = open_dataset((folder / "labels").string());
  CHECK(data->mask_labels().size() == 4);
  CHECK(area(data->get(1).labels.mask, 3) > 50);
  CHECK(open_dataset((folder / "ones").string(), {.mask_labels = 4})->mask_labels().size() ==
        4);  // a part of a set in which some labels do not occur
  CHECK(is_clear(refusal(folder / "labels", {.mask_labels = 3}), "3"));
}

TEST_CASE("pairs: frames of a video are named so") {
  TemporaryFolder folder;
  for (const char* name : {"scanA_slice_2.png", "scanA_slice_10.png", "scanB_frame7.png"}) {
    save(folder / "images" / name, picture(20, 20, std::string(name).size()));
    save(folder / "masks" / name, disc(20, 20, 9, 9, 4));
  }
  const auto data = open_dataset(folder.path.string());
  CHECK(data->meta(0).video == "scanA");
  CHECK(data->meta(0).frame == 2);  // natural order: 2 before 10
  CHECK(data->meta(1).frame == 10);
  CHECK(data->meta(2).video == "scanB");
}

TEST_CASE("pairs: what is wrong is named when the set is opened") {
  TemporaryFolder folder;
  const fs::path set = folder / "set";
  make_pairs(set, 4);
  const auto refused = [&](const std::string& word) {
    const std::string message = refusal(set);
    CAPTURE(message);
    return is_clear(message, word);
  };
  CHECK(refusal(set) == "");
  SUBCASE("image without mask") {
    fs::remove(set / "masks/case2.png");
    CHECK(refused("case2"));
  }
  SUBCASE("mask without image") {
    fs::remove(set / "images/case2.png");
    CHECK(refused("case2"));
  }
  SUBCASE("mask of another size: both are named") {
    save(set / "masks/case1.png", disc(50, 60, 20, 20, 5));
    CHECK(refused("case1"));
    CHECK(refused("60 x 50"));
    CHECK(refused("40 x 32"));
  }
  SUBCASE("greys") {
    save(set / "masks/case3.png", picture(32, 40, 5));
    CHECK(refused("case3"));
    CHECK(refused("mask values that are no labels"));
  }
  SUBCASE("labels beside 255") {
    save(set / "masks/case3.png", disc(32, 40, 10, 10, 5, 1));
    CHECK(refused("mask values that are no labels"));
  }
  SUBCASE("one other value") {
    for (int i = 0; i < 4; i++) save(set / "masks" / ("case" + std::to_string(i) + ".png"), disc(32, 40, 10, 10, 5, 128));
    CHECK(refused("mask values that are no labels"));
  }
  SUBCASE("truncated image") {
    const std::string whole = bytes_of(set / "images/case3.png");
    write_bytes(set / "images/case3.png", whole.substr(0, 300));
    CHECK(refused("case3"));
  }
  SUBCASE("truncated mask") {
    write_bytes(set / "masks/case3.png", bytes_of(set / "masks/case3.png").substr(0, 60));
    CHECK(refused("case3"));
  }
  SUBCASE("text called .png") {
    write_bytes(set / "images/case1.png", "not a picture");
    CHECK(refused("case1"));
  }
  SUBCASE("two files of one stem") {
    save(set / "images/other.png", picture(32, 40, 7));
    fs::rename(set / "images/other.png", set / "images/case1.bmp");
    CHECK(refused("case1"));
  }
  SUBCASE("no masks at all") {
    fs::remove_all(set / "masks");
    CHECK(refused("masks"));
  }
  SUBCASE("no images at all") {
    for (int i = 0; i < 4; i++) fs::remove(set / "images" / ("case" + std::to_string(i) + ".png"));
    CHECK(refused("images"));
  }
}

TEST_CASE("folders that are no data set") {
  TemporaryFolder folder;
  CHECK(is_clear(refusal(folder / "nowhere"), "nowhere"));
  fs::create_directories(folder / "bare");
  CHECK(is_clear(refusal(folder / "bare"), "bare"));
  write_bytes(folder / "notes/readme.txt", "hello");
  CHECK(is_clear(refusal(folder / "notes"), "notes"));
  CHECK(is_clear(refusal(folder / "notes/readme.txt"), "readme.txt"));
}

TEST_CASE("BUSI: several masks are united, RGB masks, normal images, categories that stay") {
  TemporaryFolder folder;
  make_busi(folder.path);
  const auto data = open_dataset(folder.path.string());
  REQUIRE(data->size() == 4);
  CHECK(data->categories() == std::vector<std::string>{"benign", "malignant", "normal"});
  CHECK(data->mask_labels() == std::vector<std::string>{"background", "lesion"});
  const Sample two = data->get(0);
  CHECK(two.meta.id == "benign (2)");
  CHECK(area(two.labels.mask) == area(disc(30, 40, 10, 10, 4), 255) + area(disc(30, 40, 30, 20, 3), 255));
  CHECK(two.labels.boxes.size() == 2);
  CHECK(data->meta(1).id == "benign (10)");
  CHECK(*data->category(2) == 1);
  CHECK(area(data->get(2).labels.mask) == area(disc(30, 40, 12, 12, 5), 255));
  CHECK(*data->get(3).labels.category == 2);
  CHECK(area(data->get(3).labels.mask) == 0);
  CHECK(data->get(3).labels.boxes.empty());
  SUBCASE("chosen classes") {
    const auto chosen = open_dataset(folder.path.string(), {.classes = {"malignant", "benign"}});
    CHECK(chosen->size() == 3);
    CHECK(chosen->categories() == std::vector<std::string>{"malignant", "benign"});
    std::map<int, int> counts;
    for (int64_t i = 0; i < chosen->size(); i++) counts[*chosen->category(i)]++;
    CHECK(counts == std::map<int, int>{{0, 1}, {1, 2}});
    CHECK(is_clear(refusal(folder.path, {.classes = {"cyst"}}), "cyst"));
  }
  SUBCASE("a part without benign images keeps the numbers") {
    fs::remove_all(folder / "benign");
    const auto part = open_dataset(folder.path.string());
    CHECK(part->size() == 2);
    CHECK(*part->category(0) == 1);
    CHECK(part->categories().size() == 3);
  }
  SUBCASE("as published: images and masks in one folder") {
    for (const char* kind : {"benign", "malignant", "normal"})
      for (const char* sub : {"images", "mask"}) {
        for (const auto& entry : std::vector<fs::directory_entry>{fs::directory_iterator(folder / kind / sub), {}})
          fs::rename(entry.path(), folder / kind / entry.path().filename());
        fs::remove(folder / kind / sub);
      }
    CHECK(open_dataset(folder.path.string())->size() == 4);
    CHECK(area(open_dataset(folder.path.string())->get(0).labels.mask) == area(two.labels.mask));
  }
  SUBCASE("without a mask") {
    fs::remove(folder / "benign/mask/benign (10)_mask.png");
    CHECK(is_clear(refusal(folder.path), "benign (10)"));
  }
  SUBCASE("a mask too many") {
    save(folder / "benign/mask/benign (77)_mask.png", disc(30, 40, 9, 9, 3));
    CHECK(is_clear(refusal(folder.path), "benign (77)"));
  }
}

TEST_CASE("HC18: outlines become ellipses, sizes in mm, patients by number") {
  TemporaryFolder folder;
  const Ellipse head{70, 50, 40, 28, 0.4};
  const auto outline = [&](int64_t x, int64_t y) {  // inside, with an outside neighbour
    const auto in = [&](double px, double py) {
      const double u = (px - head.cx) * std::cos(head.angle) + (py - head.cy) * std::sin(head.angle),
                   v = -(px - head.cx) * std::sin(head.angle) + (py - head.cy) * std::cos(head.angle);
      return u * u / (head.a * head.a) + v * v / (head.b * head.b) <= 1;
    };
    const auto px = static_cast<double>(x), py = static_cast<double>(y);
    return in(px, py) && !(in(px - 1, py) && in(px + 1, py) && in(px, py - 1) && in(px, py + 1)) ? 255 : 0;
  };
  for (const char* stem : {"010_HC", "010_2HC", "011_HC"}) {
    save(folder / "training_set" / (std::string(stem) + ".png"), picture(100, 140, std::string(stem).size()));
    save(folder / "training_set" / (std::string(stem) + "_Annotation.png"), drawn(100, 140, outline));
  }
  const std::string table =
      "filename,pixel size(mm),head circumference (mm)\r\n010_HC.png,0.5,107.5\r\n010_2HC.png,0.25,53.5\r\n011_HC.png,0.5,107\r\n";
  write_bytes(folder / "training_set_pixel_size_and_HC.csv", table);
  const auto data = open_dataset(folder.path.string());
  REQUIRE(data->size() == 3);
  std::multiset<std::string> patients;
  for (int64_t i = 0; i < 3; i++) patients.insert(data->meta(i).patient);
  CHECK(patients == std::multiset<std::string>{"010", "010", "011"});
  for (int64_t i = 0; i < 3; i++) {
    const Sample s = data->get(i);
    REQUIRE(s.labels.ellipse);
    CHECK(s.labels.ellipse->a == doctest::Approx(head.a).epsilon(0.03));
    CHECK(s.labels.ellipse->b == doctest::Approx(head.b).epsilon(0.03));
    CHECK(static_cast<double>(area(s.labels.mask)) == doctest::Approx(std::numbers::pi * head.a * head.b).epsilon(0.04));
    REQUIRE(s.labels.measurements.size() == 1);
    CHECK(s.labels.measurements[0].value == (s.meta.id == "010_HC" ? 107.5 : s.meta.id == "010_2HC" ? 53.5 : 107));
    CHECK((*s.meta.spacing)[0] == (s.meta.id == "010_2HC" ? 0.25 : 0.5));
  }
  CHECK(open_dataset((folder / "training_set").string())->size() == 3);
  const auto refused = [&](const std::string& word) { return is_clear(refusal(folder.path), word); };
  SUBCASE("no annotation") {
    fs::remove(folder / "training_set/010_2HC_Annotation.png");
    CHECK(refused("010_2HC"));
  }
  SUBCASE("not in the table") {
    write_bytes(folder / "training_set_pixel_size_and_HC.csv", table.substr(0, table.find("011")));
    CHECK(refused("011_HC"));
  }
  SUBCASE("a damaged table") {
    write_bytes(folder / "training_set_pixel_size_and_HC.csv", table + "012_HC.png,many,3\n");
    CHECK(refused("line 5"));
  }
  SUBCASE("no ellipse") {
    save(folder / "training_set/011_HC_Annotation.png", drawn(100, 140, [](int64_t, int64_t y) { return y == 7 ? 255 : 0; }));
    CHECK(refused("011_HC_Annotation"));
  }
}

TEST_CASE("AUL: polygons, the sector as scan mask") {
  TemporaryFolder folder;
  const auto add = [&](const std::string& kind, int i, bool liver, bool mass) {
    const std::string n = std::to_string(i);
    save(folder / kind / "image" / (n + ".png"), picture(60, 80, static_cast<uint64_t>(i)));
    write_bytes(folder / kind / "segmentation/outline" / (n + ".json"), "[[5, 5], [75, 5], [75, 55], [5, 55]]");
    if (liver) write_bytes(folder / kind / "segmentation/liver" / (n + ".json"), "[[9.5, 9.5], [60.5, 9.5], [60.5, 50.5], [9.5, 50.5]]");
    if (mass) write_bytes(folder / kind / "segmentation/mass" / (n + ".json"), "[[19.5, 19.5], [29.5, 19.5], [29.5, 29.5], [19.5, 29.5]]");
  };
  add("Benign", 1, true, true), add("Malignant", 4, true, true), add("Malignant", 12, false, true), add("Normal", 3, true, false);
  const auto data = open_dataset(folder.path.string());
  REQUIRE(data->size() == 4);
  CHECK(data->categories() == std::vector<std::string>{"benign", "malignant", "normal"});
  CHECK(area(data->get(0).labels.mask) == 100);
  CHECK(data->get(0).labels.boxes[0].width == 10);
  CHECK(data->get(0).scan_mask.at({2, 2}) == 0);
  CHECK(data->get(0).scan_mask.at({30, 30}) == 1);
  CHECK(area(data->get(3).labels.mask) == 0);
  const auto all = open_dataset(folder.path.string(), {.target = "all"});
  CHECK(all->size() == 3);  // one liver was never outlined
  CHECK(all->mask_labels() == std::vector<std::string>{"background", "liver", "mass"});
  CHECK(area(all->get(0).labels.mask, 2) == 100);
  CHECK(area(all->get(0).labels.mask, 1) == 51 * 41 - 100);
  CHECK(is_clear(refusal(folder.path, {.target = "spleen"}), "spleen"));
  SUBCASE("broken JSON") {
    write_bytes(folder / "Benign/segmentation/mass/1.json", "[[1, 2], [3");
    CHECK(is_clear(refusal(folder.path), "1.json"));
  }
  SUBCASE("outside its image") {
    write_bytes(folder / "Benign/segmentation/mass/1.json", "[[1, 2], [300, 4], [5, 6]]");
    CHECK(is_clear(refusal(folder.path), "80 x 60"));
  }
  SUBCASE("no mass") {
    fs::remove(folder / "Malignant/segmentation/mass/4.json");
    CHECK(is_clear(refusal(folder.path), "4.png"));
  }
}

TEST_CASE("a folder of images per category") {
  TemporaryFolder folder;
  for (int i = 0; i < 3; i++) save(folder / "heart" / ("a" + std::to_string(i) + ".png"), picture(20, 20, static_cast<uint64_t>(i)));
  save(folder / "brain/b.png", picture(20, 20, 9));
  const auto data = open_dataset(folder.path.string());
  CHECK(data->size() == 4);
  CHECK(data->categories() == std::vector<std::string>{"brain", "heart"});
  CHECK(*data->category(0) == 0);
  CHECK(!data->get(0).labels.mask);
  CHECK(*open_dataset(folder.path.string(), {.classes = {"liver", "heart", "brain"}})->category(0) == 2);
  CHECK(is_clear(refusal(folder.path, {.require_masks = true}), "masks"));
}

TEST_CASE("a cached set: the same labels at one size, shared memory, predictions find back") {
  TemporaryFolder folder;
  make_pairs(folder.path, 5);
  const auto data = open_dataset(folder.path.string());
  const auto cached = std::make_shared<CachedDataset>(data, CacheOptions{.height = 24, .width = 24});
  REQUIRE(cached->size() == 5);
  const Sample s = cached->get(2);
  CHECK(s.image.shape() == Shape{24, 24, 1});
  CHECK(s.labels.mask.shape() == Shape{24, 24});
  CHECK(s.image.shares_memory_with(cached->get(2).image));
  CHECK(cached->fit(2).restore_mask(s.labels.mask).shape() == Shape{32, 40});
  CHECK(cached->fingerprints().hashes == fingerprints(*data).hashes);  // of the full size
  const Subset subset(cached, {4, 1});
  CHECK(subset.size() == 2);
  CHECK(subset.meta(0).id == "case4");
  CHECK(fingerprints(subset).hashes[1] == cached->fingerprints().hashes[1]);
  CHECK_THROWS_AS(Subset(cached, {5}), Error);
  write_bytes(folder / "images/case3.png", bytes_of(folder / "images/case3.png").substr(0, 100));  // damaged after it was opened
  CHECK(is_clear(error_of([&] { CachedDataset(data, CacheOptions{}); }), "case3"));
}

TEST_CASE("public sets open as their owners ship them") {
  struct Expected {
    const char* name;
    int64_t images, categories, labels;
  };
  for (const Expected& e :
       {Expected{"busi", 632, 3, 2}, {"hc18", 610, 0, 2}, {"usgra-seg", 204, 0, 3}, {"aul-liver", 588, 3, 2}, {"cca-carotid", 62, 0, 2}}) {
    const std::string folder = public_data(e.name);
    if (folder.empty()) {
      MESSAGE("skipped: no " << e.name);
      continue;
    }
    CAPTURE(e.name);
    const auto data = open_dataset(folder);
    CHECK(data->size() == e.images);
    CHECK(static_cast<int64_t>(data->categories().size()) == e.categories);
    CHECK(static_cast<int64_t>(data->mask_labels().size()) == e.labels);
    std::set<std::string> ids;
    for (int64_t i = 0; i < data->size(); i++) ids.insert(data->meta(i).id);
    CHECK(static_cast<int64_t>(ids.size()) == e.images);
    const Sample s = data->get(data->size() / 3);
    CHECK(s.labels.mask.dim(0) == s.image.dim(0));
    CHECK(area(s.labels.mask) > 0);
  }
}

TEST_CASE("HC18: the ellipses' circumferences are the table's") {
  const std::string folder = public_data("hc18");
  if (folder.empty()) {
    MESSAGE("skipped: no hc18");
    return;
  }
  const auto data = open_dataset(folder);
  double worst = 0, sum = 0;
  for (int64_t i = 0; i < data->size(); i += 10) {
    const Sample s = data->get(i);
    const double hc = circumference_mm(*s.labels.ellipse, {(*s.meta.spacing)[0], (*s.meta.spacing)[1]}),
                 error = std::abs(hc / s.labels.measurements[0].value - 1);
    worst = std::max(worst, error), sum += error;
  }
  CHECK(sum / static_cast<double>((data->size() + 9) / 10) < 0.005);
  CHECK(worst < 0.03);
}
