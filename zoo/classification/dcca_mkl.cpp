// dcca-mkl: benign or malignant liver lesions from three pictures under contrast, one per phase, by deep canonical correlation and multiple
// kernels.
#include "zoo/classification/dcca_stage.h"
#include "zoo/classification/phases.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"
#include "zoo/data/companions.h"
#include "zoo/data/resize.h"

namespace sono::zoo {
namespace {

struct DccaSettings : StagedSettings {
  int64_t out = 10, epochs = 100;
  std::vector<int64_t> hidden = {64};
  double rate = 1e-3, weight_decay = 1e-5, ridge = 1e-2;
  bool inputs = true;
  std::string C = "1";
  void list(Settings& s) override {
    s.add("hidden", hidden, 1, 4096, "units of the hidden layers of each view's network");
    s.add("out", out, 1, 256, "canonical components of each pair of phases");
    s.add("epochs", epochs, 1, 100000, "steps of RMSProp, each over all training cases");
    s.add("rate", rate, 1e-8, 1, "of RMSProp");
    s.add("weight_decay", weight_decay, 0, 1, "of the networks");
    s.add("ridge", ridge, 0, 10, "added to the diagonals of the covariances");
    s.add("inputs", inputs, "the phases' own features have kernels, too, beside the six canonical views");
    s.add("C", C, {}, "of the support vector machine");
    StagedSettings::list(s);
  }
};

class DccaMkl : public StagedSystem {
 public:
  DccaMkl() {
    options_.cases = 1200;
    list_settings();
  }

  Card card() const override {
    return {
        .name = "dcca-mkl",
        .title = "deep canonical correlation and multiple-kernel learning for contrast-enhanced ultrasound",
        .task = "classification of focal liver lesions: benign or malignant",
        .input = "three pictures, of the arterial, portal and late phase, as the channels of an image, with the lesion's mask",
        .method =
            "brightness in rings around the lesion's outline and its distribution inside, per phase; of each pair of phases two networks "
            "whose outputs are correlated most (trace norm), linear canonical correlation of these; a kernel per view, weights by "
            "SimpleMKL",
        .reference =
            "Guo, Wang, Qian et al.: A two-stage multi-view learning framework based computer-aided diagnosis of liver tumors with "
            "contrast enhanced ultrasound images, Clinical Hemorheology and Microcirculation 69, 2018",
        .claim = "90.41 % accuracy, at a lower cost than time-intensity curves, as the review of deep learning in ultrasound reports it",
        .measured = "see the README: simulated pictures only",
        .limits =
            "wants the lesion's outline (masks/, or NAME_mask.png beside a picture); the moments of the three phases are fixed after the "
            "injection, whatever the patient's "
            "circulation"};
  }
  std::string default_source() const override { return "sim:ceus"; }
  std::vector<Sample> read(const std::string& path) const override { return {read_phases(path, 3)}; }

 protected:
  DccaSettings& base() override { return options_; }

  SimulateOptions simulation() const override {
    SimulateOptions o = StagedSystem::simulation();
    o.frames_per_patient = 1;
    return o;
  }

  std::vector<Views> rows(const Sample& s) const override { return {phase_features(s)}; }

  Pipeline build() const override {
    Pipeline p;
    p.add<Standardise>();
    p.add<DccaStage>(DccaStageOptions{.hidden = options_.hidden,
                                      .out = options_.out,
                                      .epochs = options_.epochs,
                                      .rate = options_.rate,
                                      .weight_decay = options_.weight_decay,
                                      .ridge = options_.ridge,
                                      .inputs = options_.inputs});
    p.add<HeadStage>("mkl", "mkl", Choice{{"C", options_.C}});
    return p;
  }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(2);
    rivals[0].name = "linear: logistic regression on the same features of the three phases";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.001", "0.01", "0.1", "1", "10"}}});
    rivals[1].name = "linear: logistic regression on the pictures themselves, 16 x 16 of each phase";
    rivals[1].rows = [](const Sample& s) {
      const Tensor small = resize_bilinear(s.image, 16, 16);
      return std::vector<Views>{{small.view({small.size()})}};
    };
    rivals[1].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1"}}});
    return rivals;
  }

 private:
  DccaSettings options_;
};

}  // namespace

std::unique_ptr<System> make_dcca_mkl() { return std::make_unique<DccaMkl>(); }

}  // namespace sono::zoo
