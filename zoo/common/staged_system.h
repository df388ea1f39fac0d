#pragma once
// A system that is learnt in stages (stage.h): a subclass says how a case becomes numbers, and which stages learn from them. Training with
// a checkpoint after each stage, averaging over versions of a case, rivals on the same cases, files and the report are here.
//
//   class Mine : public StagedSystem {
//     std::vector<Views> rows(const Sample& s) const override { return {{curve_of(s)}}; }            // one version, one view (D)
//     Pipeline build() const override { Pipeline p; p.add<Standardise>(); p.add<HeadStage>(…); return p; }
//     …
//   };
#include <optional>

#include "zoo/common/stage.h"
#include "zoo/common/system.h"
#include "zoo/sim/options.h"

namespace sono::zoo {

// Settings that all staged systems share; each system has its own defaults.
struct StagedSettings {
  int64_t cases = 800;
  double validation = 0.25;
  std::string split = "grouped";
  double difficulty = 0.3;
  virtual ~StagedSettings() = default;
  virtual void list(Settings& settings);
};

// What a system is compared with: stages of their own, on views of their own.
struct Rival {
  std::string name;                                       // "logistic regression on the curve"
  std::function<std::vector<Views>(const Sample&)> rows;  // empty: the system's
  Pipeline pipeline;
};

class StagedSystem : public System {
 public:
  Settings& settings() override { return settings_; }
  double validation_share() const override { return base().validation; }
  bool random_split() const override { return base().split == "random"; }
  std::shared_ptr<const Dataset> open(const Source& source) const override;
  void prepare_training(const Data& data, const Run& run) override;
  void train(const Data& data, const Run& run) override;
  Labels predict(const Sample& sample) override;
  std::vector<Sample> read(const std::string& path) const override;  // with the mask and elastogram beside it (zoo/data/companions.h)
  std::vector<std::string> rivals() const override;
  std::vector<Labels> predict_with_rivals(const Sample& sample) override;
  nlohmann::json describe() const override;
  void load(const std::string& folder, const nlohmann::json& description) override;
  std::string summary() override;
  EvaluateOptions evaluation() const override;
  std::vector<Figure> figures() const override;

  // The case as numbers: a vector (D) f32 per view; several times, if several versions of it (mirrored, other crops) are to be learnt from,
  // whose predictions are then averaged.
  virtual std::vector<Views> rows(const Sample& sample) const = 0;
  virtual Pipeline build() const = 0;  // from the settings and classes(); its last stage leaves (N, classes) probabilities

 protected:
  virtual StagedSettings& base() = 0;
  const StagedSettings& base() const { return const_cast<StagedSystem*>(this)->base(); }

  virtual std::shared_ptr<const Dataset> open_folder(
      const std::string& folder) const;  // categories without 'normal', unless the system says otherwise
  virtual std::vector<Rival> build_rivals() const { return {}; }
  virtual SimulateOptions simulation() const;  // of the simulated data

  void list_settings() { base().list(settings_); }
  const std::vector<std::string>& categories() const { return categories_; }
  int64_t classes() const { return static_cast<int64_t>(categories_.size()); }
  const Pipeline& pipeline() const { return *pipeline_; }

 private:
  using RowsOf = std::function<std::vector<Views>(const Sample&)>;
  Lesson lesson(const Data& data, const std::vector<int64_t>& cases, const RowsOf& rows_of_case) const;
  Values validate(const Pipeline& pipeline, const Lesson& lesson) const;
  RowsOf own_rows() const;
  void make_pipelines();
  std::vector<Pipeline*> pipelines();
  NamedTensors state(size_t pipelines, size_t stages) const;
  void load_state(const NamedTensors& state, size_t pipelines, size_t stages);

  Settings settings_;
  std::vector<std::string> categories_;
  std::optional<Pipeline> pipeline_;
  std::vector<Rival> rivals_;
};

}  // namespace sono::zoo
