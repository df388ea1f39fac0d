// teus-dbn: prostate cancer from how the echoes of a region change over a hundred frames, by a deep belief network and a support vector
// machine.
#include <cmath>

#include "zoo/classification/curves.h"
#include "zoo/classification/dbn_stage.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"
#include "zoo/sim/temporal.h"

namespace sono::zoo {
namespace {

struct TeusSettings : StagedSettings {
  int64_t pretrain_epochs = 60, batch = 20, epochs = 40;
  std::vector<int64_t> hidden = {100, 50, 6};
  double pretrain_rate = 0.05;
  std::string codes = "fine-tuned";
  void list(Settings& s) override {
    s.add("hidden", hidden, 1, 4096, "units of the layers; the last are the features");
    s.add("pretrain_epochs", pretrain_epochs, 1, 10000, "of contrastive divergence, per layer");
    s.add("pretrain_rate", pretrain_rate, 1e-6, 10, "of the binary layers; a tenth of it for the lowest one, which is Gaussian");
    s.add("batch", batch, 1, 4096, "regions per step");
    s.add("codes", codes, {"pre-trained", "fine-tuned"},
          "what the support vector machine sees: codes as the RBMs leave them, or after supervised fine-tuning");
    s.add("epochs", epochs, 1, 10000, "codes=fine-tuned: of supervised fine-tuning");
    StagedSettings::list(s);
  }
};

class TeusDbn : public StagedSystem {
 public:
  TeusDbn() {
    options_.cases = 1600;
    list_settings();
  }

  Card card() const override {
    return {.name = "teus-dbn",
            .title = "temporal enhanced ultrasound and a deep belief network",
            .task = "classification of regions of the prostate: benign or cancer",
            .input = "radio-frequency echoes of a region of 1 mm²: a sequence of 100 frames at 40 Hz, a column per depth",
            .method =
                "mean amplitude spectrum over the depths, 50 components; a Gaussian-Bernoulli RBM and two binary ones give six features; "
                "ZCA whitening; RBF support vector machine, C and gamma by cross-validation over patients",
            .reference =
                "Azizi, Imani, Zhuang et al.: Ultrasound-based detection of prostate cancer using automatic feature selection with deep "
                "belief networks, MICCAI 2015",
            .claim = "",
            .measured = "see the README: simulated echoes only",
            .limits = "the simulated tissue is a didactic surrogate: that tissues differ in their micro-motion like this is a hypothesis"};
  }
  std::string default_source() const override { return "sim:teus"; }
  std::vector<Sample> read(const std::string& path) const override {
    std::vector<std::string> channels;
    for (int d = 0; d < 256; d++) channels.push_back("rf " + std::to_string(d));
    return read_curve(path, 40, channels);
  }

 protected:
  TeusSettings& base() override { return options_; }

  SimulateOptions simulation() const override {
    SimulateOptions o = StagedSystem::simulation();
    o.frames_per_patient = 4;
    return o;
  }

  std::vector<Views> rows(const Sample& s) const override {
    if (!s.sequence || s.sequence.values.dim(0) != 100)
      throw Error(s.meta.id + ": wanted are echoes over 100 frames, a .npy of 100 rows or a folder of `sonograd simulate teus`");
    Tensor spectrum = sim::temporal_spectrum(s.sequence.values);
    double sum = 0;
    for (int64_t i = 0; i < spectrum.size(); i++) sum += static_cast<double>(spectrum.data<float>()[i]);
    if (!(sum > 0)) throw NumericError(s.meta.id + ": its echoes have zero variance over time: there is nothing to classify");
    return {{spectrum}};
  }

  Pipeline build() const override {
    const bool tuned = options_.codes == "fine-tuned";
    Pipeline p;
    p.add<Standardise>();
    p.add<DbnStage>(DbnStageOptions{.hidden = options_.hidden,
                                    .gaussian = true,
                                    .pretrain_epochs = options_.pretrain_epochs,
                                    .batch = options_.batch,
                                    .pretrain_rate = options_.pretrain_rate,
                                    .fine_tune_epochs = tuned ? options_.epochs : 0,
                                    .codes = true});
    p.add<Whiten>();
    p.add<HeadStage>("svm", "svm", Choice{}, Grid{{"C", {"0.1", "1", "10", "100"}}, {"gamma", {"0.01", "0.1", "scale", "1"}}});
    return p;
  }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(1);
    rivals[0].name = "linear: logistic regression on the same spectra";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1", "1"}}});
    return rivals;
  }

 private:
  TeusSettings options_;
};

}  // namespace

std::unique_ptr<System> make_teus_dbn() { return std::make_unique<TeusDbn>(); }

}  // namespace sono::zoo
