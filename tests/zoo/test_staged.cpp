#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "optim/log.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "tests/folder.h"
#include "tests/message.h"
#include "zoo/app/commands.h"
#include "zoo/classification/curves.h"
#include "zoo/classification/lesion_crop.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"
#include "zoo/data/open.h"
#include "zoo/experiments/experiment.h"
#include "zoo/metrics/classification.h"
#include "zoo/sim/simulate.h"

using namespace sono;
using namespace sono::zoo;
using sono::tests::message;
namespace fs = std::filesystem;

namespace {

using Changes = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<System> small(const std::string& name, const Changes& changes) {
  auto system = make_system(name);
  for (const auto& [key, value] : changes) system->settings().set(key, value);
  return system;
}

struct Trained {
  std::unique_ptr<System> system;
  Data data;
};

Trained train_in(const std::string& folder, const std::string& name, const Changes& changes, int64_t cases, bool resume = false) {
  Trained t{small(name, changes), {}};
  t.data = t.system->data({t.system->default_source(), cases, 5});
  t.system->prepare_training(t.data, {.folder = folder, .seed = 3});
  t.system->train(t.data, {.folder = folder, .seed = 3, .resume = resume});
  return t;
}

double auc_on(Trained& t, const std::vector<int64_t>& cases) {
  std::vector<int> truth;
  std::vector<double> p;
  for (const int64_t i : cases)
    truth.push_back(t.data.set->category(i).value()),
        p.push_back(static_cast<double>(t.system->predict(t.data.set->get(i)).probabilities.at(1)));
  return auc(truth, p);
}

// The same bits; what one thread made stays in `folder`.
Trained train_with_1_and_2_threads(const Folder& folder, const std::string& name, const Changes& changes, int64_t cases) {
  const Folder other("two");
  set_threads(1);
  Trained one = train_in(folder.path, name, changes, cases);
  set_threads(2);
  train_in(other.path, name, changes, cases);
  set_threads(0);
  CHECK(read_file(folder.path + "/model.safetensors") == read_file(other.path + "/model.safetensors"));
  return one;
}

const Changes quick_tic = {{"hidden", "30"}, {"pretrain_epochs", "8"}, {"epochs", "50"},           {"batch", "5"},
                           {"rate", "0.3"},  {"difficulty", "0"},      {"curves", "lesion+liver"}, {"length", "50"}};

// Columns: the category with noise, noise, and a constant.
Lesson toy(int64_t n, uint64_t seed) {
  Lesson l;
  Tensor x({n, 3});
  Random random(seed, "toy");
  for (int64_t i = 0; i < n; i++) {
    l.categories.push_back(static_cast<int>(i % 2)), l.groups.push_back(i / 2);
    float* row = x.data<float>() + 3 * i;
    row[0] = static_cast<float>(static_cast<double>(i % 2) * 2 + random.normal()), row[1] = static_cast<float>(5 * random.normal()),
    row[2] = 7;
  }
  l.views = {x};
  return l;
}

}  // namespace

