#pragma once
// The shear-wave elastogram of the breast phantom P1 (phantom "breast-swe"): Young's modulus in kPa at every pixel of the picture.
//
// Lesions show one of four patterns [Tozaki and Fukuma, Acta Radiologica 52, 2011]: the same stiffness throughout; stiff cords from the
// margin up to the skin or down to the chest wall, beyond the lesion; stiff places at the margin [the "stiff rim": Zhou et al., Radiology
// 2014]; a heterogeneous inside. The first two belong to benign lesions, the others to malignant ones. Malignant lesions are stiffer on
// average [Evans et al., Breast Cancer Research 2010], but fibroadenomas can be stiff, too, and how hard the probe is pressed stiffens the
// whole picture [Barr and Zhang, Journal of Ultrasound in Medicine 31, 2012]: the level of stiffness alone does not tell, nor do smooth
// changes from centre to margin or from one side to the other, which lesions of either class have. Smooth multiplicative noise; no value
// (0) where the wave is lost: in very stiff tissue, at depth, and in patches. Constants are constructed to resemble the literature.
#include <vector>

#include "zoo/sim/breast.h"

namespace sono::zoo::sim {

enum class Stiffness { homogeneous, cords, margin, heterogeneous };

struct StiffArc {
  float step, half;  // of φ along the contour: its middle, and half its length
};
struct StiffCord {
  double x, width;  // mm, from the lesion's centre
  bool up;
};

struct LesionStiffness {
  Stiffness kind = Stiffness::homogeneous;
  double level = 40;                             // kPa, mean over the lesion before the probe presses
  double contrast = 2;                           // of what is stiff over what is not
  double profile = 0, tilt = 0, tilt_angle = 0;  // logarithm: of the margin over the centre; of one side over the middle
  double compression = 1;                        // factor on the whole picture
  double rim_width = 1.5, patch = 3;             // mm: of what is stiff at the margin; of the patches of a heterogeneous lesion
  double noise = 0.15, lost = 0.1;               // deviation of the logarithm; share of the picture without a value
  std::vector<StiffArc> arcs;
  std::vector<StiffCord> cords;
};

LesionStiffness lesion_stiffness(const BreastPatient& patient, const SimulateOptions& options);
Tensor elastogram(const BreastPatient& patient, const LesionStiffness& stiffness, const Frame& frame);  // (H, W) f32
// P(malignant | pattern, level) with equal classes.
double oracle_stiffness(const LesionStiffness& stiffness, double overlap);

}  // namespace sono::zoo::sim
