#pragma once
#include "tensor/random.h"
#include "zoo/sim/breast.h"

namespace sono::zoo::sim {

// A lesion at the origin: the patient puts it into place. Difficulty lowers its contrast and softens its margin.
Lesion draw_lesion(Random& random, bool malignant, double overlap, double difficulty);

}  // namespace sono::zoo::sim
