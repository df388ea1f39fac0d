#include "optim/checkpoint.h"

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "optim/checksum.h"
#include "tensor/random.h"

namespace sono {
namespace {

constexpr const char* weights_format = "sonograd weights";
constexpr const char* checkpoint_format = "sonograd checkpoint";
constexpr const char* version = "1";
constexpr const char* layout = "channels last; convolution (k..., in, out), linear (in, out)";

[[noreturn]] void fail(const std::string& path, const std::string& why) { throw FileError(path + ": " + why); }

// ---- numbers as text that reads back to the same bits
// -----------------------------------------------------------------------------------------
template <class T>
std::string text(T value) {
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}
template <class T>
T number(const std::string& path, const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  T value{};
  if (found == metadata.end()) fail(path, "damaged checkpoint: its metadata lacks '" + key + "'");
  const std::string& s = found->second;
  if (const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value); error != std::errc() || end != s.data() + s.size())
    fail(path, "damaged checkpoint: '" + key + "' is '" + s.substr(0, 40) + "', not a number");
  return value;
}

// Over the metadata but the checksum itself, then names and values of all tensors.
std::string checksum(const NamedTensors& tensors, const Metadata& metadata) {
  uint32_t crc = 0;
  for (const auto& [key, value] : metadata)
    if (key != "checksum") crc = crc32c(value, crc32c(key, crc));
  for (const auto& [name, t] : tensors) {
    const Tensor host = t.to(Device::cpu);
    crc = crc32c({static_cast<const char*>(host.raw()), static_cast<size_t>(host.bytes())}, crc32c(name, crc));
  }
  char hex[16];
  std::snprintf(hex, sizeof hex, "%08x", crc);
  return hex;
}

void write(const std::string& path, const char* format, const NamedTensors& tensors, Metadata metadata) {
  metadata["format"] = format;
  metadata["version"] = version;
  metadata["layout"] = layout;
  metadata["checksum"] = checksum(tensors, metadata);
  write_safetensors(path, tensors, metadata);
}

// The file, if it is of a format that we wrote, of our version, and whole.
TensorFile read(const std::string& path) {
  TensorFile file = read_safetensors(path);
  const Metadata& m = file.metadata;
  const auto value = [&](const char* key) { return m.count(key) ? m.at(key) : std::string(); };
  const std::string format = value("format");
  if (format != weights_format && format != checkpoint_format)
    fail(path, "neither weights nor a checkpoint of Sonograd: its metadata names no such format");
  if (value("version") != version)
    fail(path, "is of format version '" + value("version") + "', this program reads version " + version +
                   "; use the program that wrote it, or train again");
  if (value("checksum") != checksum(file.tensors, m))
    fail(path, "is damaged: its checksum does not match; use an older checkpoint, or train again");
  return file;
}

// Tensors whose name starts with the prefix, without it. An empty prefix: the model's, which have no slash.
NamedTensors part(const NamedTensors& all, const std::string& prefix) {
  NamedTensors some;
  for (const auto& [name, t] : all)
    if (prefix.empty() ? name.find('/') == name.npos : name.starts_with(prefix)) some.emplace_back(name.substr(prefix.size()), t);
  return some;
}
void add(NamedTensors& all, const std::string& prefix, const NamedTensors& some) {
  for (const auto& [name, t] : some) all.emplace_back(prefix + name, t);
}

NamedTensors cloned(const NamedTensors& all) {
  NamedTensors copy;
  for (const auto& [name, t] : all) copy.emplace_back(name, t.clone());
  return copy;
}

// The state of model, optimiser, averages and plateau from the tensors of a file: all of it or, with a ShapeError, nothing.
void load_parts(const NamedTensors& tensors, Training& t) {
  const NamedTensors plateau = part(tensors, "plateau/");
  if (t.plateau && plateau.size() != 1) throw ShapeError("[plateau] its state is missing");
  const NamedTensors model = cloned(t.model.state()), optimizer = t.optimizer ? t.optimizer->state() : NamedTensors{};
  const NamedTensors ema = t.ema ? cloned(t.ema->state()) : NamedTensors{};
  try {
    t.model.load(part(tensors, ""));
    if (t.optimizer) t.optimizer->load_state(part(tensors, "optimizer/"));
    if (t.ema) t.ema->load_state(part(tensors, "ema/"));
    if (t.plateau) t.plateau->load_state(plateau[0].second);
  } catch (...) {
    t.model.load(model);
    if (t.optimizer) t.optimizer->load_state(optimizer);
    if (t.ema) t.ema->load_state(ema);
    throw;
  }
}

std::string kind_of(const Training& t) { return t.optimizer ? t.optimizer->kind() : "none"; }
std::string parts_of(const Training& t) { return std::string(t.ema ? "ema " : "") + (t.plateau ? "plateau" : ""); }

// What differs between two recipes: the keys, if both are JSON objects.
std::string difference(const std::string& there, const std::string& here) {
  using Json = nlohmann::ordered_json;
  const Json a = Json::parse(there, nullptr, false), b = Json::parse(here, nullptr, false);
  if (!a.is_object() || !b.is_object()) return there + " there, " + here + " here";
  std::string all;
  const auto value = [](const Json& object, const std::string& key) { return object.contains(key) ? object[key].dump() : "nothing"; };
  const auto add = [&](const std::string& key) {
    all += (all.empty() ? "" : "; ") + key + " " + value(a, key) + " there, " + value(b, key) + " here";
  };
  for (const auto& [key, v] : a.items())
    if (!b.contains(key) || b[key] != v) add(key);
  for (const auto& [key, v] : b.items())
    if (!a.contains(key)) add(key);
  return all;
}

void check_recipe(const std::string& path, const Training& t, const Metadata& m) {
  const auto value = [&](const char* key) { return m.count(key) ? m.at(key) : std::string(); };
  if (value("optimizer") != kind_of(t))
    fail(path, "was trained with optimizer '" + value("optimizer") + "', not '" + kind_of(t) +
                   "'; resume with the same, or start a new training");
  if (value("parts") != parts_of(t))
    fail(path, "was trained with '" + value("parts") + "' beside the optimizer, not '" + parts_of(t) +
                   "'; resume with the same, or start a new training");
  if (!t.recipe.empty() && value("recipe") != t.recipe)
    fail(path,
         "was trained with other settings: " + difference(value("recipe"), t.recipe) + "; resume with the same, or start a new training");
}

}  // namespace

