#pragma once
#include "tensor/random.h"
#include "zoo/sim/breast.h"

namespace sono::zoo::sim {

// A lesion at the origin: the patient puts it into place. options.difficulty lowers its contrast and softens its margin.
Lesion draw_lesion(Random& random, bool malignant, const SimulateOptions& options);

}  // namespace sono::zoo::sim
