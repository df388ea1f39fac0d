#include "zoo/data/cache.h"

#include <algorithm>

#include "tensor/parallel.h"

namespace sono::zoo {

CachedDataset::CachedDataset(std::shared_ptr<const Dataset> source, const CacheOptions& o) : source_(std::move(source)) {
  const auto n = static_cast<size_t>(source_->size());
  samples_.resize(n);
  fits_.assign(n, Fit(1, 1, 1, 1));
  std::vector<Fingerprint> prints(n);
  parallel_for(static_cast<int64_t>(n), 1, [&](int64_t first, int64_t last) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); i++) {
      const Sample full = source_->get(static_cast<int64_t>(i));
      if (full.image.rank() != 3)
        throw ShapeError("[CachedDataset] " + full.meta.id + ": image " + to_string(full.image.shape()) + " is not (H, W, C)");
      prints[i] = fingerprint(full.image);
      fits_[i] = Fit(full.image.dim(0), full.image.dim(1), o.height, o.width, o.mode);
      samples_[i] = fits_[i].sample(full, o.hide_outside);
    }
  });
  if (!n) return;
  Shape shape = prints[0].thumbnail.shape();
  shape.insert(shape.begin(), static_cast<int64_t>(n));
  prints_.thumbnails = Tensor(shape, Dtype::f32);
  for (size_t i = 0; i < n; i++) {
    prints_.thumbnails.rows(static_cast<int64_t>(i), static_cast<int64_t>(i) + 1)
        .copy_from(prints[i].thumbnail.view({1, shape[1], shape[2]}));
    prints_.hashes.push_back(prints[i].hash);
  }
}

Subset::Subset(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices)
    : whole_(std::move(whole)), indices_(std::move(indices)) {
  for (int64_t i : indices_)
    if (i < 0 || i >= whole_->size()) throw Error("[Subset] index " + std::to_string(i) + " of a set of " + std::to_string(whole_->size()));
}

Fingerprints Subset::whole_fingerprints() const {
  if (const auto* cache = dynamic_cast<const CachedDataset*>(whole_.get())) return cache->fingerprints();
  const auto* subset = dynamic_cast<const Subset*>(whole_.get());
  if (!subset) return {};
  const Fingerprints prints = subset->whole_fingerprints();
  return prints.thumbnails ? select(prints, subset->indices_) : prints;
}

Fingerprints select(const Fingerprints& prints, const std::vector<int64_t>& indices) {
  Shape shape = prints.thumbnails.shape();
  shape[0] = static_cast<int64_t>(indices.size());
  Fingerprints chosen{Tensor(shape, Dtype::f32), {}};
  for (size_t i = 0; i < indices.size(); i++) {
    chosen.thumbnails.rows(static_cast<int64_t>(i), static_cast<int64_t>(i) + 1)
        .copy_from(prints.thumbnails.rows(indices[i], indices[i] + 1));
    chosen.hashes.push_back(prints.hashes[static_cast<size_t>(indices[i])]);
  }
  return chosen;
}

}  // namespace sono::zoo
