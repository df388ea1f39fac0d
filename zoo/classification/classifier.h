#pragma once
// What classification systems share: cross-entropy over the categories of a data set; the whole image, or the lesion's crop.
#include "zoo/common/network_system.h"

namespace sono::zoo {

struct ClassifierSettings : NetworkSettings {
  std::string crop = "none";
  double margin = 0.25;  // of the lesion's longer side, added on each side of the crop
  bool outline = true;
  double smoothing = 0.05;
  bool normal = false;
  void list(Settings& settings) override;
};

// Networks give (N, classes), or (N, members, classes) of several that are averaged.
class Classifier : public NetworkSystem {
 public:
  std::vector<Sample> read(const std::string& path) const override;  // crop=lesion: with the mask beside it (zoo/data/companions.h)

 protected:
  ClassifierSettings& base() override = 0;
  const ClassifierSettings& base() const { return const_cast<Classifier*>(this)->base(); }
  std::shared_ptr<const Dataset> open_folder(const std::string& folder) const override;
  Sample prepare(const Sample& sample) const override;
  Tensor input(const Sample& fitted) const override;
  int64_t channels() const override { return sees_outline() ? 2 : 1; }
  Tensor loss(const Tensor& logits, const Batch& batch) override;
  Tensor activate(const Tensor& logits) const override;
  bool spatial() const override { return false; }
  Labels decode(const Tensor& probabilities, const Fit& fit, const Sample& sample) const override;
  std::vector<std::pair<std::string, double>> score(const std::vector<Tensor>& probabilities,
                                                    const std::vector<Sample>& truths) const override;
  bool sees_outline() const { return base().crop == "lesion" && base().outline; }
  int64_t classes() const { return std::max<int64_t>(2, static_cast<int64_t>(categories().size())); }
};

// The square around the foreground of the mask (or around all boxes, without one), `margin` of its side wider on each side; the whole
// sample if nothing is marked: a picture that is given without labels is taken to be a crop already.
Sample crop_to_lesion(const Sample& sample, double margin);

}  // namespace sono::zoo
