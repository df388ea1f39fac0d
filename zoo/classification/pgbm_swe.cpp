// pgbm-swe: benign or malignant breast lesions from their shear-wave elastogram, by a point-wise gated Boltzmann machine.
#include <algorithm>

#include "zoo/classification/gated_stage.h"
#include "zoo/classification/lesion_crop.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"
#include "zoo/data/resize.h"

namespace sono::zoo {
namespace {

struct PgbmSettings : StagedSettings {
  int64_t size = 20, first = 300, relevant = 120, irrelevant = 120, second = 60, pretrain_epochs = 30, epochs = 30, batch = 50;
  double margin = 0.25, highest = 200;
  std::string head = "svm";
  void list(Settings& s) override {
    s.add("size", size, 8, 64, "rows and columns of the elastogram that the machine sees");
    s.add("margin", margin, 0, 2, "share of the lesion's box added on each side");
    s.add("highest", highest, 20, 1000, "kPa that become 1");
    s.add("first", first, 2, 10000, "units of the RBM that comes first");
    s.add("relevant", relevant, 1, 5000, "units of the relevant component");
    s.add("irrelevant", irrelevant, 1, 5000, "units of the irrelevant component");
    s.add("second", second, 1, 5000, "units of the RBM on top of the relevant ones");
    s.add("pretrain_epochs", pretrain_epochs, 1, 10000, "of the first RBM, and of the one on top");
    s.add("epochs", epochs, 1, 10000, "of the gated machine");
    s.add("batch", batch, 1, 4096, "cases per step");
    s.add("head", head, {"svm", "linear-svm"}, "the paper's is linear");
    StagedSettings::list(s);
  }
};

class PgbmSwe : public StagedSystem {
 public:
  PgbmSwe() {
    options_.cases = 1200;
    list_settings();
  }

  Card card() const override {
    return {
        .name = "pgbm-swe",
        .title = "point-wise gated Boltzmann machine on shear-wave elastograms of breast lesions",
        .task = "classification: benign or malignant",
        .input = "an elastogram in kPa beside the B-mode image, with the lesion's mask or box",
        .method =
            "an RBM whose units are split by a t-test on the labels starts a point-wise gated Boltzmann machine (mean field, CD-5, "
            "sparsity 0.15); a second RBM on the relevant units; support vector machine",
        .reference =
            "Zhang, Xiao, Dai et al.: Deep learning based classification of breast tumors with shear-wave elastography, Ultrasonics "
            "72, 2016",
        .claim = "",
        .measured = "see the README: simulated elastograms only",
        .limits =
            "simulated stiffness, four patterns of lesions; single pictures want NAME_swe.npy, and NAME_mask.png unless they are crops; an "
            "RBF kernel where the paper has a linear one (--set head=linear-svm)"};
  }
  std::string default_source() const override { return "sim:breast-swe"; }

 protected:
  PgbmSettings& base() override { return options_; }

  SimulateOptions simulation() const override {
    SimulateOptions o = StagedSystem::simulation();
    o.frames_per_patient = 1;
    return o;
  }

  std::vector<Views> rows(const Sample& s) const override { return {{elastogram(s)}, {elastogram(mirrored(s))}}; }

  Pipeline build() const override {
    Pipeline p;
    p.add<GatedStage>(GatedStageOptions{.first = options_.first,
                                        .relevant = options_.relevant,
                                        .irrelevant = options_.irrelevant,
                                        .second = options_.second,
                                        .pretrain_epochs = options_.pretrain_epochs,
                                        .epochs = options_.epochs,
                                        .top_epochs = options_.pretrain_epochs,
                                        .batch = options_.batch,
                                        .height = options_.size,
                                        .width = options_.size});
    const bool linear = options_.head == "linear-svm";
    p.add<HeadStage>("svm", options_.head, Choice{},
                     linear ? Grid{{"C", {"0.001", "0.01", "0.1", "1"}}} : Grid{{"C", {"1", "10", "100"}}, {"gamma", {"0.001", "scale"}}});
    return p;
  }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(1);
    rivals[0].name = "linear: logistic regression on the same elastograms";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1"}}});
    return rivals;
  }

 private:
  // The lesion's box in the elastogram, resized; kPa up to `highest` become 0 … 1.
  Tensor elastogram(const Sample& s) const {
    if (!s.elasticity)
      throw Error(s.meta.id +
                  ": has no elastogram; put NAME_swe.npy (kPa) beside the picture, or give data with one (sim:breast-swe, a folder "
                  "of `sonograd simulate breast-swe`)");
    const Box b = lesion_extent(s);
    const double mx = b.width * options_.margin, my = b.height * options_.margin;
    const auto left = static_cast<int64_t>(b.x - mx), top = static_cast<int64_t>(b.y - my);
    const Tensor part = crop(s.elasticity.view({s.elasticity.dim(0), s.elasticity.dim(1), 1}), top, left,
                             static_cast<int64_t>(b.height + 2 * my), static_cast<int64_t>(b.width + 2 * mx));
    const Tensor small = resize_bilinear(part, options_.size, options_.size);
    Tensor out({options_.size * options_.size});
    for (int64_t i = 0; i < out.size(); i++)
      out.data<float>()[i] = std::clamp(small.data<float>()[i] / static_cast<float>(options_.highest), 0.0f, 1.0f);
    return out;
  }

  PgbmSettings options_;
};

}  // namespace

std::unique_ptr<System> make_pgbm_swe() { return std::make_unique<PgbmSwe>(); }

}  // namespace sono::zoo
