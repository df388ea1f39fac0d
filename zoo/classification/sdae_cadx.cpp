// sdae-cadx: benign or malignant breast lesions from small crops, by stacked denoising autoencoders.
#include "zoo/classification/lesion_crop.h"
#include "zoo/classification/lesion_texture.h"
#include "zoo/classification/sdae_stage.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"

namespace sono::zoo {
namespace {

struct SdaeSettings : StagedSettings {
  int64_t size = 28, epochs = 40, pretrain_epochs = 15, batch = 50, members = 1, crops = 1;
  std::vector<int64_t> hidden = {200, 100};
  std::string noise = "masking";
  double amount = 0.25, margin = 0.15, rate = 1e-3, pretrain_rate = 1e-3, weight_decay = 1e-3, dropout = 0.3;
  bool outline = true, pretrain = true;
  void list(Settings& s) override {
    s.add("size", size, 8, 128, "rows and columns of a crop");
    s.add("margin", margin, 0, 2, "share of the lesion's box added on each side");
    s.add("outline", outline, "the lesion's outline is seen beside the crop, where a mask is known");
    s.add("crops", crops, 1, 9,
          "of each lesion, tighter and wider ones, each also mirrored: all are learnt from, predictions are averaged");
    s.add("hidden", hidden, 1, 4096, "units of the layers");
    s.add("noise", noise, {"masking", "gaussian", "salt-and-pepper", "none"}, "of the pre-training");
    s.add("amount", amount, 0, 1, "of the noise: a probability, or a deviation");
    s.add("pretrain", pretrain, "false: straight to the fine-tuning");
    s.add("pretrain_epochs", pretrain_epochs, 1, 10000, "per layer");
    s.add("pretrain_rate", pretrain_rate, 1e-8, 1, "of Adam");
    s.add("epochs", epochs, 1, 10000, "of supervised fine-tuning");
    s.add("batch", batch, 1, 4096, "crops per step");
    s.add("rate", rate, 1e-8, 1, "of AdamW, in fine-tuning");
    s.add("weight_decay", weight_decay, 0, 1, "of fine-tuning");
    s.add("dropout", dropout, 0, 0.9, "of the codes, in fine-tuning");
    s.add("members", members, 1, 50, "networks whose probabilities are averaged");
    StagedSettings::list(s);
  }
};

class SdaeCadx : public StagedSystem {
 public:
  SdaeCadx() {
    options_.cases = 4800;
    list_settings();
  }

  Card card() const override {
    return {.name = "sdae-cadx",
            .title = "computer-aided diagnosis of breast lesions by stacked denoising autoencoders",
            .task = "classification: benign or malignant",
            .input =
                "B-mode image with the lesion's mask or box: the crop, resized to 28 x 28, its outline, and the box's width, height and "
                "aspect ratio, which resizing destroys",
            .method =
                "denoising autoencoders pre-trained layer by layer, then fine-tuned with a softmax that also sees the three sizes; "
                "averages over crops, mirror images and networks",
            .reference =
                "Cheng, Ni, Chou et al.: Computer-aided diagnosis with deep learning architecture: applications to breast lesions in US "
                "images and pulmonary nodules in CT scans, Scientific Reports 6:24454, 2016",
            .claim = "",
            .measured = "see the README: simulated breasts and BUSI",
            .limits =
                "needs to be told where the lesion is; outlines, averaging and augmentation are additions to the paper's recipe (--set "
                "outline=false, members=1, crops=1)"};
  }
  std::string default_source() const override { return "sim:breast"; }

 protected:
  SdaeSettings& base() override { return options_; }

  // Crops of several margins, each also mirrored.
  std::vector<Views> rows(const Sample& s) const override {
    std::vector<Views> all;
    const double middle = static_cast<double>(options_.crops - 1) / 2;
    const Sample other = mirrored(s);
    for (int64_t k = 0; k < options_.crops; k++) {
      const double wider = middle > 0 ? 0.6 * (static_cast<double>(k) - middle) / middle : 0;
      const CropOptions crop{.height = options_.size, .width = options_.size, .margin = options_.margin * (1 + wider)};
      for (const Sample* version : {&s, &other}) all.push_back({pixels(*version, crop), lesion_sizes(*version)});
    }
    return all;
  }

  Pipeline build() const override {
    Pipeline p;
    p.add<Standardise>(1);
    p.add<SdaeStage>(SdaeStageOptions{.hidden = options_.hidden,
                                      .corruption = {noise(), options_.amount},
                                      .pretrain = options_.pretrain,
                                      .pretrain_epochs = options_.pretrain_epochs,
                                      .batch = options_.batch,
                                      .pretrain_rate = options_.pretrain_rate,
                                      .epochs = options_.epochs,
                                      .rate = options_.rate,
                                      .weight_decay = options_.weight_decay,
                                      .dropout = options_.dropout,
                                      .members = options_.members,
                                      .height = options_.size,
                                      .width = options_.size});
    return p;
  }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(2);
    rivals[0].name = "linear: logistic regression on the same crops and sizes";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1"}}});
    rivals[1] = lesion_texture_rival(options_.outline);
    return rivals;
  }

 private:
  Noise noise() const {
    return options_.noise == "masking"    ? Noise::masking
           : options_.noise == "gaussian" ? Noise::gaussian
           : options_.noise == "none"     ? Noise::none
                                          : Noise::salt_and_pepper;
  }
  // The grey values of the crop, and its outline.
  Tensor pixels(const Sample& s, const CropOptions& crop) const {
    const Tensor grey = lesion_crop(s, crop).view({1, options_.size * options_.size});
    const Tensor all = options_.outline ? joined_views({grey, outline_crop(s, crop).view({1, options_.size * options_.size})}) : grey;
    return all.view({all.size()});
  }

  SdaeSettings options_;
};

}  // namespace

std::unique_ptr<System> make_sdae_cadx() { return std::make_unique<SdaeCadx>(); }

}  // namespace sono::zoo
