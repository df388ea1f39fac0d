#include "zoo/common/staged_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "optim/checkpoint.h"
#include "optim/log.h"
#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/common/categories.h"
#include "zoo/common/named_tensors.h"
#include "zoo/data/companions.h"
#include "zoo/sim/simulate.h"

namespace sono::zoo {

void StagedSettings::list(Settings& s) {
  s.add("cases", cases, 4, 1000000, "simulated data: how many, validation included");
  s.add("difficulty", difficulty, 0, 1, "simulated data: 0 easy … 1 hard");
  s.add("validation", validation, 0.01, 0.9, "share of the cases that training does not see");
  s.add("split", split, {"grouped", "random"},
        "grouped: no patient, video or near-duplicate on both sides; random is refused where it leaks");
}

SimulateOptions StagedSystem::simulation() const {
  SimulateOptions options;
  options.difficulty = base().difficulty;
  return options;
}

std::shared_ptr<const Dataset> StagedSystem::open(const Source& source) const {
  if (source.simulated()) return simulate(source.spec.substr(4), source.cases ? source.cases : base().cases, source.seed, simulation());
  return open_folder(source.spec);
}

std::shared_ptr<const Dataset> StagedSystem::open_folder(const std::string& folder) const { return open_categories(folder, categories_); }

std::vector<Sample> StagedSystem::read(const std::string& path) const { return read_with_companions(path); }

// ---- cases as numbers ------------------------------------------------------------------------------------------------------------------

Lesson StagedSystem::lesson(const Data& data, const std::vector<int64_t>& cases, const RowsOf& rows_of_case) const {
  std::vector<std::vector<Views>> each(cases.size());
  parallel_for(static_cast<int64_t>(cases.size()), 1, [&](int64_t first, int64_t last) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); i++) each[i] = rows_of_case(data.set->get(cases[i]));
  });
  Lesson lesson;
  std::vector<Views> rows;
  for (size_t i = 0; i < cases.size(); i++)
    for (Views& v : each[i]) {
      rows.push_back(std::move(v));
      lesson.categories.push_back(data.set->category(cases[i]).value());
      lesson.groups.push_back(data.grouping.group.at(static_cast<size_t>(cases[i])));
    }
  lesson.views = stacked_views(rows);
  lesson.classes = classes();
  return lesson;
}

StagedSystem::RowsOf StagedSystem::own_rows() const {
  return [this](const Sample& s) { return rows(s); };
}

namespace {

// What a pipeline says of a case, its versions averaged.
Labels said(const Pipeline& pipeline, const Views& versions) { return category_labels(mean(pipeline.apply(versions), {0})); }

}  // namespace

Labels StagedSystem::predict(const Sample& sample) { return said(*pipeline_, stacked_views(rows(sample))); }

std::vector<Labels> StagedSystem::predict_with_rivals(const Sample& sample) {
  const Views own = stacked_views(rows(sample));
  std::vector<Labels> all{said(*pipeline_, own)};
  for (const Rival& r : rivals_) all.push_back(said(r.pipeline, r.rows ? stacked_views(r.rows(sample)) : own));
  return all;
}

// ---- training --------------------------------------------------------------------------------------------------------------------------

void StagedSystem::make_pipelines() {
  pipeline_ = build();
  rivals_ = build_rivals();
}

std::vector<Pipeline*> StagedSystem::pipelines() {
  std::vector<Pipeline*> all{&*pipeline_};
  for (Rival& r : rivals_) all.push_back(&r.pipeline);
  return all;
}

namespace {

std::string prefix(size_t pipeline) { return pipeline ? "rival" + std::to_string(pipeline) + "." : ""; }

}  // namespace

// All stages of the first `pipelines`, and the first `stages` of the next one.
NamedTensors StagedSystem::state(size_t pipelines, size_t stages) const {
  const auto all = const_cast<StagedSystem*>(this)->pipelines();
  NamedTensors state;
  for (size_t p = 0; p <= pipelines && p < all.size(); p++)
    add_part(state, prefix(p), all[p]->state(p < pipelines ? all[p]->size() : stages));
  return state;
}

void StagedSystem::load_state(const NamedTensors& state, size_t pipelines, size_t stages) {
  const auto all = this->pipelines();
  for (size_t p = 0; p <= pipelines && p < all.size(); p++)
    all[p]->load(part_of(state, prefix(p)), p < pipelines ? all[p]->size() : stages);
}

void StagedSystem::prepare_training(const Data& data, const Run& run) {
  const std::string name = card().name;
  if (run.device != Device::cpu) throw Error(name + " is learnt on the CPU: leave --device out");
  if (!run.init.empty() || !run.freeze.empty())
    throw Error(name + " is learnt in stages from nothing: --init and --freeze are for networks");
  categories_ = data.set->categories();
  std::vector<size_t> counts(categories_.size());
  for (const int64_t i : data.split.train) {
    const auto category = data.set->category(i);
    if (!category) throw Error(data.set->meta(i).id + ": has no category, which " + name + " learns");
    counts.at(static_cast<size_t>(*category))++;
  }
  for (size_t k = 0; k < counts.size(); k++)
    if (counts[k] == 0 || counts[k] == data.split.train.size())
      throw Error(fmt::format("{}: {} of the {} training cases are of category {}; give cases of every category", name,
                              counts[k] ? "all" : "none", data.split.train.size(), categories_[k]));
  make_pipelines();
}

