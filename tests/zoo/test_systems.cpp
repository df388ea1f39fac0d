#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tensor/random.h"
#include "zoo/classification/classifier.h"
#include "zoo/common/baseline.h"
#include "zoo/common/network_system.h"
#include "zoo/metrics/segmentation.h"

using namespace sono;
using namespace sono::zoo;

namespace {

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "";
}

// Bright pictures with a dark disc at a place of its own.
class Discs : public Dataset {
 public:
  int64_t size() const override { return 12; }
  std::string name() const override { return "discs"; }
  std::vector<std::string> mask_labels() const override { return {"background", "disc"}; }
  std::vector<std::string> categories() const override { return {"left", "right"}; }
  std::optional<int> category(int64_t i) const override { return i % 3 == 0; }
  Meta meta(int64_t i) const override {
    Meta m;
    m.id = std::to_string(i);
    return m;
  }
  Sample get(int64_t i) const override {
    Sample s;
    s.meta = meta(i);
    s.labels.category = category(i);
    s.image = random_uniform({40, 60, 1}, 1, static_cast<uint64_t>(i), 0.5, 0.9);
    s.labels.mask = Tensor::zeros({40, 60}, Dtype::u8);
    for (int64_t p = 0; p < 2400; p++) {
      const int64_t x = p % 60 - (i % 3 == 0 ? 45 : 15), y = p / 60 - 20 - i % 5;
      if (x * x + y * y > 36) continue;
      s.labels.mask.data<uint8_t>()[p] = 1;
      s.image.data<float>()[p] = 0.1f;
    }
    return s;
  }
};

}  // namespace

TEST_CASE("settings take what fits, name what does not, and come back from JSON") {
  int64_t width = 16;
  double rate = 0.1;
  bool mirror = true;
  std::string crop = "none";
  std::vector<int64_t> widths = {1, 2};
  const auto list = [&](Settings& s) {
    s.add("width", width, 4, 256, "");
    s.add("rate", rate, 0, 1, "");
    s.add("mirror", mirror, "");
    s.add("crop", crop, {"none", "lesion"}, "");
    s.add("widths", widths, 1, 99, "");
  };
  Settings s;
  list(s);
  s.set("width", "32");
  s.set("rate", "0.25");
  s.set("mirror", "false");
  s.set("crop", "lesion");
  s.set("widths", "3,5,8");
  CHECK(width == 32);
  CHECK(rate == 0.25);
  CHECK_FALSE(mirror);
  CHECK(widths == std::vector<int64_t>{3, 5, 8});
  const nlohmann::json j = s.to_json();
  width = 4, widths = {7};
  s.from_json(j);
  CHECK(width == 32);
  CHECK(widths.size() == 3);
  CHECK(message_of([&] { s.set("widht", "3"); }).find("did you mean width") != std::string::npos);
  CHECK(message_of([&] { s.set("width", "many"); }).find("many") != std::string::npos);
  CHECK(message_of([&] { s.set("width", "12x"); }).find("12x") != std::string::npos);
  CHECK(message_of([&] { s.set("width", "3"); }).find("between 4 and 256") != std::string::npos);
  CHECK(message_of([&] { s.set("rate", "nan"); }).find("number") != std::string::npos);
  CHECK(message_of([&] { s.set("crop", "heart"); }).find("lesion") != std::string::npos);
  CHECK_FALSE(message_of([&] { s.set("widths", "3,,4"); }).empty());
  CHECK(width == 32);
}

TEST_CASE("every system has a card, settings of its own, and an error that helps for a wrong name") {
  for (const SystemEntry& entry : systems()) {
    const auto system = make_system(entry.name);
    CHECK(system->card().name == entry.name);
    const std::string text = card_text(system->card(), system->settings());
    CHECK(text.find("Not for diagnosis") != std::string::npos);
    CHECK(text.find("validation") != std::string::npos);
    CHECK(system->default_source().starts_with("sim:"));
  }
  CHECK(message_of([] { make_system("unett"); }) == "unknown system 'unett'; did you mean unet?");
  CHECK(message_of([] { make_system("transformer"); }).find("known are unet") != std::string::npos);
}

