#pragma once
// The leak guard. Scores on a validation set mean something only if nothing in it was seen in training: not the patient, not the video, and
// not the same picture saved twice. Public sets hold such pairs, even across classes.
//
// Two images are near-duplicates if their 48 x 48 versions (antialiased, grey) correlate above 0.97 and still above 0.9 after a high-pass
// (minus the 7 x 7 mean): the first finds the same anatomy in the same place, the second asks for the same speckle.
//
//   Grouping g = leak_groups(data);                        // patient, video and near-duplicates joined
//   for (const Duplicate& d : g.duplicates) …              // data.meta(d.a).id, data.meta(d.b).id
#include <cstdint>
#include <string>
#include <vector>

#include "zoo/data/sample.h"

namespace sono::zoo {

struct Duplicate {
  int64_t a = 0, b = 0;    // a < b
  double correlation = 0;  // of the 48 x 48 images
  double detail = 0;       // after the high-pass
  bool identical = false;  // equal in every pixel
};

// What the guard keeps of an image.
struct Fingerprints {
  Tensor thumbnails;             // (N, 48, 48) f32
  std::vector<uint64_t> hashes;  // of size and all pixels
};
struct Fingerprint {
  Tensor thumbnail;
  uint64_t hash = 0;
};
Fingerprint fingerprint(const Tensor& image);    // image (H, W, C) f32
Fingerprints fingerprints(const Dataset& data);  // reads every image once, in parallel; a cached set has them at hand

struct DuplicateOptions {
  double correlation = 0.97, detail = 0.9;
};
std::vector<Duplicate> near_duplicates(const Fingerprints& prints, const DuplicateOptions& options = {});  // by a, then b
std::vector<Duplicate> near_duplicates(const Dataset& data, const DuplicateOptions& options = {});

// group[i]: number of sample i's group, 0 … groups - 1 by first appearance. Samples of one patient, of one video, and near-duplicates share
// it.
struct Grouping {
  std::vector<int64_t> group;
  int64_t groups = 0;
  std::vector<Duplicate> duplicates;
};
Grouping leak_groups(const Dataset& data);

// "benign (433) = malignant (145), benign (42) ~ malignant (51) …": = for identical pairs, which come first, as do pairs across categories.
std::string named(const Dataset& data, std::vector<Duplicate> pairs, size_t room = 160);

}  // namespace sono::zoo
