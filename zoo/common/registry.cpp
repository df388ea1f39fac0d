// The systems of the zoo. A new one is a file with its class, a make_… function, and a line here.
#include "zoo/common/system.h"

namespace sono::zoo {

std::unique_ptr<System> make_unet();
std::unique_ptr<System> make_unet_hc();
std::unique_ptr<System> make_resnet_small();
std::unique_ptr<System> make_lenet();

const std::vector<SystemEntry>& systems() {
  static const std::vector<SystemEntry> all = {
      {"unet", "segmentation of lesions, nerves, organs: what the masks show", make_unet},
      {"unet-hc", "head circumference of the fetus in mm", make_unet_hc},
      {"resnet-small", "classification, whole images or lesion crops", make_resnet_small},
      {"lenet", "classification by LeNet-5, with ReLU, tanh or Maxout", make_lenet},
  };
  return all;
}

}  // namespace sono::zoo
