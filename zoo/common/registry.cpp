// The systems of the zoo. A new one is a file with its class, a make_… function, and a line here.
#include "zoo/common/system.h"

namespace sono::zoo {

std::unique_ptr<System> make_unet();
std::unique_ptr<System> make_unet_hc();
std::unique_ptr<System> make_resnet_small();
std::unique_ptr<System> make_lenet();
std::unique_ptr<System> make_sdae_cadx();
std::unique_ptr<System> make_dpn();
std::unique_ptr<System> make_s_dpn();
std::unique_ptr<System> make_tic_dbn();
std::unique_ptr<System> make_teus_dbn();
std::unique_ptr<System> make_dcca_mkl();
std::unique_ptr<System> make_pgbm_swe();
std::unique_ptr<System> make_adn_spm();
std::unique_ptr<System> make_svm_texture();

const std::vector<SystemEntry>& systems() {
  static const std::vector<SystemEntry> all = {
      {"unet", "segmentation of lesions, nerves, organs: what the masks show", make_unet},
      {"unet-hc", "head circumference of the fetus in mm", make_unet_hc},
      {"resnet-small", "classification, whole images or lesion crops", make_resnet_small},
      {"lenet", "classification by LeNet-5, with ReLU, tanh or Maxout", make_lenet},
      {"sdae-cadx", "breast lesions from small crops: stacked denoising autoencoders", make_sdae_cadx},
      {"dpn", "breast lesions from texture: deep polynomial network", make_dpn},
      {"s-dpn", "breast lesions from texture: stacked deep polynomial networks", make_s_dpn},
      {"tic-dbn", "liver lesions from time-intensity curves: deep belief network", make_tic_dbn},
      {"teus-dbn", "prostate from echoes over time: deep belief network and SVM", make_teus_dbn},
      {"dcca-mkl", "liver lesions from three contrast phases: deep CCA, multiple kernels", make_dcca_mkl},
      {"pgbm-swe", "breast lesions from elastograms: point-wise gated Boltzmann machine", make_pgbm_swe},
      {"adn-spm", "breast lesions by deconvolutional maps, visual words and a pyramid", make_adn_spm},
      {"svm-texture", "breast lesions from texture: support vector machine, the baseline", make_svm_texture},
  };
  return all;
}

}  // namespace sono::zoo