void save_checkpoint(const std::string& path, const Training& t) {
  NamedTensors all = t.model.state();
  if (t.optimizer) add(all, "optimizer/", t.optimizer->state());
  if (t.ema) add(all, "ema/", t.ema->state());
  if (t.plateau) all.emplace_back("plateau/state", t.plateau->state());
  const uint64_t stream = next_stream();
  set_next_stream(stream);  // asking moves it on
  write(path, checkpoint_format, all,
        {{"optimizer", kind_of(t)},
         {"parts", parts_of(t)},
         {"recipe", t.recipe},
         {"epoch", text(t.epoch)},
         {"step", text(t.step)},
         {"best", text(t.best)},
         {"best_epoch", text(t.best_epoch)},
         {"seconds", text(t.seconds)},
         {"seed", text(global_seed())},
         {"next_stream", text(stream)}});
}

void load_checkpoint(const std::string& path, Training& t) {
  const TensorFile file = read(path);
  const Metadata& m = file.metadata;
  if (m.at("format") != checkpoint_format) fail(path, "holds weights alone, no training to go on with");
  check_recipe(path, t, m);
  Training loaded = t;
  loaded.epoch = number<int64_t>(path, m, "epoch"), loaded.step = number<int64_t>(path, m, "step");
  loaded.best = number<double>(path, m, "best"), loaded.best_epoch = number<int64_t>(path, m, "best_epoch");
  loaded.seconds = number<double>(path, m, "seconds");
  const auto seed = number<uint64_t>(path, m, "seed"), stream = number<uint64_t>(path, m, "next_stream");

  try {
    load_parts(file.tensors, t);
  } catch (const ShapeError& e) { fail(path, e.what()); }
  t.epoch = loaded.epoch, t.step = loaded.step, t.best = loaded.best, t.best_epoch = loaded.best_epoch, t.seconds = loaded.seconds;
  set_seed(seed);
  set_next_stream(stream);
}

void save_weights(const std::string& path, const State& weights, const Metadata& notes) { write(path, weights_format, weights, notes); }

void save_weights(const std::string& path, const Module& model, const Metadata& notes) { save_weights(path, model.state(), notes); }

WeightsFile read_weights(const std::string& path) {
  TensorFile file = read(path);
  return {part(file.tensors, ""), std::move(file.metadata)};
}

Metadata load_weights(const std::string& path, Module& model, bool strict) {
  WeightsFile file = read_weights(path);
  try {
    model.load(file.weights, strict);
  } catch (const ShapeError& e) { fail(path, e.what()); }
  return std::move(file.notes);
}

}  // namespace sono
