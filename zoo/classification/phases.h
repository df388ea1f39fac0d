#pragma once
// A lesion under contrast as numbers, per phase.
#include "zoo/common/stage.h"

namespace sono::zoo {

// image (H, W, P), a channel per phase, and the lesion's mask -> P views of 26 numbers: mean and deviation of the brightness in nine rings
// by the distance to the outline (in units of the lesion's mean radius, from the centre to half a radius outside), and a histogram of eight
// levels inside. Error: no mask, or a picture of one channel.
Views phase_features(const Sample& sample);

}  // namespace sono::zoo