TEST_CASE(
    "stages: standardised columns have mean 0 and deviation 1, constant ones become 0; ranges end at 0 and 1; whitened columns are "
    "uncorrelated") {
  const Lesson l = toy(200, 1);
  Standardise standardise;
  standardise.fit(l);
  const Tensor z = standardise.apply(l.views)[0];
  for (int64_t j = 0; j < 3; j++) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 200; i++) sum += z.at({i, j}), squares += z.at({i, j}) * z.at({i, j});
    CHECK(sum / 200 == doctest::Approx(0).epsilon(1e-4));
    CHECK(squares / 200 == doctest::Approx(j < 2 ? 1 : 0).epsilon(1e-3));
  }
  UnitRange range;
  range.fit(l);
  const Tensor u = range.apply(l.views)[0];
  double low = 1, high = 0;
  for (int64_t i = 0; i < 200; i++) low = std::min(low, u.at({i, 1})), high = std::max(high, u.at({i, 1}));
  CHECK(low == 0);
  CHECK(high == 1);
  Lesson two = l;
  two.views = {Tensor({200, 2})};
  for (int64_t i = 0; i < 200; i++) {
    const float a = static_cast<float>(l.views[0].at({i, 0})), b = static_cast<float>(l.views[0].at({i, 1}));
    two.views[0].data<float>()[2 * i] = a + b, two.views[0].data<float>()[2 * i + 1] = a - 2 * b;
  }
  Whiten whiten(0);
  whiten.fit(two);
  const Tensor w = whiten.apply(two.views)[0];
  double cross = 0, first = 0;
  for (int64_t i = 0; i < 200; i++) cross += w.at({i, 0}) * w.at({i, 1}) / 199, first += w.at({i, 0}) * w.at({i, 0}) / 199;
  CHECK(std::abs(cross) < 1e-4);
  CHECK(first == doctest::Approx(1).epsilon(1e-4));

  Whiten again(0);
  again.load(whiten.state());
  CHECK(again.apply(two.views)[0].to_vector<float>() == w.to_vector<float>());
  Lesson flat = l;
  flat.views = {Tensor::full({200, 4}, 3)};
  CHECK(message([&] { Standardise().fit(flat); }).find("zero variance") != std::string::npos);
  CHECK(message([&] { UnitRange().fit(flat); }).find("zero variance") != std::string::npos);
}

TEST_CASE("a pipeline learns, keeps its state, and says so when a stage is named twice") {
  const Lesson l = toy(160, 2), other = toy(80, 3);
  Pipeline p = plain_pipeline("logistic", {}, {{"C", {"0.1", "1"}}});
  p.fit(l);
  const Tensor said = p.apply(other.views);
  std::vector<double> score;
  for (int64_t i = 0; i < 80; i++) score.push_back(said.at({i, 1}));
  CHECK(auc(other.categories, score) > 0.85);
  Pipeline again = plain_pipeline("logistic", {}, {{"C", {"0.1", "1"}}});
  again.load(p.state(1), 1);
  CHECK(again.apply(other.views).to_vector<float>() == said.to_vector<float>());
  Pipeline twice;
  twice.add<Standardise>();
  CHECK(message([&] { twice.add<Standardise>(); }).find("standardise") != std::string::npos);
}

TEST_CASE("tic-dbn learns held-out simulated patients, with 1 and 2 threads bitwise, and predicts the same after loading") {
  const Folder one("one");
  Trained a = train_with_1_and_2_threads(one, "tic-dbn", quick_tic, 200);
  CHECK(auc_on(a, a.data.split.validation) > 0.75);
  CHECK(read_metrics(one.path + "/metrics.jsonl").size() > 25);

  auto again = make_system("tic-dbn");
  again->load(one.path, a.system->describe());
  const Sample s = a.data.set->get(a.data.split.validation[0]);
  CHECK(again->predict(s).probabilities == a.system->predict(s).probabilities);
  REQUIRE(again->rivals().size() == 1);
  const std::vector<Labels> ours = a.system->predict_with_rivals(s), read = again->predict_with_rivals(s);
  REQUIRE(read.size() == 2);
  CHECK(read[0].probabilities == a.system->predict(s).probabilities);
  CHECK(read[1].probabilities == ours[1].probabilities);
  CHECK(a.system->figures().size() >= 3);
}

