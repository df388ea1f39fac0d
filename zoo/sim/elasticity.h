#pragma once
// The shear-wave elastogram of the breast phantom P1 (phantom "breast-swe"): Young's modulus in kPa at every pixel of the picture.
//
// Fat and gland are soft. A lesion is soft throughout, stiff throughout (a fibroadenoma can be), stiff with a rim that is stiffer, or a
// stiff rim around a soft core (necrosis): rims belong to malignant lesions, both of the others to benign ones [Evans et al., Breast Cancer
// Research 2010; Zhou et al., Radiology 2014]; the level of stiffness alone does not tell. Smooth multiplicative noise; no value (0) where
// the wave is lost: in very stiff tissue, at depth, and in patches. Constants are constructed to resemble the literature.
#include "zoo/sim/breast.h"

namespace sono::zoo::sim {

enum class Stiffness { soft, stiff, stiff_rim, rim_only };

struct LesionStiffness {
  Stiffness kind = Stiffness::soft;
  double core = 40, rim = 40;       // kPa
  double rim_width = 1.5;           // mm, around the contour
  double noise = 0.15, lost = 0.1;  // deviation of the logarithm; share of the picture without a value
};

LesionStiffness lesion_stiffness(const BreastPatient& patient, const SimulateOptions& options);
Tensor elastogram(const BreastPatient& patient, const LesionStiffness& stiffness, const Frame& frame);  // (H, W) f32
// P(malignant | kind) with equal classes.
double oracle_stiffness(Stiffness kind, double overlap);

}  // namespace sono::zoo::sim
