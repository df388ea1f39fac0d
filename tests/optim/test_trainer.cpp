// The trainer on a small network with everything that has state: batch norm, dropout, momentum, averages, a schedule.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <thread>

#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "optim/trainer.h"
#include "tensor/random.h"
#include "tests/folder.h"

using namespace sono;

namespace {

struct Net : Module {
  Linear a{this, "a", {.in = 4, .out = 16}};
  BatchNorm norm{this, "norm", {.channels = 16, .relu = true}};
  Dropout drop{this, "drop", {.p = 0.2}};
  Linear b{this, "b", {.in = 16, .out = 1}};
  Tensor operator()(const Tensor& x) const { return b(drop(norm(a(x)))); }
};

struct Batch {
  Tensor x, y;
};

// y = sin(x0) + x1 x2, from noise that depends on (purpose, epoch, index) alone.
Batch make_batch(const char* purpose, int64_t epoch, int64_t index, int64_t n = 16) {
  Random random(42, purpose, static_cast<uint64_t>(epoch), static_cast<uint64_t>(index));
  Batch batch{Tensor({n, 4}), Tensor({n, 1})};
  for (int64_t i = 0; i < n; i++) {
    float* x = batch.x.data<float>() + 4 * i;
    for (int j = 0; j < 4; j++) x[j] = static_cast<float>(random.normal());
    batch.y.data<float>()[i] = std::sin(x[0]) + x[1] * x[2];
  }
  return batch;
}

Tensor loss_of(const Net& net, const Batch& b) { return mean(square(net(b.x) - b.y)); }

Task<Batch> task_for(const Net& net, int64_t batches = 5) {
  return {.batches = [=](int64_t) { return batches; },
          .make_batch = [](int64_t epoch, int64_t index) { return make_batch("train", epoch, index); },
          .loss = [&net](const Batch& b) { return loss_of(net, b); },
          .size = [](const Batch& b) { return b.x.dim(0); },
          .validate =
              [&net] {
                return Scores{{"mse", loss_of(net, make_batch("validate", 0, 0, 64)).item()}};
              }};
}

TrainerOptions options_for(const std::string& folder, int64_t epochs) {
  return {.epochs = epochs,
          .folder = folder,
          .schedule = schedules::warm_up(8, schedules::cosine(100)),
          .plateau = PlateauOptions{.factor = 0.5, .patience = 2},
          .monitor = "mse",
          .maximise = false,
          .clip_norm = 5,
          .ema = 0.9,
          .restore_best = false,
          .progress = ProgressStyle::off};
}

using Values = std::vector<std::vector<float>>;
Values values(const NamedTensors& state) {
  Values all;
  for (const auto& [name, t] : state) all.push_back(t.to_vector<float>());
  return all;
}

// Trains from scratch, or from what is in the folder, and returns the weights.
Values train(const TrainerOptions& options) {
  set_seed(11);
  Net net;
  Sgd sgd(net, {.rate = 0.05, .momentum = 0.9, .nesterov = true});
  Trainer(net, sgd, options).fit(task_for(net));
  return values(net.state());
}

// Everything in a run's folder that must not depend on when it was interrupted: tensors, and metadata and metrics without times.
std::string content(const std::string& folder) {
  std::string all;
  for (const char* name : {"last.safetensors", "model.safetensors"}) {
    TensorFile file = read_safetensors(folder + "/" + name);
    for (const char* key : {"seconds", "checksum"}) file.metadata.erase(key);
    for (const auto& [key, value] : file.metadata) all += key + "=" + value + ";";
    for (const auto& [key, t] : file.tensors) {
      all += key;
      all.append(static_cast<const char*>(t.raw()), static_cast<size_t>(t.bytes()));
    }
  }
  for (const auto& line : read_metrics(folder + "/metrics.jsonl"))
    for (const auto& [name, value] : line.scores)
      if (name.find("seconds") == std::string::npos && name != "peak_mib") all += std::to_string(line.epoch) + name + std::to_string(value);
  return all;
}

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "no error";
}
bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Runs f in a child process, killed with SIGKILL after `milliseconds` unless it is done before. Returns the wait status.
int in_child(const std::function<int()>& f, double milliseconds = -1) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int code = 9;
    try {
      code = f();
    } catch (const std::exception&) {}
    ::_exit(code);
  }
  if (milliseconds >= 0) {
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
    ::kill(child, SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}
bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
bool done(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

}  // namespace

TEST_CASE("training learns what can be known of held-out data, and keeps the best epoch") {
  const Folder folder("learns");
  set_seed(11);
  Net net;
  Adam adam(net, {.rate = 0.02});
  TrainerOptions options = options_for(folder.path, 30);
  options.restore_best = true, options.plateau.reset(), options.schedule = {};
  std::vector<double> seen;
  options.on_epoch = [&](const EpochReport& e) { seen.push_back(e.scores.at(0).second); };
  const Report report = Trainer(net, adam, options).fit(task_for(net, 20));

  REQUIRE(seen.size() == 30);
  const auto lowest = std::min_element(seen.begin(), seen.end());
  CHECK(report.ended == "epochs");
  CHECK(report.epoch == 30);
  CHECK(report.best == *lowest);
  CHECK(report.best_epoch == lowest - seen.begin() + 1);
  const Batch held_out = make_batch("validate", 0, 0, 64);
  const double variance = var(held_out.y).item();
  CHECK(report.best < 0.5 * variance);  // the best constant scores 1.0
  const EvalMode eval(net);
  CHECK(loss_of(net, held_out).item() == report.best);  // the model has the averaged weights of that epoch
  Net fresh;
  CHECK(load_weights(folder / "model.safetensors", fresh).at("epoch") == std::to_string(report.best_epoch));
  CHECK(values(fresh.state()) == values(net.state()));
  const auto lines = read_metrics(folder / "metrics.jsonl");
  REQUIRE(lines.size() == 30);
  CHECK(lines[4].epoch == 5);
  std::vector<std::string> names;
  for (const auto& [name, value] : lines[4].scores) names.push_back(name);
  CHECK(names == std::vector<std::string>{"train_loss", "val_mse", "lr", "seconds", "wait_seconds", "validation_seconds", "peak_mib"});
  CHECK(lines[4].scores[1].second == seen[4]);
}

TEST_CASE("a training that was stopped and resumed gives bitwise the weights of one that was not") {
  const Folder straight("straight"), parts("parts");
  const Values expected = train(options_for(straight.path, 7));
  for (int64_t epochs : {2, 3, 7}) {
    TrainerOptions options = options_for(parts.path, epochs);
    options.resume = true;
    if (epochs == 7) {  // as after a kill between the metrics and the checkpoint, or within a write
      const std::string metrics = parts / "metrics.jsonl";
      write_file_atomically(metrics, read_file(metrics) + "{\"epoch\":4,\"train_loss\":9}\n{\"epoch\":5,\"tr");
      write_file_atomically(parts / "last.safetensors.writing-123", "half");
    }
    const Values found = train(options);
    if (epochs == 7)
      CHECK(found == expected);
    else
      CHECK(found != expected);
  }
  CHECK(content(parts.path) == content(straight.path));
  CHECK(!std::filesystem::exists(parts / "last.safetensors.writing-123"));
  TrainerOptions other = options_for(parts.path, 9);
  other.resume = true, other.ema = 0;
  CHECK(mentions(message([&] { train(other); }), "was trained with 'ema plateau' beside the optimizer"));
  CHECK(mentions(message([&] { train(options_for(parts.path, 9)); }), "already holds a training"));
  CHECK(content(parts.path) == content(straight.path));
}

TEST_CASE("killed with -9 at any moment and resumed: bitwise the same weights, metrics and files") {
  const Folder straight("unkilled"), killed_often("killed");
  const Values expected = train(options_for(straight.path, 7));
  TrainerOptions options = options_for(killed_often.path, 7);
  options.resume = true;
  int kills = 0;
  Random random(3, "kills");
  // In the middle of an epoch: after so many batches have been made, in the background thread.
  for (const int64_t batches : {1, 3, 9, 17}) {
    const int status = in_child([&] {
      set_seed(11);
      Net net;
      Sgd sgd(net, {.rate = 0.05, .momentum = 0.9, .nesterov = true});
      Task<Batch> task = task_for(net);
      std::atomic<int64_t> made{0};
      task.make_batch = [&](int64_t epoch, int64_t index) {
        if (++made > batches) ::raise(SIGKILL);
        return make_batch("train", epoch, index);
      };
      Trainer(net, sgd, options).fit(task);
      return 0;
    });
    CHECK(killed(status));
    kills += killed(status);
  }
  // At moments that nobody chose, the writing of files among them.
  for (int i = 0; i < 25; i++) kills += killed(in_child([&] { return train(options), 0; }, random.uniform(0, 60)));
  REQUIRE(done(in_child([&] { return train(options), 0; })));
  CHECK(kills >= 4);
  CHECK(content(killed_often.path) == content(straight.path));
  CHECK(train(options) == expected);  // nothing is left to do: the weights are those of the checkpoint
  for (const auto& name : killed_often.names()) CHECK(!mentions(name, ".writing-"));
}

TEST_CASE("1 and 2 threads, with and without prefetching: bitwise the same") {
  struct Wide : Module {
    Linear a{this, "a", {.in = 4, .out = 300}}, b{this, "b", {.in = 300, .out = 100}}, c{this, "c", {.in = 100, .out = 1}};
  };
  const auto run = [](int threads, int64_t prefetch) {
    set_threads(threads);
    set_seed(4);
    Wide net;
    AdamW adam(net, {.rate = 0.01});
    Task<Batch> task;
    task.batches = [](int64_t) { return 4; };
    task.make_batch = [](int64_t epoch, int64_t index) { return make_batch("train", epoch, index, 64); };
    task.loss = [&](const Batch& b) { return mean(square(net.c(tanh(net.b(relu(net.a(b.x))))) - b.y)); };
    Trainer(net, adam, {.epochs = 2, .clip_norm = 1, .prefetch = prefetch, .progress = ProgressStyle::off}).fit(task);
    set_threads(0);
    return values(net.state());
  };
  const Values one = run(1, 0);
  CHECK(run(2, 0) == one);
  CHECK(run(2, 2) == one);
  CHECK(run(1, 3) == one);
}

TEST_CASE("a hand-written loop of the same parts gives the same weights") {
  const Folder folder("hand");
  TrainerOptions options = options_for(folder.path, 3);
  options.plateau.reset();
  const Values expected = train(options);

  set_seed(11);
  Net net;
  Sgd sgd(net, {.rate = 0.05, .momentum = 0.9, .nesterov = true});
  Ema ema(net, 0.9);
  const Schedule schedule = schedules::warm_up(8, schedules::cosine(100));
  int64_t step = 0;
  for (int64_t epoch = 1; epoch <= 3; epoch++) {
    Prefetch<Batch> batches(5, [&](int64_t i) { return make_batch("train", epoch, i); });
    for (int64_t i = 0; i < 5; i++) {
      sgd.zero_gradients();
      backward(loss_of(net, batches.next()));
      clip_norm(net, 5);
      sgd.set_rate_factor(schedule(step++));
      sgd.step();
      ema.update();
    }
  }
  CHECK(values(net.state()) == expected);
}

TEST_CASE("accumulated batches are one batch of all their images") {
  const auto run = [](int64_t accumulate, const std::vector<int64_t>& sizes) {
    set_seed(2);
    Linear net({.in = 4, .out = 1});
    Sgd sgd(net, {.rate = 0.1});
    const Batch all = make_batch("train", 1, 0, 24);
    Task<Batch> task;
    task.batches = [&](int64_t) { return static_cast<int64_t>(sizes.size()); };
    task.make_batch = [&](int64_t, int64_t index) {
      int64_t first = 0;
      for (int64_t i = 0; i < index; i++) first += sizes[static_cast<size_t>(i)];
      return Batch{all.x.rows(first, first + sizes[static_cast<size_t>(index)]),
                   all.y.rows(first, first + sizes[static_cast<size_t>(index)])};
    };
    task.loss = [&](const Batch& b) { return mean(square(net(b.x) - b.y)); };
    task.size = [](const Batch& b) { return b.x.dim(0); };
    const Report report =
        Trainer(net, sgd, {.epochs = 3, .accumulate = accumulate, .restore_best = false, .progress = ProgressStyle::off}).fit(task);
    std::vector<double> result = net.weight.detach().to_vector<double>();
    for (const auto& e : report.epochs) result.push_back(e.train_loss);
    return result;
  };
  const std::vector<double> whole = run(1, {24}), split = run(3, {8, 10, 6}), more = run(5, {8, 10, 6}), steps = run(1, {8, 10, 6});
  REQUIRE(whole.size() == 7);
  for (size_t i = 0; i < whole.size(); i++) {
    CHECK(split[i] == doctest::Approx(whole[i]).epsilon(1e-5));
    CHECK(more[i] == doctest::Approx(whole[i]).epsilon(1e-5));
  }
  CHECK(std::abs(steps[0] - whole[0]) > 1e-3);
}

TEST_CASE("NaN names the operation that made it") {
  Net net;
  Adam adam(net);
  const auto fails = [&](const Task<Batch>& task, const std::string& folder = "") {
    return message([&] { Trainer(net, adam, {.epochs = 3, .folder = folder, .progress = ProgressStyle::off}).fit(task); });
  };
  {
    const Folder folder("nan");
    Task<Batch> task = task_for(net);
    task.make_batch = [](int64_t epoch, int64_t index) {
      Batch b = make_batch("train", epoch, index);
      if (epoch == 2 && index == 3) b.y.fill(-1);
      return b;
    };
    task.loss = [&](const Batch& b) { return mean(square(net(b.x))) + 0.0 * mean(log(b.y + (max(b.y).item() > -1 ? 100.0 : 0.0))); };
    const std::string text = fails(task, folder.path);
    CAPTURE(text);
    CHECK(text.starts_with("[trainer] epoch 2, step 8: the loss is not finite: "));
    CHECK(mentions(text, "log"));
    CHECK(mentions(text, "last.safetensors"));
    CHECK(!mentions(text, "\n"));
    Training kept{.model = net, .optimizer = &adam};
    load_checkpoint(folder / "last.safetensors", kept);
    CHECK(kept.epoch == 1);
  }
  {
    Task<Batch> task = task_for(net);
    task.loss = [&](const Batch& b) { return mean(sqrt(net(b.x) * 0.0)); };  // finite, but the slope of sqrt at 0 is not
    const std::string text = fails(task);
    CAPTURE(text);
    CHECK(mentions(text, "the gradient is not finite"));
    CHECK(mentions(text, "sqrt"));
  }
  {
    Task<Batch> task = task_for(net);
    set_next_stream(0);
    task.loss = [&](const Batch& b) {
      const bool unlucky = next_stream() == 6;  // before the network draws
      return mean(sqrt(square(net(b.x)) - (unlucky ? 1e6 : -1)));
    };
    const std::string text = fails(task);
    CAPTURE(text);
    CHECK(mentions(text, "[sqrt]"));
  }
  {
    Task<Batch> task = task_for(net);
    task.make_batch = [](int64_t epoch, int64_t index) {
      Batch b = make_batch("train", epoch, index);
      b.x.data<float>()[5] = NAN;
      return b;
    };
    const std::string text = fails(task);
    CAPTURE(text);
    CHECK(mentions(text, "an input or a target is not finite"));
  }
  {
    net.b.weight.data<float>()[0] = INFINITY;
    CHECK(mentions(fails(task_for(net)), "b.weight has lost its values in an earlier step"));
  }
}

TEST_CASE("early stop, time limit, and what is refused") {
  const auto report = [](
                          TrainerOptions options, const std::function<void(Task<Batch>&)>& change = [](Task<Batch>&) {}) {
    set_seed(11);
    Net net;
    Sgd sgd(net, {.rate = 0.05});
    Task<Batch> task = task_for(net);
    change(task);
    options.progress = ProgressStyle::off;
    return Trainer(net, sgd, options).fit(task);
  };
  int looks = 0;
  const auto score = [&](Task<Batch>& t) { t.validate = [&] { return Scores{{"dice", looks++ == 2 ? 0.9 : 0.5}}; }; };
  const Report patient = report({.epochs = 20, .monitor = "dice", .patience = 4}, score);
  CHECK(patient.ended == "patience");
  CHECK(patient.best_epoch == 3);
  CHECK(patient.best == 0.9);
  CHECK(patient.epoch == 7);
  looks = 0;
  const Report rare = report({.epochs = 7, .monitor = "dice", .validate_every = 3}, score);  // looks at 3, 6 and 7
  CHECK(looks == 3);
  CHECK(rare.best_epoch == 7);
  CHECK(rare.epochs[0].scores.empty());

  const Folder folder("time");
  TrainerOptions limited{.epochs = 1000, .folder = folder.path, .max_minutes = 0.2 / 60};
  const Report late = report(limited, [](Task<Batch>& t) {
    t.make_batch = [](int64_t epoch, int64_t index) {
      std::this_thread::sleep_for(std::chrono::milliseconds(15));
      return make_batch("train", epoch, index);
    };
  });
  CHECK(late.ended == "time");
  CHECK(late.epoch >= 1);
  CHECK(late.epoch < 1000);
  limited.resume = true;
  const Report resumed = report(limited);
  CHECK(resumed.ended == "time");
  CHECK(resumed.epoch >= late.epoch);
  CHECK(resumed.seconds >= late.seconds);

  CHECK(message([&] { report({.epochs = 1, .monitor = "dise"}, score); }) ==
        "[trainer] there is no score 'dise' to monitor; validation gives dice");
  CHECK(mentions(message([&] { report({.epochs = 1}, [](Task<Batch>& t) { t.batches = [](int64_t) { return 0; }; }); }),
                 "epoch 1 has no batches"));
  CHECK(mentions(message([&] { report({.accumulate = 0}); }), "at least 1"));
  const auto broken = [](Task<Batch>& t) {
    t.make_batch = [](int64_t, int64_t index) -> Batch {
      if (index == 2) throw FileError("image7.png: cut");
      return make_batch("train", 1, index);
    };
  };
  CHECK(message([&] { report({.epochs = 1}, broken); }) == "image7.png: cut");  // from the background thread
}

TEST_CASE("a folder that cannot be written is one FileError before any training") {
  const Folder folder("folder");
  write_file_atomically(folder / "file", "x");
  Net net;
  Sgd sgd(net);
  Task<Batch> task = task_for(net);
  task.loss = [&](const Batch&) -> Tensor { throw Error("trained"); };
  const std::string text = message([&] { Trainer(net, sgd, {.folder = folder / "file/run", .progress = ProgressStyle::off}).fit(task); });
  CHECK(text.starts_with(folder / "file/run: cannot be made"));
  CHECK(folder.names() == std::vector<std::string>{"file"});
}

TEST_CASE("no space: one FileError, and what was whole stays whole") {
  const Folder folder("space");
  TrainerOptions options = options_for(folder.path, 2);
  options.resume = true;
  train(options);
  const std::string before = read_file(folder / "last.safetensors");
  options.epochs = 4;
  // A limit on the size of files stands for a full disk: write() fails in the same place.
  const int status = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{600, 600};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
    const std::string text = message([&] { train(options); });
    return mentions(text, folder.path) && !mentions(text, "\n") ? 0 : 1;
  });
  CHECK(done(status));
  CHECK(read_file(folder / "last.safetensors") == before);
  for (const auto& name : folder.names()) CHECK(!mentions(name, ".writing-"));
  for (const auto& line : read_metrics(folder / "metrics.jsonl")) CHECK(line.epoch >= 1);
  const Folder straight("enough_space");
  CHECK(train(options) == train(options_for(straight.path, 4)));  // with space again it goes on
}
