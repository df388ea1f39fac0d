#include <doctest/doctest.h>

#include <cmath>

#include "layers/linear.h"
#include "layers/norm.h"
#include "optim/checkpoint.h"
#include "tensor/random.h"
#include "tests/folder.h"

using namespace sono;

namespace {

struct Net : Module {
  Linear a{this, "a", {.in = 3, .out = 4}};
  BatchNorm norm{this, "norm", {.channels = 4}};
};

struct All {  // one of everything that a checkpoint holds, a few steps old
  Net net;
  Adam adam{net};
  Ema ema{net, 0.9};
  Plateau plateau;
  Training training{.model = net, .optimizer = &adam, .ema = &ema, .plateau = &plateau};
  void live(int steps) {
    for (int i = 0; i < steps; i++) {
      for (const auto& p : net.trainable()) set_gradient(*p.value, random_normal(p.value->shape(), 5, static_cast<uint64_t>(i)));
      adam.step();
      net.norm.running_mean.fill(i);
      ema.update();
      plateau.see(1.0 / (1 + i));
    }
    training.epoch = 3, training.step = steps, training.best = 0.1 + 0.2, training.best_epoch = 2, training.seconds = 12.5;
  }
};

std::vector<std::vector<double>> values(const NamedTensors& state) {
  std::vector<std::vector<double>> all;
  for (const auto& [name, t] : state) all.push_back(t.to_vector<double>());
  return all;
}

// Writes `tensors` and metadata as they are, without a matching checksum.
void rewrite(const std::string& path, const std::function<void(TensorFile&)>& change) {
  TensorFile file = read_safetensors(path);
  change(file);
  write_safetensors(path, file.tensors, file.metadata);
}

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const FileError& e) { return e.what(); }
  return "no FileError";
}
bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a checkpoint holds everything") {
  const Folder folder("checkpoint");
  set_seed(77);
  All saved;
  saved.live(6);
  set_next_stream(1234567);
  save_checkpoint(folder / "c.safetensors", saved.training);
  CHECK(next_stream() == 1234567);  // saving is not a draw
  CHECK(folder.names() == std::vector<std::string>{"c.safetensors"});

  set_seed(1);
  All loaded;
  loaded.live(1);
  load_checkpoint(folder / "c.safetensors", loaded.training);
  CHECK(values(loaded.net.state()) == values(saved.net.state()));
  CHECK(values(loaded.adam.state()) == values(saved.adam.state()));
  CHECK(values(loaded.ema.state()) == values(saved.ema.state()));
  CHECK(values({{"", loaded.plateau.state()}}) == values({{"", saved.plateau.state()}}));
  const Training& t = loaded.training;
  CHECK(t.epoch == 3);
  CHECK(t.step == 6);
  CHECK(t.best == 0.1 + 0.2);
  CHECK(t.best_epoch == 2);
  CHECK(t.seconds == 12.5);
  CHECK(global_seed() == 77);
  CHECK(next_stream() == 1234567);
  const TensorFile file = read_safetensors(folder / "c.safetensors");
  CHECK(file.metadata.at("format") == "sonograd checkpoint");
  CHECK(mentions(file.metadata.at("layout"), "channels last"));
}

