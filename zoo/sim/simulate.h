#pragma once
// Simulated data sets: labelled ultrasound pictures from a seed, made when asked for.
//
//   auto data = simulate("breast", 2000, 7);         // 1000 virtual patients, two frames each
//   Sample s = data->get(3);                         // image (160, 192, 1), mask, box, class, descriptors in s.labels.measurements
//   auto heads = simulate("fetal-head", 500, 7, {.frames_per_patient = 1});
//
// Sample i is a pure function of (phantom, seed, i, options): the same bits in any order and with any number of threads; get() is
// thread-safe. Labels are rasterised from the shapes that were drawn, never found in the picture. Spacing is set, patients differ between
// seeds. The physics and its limits: zoo/sim/engine.h; what is drawn: zoo/sim/breast.h, fetal_head.h,
// elasticity.h, perfusion.h, temporal.h. Anatomy is schematic and
// class priors are constructed: results on these pictures are no clinical claims.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "zoo/data/sample.h"
#include "zoo/sim/options.h"

namespace sono::zoo {

// The known phantoms: "breast", "fetal-head", "breast-types" (of seven lesion types), "breast-swe" (with an elastogram), "ceus" (curves and
// three phases), "teus" (radio-frequency sequences).
std::vector<std::string> phantoms();
std::string phantom_summary(const std::string& phantom);               // one line for --help
std::vector<std::string> phantom_domains(const std::string& phantom);  // its scanners

// Error in one line for an unknown phantom or scanner, a count below 1, or an option out of range.
std::shared_ptr<Dataset> simulate(const std::string& phantom, int64_t count, uint64_t seed, const SimulateOptions& options = {});

// The probability of malignancy (or cancer) given all that the simulator drew, its "oracle malignancy"; none on other data.
std::optional<double> oracle_probability(const Sample& sample);

}  // namespace sono::zoo
