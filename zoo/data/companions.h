#pragma once
// What a system needs besides a picture, when single files are to be predicted on: it is looked for next to the picture, under its name.
//
//   lesion's mask   NAME_mask.png (.tif, .npy …), or masks/NAME.* beside the folder images/; 0 and 255, or 0 and 1
//   elastogram      NAME_swe.npy (.tif, .png …), or elasticity/NAME.* beside the folder images/; grey, its values are kPa, 0: not measured
//
// The second way is how `sonograd simulate` and data sets of pairs lay their files out. A picture that is itself called NAME_mask or
// NAME_swe has none.
#include <string>
#include <vector>

#include "zoo/data/sample.h"

namespace sono::zoo {

// Fills in mask, box and elastogram where there are such files and the sample has none yet. FileError: of another size than the picture,
// values that are no mask, a colour picture in place of an elastogram.
void add_companions(Sample& sample, const std::string& path);

// The pictures of a file (open.h); a single one with its companions.
std::vector<Sample> read_with_companions(const std::string& path);

// A picture whose channels are contrast phases: a file of three channels as it is, or one of several frames, which become the channels.
// With the companions. FileError: other than `phases` of them.
Sample read_phases(const std::string& path, int64_t phases);

}  // namespace sono::zoo
