// resnet-small: benign or malignant, or any other categories, by a small residual network.
#include "layers/networks.h"
#include "zoo/classification/classifier.h"

namespace sono::zoo {
namespace {

struct ResNetSmallSettings : ClassifierSettings {
  std::vector<int64_t> widths = {16, 32, 64, 128};
  int64_t blocks = 1, members = 3;
  void list(Settings& s) override {
    s.add("widths", widths, 1, 4096, "channels of the stages");
    s.add("blocks", blocks, 1, 16, "residual blocks per stage");
    s.add("members", members, 1, 64, "networks of different initialisation that are trained side by side and averaged");
    ClassifierSettings::list(s);
  }
};

// Networks that differ in their first weights alone [Lakshminarayanan et al., NIPS 2017]. (N, H, W, 1) -> (N, members, classes).
struct Ensemble : Module {
  Ensemble(int64_t members, const ResNetSmall::Options& options) {
    for (int64_t i = 0; i < members; i++) nets.append(options);
  }
  Tensor operator()(const Tensor& x) const {
    std::vector<Tensor> logits;
    for (size_t i = 0; i < nets.size(); i++) logits.push_back(nets[i](x));
    return stack(logits, 1);
  }
  ModuleList<ResNetSmall> nets{this, "members"};
};

class ResNetSmallSystem : public Classifier {
 public:
  ResNetSmallSystem() {
    options_.epochs = 80;
    options_.batch = 16;
    options_.weight_decay = 0.02;
    options_.list(settings());
  }

  Card card() const override {
    return {.name = "resnet-small",
            .title = "a small residual network that tells categories apart",
            .task = "classification: benign or malignant, or the categories that the folder names",
            .input = "B-mode image, whole, or cropped to the lesion with its mask as a second channel (--crop lesion); letterboxed to height x width",
            .method = "stride-2 stem, four stages of residual blocks, mean over space; three of them averaged; cross-entropy with label smoothing, AdamW, averaged weights",
            .reference = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016",
            .claim = "",
            .measured = "BUSI, 78 validation images: AUC 0.92 [0.86, 0.97] on whole images, 0.986 [0.956, 1.0] on crops with outline",
            .limits = "a category is not a finding; trained on crops it wants the lesion's mask, which an expert or unet has to draw"};
  }
  std::string default_source() const override { return "sim:breast"; }

 protected:
  ResNetSmallSettings& base() override { return options_; }
  std::unique_ptr<Module> build() override { return std::make_unique<Ensemble>(options_.members, ResNetSmall::Options{.in = channels(), .classes = classes(), .widths = options_.widths, .blocks = options_.blocks}); }
  Tensor forward(Module& network, const Tensor& images) override { return static_cast<Ensemble&>(network)(images); }

 private:
  ResNetSmallSettings options_;
};

}  // namespace

std::unique_ptr<System> make_resnet_small() { return std::make_unique<ResNetSmallSystem>(); }

}  // namespace sono::zoo
