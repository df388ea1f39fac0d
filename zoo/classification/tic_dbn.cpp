// tic-dbn: benign or malignant liver lesions from their time-intensity curve under contrast, by a deep belief network.
#include <algorithm>
#include <cmath>

#include "zoo/classification/curves.h"
#include "zoo/classification/dbn_stage.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"

namespace sono::zoo {
namespace {

struct TicSettings : StagedSettings {
  int64_t length = 100, epochs = 60, pretrain_epochs = 30, batch = 20, members = 1;
  std::vector<int64_t> hidden = {100, 50, 25};
  std::string curves = "lesion";
  double rate = 0.1, weight_decay = 1e-4, rate_hz = 2;
  bool pretrain = true;
  void list(Settings& s) override {
    s.add("length", length, 8, 1000, "points of a curve that the network sees");
    s.add("curves", curves, {"lesion", "lesion+liver"}, "the lesion's curve alone, or with that of the liver beside it");
    s.add("hidden", hidden, 1, 4096, "units of the layers");
    s.add("pretrain", pretrain, "learn the layers as RBMs first; false: a back-propagation network");
    s.add("pretrain_epochs", pretrain_epochs, 0, 10000, "of contrastive divergence, per layer");
    s.add("epochs", epochs, 1, 10000, "of supervised fine-tuning");
    s.add("batch", batch, 1, 4096, "cases per step");
    s.add("rate", rate, 1e-6, 10, "of fine-tuning");
    s.add("weight_decay", weight_decay, 0, 1, "of fine-tuning");
    s.add("members", members, 1, 50, "networks whose probabilities are averaged");
    s.add("rate_hz", rate_hz, 0.1, 100, "samples per second of curves that are read from .npy files to predict on");
    StagedSettings::list(s);
  }
};

class TicDbn : public StagedSystem {
 public:
  TicDbn() {
    options_.cases = 1600;
    list_settings();
  }

  Card card() const override {
    return {
        .name = "tic-dbn",
        .title = "time-intensity curves and a deep belief network for contrast-enhanced ultrasound",
        .task = "classification of focal liver lesions: benign or malignant",
        .input =
            "time-intensity curve of the lesion, on request that of the liver beside it, too: columns 'lesion' and 'liver' of a sequence, linear echo power "
            "(not decibels)",
        .method =
            "baseline subtracted, resampled, divided by the curve's peak; RBMs pre-trained one upon the other by CD-1, unrolled, "
            "fine-tuned with a softmax",
        .reference =
            "Wu, Chen, Ding: Deep learning based classification of focal liver lesions with contrast-enhanced ultrasound, Optik 125, 2014",
        .claim =
            "86.36 % accuracy, better than LDA, k-NN, SVM and a back-propagation network, as the review of deep learning in ultrasound "
            "reports it",
        .measured = "see the README: simulated curves only",
        .limits = "simulated curves: two supplies, four kinds of lesions; no motion correction, no factor analysis of the video"};
  }
  std::string default_source() const override { return "sim:ceus"; }
  std::vector<Sample> read(const std::string& path) const override {
    return read_curve(path, options_.rate_hz, {"lesion", "liver", "lesion dB", "liver dB"});
  }

 protected:
  TicSettings& base() override { return options_; }

  SimulateOptions simulation() const override {
    SimulateOptions o = StagedSystem::simulation();
    o.frames_per_patient = 1;
    return o;
  }

  std::vector<Views> rows(const Sample& s) const override {
    const bool both = options_.curves == "lesion+liver";
    const Tensor lesion = resampled_curve(curve_of(s, "lesion"), options_.length);
    const Tensor liver = both ? resampled_curve(curve_of(s, "liver"), options_.length) : Tensor();
    return {{joined_curves(lesion, liver)}};
  }

  Pipeline build() const override { return dbn(options_.pretrain); }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(1);
    rivals[0].name = "linear: logistic regression on the same curves";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1", "1"}}});
    return rivals;
  }

 private:
  Pipeline dbn(bool pretrain) const {
    Pipeline p;
    p.add<UnitRange>(false);
    p.add<DbnStage>(DbnStageOptions{.hidden = options_.hidden,
                                    .pretrain = pretrain,
                                    .pretrain_epochs = options_.pretrain_epochs,
                                    .batch = options_.batch,
                                    .fine_tune_epochs = options_.epochs,
                                    .rate = options_.rate,
                                    .weight_decay = options_.weight_decay,
                                    .members = options_.members});
    return p;
  }

  TicSettings options_;
};

}  // namespace

std::unique_ptr<System> make_tic_dbn() { return std::make_unique<TicDbn>(); }

}  // namespace sono::zoo
