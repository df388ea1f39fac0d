#pragma once
// Data sets in folders, recognised by their layout:
//
//   BUSI        benign|malignant|normal/ with images/ and mask/ (or both together, as published): "benign (7).png", "benign (7)_mask.png",
//   "…_mask_1.png" HC18        NNN_HC.png, NNN_2HC.png … with …_Annotation.png, an ellipse's outline, in training_set/ (or test_set/, or
//   the folder); CSV with mm per pixel and HC AUL-liver   Benign|Malignant|Normal/image/ and segmentation/{mass,liver,outline}/N.json,
//   polygons pairs       images/ and masks/, the same stem in both; masks 0/255, 0/1 or labels 0 … K (K <= 15), palette PNGs by index
//   (USGRA-seg, carotid …).
//               Names NAME_slice_N and NAME_frame_N are frames N of video NAME
//   classes     a folder of images per category
//   simulated   what `sonograd simulate` wrote: manifest.json names images, masks, patients, categories, and where there are any sequences
//               (npy, curves over time) and elastograms (npy, kPa)
//
// All checks are made when the set is opened: files that are whole, masks for all images and of their size, values that are labels.
// FileError, one line, names the file.
//
//   auto data = open_dataset("busi", {.classes = {"benign", "malignant"}});
//   Sample s = data->get(0);     // image (H, W, 1) in [0, 1], scan mask, labels, meta
#include <memory>
#include <string>
#include <vector>

#include "zoo/data/sample.h"

namespace sono::zoo {

struct OpenOptions {
  bool colour = false;         // (H, W, 3) instead of grey
  bool require_masks = false;  // refuse a set without masks (a folder of images per category)
  // These categories alone, numbered in this order, whether the folder has all of them or not; empty: all.
  std::vector<std::string> classes = {};
  int64_t mask_labels = 0;      // mask values 0 … n-1, more are refused; 0: as many as the masks show
  std::string target = "mass";  // AUL-liver: "mass", "liver" (images without a liver polygon are left out) or "all" (liver 1, mass 2)
};

std::shared_ptr<Dataset> open_dataset(const std::string& folder, const OpenOptions& options = {});

// A file as samples to predict on: one, or one per frame of a clip or volume (meta.video and meta.frame are then set).
std::vector<Sample> read_samples(const std::string& path, bool colour = false);

}  // namespace sono::zoo
