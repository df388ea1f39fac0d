#pragma once
// What classical computer-aided diagnosis measures on a lesion: texture and gradients of its crop, its size, and the shape of its outline.
#include "zoo/classification/lesion_crop.h"
#include "zoo/common/staged_system.h"

namespace sono::zoo {

struct LesionTextureOptions {
  int64_t size = 64;  // rows and columns of the crop
  double margin = 0.15;
  bool outline = true;  // texture inside the lesion and the outline's shape, where a mask is known; false: of the crop alone
  bool crop = true;       // with an outline, the texture of the whole crop, too
  bool gradients = true;  // histograms of oriented gradients
};

// (D): texture (zoo/features/texture.h) of the crop and, with the outline, of the lesion in it; histograms of oriented gradients in 16
// cells; the box's sizes; how bright it is inside, around, below and beside the lesion; the shape of the outline.
Tensor lesion_texture(const Sample& sample, const LesionTextureOptions& options = {});
// The same of several crops, tighter and wider ones, each also mirrored.
std::vector<Views> lesion_texture_rows(const Sample& sample, const LesionTextureOptions& options, int64_t crops);
Pipeline lesion_texture_svm();  // RBF support vector machine, C and gamma by cross-validation over patients
// That machine on one crop of a lesion: what every learnt representation is shown beside. It sees the outline where the system does.
Rival lesion_texture_rival(bool outline);

}  // namespace sono::zoo
