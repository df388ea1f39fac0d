// The leak guard and the splits.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tensor/parallel.h"
#include "tests/zoo/test_data_common.h"
#include "zoo/data/cache.h"
#include "zoo/data/open.h"
#include "zoo/data/resize.h"
#include "zoo/data/split.h"

using namespace sono;
using namespace sono::zoo;
using namespace sono::zoo::tests;

namespace {

// The same picture saved again: other size, other brightness, a little noise.
Tensor saved_again(const Tensor& image, uint64_t seed) {
  Random random(seed, "again");
  Tensor small = resize_bilinear(image.to(Dtype::f32), image.dim(0) * 9 / 10, image.dim(1) * 9 / 10),
         out({small.dim(0), small.dim(1)}, Dtype::u8);
  for (int64_t i = 0; i < out.size(); i++)
    out.data<uint8_t>()[i] = static_cast<uint8_t>(std::clamp(0.9 * small.data<float>()[i] + 8 + 2 * random.normal(), 0.0, 255.0));
  return out;
}

MemoryDataset unlike(int n) {
  MemoryDataset data;
  for (int i = 0; i < n; i++) data.add(picture(80, 100, static_cast<uint64_t>(100 + i)), "image " + std::to_string(i), i % 3 == 0);
  return data;
}

bool is_partition(const Split& s, int64_t n) {
  std::set<int64_t> all;
  for (const auto* part : {&s.train, &s.validation, &s.test}) all.insert(part->begin(), part->end());
  return static_cast<int64_t>(all.size()) == n && static_cast<int64_t>(s.train.size() + s.validation.size() + s.test.size()) == n &&
         *all.begin() == 0 && *all.rbegin() == n - 1;
}

}  // namespace

TEST_CASE("near-duplicates: copies and re-saved copies are found, other pictures are not") {
  MemoryDataset data = unlike(30);
  data.add(picture(80, 100, 104), "copy of 4", 1);
  data.add(saved_again(picture(80, 100, 107), 1), "again 7", 0);
  const auto pairs = near_duplicates(data);
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[0].a == 4);
  CHECK(pairs[0].b == 30);
  CHECK(pairs[0].identical);
  CHECK(pairs[1].a == 7);
  CHECK(pairs[1].b == 31);
  CHECK(!pairs[1].identical);
  CHECK(pairs[1].detail > 0.9);
  const Grouping g = leak_groups(data);
  CHECK(g.groups == 30);
  CHECK(g.group[4] == g.group[30]);
  CHECK(named(data, pairs).find("image 4 = copy of 4") == 0);
}

TEST_CASE("near-duplicates: flat images are copies only if they are equal") {
  MemoryDataset data;
  for (const int v : {50, 50, 60}) data.add(drawn(20, 20, [=](int64_t, int64_t) { return v; }), std::to_string(v));
  const auto pairs = near_duplicates(data);
  REQUIRE(pairs.size() == 1);
  CHECK(pairs[0].b == 1);
  CHECK(pairs[0].identical);
}

TEST_CASE("groups join patients, videos and duplicates, through one another") {
  MemoryDataset data;
  data.add(picture(60, 60, 1), "a", 0, "p1");
  data.add(picture(60, 60, 2), "b", 0, "p1", "v1");
  data.add(picture(60, 60, 3), "c", 0, "", "v1");
  data.add(picture(60, 60, 4), "d", 0, "p2");
  data.add(picture(60, 60, 3), "e", 0);
  data.add(picture(60, 60, 5), "f", 0, "v1");  // a patient of that name is no video
  const Grouping g = leak_groups(data);
  CHECK(g.group == std::vector<int64_t>{0, 0, 0, 1, 0, 2});
}

TEST_CASE("a grouped split is complete, in proportion, stratified, and depends on the seed alone") {
  MemoryDataset data = unlike(60);
  for (int i = 0; i < 20; i++)
    data.add(saved_again(picture(80, 100, static_cast<uint64_t>(100 + i)), 5), "again " + std::to_string(i), i % 3 == 0);
  const Grouping g = leak_groups(data);
  CHECK(g.duplicates.size() == 20);
  for (uint64_t seed = 0; seed < 6; seed++) {
    const Split s = grouped_split(data, {.validation = 0.2, .test = 0.15, .seed = seed}, g);
    CHECK(is_partition(s, 80));
    CHECK(std::abs(static_cast<int>(s.validation.size()) - 16) <= 2);
    CHECK(std::abs(static_cast<int>(s.test.size()) - 12) <= 2);
    for (const auto* part : {&s.train, &s.validation, &s.test}) {
      int ones = 0;
      for (int64_t i : *part) ones += *data.category(i);
      CHECK(static_cast<double>(ones) / static_cast<double>(part->size()) == doctest::Approx(27.0 / 80).epsilon(0.3));
    }
    CHECK(error_of([&] { check_split(data, s.train, s.validation, g); }) == "");
    CHECK(error_of([&] { check_split(data, s.train, s.test, g); }) == "");
  }
  const SplitOptions options{.seed = 3};
  CHECK(grouped_split(data, options, g).validation == grouped_split(data, options, g).validation);
  CHECK(grouped_split(data, options, g).validation != grouped_split(data, {.seed = 4}, g).validation);
  const int before = threads();
  set_threads(1);
  CHECK(grouped_split(data, options).validation == grouped_split(data, options, g).validation);
  set_threads(before);
}

