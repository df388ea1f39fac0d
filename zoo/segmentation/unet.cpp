// unet: segmentation of lesions, nerves, organs: whatever the masks of a folder show.
#include "zoo/segmentation/segmenter.h"

namespace sono::zoo {
namespace {

class UNetSystem : public Segmenter {
 public:
  UNetSystem() {
    options_.widths = {16, 32, 64, 128, 256};
    list_settings();
  }

  Card card() const override {
    return {.name = "unet",
            .title = "a U-Net that segments what the masks show",
            .task = "segmentation; two labels or more",
            .input = "any B-mode image and a mask of its size; letterboxed to height x width, standardised inside the scan sector",
            .method = "U-Net with batch norm, soft Dice + cross-entropy, AdamW, one-cycle rate, averaged weights, mirrored prediction",
            .reference = "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015",
            .claim = "",
            .measured = "BUSI, 78 validation images: Dice 0.793 [0.747, 0.836]; 200 unseen simulated lesions (./demo): 0.938 [0.913, 0.956]",
            .limits = "finds a lesion in almost every image: normal images are left out unless `normal` is set; knows the scanners it was trained on"};
  }
  std::string default_source() const override { return "sim:breast"; }
};

}  // namespace

std::unique_ptr<System> make_unet() { return std::make_unique<UNetSystem>(); }

}  // namespace sono::zoo