TEST_CASE("a damaged or foreign checkpoint is refused in one line and nothing is changed") {
  const Folder folder("damaged");
  const std::string path = folder / "c.safetensors";
  All saved;
  saved.live(4);
  save_checkpoint(path, saved.training);
  const std::string good = read_file(path);

  All other;
  other.live(2);
  other.training.epoch = 9;
  const auto net = values(other.net.state()), adam = values(other.adam.state()), ema = values(other.ema.state());
  const auto refused = [&](const std::string& why) {
    set_next_stream(5);
    const std::string text = message([&] { load_checkpoint(path, other.training); });
    CAPTURE(text);
    CHECK(text.starts_with(path + ": "));
    CHECK(mentions(text, why));
    CHECK(!mentions(text, "\n"));
    CHECK(values(other.net.state()) == net);
    CHECK(values(other.adam.state()) == adam);
    CHECK(values(other.ema.state()) == ema);
    CHECK(other.training.epoch == 9);
    CHECK(next_stream() == 5);
    write_file_atomically(path, good);
  };

  for (size_t n : {size_t{0}, size_t{7}, size_t{100}, good.size() / 2, good.size() - 1}) {
    write_file_atomically(path, good.substr(0, n));
    refused("not a sound safetensors file");
  }
  std::string flipped = good;
  flipped[good.size() - 5] ^= 1;  // one bit of one value
  write_file_atomically(path, flipped);
  refused("is damaged: its checksum does not match");
  rewrite(path, [](TensorFile& f) { f.metadata["epoch"] = "4"; });
  refused("is damaged: its checksum does not match");
  rewrite(path, [](TensorFile& f) { f.metadata["version"] = "2"; });
  refused("is of format version '2', this program reads version 1");
  rewrite(path, [](TensorFile& f) { f.metadata.clear(); });
  refused("neither weights nor a checkpoint of Sonograd");
  save_weights(path, saved.net);
  refused("holds weights alone");
  {
    Linear wrong({.in = 3, .out = 5});
    save_checkpoint(path, {.model = wrong, .optimizer = &saved.adam, .ema = &saved.ema, .plateau = &saved.plateau});
  }
  refused("do not fit the model");
  Sgd sgd(saved.net);
  save_checkpoint(path, {.model = saved.net, .optimizer = &sgd, .ema = &saved.ema, .plateau = &saved.plateau});
  refused("was trained with optimizer 'sgd', not 'adam'");
  save_checkpoint(path, {.model = saved.net, .optimizer = &saved.adam, .plateau = &saved.plateau});
  refused("not 'ema plateau'");
  {
    Linear odd({.in = 2, .out = 2});
    Adam odd_adam(odd);
    set_gradient(odd.bias, Tensor::ones({2}));
    odd_adam.step();
    save_checkpoint(path, {.model = saved.net, .optimizer = &odd_adam, .ema = &saved.ema, .plateau = &saved.plateau});
  }
  refused("belongs to no parameter");
  {
    Linear odd({.in = 2, .out = 2});
    Ema odd_ema(odd);
    save_checkpoint(path, {.model = saved.net, .optimizer = &saved.adam, .ema = &odd_ema, .plateau = &saved.plateau});
  }
  refused("[ema] state a.weight");
  std::filesystem::remove(path);
  CHECK(mentions(message([&] { load_checkpoint(path, other.training); }), "does not exist"));
}

TEST_CASE("a checkpoint of another recipe is refused") {
  const Folder folder("recipe");
  Net net;
  save_checkpoint(folder / "c.safetensors", {.model = net, .recipe = "width 16"});
  Training same{.model = net, .recipe = "width 16"}, any{.model = net}, other{.model = net, .recipe = "width 32"};
  load_checkpoint(folder / "c.safetensors", same);
  load_checkpoint(folder / "c.safetensors", any);
  CHECK(mentions(message([&] { load_checkpoint(folder / "c.safetensors", other); }), "width 16 there, width 32 here"));
  save_checkpoint(folder / "c.safetensors", {.model = net, .recipe = R"({"width":16,"rate":0.1,"flip":true})"});
  other.recipe = R"({"width":32,"rate":0.1,"seed":1})";
  const std::string text = message([&] { load_checkpoint(folder / "c.safetensors", other); });
  CHECK(mentions(text, ": width 16 there, 32 here; flip true there, nothing here; seed nothing there, 1 here;"));
}

TEST_CASE("weights are read from a weights file and from a checkpoint") {
  const Folder folder("weights");
  All all;
  all.live(3);
  save_weights(folder / "w.safetensors", all.net, {{"system", "unet"}});
  save_checkpoint(folder / "c.safetensors", all.training);
  for (const char* name : {"w.safetensors", "c.safetensors"}) {
    Net net;
    const Metadata notes = load_weights(folder / name, net);
    CHECK(values(net.state()) == values(all.net.state()));
    CHECK(notes.count("system") == (name[0] == 'w' ? 1 : 0));
  }
  Linear wrong({.in = 3, .out = 4});
  CHECK(mentions(message([&] { load_weights(folder / "w.safetensors", wrong); }), "do not fit the model"));
}

TEST_CASE("a checkpoint that cannot be written is one FileError") {
  const Folder folder("unwritable");
  Net net;
  write_file_atomically(folder / "file", "x");
  CHECK(mentions(message([&] { save_checkpoint(folder / "file/c.safetensors", {.model = net}); }), "file/c.safetensors"));
  CHECK(mentions(message([&] { save_checkpoint(folder / "none/c.safetensors", {.model = net}); }), "none/c.safetensors"));
  CHECK(folder.names() == std::vector<std::string>{"file"});
}