TEST_CASE("folds: each image is validated on once, no group is torn apart") {
  MemoryDataset data = unlike(23);
  data.add(picture(80, 100, 103), "copy", 1);
  const Grouping g = leak_groups(data);
  const auto folds = k_folds(data, 5, 1, g);
  REQUIRE(folds.size() == 5);
  std::multiset<int64_t> validated;
  for (const Split& f : folds) {
    CHECK(is_partition(f, 24));
    CHECK(f.validation.size() >= 3);
    validated.insert(f.validation.begin(), f.validation.end());
    CHECK(error_of([&] { check_split(data, f.train, f.validation, g); }) == "");
  }
  CHECK(validated.size() == 24);
  CHECK(std::set<int64_t>(validated.begin(), validated.end()).size() == 24);
}

TEST_CASE("a leaking split is refused: which pairs, and what to do") {
  MemoryDataset data = unlike(10);
  data.add(picture(80, 100, 104), "copy of 4", 1);
  const std::string message = error_of([&] { check_split(data, {0, 1, 2, 3, 4}, {5, 6, 10}); });
  CHECK(is_clear(message, "duplicate"));
  CHECK(message.find("image 4 = copy of 4") != std::string::npos);
  CHECK(message.find("grouped split") != std::string::npos);
  CHECK(error_of([&] { check_split(data, {0, 1, 2, 3}, {5, 6, 10}); }) == "");
  CHECK(is_clear(error_of([&] { check_split(data, {0, 1, 2}, {2, 3}); }), "image 2"));
  MemoryDataset patients;
  for (int i = 0; i < 6; i++)
    patients.add(picture(50, 50, static_cast<uint64_t>(i)), std::to_string(i), 0, "P" + std::to_string(i / 2),
                 i > 3 ? "" : "V" + std::to_string(i / 2));
  const std::string leak = error_of([&] { check_split(patients, {0, 2}, {1, 5}); });
  CHECK(is_clear(leak, "P0"));
  CHECK(leak.find("duplicate") == std::string::npos);
}

TEST_CASE("what cannot be split says so") {
  MemoryDataset copies;
  for (int i = 0; i < 8; i++) copies.add(picture(60, 60, 1), "case" + std::to_string(i));
  const std::string message = error_of([&] { grouped_split(copies); });
  CHECK(is_clear(message, "duplicate"));
  CHECK(message.find("cannot be split") != std::string::npos);
  MemoryDataset one = unlike(1);
  CHECK(is_clear(error_of([&] { grouped_split(one); }), "cannot be split"));
  CHECK(is_clear(error_of([&] { random_split(one); }), "cannot be split"));
  CHECK(is_clear(error_of([&] { k_folds(unlike(3), 4); }), "cannot be split"));
  MemoryDataset patient;
  for (int i = 0; i < 4; i++) patient.add(picture(60, 60, static_cast<uint64_t>(i)), std::to_string(i), 0, "P");
  CHECK(is_clear(error_of([&] { grouped_split(patient); }), "patient"));
  CHECK(is_clear(error_of([&] { grouped_split(unlike(5), {.validation = 1.5}); }), "1.5"));
  const Split two = grouped_split(unlike(2), {.validation = 0.1});
  CHECK(two.train.size() == 1);
  CHECK(two.validation.size() == 1);
}

TEST_CASE("BUSI: the pairs that plain correlation finds, across the classes too; a random split leaks") {
  const std::string folder = public_data("busi");
  if (folder.empty()) {
    MESSAGE("skipped: no busi");
    return;
  }
  const auto data = open_dataset(folder);
  const Grouping g = leak_groups(*data);
  std::set<std::set<std::string>> found, identical, across;
  for (const Duplicate& d : g.duplicates) {
    const std::set<std::string> pair = {data->meta(d.a).id, data->meta(d.b).id};
    found.insert(pair);
    if (d.identical && data->category(d.a) != data->category(d.b)) identical.insert(pair);
    if (!d.identical && data->category(d.a) != data->category(d.b)) across.insert(pair);
  }
  const auto expected = nlohmann::json::parse(bytes_of(fs::path(SONO_SOURCE_DIR) / "tests/zoo/test_data_busi_pairs.json"));
  REQUIRE(expected.size() == 65);
  int hits = 0;
  for (const auto& pair : expected) hits += static_cast<int>(found.count({pair[0].get<std::string>(), pair[1].get<std::string>()}));
  CHECK(hits >= 60);
  CHECK(found.size() < 200);  // a guard that joins everything would pass, too
  CHECK(identical.count({"benign (433)", "malignant (145)"}));
  CHECK(across.size() >= 3);
  const Split random = random_split(*data, {.seed = 1});
  const std::string message = error_of([&] { check_split(*data, random.train, random.validation, g); });
  CHECK(is_clear(message, "duplicate"));
  const Split grouped = grouped_split(*data, {.seed = 1}, g);
  CHECK(error_of([&] { check_split(*data, grouped.train, grouped.validation, g); }) == "");
}

TEST_CASE("HC18: no two patients are taken for one") {
  const std::string folder = public_data("hc18");
  if (folder.empty()) {
    MESSAGE("skipped: no hc18");
    return;
  }
  const auto data = open_dataset(folder);
  const Grouping g = leak_groups(*data);
  std::map<int64_t, std::set<std::string>> patients;
  std::set<std::string> all;
  for (int64_t i = 0; i < data->size(); i++)
    patients[g.group[static_cast<size_t>(i)]].insert(data->meta(i).patient), all.insert(data->meta(i).patient);
  for (const auto& [group, names] : patients) CHECK(names.size() == 1);
  CHECK(g.groups == static_cast<int64_t>(all.size()));
}