TEST_CASE("killed with -9 after its first stage, a training in stages goes on to the same bits") {
  const Folder whole("whole"), killed("killed");
  train_in(whole.path, "tic-dbn", quick_tic, 80);
  Trained t{small("tic-dbn", quick_tic), {}};
  t.data = t.system->data({t.system->default_source(), 80, 5});
  t.system->prepare_training(t.data, {.folder = killed.path, .seed = 3});
  const pid_t child = fork();
  if (child == 0) {
    std::thread([&] {
      while (!fs::exists(killed.path + "/last.safetensors")) usleep(200);
      kill(getpid(), SIGKILL);
    }).detach();
    t.system->train(t.data, {.folder = killed.path, .seed = 3});
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK_FALSE(fs::exists(killed.path + "/model.safetensors"));
  train_in(killed.path, "tic-dbn", quick_tic, 80, true);
  CHECK(read_file(whole.path + "/model.safetensors") == read_file(killed.path + "/model.safetensors"));
  CHECK(read_file(whole.path + "/metrics.jsonl") == read_file(killed.path + "/metrics.jsonl"));
  CHECK(message([&] { train_in(killed.path, "tic-dbn", {{"epochs", "9"}}, 80, true); }).find("other settings") != std::string::npos);
}

TEST_CASE("svm-texture tells held-out lesions apart, with 1 and 2 threads bitwise, and refuses one class only") {
  const Folder one("one");
  const Changes quick = {{"size", "32"}, {"components", "5"}, {"outline", "true"}};
  Trained a = train_with_1_and_2_threads(one, "svm-texture", quick, 160);
  CHECK(auc_on(a, a.data.split.validation) > 0.65);
  CHECK(a.system->rivals().size() == 2);
  Data benign = a.data;
  std::erase_if(benign.split.train, [&](int64_t i) { return benign.set->category(i) == 1; });
  const std::string refusal = message([&] { small("svm-texture", quick)->prepare_training(benign, {}); });
  CHECK(refusal.find("svm-texture: all of the") != std::string::npos);
  CHECK(refusal.find("give cases of every category") != std::string::npos);
}

TEST_CASE("adn-spm: words, maps and outlines, with 1 and 2 threads bitwise, the same after loading; neither words nor maps is refused") {
  const Changes quick = {{"size", "16"}, {"maps", "4,6"}, {"epochs", "1"}, {"steps", "3"}, {"words", "8"}, {"learn_from", "40"}};
  const Folder one("one");
  Trained a = train_with_1_and_2_threads(one, "adn-spm", quick, 80);
  auto again = make_system("adn-spm");
  again->load(one.path, a.system->describe());
  const Sample s = a.data.set->get(a.data.split.validation[0]);
  CHECK(again->predict(s).probabilities == a.system->predict(s).probabilities);
  Changes nothing = quick;
  nothing.insert(nothing.end(), {{"words", "0"}, {"energies", "false"}});
  CHECK(message([&] { small("adn-spm", nothing)->prepare_training(a.data, {}); }).find("set words, say to 150") != std::string::npos);
}

TEST_CASE("dpn measures the lesion alone on simulated data, and remembers it") {
  const Folder one("one");
  Trained a = train_in(one.path, "dpn", {{"first", "5"}, {"width", "4"}, {"size", "32"}}, 60);
  CHECK(a.system->describe().dump().find("\"features\":\"lesion\"") != std::string::npos);
  auto again = make_system("dpn");
  again->load(one.path, a.system->describe());
  const Sample s = a.data.set->get(a.data.split.validation[0]);
  CHECK(again->predict(s).probabilities == a.system->predict(s).probabilities);
}

TEST_CASE("bad input is refused in one line that says what to do") {
  auto tic = small("tic-dbn", quick_tic);
  const Data data = tic->data({"sim:ceus", 40, 1});
  Data one = data;
  one.split.train.clear();
  for (int64_t i = 0; i < 40; i++)
    if (data.set->category(i) == 0) one.split.train.push_back(i);
  CHECK(message([&] { tic->prepare_training(one, {}); }).find("give cases of every category") != std::string::npos);
  CHECK(message([&] { tic->prepare_training(data, {.folder = {}, .init = "w.safetensors"}); }).find("--init") != std::string::npos);
  CHECK(message([&] { small("tic-dbn", {})->data({"sim:breast", 20, 1}); }).empty());
  auto wrong = small("tic-dbn", quick_tic);
  const Data pictures = wrong->data({"sim:breast", 20, 1});
  wrong->prepare_training(pictures, {});
  const Folder folder("staged");
  CHECK(message([&] { wrong->train(pictures, {.folder = folder.path}); }).find("has no curve") != std::string::npos);
  Sample flat = data.set->get(0);
  flat.sequence.values = Tensor::full({400, 4}, 1);
  CHECK(message([&] { joined_curves(resampled_curve(curve_of(flat, "lesion"), 100), {}); }).find("zero variance") != std::string::npos);
  auto e = make_experiment("tic-dbn");
  e->settings().set("cases", "20"), e->settings().set("folds", "25");
  CHECK(message([&] { e->run({}); }).find("folds") != std::string::npos);
  CHECK(message([] { make_experiment("tick-dbn"); }) == "unknown experiment 'tick-dbn'; did you mean tic-dbn?");
}

TEST_CASE("a lesion's crop and sizes follow its box; mirroring twice changes nothing") {
  const Sample s = simulate("breast", 2, 8)->get(0);
  const Box b = lesion_extent(s), &known = s.labels.boxes[0];
  CHECK(b.x == known.x);
  CHECK(b.width == known.width);
  const Tensor sizes = lesion_sizes(s);
  CHECK(static_cast<double>(sizes.data<float>()[2]) == doctest::Approx(known.height / known.width));
  const Tensor inside = outline_crop(s, {.margin = 0});
  double area = 0, pixels = 0;
  for (int64_t i = 0; i < inside.size(); i++) area += static_cast<double>(inside.data<float>()[i]) / static_cast<double>(inside.size());
  for (int64_t i = 0; i < s.labels.mask.size(); i++) pixels += s.labels.mask.data<uint8_t>()[i];
  CHECK(area == doctest::Approx(pixels / (b.width * b.height)).epsilon(0.03));
  const Sample back = mirrored(mirrored(s));
  CHECK(back.image.to_vector<float>() == s.image.to_vector<float>());
  const CropOptions tight{.margin = 0};  // whole pixels: nothing is rounded
  CHECK(lesion_crop(mirrored(s), tight).at({5, 3}) == doctest::Approx(lesion_crop(s, tight).at({5, 24})).epsilon(1e-4));
}

TEST_CASE("what simulate writes is read back: pictures, masks, curves, elastograms, patients, categories") {
  for (const char* phantom : {"ceus", "teus", "breast-swe"}) {
    CAPTURE(phantom);
    const Folder folder("staged");
    const std::string out = folder.path + "/set";
    app::simulate({.phantom = phantom, .out = out, .count = 4, .seed = 7});
    const auto written = simulate(phantom, 4, 7), read = std::static_pointer_cast<Dataset>(open_dataset(out));
    REQUIRE(read->size() == 4);
    CHECK(read->categories() == written->categories());
    for (int64_t i = 0; i < 4; i++) {
      const Sample a = written->get(i), b = read->get(i);
      CHECK(a.meta.id == b.meta.id);
      CHECK(a.meta.patient == b.meta.patient);
      CHECK(a.labels.category == b.labels.category);
      REQUIRE(a.image.shape() == b.image.shape());
      float worst = 0;
      for (int64_t k = 0; k < a.image.size(); k++) worst = std::max(worst, std::abs(a.image.data<float>()[k] - b.image.data<float>()[k]));
      CHECK(worst < 0.003f);
      CHECK(static_cast<bool>(a.sequence) == static_cast<bool>(b.sequence));
      if (a.sequence) CHECK(a.sequence.values.to_vector<float>() == b.sequence.values.to_vector<float>());
      if (a.sequence) CHECK(a.sequence.channels == b.sequence.channels);
      if (a.elasticity) CHECK(a.elasticity.to_vector<float>() == b.elasticity.to_vector<float>());
      if (a.labels.mask) CHECK(a.labels.mask.to_vector<uint8_t>() == b.labels.mask.to_vector<uint8_t>());
      CHECK(a.labels.measurements.size() == b.labels.measurements.size());
    }
    std::string manifest = read_file(out + "/manifest.json");
    const size_t at = manifest.find("images/");
    manifest.replace(at, 7, "../../i");
    write_file_atomically(out + "/manifest.json", manifest);
    CHECK(message([&] { open_dataset(out); }).find("not in the folder") != std::string::npos);
  }
}
