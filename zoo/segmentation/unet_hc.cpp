// unet-hc: head circumference in mm. A U-Net finds the head's area, its largest piece gets an ellipse, Ramanujan's formula gives the length.
#include "zoo/metrics/components.h"
#include "zoo/metrics/measurement.h"
#include "zoo/segmentation/segmenter.h"

namespace sono::zoo {
namespace {

class UNetHeadCircumference : public Segmenter {
 public:
  UNetHeadCircumference() {
    options_.height = 128;
    options_.width = 192;
    options_.epochs = 30;
    options_.validation = 0.1;
    list_settings();
  }

  Card card() const override {
    return {.name = "unet-hc",
            .title = "head circumference of the fetus",
            .task = "segmentation of the head and its circumference in mm",
            .input = "B-mode image of the standard plane with known pixel size; HC18's layout or simulated heads",
            .method = "U-Net, largest piece, direct least-squares ellipse, Ramanujan's second formula; the mask returned is the ellipse",
            .reference = "van den Heuvel et al.: Automated measurement of fetal head circumference using 2D ultrasound images, PLoS ONE 13(8), 2018",
            .claim = "",
            .measured = "HC18, 61 validation images: Dice 0.979 [0.977, 0.982], mean absolute error 1.6 mm [1.3, 1.9]",
            .limits = "presumes that there is a head in the standard plane; without a pixel size there is no result in mm"};
  }
  std::string default_source() const override { return "sim:fetal-head"; }

 protected:
  std::vector<std::string> measurements() const override { return {"head circumference"}; }
  Labels decode(const Tensor& probabilities, const Fit& fit, const Sample& sample) const override {
    Labels labels = Segmenter::decode(probabilities, fit, sample);
    const Tensor head = fill_holes(largest_component(labels.mask));
    labels.ellipse = fit_ellipse(head);
    labels.mask = labels.ellipse ? ellipse_mask(*labels.ellipse, head.dim(0), head.dim(1)) : head;
    if (!labels.ellipse || !sample.meta.spacing) return labels;
    const Spacing spacing{.x = (*sample.meta.spacing)[0], .y = (*sample.meta.spacing)[1]};
    labels.measurements = {{"head circumference", circumference_mm(*labels.ellipse, spacing), "mm"}};
    return labels;
  }
};

}  // namespace

std::unique_ptr<System> make_unet_hc() { return std::make_unique<UNetHeadCircumference>(); }

}  // namespace sono::zoo
