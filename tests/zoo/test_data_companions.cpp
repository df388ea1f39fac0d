#include <doctest/doctest.h>
#include <filesystem>

#include "tensor/files.h"
#include "tests/folder.h"
#include "tests/message.h"
#include "zoo/app/commands.h"
#include "zoo/common/system.h"
#include "zoo/data/companions.h"
#include "zoo/data/image.h"
#include "zoo/data/open.h"
#include "zoo/sim/simulate.h"

using namespace sono;
using namespace sono::zoo;
using sono::tests::message;
namespace fs = std::filesystem;

namespace {

Tensor square_mask(int64_t size) {
  const Tensor mask = Tensor::zeros({size, size}, Dtype::u8);
  for (int64_t y = 4; y < 9; y++)
    for (int64_t x = 3; x < 10; x++) mask.data<uint8_t>()[y * size + x] = 255;
  return mask;
}

}  // namespace

TEST_CASE("a mask and an elastogram beside a picture, or in the folders beside images/, are its own") {
  const Folder folder("companions");
  write_png(folder / "a.png", Tensor::full({16, 16, 1}, 0.5));
  CHECK_FALSE(read_with_companions(folder / "a.png")[0].labels.mask);
  write_png(folder / "a_mask.png", square_mask(16));
  write_npy(folder / "a_swe.npy", Tensor::full({16, 16}, 42));
  const Sample s = read_with_companions(folder / "a.png")[0];
  REQUIRE(s.labels.boxes.size() == 1);
  CHECK(s.labels.boxes[0].x == 3);
  CHECK(s.labels.boxes[0].height == 5);
  CHECK(s.elasticity.at({7, 7}) == 42);

  app::simulate({.phantom = "breast-swe", .out = folder / "set", .count = 2, .seed = 7});
  const Sample written = open_dataset(folder / "set")->get(1), read = read_with_companions(folder / "set/images/breast-swe-00001.png")[0];
  CHECK(read.labels.mask.to_vector<uint8_t>() == written.labels.mask.to_vector<uint8_t>());
  CHECK(read.elasticity.to_vector<float>() == written.elasticity.to_vector<float>());
}

TEST_CASE("companions of another size, colour overlays and negative stiffness are refused in one line") {
  const Folder folder("companions");
  write_png(folder / "a.png", Tensor::full({16, 16, 1}, 0.5));
  write_png(folder / "a_mask.png", square_mask(12));
  CHECK(message([&] { read_with_companions(folder / "a.png"); }).find("save it at the size of the image") != std::string::npos);
  fs::remove(folder / "a_mask.png");
  write_png(folder / "a_swe.png", Tensor::full({16, 16, 3}, 0.5));
  CHECK(message([&] { read_with_companions(folder / "a.png"); }).find("its values are kPa") != std::string::npos);
  write_npy(folder / "a_swe.npy", Tensor::full({16, 16}, -1));
  CHECK(message([&] { read_with_companions(folder / "a.png"); }).find("negative") != std::string::npos);
}

TEST_CASE("contrast phases are the channels of a picture, or the frames of a file") {
  const Folder folder("companions");
  Tensor frames({3, 16, 16, 1});
  for (int64_t i = 0; i < frames.size(); i++) frames.data<float>()[i] = 0.2f * static_cast<float>(1 + i / 256);
  write_npy(folder / "cine.npy", frames);
  const Sample s = read_phases(folder / "cine.npy", 3);
  CHECK(s.image.shape() == Shape{16, 16, 3});
  CHECK(s.image.at({5, 6, 2}) == doctest::Approx(0.6));
  write_png(folder / "grey.png", Tensor::full({16, 16, 1}, 0.5));
  CHECK(message([&] { read_phases(folder / "grey.png", 3); }).find("has 1 picture; this system wants 3 contrast phases") !=
        std::string::npos);
  write_npy(folder / "two.npy", frames.rows(0, 2));
  CHECK(message([&] { read_phases(folder / "two.npy", 3); }).find("has 2 frames") != std::string::npos);
}

TEST_CASE("dcca-mkl and pgbm-swe say the same of a file as of the data set's case, and name what is missing") {
  using Changes = std::vector<std::pair<std::string, std::string>>;
  const Changes quick[2] = {
      {{"hidden", "8"}, {"out", "2"}, {"epochs", "10"}},
      {{"size", "8"}, {"first", "12"}, {"relevant", "6"}, {"irrelevant", "6"}, {"second", "4"}, {"pretrain_epochs", "2"}, {"epochs", "2"}}};
  const char* names[2] = {"dcca-mkl", "pgbm-swe"};
  for (int k = 0; k < 2; k++) {
    CAPTURE(names[k]);
    const Folder folder("companions");
    const auto system = make_system(names[k]);
    for (const auto& [key, value] : quick[k]) system->settings().set(key, value);
    const Data data = system->data({system->default_source(), 60, 5});
    fs::create_directories(folder / "run");
    const Run run{.folder = folder / "run", .seed = 3};
    system->prepare_training(data, run);
    system->train(data, run);
    const std::string phantom = system->default_source().substr(4), file = folder / ("set/images/" + phantom + "-00001.png");
    app::simulate({.phantom = phantom, .out = folder / "set", .count = 2, .seed = 7});
    const Sample alone = system->read(file).at(0);
    CHECK(system->predict(alone).probabilities == system->predict(open_dataset(folder / "set")->get(1)).probabilities);

    fs::remove_all(fs::path(folder / "set") / (k ? "elasticity" : "masks"));
    const std::string refusal = message([&] { system->predict(system->read(file).at(0)); });
    CHECK(refusal.find(phantom + "-00001: has no " + (k ? "elastogram; put NAME_swe.npy" : "mask of the lesion")) == 0);
    CHECK(refusal.find('\n') == std::string::npos);
  }
}
