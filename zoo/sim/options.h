#pragma once
#include <cstdint>
#include <string>

namespace sono::zoo {

// What can be chosen of a simulated data set; 0 or empty: the phantom's own.
struct SimulateOptions {
  int64_t width = 0, height = 0;  // pixels; breast 192 x 160, fetal head 192 x 128, ceus 64 x 64
  double spacing = 0;             // mm per pixel; otherwise the scanner's (breast) or the zoom's (head) field of view fills the picture
  int64_t frames_per_patient =
      2;  // consecutive samples are frames of one virtual patient: same anatomy and scanner, other speckle, gain and probe position
  double difficulty = 0.3;  // 0 … 1: lower contrast, softer and missing borders, more noise and shadows
  double overlap = 0.25;    // breast: share of descriptors drawn from the other class's prior; at 0.5 the classes are the same; breast-types: 0.4 of it
  bool types = false;       // breast: classes are mixtures of lesion types (phantom breast-types)
  double malignant = 0.5;   // share of malignant patients (breast, ceus) or regions (teus)
  bool elasticity = false;  // breast: an elastogram beside the picture (phantom breast-swe)
  std::string domain = "";  // one scanner for all patients: "breast-a", "head-b"; otherwise each patient has one of the phantom's
};

}  // namespace sono::zoo