TEST_CASE("the baseline finds the best constant or threshold mask and the commonest category") {
  const Discs discs;
  std::vector<int64_t> all(12);
  for (int64_t i = 0; i < 12; i++) all[static_cast<size_t>(i)] = i;
  const Baseline masks = Baseline::learn(discs, all, true);
  CHECK(masks.name().find("darker") != std::string::npos);  // the discs move, their grey does not
  const Sample s = discs.get(0);
  CHECK(dice(overlap(s.labels.mask, masks.predict(s).mask)) > 0.95);
  const Baseline again = Baseline::from_json(masks.to_json());
  CHECK(dice(overlap(again.predict(s).mask, masks.predict(s).mask)) == 1);

  const Baseline categories = Baseline::learn(discs, all, false);
  CHECK(categories.name() == "always left");
  CHECK(categories.predict(s).category == 0);
  CHECK(categories.predict(s).probabilities.at(0) == doctest::Approx(8. / 12));
  CHECK_FALSE(categories.predict(s).mask);
}

TEST_CASE("a lesion's crop is square, centred, as large as asked, and dark beyond the image") {
  const Sample s = Discs().get(3);
  const Sample c = crop_to_lesion(s, 0.25);
  REQUIRE(c.image.shape() == Shape{20, 20, 1});  // 13 pixels of disc, a quarter more on each side
  CHECK(c.labels.mask.shape() == Shape{20, 20});
  int64_t before = 0, after = 0;
  for (const uint8_t v : s.labels.mask.to_vector<uint8_t>()) before += v;
  for (const uint8_t v : c.labels.mask.to_vector<uint8_t>()) after += v;
  CHECK(before == after);
  CHECK(c.labels.mask.at({10, 10}) == 1);
  const Sample wide = crop_to_lesion(s, 4);
  CHECK(wide.image.at({0, 0, 0}) == 0);
  CHECK(wide.scan_mask.at({0, 0}) == 0);
  Sample unmarked = s;
  unmarked.labels.mask = Tensor::zeros({40, 60}, Dtype::u8);
  CHECK(crop_to_lesion(unmarked, 0.25).image.shape() == s.image.shape());
}

TEST_CASE("standardised images have mean 0 and deviation near 1 inside the scan, and 0 outside") {
  const Tensor image = random_uniform({20, 30, 1}, 3, 0, 0.2, 0.8);
  Tensor scan = Tensor::ones({20, 30}, Dtype::u8);
  for (int64_t i = 0; i < 200; i++) scan.data<uint8_t>()[i] = 0;
  const Tensor y = standardised(image, scan);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 600; i++) {
    const double v = y.data<float>()[i];
    if (i < 200) REQUIRE(v == 0);
    sum += v, squares += v * v;
  }
  CHECK(std::abs(sum / 400) < 1e-5);
  CHECK(std::sqrt(squares / 400) == doctest::Approx(1).epsilon(0.15));
  CHECK(standardised(Tensor::zeros({4, 4, 1}), {}).at({2, 2, 0}) == 0);  // a constant image does not divide by 0
}

TEST_CASE("measurements that a system does not make are not held against it") {
  Sample truth = Discs().get(1);
  truth.labels.measurements = {{"head circumference", 200, "mm"}, {"depth", 3, "mm"}};
  Labels found = truth.labels;
  found.measurements = {{"head circumference", 198, "mm"}};
  EvaluateOptions options;
  options.measurements = {{"head circumference"}};
  const Scores scores = evaluate({truth}, {found}, options);
  CHECK(scores.metrics.at("hc_mae_mm").mean == doctest::Approx(2));
  CHECK(scores.metrics.at("missed").mean == 0);
  CHECK_FALSE(scores.metrics.count("depth_mae_mm"));
}
