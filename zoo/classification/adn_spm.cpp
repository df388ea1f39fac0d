// adn-spm: benign or malignant breast lesions by an adaptive deconvolutional network, visual words and a spatial pyramid.
#include "zoo/classification/adn_stage.h"
#include "zoo/classification/lesion_texture.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"

namespace sono::zoo {
namespace {

struct AdnSettings : StagedSettings {
  int64_t size = 32, epochs = 3, steps = 8, words = 0, learn_from = 400, reach = 1;
  std::vector<int64_t> maps = {12, 24};
  double lambda = 5, margin = 0.25, floor = 0.1;
  bool energies = true, outline = true;
  void list(Settings& s) override {
    s.add("size", size, 16, 128, "rows and columns of a crop, a multiple of 4");
    s.add("margin", margin, 0, 2, "share of the lesion's box added on each side");
    s.add("maps", maps, 1, 512, "feature maps of the layers");
    s.add("lambda", lambda, 1e-3, 1e4, "weight of the reconstruction against sparsity");
    s.add("epochs", epochs, 1, 1000, "of learning the filters, per layer");
    s.add("steps", steps, 1, 1000, "of ISTA, to infer the maps of a picture");
    s.add("words", words, 0, 10000, "visual words; 0: how strong the maps are, alone");
    s.add("reach", reach, 0, 16, "places around each one whose maps' magnitudes are averaged before they become a word");
    s.add("floor", floor, 0, 10, "added to a descriptor's norm before it is divided by it: faint ones stay faint");
    s.add("energies", energies, "how strong each map is in each cell of the pyramid, beside the words; false: as in the paper");
    s.add("outline", outline, "maps inside and outside of the lesion's outline are told apart, where a mask is known");
    s.add("learn_from", learn_from, 10, 100000, "pictures, at most, that filters and words are learnt from");
    StagedSettings::list(s);
  }
};

class AdnSpm : public StagedSystem {
 public:
  AdnSpm() {
    options_.cases = 2400;
    list_settings();
  }

  Card card() const override {
    return {
        .name = "adn-spm",
        .title = "adaptive deconvolutional network with spatial-pyramid matching for breast lesions",
        .task = "classification: benign or malignant",
        .input = "B-mode image with the lesion's mask or box: the crop, its proportions kept, and the outline",
        .method =
            "two layers of sparse convolutional maps with pooling switches (ISTA), filters by least squares; how strong each map is, "
            "bright and dark, inside and outside of the outline, in the cells of a 1, 2, 4 pyramid; with words=150 histograms of visual "
            "words there, too; support vector machine with the histogram-intersection kernel",
        .reference =
            "Jamieson, Drukker, Giger: Breast image feature learning with adaptive deconvolutional networks, SPIE Medical Imaging 8315, "
            "2012",
        .claim = "area under the ROC curve 0.83 [0.78, 0.89] by case on 2393 images of 1125 cases, .632+ bootstrap (abstract of the paper)",
        .measured = "see the README: simulated breasts and BUSI",
        .limits =
            "two layers where the paper has four; maps instead of words and the outline are additions (--set words=150 energies=false "
            "outline=false); needs to be told where the lesion is"};
  }
  std::string default_source() const override { return "sim:breast-types"; }

  std::vector<Views> rows(const Sample& s) const override {
    const CropOptions window{.height = options_.size, .width = options_.size, .margin = options_.margin, .stretch = false};
    Views views{lesion_crop(s, window).view({-1})};
    if (options_.outline) views.push_back(outline_crop(s, window).view({-1}));
    return {views};
  }

  Pipeline build() const override {
    if (!options_.words && !options_.energies)
      throw Error("adn-spm: words=0 and energies=false leave nothing to tell lesions apart by; set words, say to 150, or energies=true");
    Pipeline p;
    p.add<AdnStage>(AdnStageOptions{.size = options_.size,
                                    .maps = options_.maps,
                                    .lambda = options_.lambda,
                                    .epochs = options_.epochs,
                                    .steps = options_.steps,
                                    .words = options_.words,
                                    .reach = options_.reach,
                                    .energies = options_.energies,
                                    .floor = options_.floor,
                                    .learn_from = options_.learn_from});
    p.add<HeadStage>("svm", "svm", Choice{{"kernel", "intersection"}, {"standardize", "false"}}, Grid{{"C", {"1", "10", "100"}}});
    return p;
  }

 protected:
  AdnSettings& base() override { return options_; }

  SimulateOptions simulation() const override {
    SimulateOptions o = StagedSystem::simulation();
    o.frames_per_patient = 1;
    return o;
  }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(2);
    rivals[0].name = "linear: logistic regression on the same crops";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1"}}});
    rivals[1] = lesion_texture_rival(true);
    return rivals;
  }

 private:
  AdnSettings options_;
};

}  // namespace

std::unique_ptr<System> make_adn_spm() { return std::make_unique<AdnSpm>(); }

}  // namespace sono::zoo