namespace {

// Where a training in stages has come to, as last.safetensors remembers it.
struct Progress {
  size_t pipeline = 0, stage = 0;
  int64_t epoch = 0;
};

void save_progress(const std::string& path, const NamedTensors& state, const Progress& p, const std::string& recipe) {
  save_weights(path, state,
               {{"recipe", recipe},
                {"pipeline", std::to_string(p.pipeline)},
                {"stage", std::to_string(p.stage)},
                {"epoch", std::to_string(p.epoch)}});
}

Progress read_progress(const std::string& path, const WeightsFile& file, const std::string& recipe) {
  const auto value = [&](const char* key) {
    if (!file.notes.count(key)) throw FileError(path + ": is no checkpoint of a training in stages: it lacks '" + key + "'");
    return file.notes.at(key);
  };
  if (value("recipe") != recipe)
    throw FileError(path + ": was trained with other settings or another seed; resume with the same, or start a new training");
  return {static_cast<size_t>(parse_integer("pipeline", value("pipeline"))), static_cast<size_t>(parse_integer("stage", value("stage"))),
          parse_integer("epoch", value("epoch"))};
}

}  // namespace

Values StagedSystem::validate(const Pipeline& pipeline, const Lesson& lesson) const {
  const Tensor p = pipeline.apply(lesson.views);
  std::vector<std::vector<float>> rows;
  for (int64_t i = 0; i < p.dim(0); i++) rows.push_back(p.rows(i, i + 1).to_vector<float>());
  const auto [area, accuracy] = category_scores(lesson.categories, rows);
  return {{"val_auc", area}, {"val_accuracy", accuracy}};
}

void StagedSystem::train(const Data& data, const Run& run) {
  const std::string last = run.folder + "/last.safetensors", recipe = settings_.to_json().dump() + " seed " + std::to_string(run.seed);
  Progress at;
  if (run.resume && std::filesystem::exists(last)) {
    const WeightsFile file = read_weights(last);
    at = read_progress(last, file, recipe);
    load_state(file.weights, at.pipeline, at.stage);
  }
  MetricsLog metrics(run.folder + "/metrics.jsonl", at.epoch);
  EventWriter events(run.folder, at.epoch + 1);
  const auto log = [&](const Values& values) {
    metrics.add(++at.epoch, values);
    events.scalars(at.epoch, values);
  };
  const auto all = pipelines();
  Lesson own;  // of the system's views, which most rivals share
  for (; at.pipeline < all.size(); at.pipeline++, at.stage = 0) {
    const bool shares = at.pipeline == 0 || !rivals_[at.pipeline - 1].rows;
    if (shares && own.views.empty()) own = lesson(data, data.split.train, own_rows());
    Lesson lesson = shares ? own : this->lesson(data, data.split.train, rivals_[at.pipeline - 1].rows);
    lesson.seed = run.seed;
    if (at.pipeline == 0) lesson.log = log;
    auto start = std::chrono::steady_clock::now();
    Pipeline& pipeline = *all[at.pipeline];
    pipeline.fit(lesson, at.stage, [&](size_t stage) {
      if (at.pipeline == 0 && stage + 1 == pipeline.size()) log(validate(pipeline, this->lesson(data, data.split.validation, own_rows())));
      at.stage = stage + 1;
      save_progress(last, state(at.pipeline, at.stage), at, recipe);
      const auto now = std::chrono::steady_clock::now();
      std::fprintf(stderr, "%s: stage %zu/%zu, %s, %.1f s\n", at.pipeline ? rivals_[at.pipeline - 1].name.c_str() : card().name.c_str(),
                   at.stage, pipeline.size(), pipeline.stage(stage).name().c_str(), std::chrono::duration<double>(now - start).count());
      start = now;
    });
  }
  save_weights(run.folder + "/model.safetensors", state(all.size(), 0), {{"system", card().name}});
}

// ---- files and pages -------------------------------------------------------------------------------------------------------------------

nlohmann::json StagedSystem::describe() const { return {{"settings", settings_.to_json()}, {"categories", categories_}}; }

void StagedSystem::load(const std::string& folder, const nlohmann::json& description) {
  settings_.from_json(description.at("settings"));
  categories_ = description.at("categories").get<std::vector<std::string>>();
  make_pipelines();
  load_state(read_weights(folder + "/model.safetensors").weights, pipelines().size(), 0);
}

std::vector<std::string> StagedSystem::rivals() const {
  std::vector<std::string> names;
  for (const Rival& r : rivals_) names.push_back(r.name);
  return names;
}

std::vector<Figure> StagedSystem::figures() const { return pipeline_ ? pipeline_->figures() : std::vector<Figure>{}; }

std::string StagedSystem::summary() {
  std::string text = fmt::format("{:<22} {:>12}\n", "stage", "numbers");
  for (size_t i = 0; i < pipeline_->size(); i++)
    text += fmt::format("{:<22} {:>12}\n", pipeline_->stage(i).name(), pipeline_->stage(i).parameters());
  for (const Rival& r : rivals_) text += "beside it: " + r.name + "\n";
  return text;
}

EvaluateOptions StagedSystem::evaluation() const {
  EvaluateOptions options;
  options.system = card().name;
  options.categories = categories_;
  options.measurements = std::vector<std::string>{};
  return options;
}

}  // namespace sono::zoo
