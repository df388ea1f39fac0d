#pragma once
// Data sets made of data sets: a part of one, and one that is decoded once and kept at the size that a network wants.
//
//   auto data = std::make_shared<CachedDataset>(open_dataset("busi"), CacheOptions{.height = 128, .width = 128});
//   Subset train(data, split.train);
#include <memory>
#include <vector>

#include "zoo/data/leak.h"
#include "zoo/data/resize.h"
#include "zoo/data/sample.h"

namespace sono::zoo {

struct CacheOptions {
  int64_t height = 128, width = 128;
  FitMode mode = FitMode::letterbox;
  bool hide_outside = true;  // the image is 0 outside the scan mask
};

// Reads everything when it is made, in parallel: files that cannot be read are named before training begins. get() hands out shared memory:
// do not write into it (augment() makes copies).
class CachedDataset : public Dataset {
 public:
  CachedDataset(std::shared_ptr<const Dataset> source, const CacheOptions& options);

  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }
  Sample get(int64_t i) const override { return samples_.at(static_cast<size_t>(i)); }
  Meta meta(int64_t i) const override { return samples_.at(static_cast<size_t>(i)).meta; }
  std::optional<int> category(int64_t i) const override { return samples_.at(static_cast<size_t>(i)).labels.category; }
  std::vector<std::string> categories() const override { return source_->categories(); }
  std::vector<std::string> mask_labels() const override { return source_->mask_labels(); }
  std::string name() const override { return source_->name(); }

  Fit fit(int64_t i) const { return fits_.at(static_cast<size_t>(i)); }  // how image i was fitted: predictions go back by it
  const Dataset& source() const { return *source_; }                     // at full size
  const Fingerprints& fingerprints() const { return prints_; }           // of the images at full size

 private:
  std::shared_ptr<const Dataset> source_;
  std::vector<Sample> samples_;
  std::vector<Fit> fits_;
  Fingerprints prints_;
};

// Samples indices[0], indices[1] … of another set.
class Subset : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices);

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  Sample get(int64_t i) const override { return whole_->get(at(i)); }
  Meta meta(int64_t i) const override { return whole_->meta(at(i)); }
  std::optional<int> category(int64_t i) const override { return whole_->category(at(i)); }
  std::vector<std::string> categories() const override { return whole_->categories(); }
  std::vector<std::string> mask_labels() const override { return whole_->mask_labels(); }
  std::string name() const override { return whole_->name(); }

  const std::vector<int64_t>& indices() const { return indices_; }
  const Dataset& whole() const { return *whole_; }
  Fingerprints whole_fingerprints() const;  // empty unless the whole has them at hand

 private:
  int64_t at(int64_t i) const { return indices_.at(static_cast<size_t>(i)); }
  std::shared_ptr<const Dataset> whole_;
  std::vector<int64_t> indices_;
};

Fingerprints select(const Fingerprints& prints, const std::vector<int64_t>& indices);

}  // namespace sono::zoo
