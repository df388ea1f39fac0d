// svm-texture: breast lesions from the texture of their crop, by a support vector machine: what every learned representation is shown
// beside.
#include "zoo/classification/lesion_texture.h"
#include "zoo/common/staged_system.h"
#include "zoo/common/stages.h"

namespace sono::zoo {
namespace {

struct TextureSettings : StagedSettings {
  LesionTextureOptions texture{.margin = 0.3, .outline = false};
  int64_t crops = 1, components = 50;
  void list(Settings& s) override {
    s.add("size", texture.size, 16, 256, "rows and columns of the crop that is measured");
    s.add("margin", texture.margin, 0, 2, "share of the lesion's box added on each side");
    s.add("outline", texture.outline, "texture inside the lesion and the outline's shape too; wants masks");
    s.add("crops", crops, 1, 16, "crops per lesion, tighter and wider ones, each also mirrored");
    s.add("components", components, 1, 500, "of the rival on principal components");
    StagedSettings::list(s);
  }
};

class SvmTexture : public StagedSystem {
 public:
  SvmTexture() { list_settings(); }

  Card card() const override {
    return {
        .name = "svm-texture",
        .title = "support vector machine on texture and gradient histograms of the lesion",
        .task = "classification: benign or malignant",
        .input = "a B-mode image with the lesion's mask or box; without either the image is taken to be a crop",
        .method =
            "co-occurrence, local binary patterns, Gabor and undecimated wavelet statistics, histograms of oriented gradients in 16 "
            "cells, sizes and brightness around the lesion; RBF support vector machine, C and gamma by cross-validation over patients",
        .reference = "the features of zoo/features, each with its paper there; Chang and Lin: LIBSVM, ACM TIST 2, 2011",
        .claim = "",
        .measured =
            "BUSI, 519 lesions, 130 of them held out: AUC 0.90 [0.84, 0.96]; logistic regression on the same features 0.92, 50 principal "
            "components of the pixels and an RBF machine 0.94, the first difference is beyond its interval (sonograd train "
            "svm-texture --data busi)",
        .limits = "knows a lesion by where it is marked: a box drawn by another hand is another crop"};
  }
  std::string default_source() const override { return "sim:breast"; }

 protected:
  TextureSettings& base() override { return options_; }
  std::vector<Views> rows(const Sample& s) const override { return lesion_texture_rows(s, options_.texture, options_.crops); }
  Pipeline build() const override { return lesion_texture_svm(); }

  std::vector<Rival> build_rivals() const override {
    std::vector<Rival> rivals(2);
    rivals[0].name = "linear: logistic regression on the same features";
    rivals[0].pipeline = plain_pipeline("logistic", {}, {{"C", {"0.0001", "0.001", "0.01", "0.1"}}});
    rivals[1].name = std::to_string(options_.components) + " principal components of the crop's pixels, RBF support vector machine";
    rivals[1].rows = [](const Sample& s) { return std::vector<Views>{{lesion_crop(s).view({-1})}, {lesion_crop(mirrored(s)).view({-1})}}; };
    rivals[1].pipeline.add<Principal>(options_.components);
    rivals[1].pipeline.add<HeadStage>("svm", "svm", Choice{}, Grid{{"C", {"1", "3", "10"}}, {"gamma", {"scale", "0.01", "0.003"}}});
    return rivals;
  }

 private:
  TextureSettings options_;
};

}  // namespace

std::unique_ptr<System> make_svm_texture() { return std::make_unique<SvmTexture>(); }

}  // namespace sono::zoo
