// dpn and s-dpn: benign or malignant breast lesions from texture features, by deep polynomial networks: no gradients, no starting values.
#include "zoo/classification/dpn_stage.h"
#include "zoo/classification/lesion_texture.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"

namespace sono::zoo {
namespace {

struct DpnSettings : StagedSettings {
  int64_t degree = 2, first = 20, width = 40, size = 64, crops = 1;
  double ridge = 1e-3, margin = 0.15;
  std::string head = "linear-svm", C = "grid", features = "auto";
  bool outline = true;
  void list(Settings& s) override {
    s.add("degree", degree, 1, 6, "layers of a network: the largest degree of its polynomials");
    s.add("first", first, 1, 1000, "units of the first layer: the leading principal directions of the features");
    s.add("width", width, 0, 5000, "units of each further layer; 0: all that are independent");
    s.add("head", head, {"linear-svm", "svm", "mkl"}, "mkl: a kernel per layer, weighted (DPN-MKL)");
    s.add("C", C, {}, "of the head; grid: by cross-validation over patients");
    s.add("size", size, 16, 256, "rows and columns of a crop, for the texture");
    s.add("margin", margin, 0, 2, "share of the lesion's box added on each side");
    s.add("crops", crops, 1, 9,
          "of each lesion, tighter and wider ones, each also mirrored: all are learnt from, predictions are averaged");
    s.add("outline", outline, "texture within the lesion's outline and its shape, where a mask is known; false: of the crop");
    s.add("features", features, {"auto", "lesion", "all"},
          "lesion: within the outline and around it; all: of the whole crop and its gradients, too; auto: lesion on simulated data, whose "
          "outlines are exact, else all");
    StagedSettings::list(s);
  }
};

class Dpn : public StagedSystem {
 public:
  explicit Dpn(bool stacked) : stacked_(stacked) {
    options_.cases = 4800;
    list_settings();
  }

  Card card() const override {
    Card c{.name = "dpn",
           .title = "deep polynomial network on texture features of breast lesions",
           .task = "classification: benign or malignant",
           .input =
               "B-mode image with the lesion's mask or box; texture of the lesion, how bright it and its surroundings are, sizes and shape "
               "of the outline",
           .method =
               "layers of products of the units below, chosen and made orthogonal on the training cases [Livni et al. 2014]; a linear "
               "support vector machine on all layers, or a kernel per layer and SimpleMKL (--set head=mkl)",
           .reference =
               "Liu, Shi, Zhou et al.: Tumor classification by deep polynomial network and multiple kernel learning on small ultrasound "
               "image dataset, MLMI 2015",
           .claim = "",
           .measured = "see the README: simulated breasts and BUSI",
           .limits = "needs to be told where the lesion is; Gabor and co-occurrence features stand where the paper has shearlets"};
    if (!stacked_) return c;
    c.name = "s-dpn", c.title = "stacked deep polynomial networks on texture features of breast lesions";
    c.method =
        "two deep polynomial networks: all layers of the first one are the second one's inputs; a linear support vector machine on the "
        "second";
    c.reference =
        "Shi, Zhou, Liu et al.: Stacked deep polynomial network based representation learning for tumor classification with small "
        "ultrasound image dataset, Neurocomputing 194, 2016";
    c.claim =
        "92.4 % accuracy, better than stacked autoencoders and deep belief networks, as the review of deep learning in ultrasound reports "
        "it";
    return c;
  }
  std::string default_source() const override { return "sim:breast-types"; }

  void prepare_training(const Data& data, const Run& run) override {
    if (options_.features == "auto") options_.features = data.set->name().starts_with("sim:") ? "lesion" : "all";
    StagedSystem::prepare_training(data, run);
  }

 protected:
  DpnSettings& base() override { return options_; }

  std::vector<Views> rows(const Sample& s) const override {
    const bool all = options_.features != "lesion";
    return lesion_texture_rows(
        s, {.size = options_.size, .margin = options_.margin, .outline = options_.outline, .crop = all, .gradients = all}, options_.crops);
  }

  Pipeline build() const override {
    const DeepPolynomialOptions one{.degree = options_.degree, .first = options_.first, .width = options_.width, .ridge = options_.ridge};
    Pipeline p;
    p.add<Standardise>();
    p.add<DpnStage>(DpnStageOptions{.networks = std::vector<DeepPolynomialOptions>(stacked_ ? 2 : 1, one)});
    const bool searched = options_.C == "grid";
    p.add<HeadStage>("head", options_.head, searched ? Choice{} : Choice{{"C", options_.C}},
                     searched ? Grid{{"C", {"0.0001", "0.001", "0.01", "0.1"}}} : Grid{});
    return p;
  }

  SimulateOptions simulation() const override {
    SimulateOptions o = StagedSystem::simulation();
    o.frames_per_patient = 1;
    return o;
  }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(3);
    rivals[0].name = "linear: logistic regression on the same features";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1", "1"}}});
    rivals[1].name = "linear: logistic regression on the crop's grey values";
    rivals[1].rows = [](const Sample& s) {
      const Tensor pixels = lesion_crop(s);
      return std::vector<Views>{{pixels.view({pixels.size()})}};
    };
    rivals[1].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1"}}});
    rivals[2] = lesion_texture_rival(options_.outline);
    return rivals;
  }

 private:
  bool stacked_;
  DpnSettings options_;
};

}  // namespace

std::unique_ptr<System> make_dpn() { return std::make_unique<Dpn>(false); }
std::unique_ptr<System> make_s_dpn() { return std::make_unique<Dpn>(true); }

}  // namespace sono::zoo
