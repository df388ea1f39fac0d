#define EIGEN_DONT_PARALLELIZE
#include "zoo/data/leak.h"

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#include "tensor/parallel.h"
#include "tensor/random.h"
#include "zoo/data/cache.h"
#include "zoo/data/image.h"
#include "zoo/data/message.h"
#include "zoo/data/resize.h"

namespace sono::zoo {
namespace {

constexpr int64_t side = 48, pixels = side * side;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Mean 0 and norm 1, so that a scalar product is a correlation. A flat image becomes 0: it correlates with nothing.
void normalise(float* v) {
  Eigen::Map<Eigen::VectorXf> x(v, pixels);
  const double mean = x.cast<double>().mean();
  x.array() -= static_cast<float>(mean);
  const double norm = std::sqrt(x.cast<double>().squaredNorm());
  if (norm > 1e-4)
    x /= static_cast<float>(norm);
  else
    x.setZero();
}

// v - its 7 x 7 mean, the image mirrored at its edges.
void high_pass(const float* v, float* out) {
  constexpr int64_t reach = 3;
  const auto mirrored = [](int64_t i) { return i < 0 ? -1 - i : i >= side ? 2 * side - 1 - i : i; };
  std::vector<float> rows(static_cast<size_t>(pixels));
  for (int64_t y = 0; y < side; y++)
    for (int64_t x = 0; x < side; x++) {
      float sum = 0;
      for (int64_t k = -reach; k <= reach; k++) sum += v[y * side + mirrored(x + k)];
      rows[static_cast<size_t>(y * side + x)] = sum;
    }
  for (int64_t y = 0; y < side; y++)
    for (int64_t x = 0; x < side; x++) {
      float sum = 0;
      for (int64_t k = -reach; k <= reach; k++) sum += rows[static_cast<size_t>(mirrored(y + k) * side + x)];
      out[y * side + x] = v[y * side + x] - sum / 49.0f;
    }
}

struct Candidate {
  int64_t a, b;
  float correlation;
};

// All pairs whose correlation exceeds the threshold: X Xᵀ in blocks of rows, upper triangle.
std::vector<Candidate> correlated(const Matrix& x, double threshold) {
  constexpr int64_t block = 64;
  const int64_t n = x.rows(), blocks = (n + block - 1) / block;
  std::vector<std::vector<Candidate>> found(static_cast<size_t>(blocks));
  parallel_for(blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) {
      const int64_t row = k * block, rows = std::min(block, n - row);
      const Matrix c = x.middleRows(row, rows) * x.bottomRows(n - row).transpose();
      for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i + 1; j < n - row; j++)
          if (c(i, j) > threshold) found[static_cast<size_t>(k)].push_back({row + i, row + j, c(i, j)});
    }
  });
  std::vector<Candidate> all;
  for (const auto& f : found) all.insert(all.end(), f.begin(), f.end());
  return all;
}

class Union {
 public:
  explicit Union(size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), size_t{0}); }
  void join(size_t a, size_t b) { parent_[std::max(root(a), root(b))] = std::min(root(a), root(b)); }
  size_t root(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }

 private:
  std::vector<size_t> parent_;
};

// Of whole words: a byte-wise hash of all pixels of a set takes longer than decoding them.
uint64_t hash_of(const Tensor& t) {
  const std::string_view bytes(static_cast<const char*>(t.raw()), static_cast<size_t>(t.bytes()));
  uint64_t h = hash64(to_string(t.shape()));
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    h = std::rotl((h ^ word) * 0x9E3779B97F4A7C15u, 29);
  }
  return h ^ hash64(bytes.substr(at));
}

}  // namespace

Fingerprint fingerprint(const Tensor& image) {
  const Tensor grey = to_grey(image).to(Dtype::f32);
  return {resize_bilinear(grey, side, side).view({side, side}), hash_of(image)};
}

Fingerprints fingerprints(const Dataset& data) {
  if (const auto* subset = dynamic_cast<const Subset*>(&data)) {
    const Fingerprints whole = subset->whole_fingerprints();
    if (whole.thumbnails) return select(whole, subset->indices());
  }
  if (const auto* cache = dynamic_cast<const CachedDataset*>(&data)) return cache->fingerprints();
  const int64_t n = data.size();
  Fingerprints prints{Tensor({n, side, side}, Dtype::f32), std::vector<uint64_t>(static_cast<size_t>(n))};
  parallel_for(n, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const Fingerprint f = fingerprint(data.get(i).image);
      std::copy_n(f.thumbnail.data<float>(), pixels, prints.thumbnails.data<float>() + i * pixels);
      prints.hashes[static_cast<size_t>(i)] = f.hash;
    }
  });
  return prints;
}

std::vector<Duplicate> near_duplicates(const Fingerprints& prints, const DuplicateOptions& options) {
  const auto n = static_cast<int64_t>(prints.hashes.size());
  if (!n) return {};
  Matrix x = Eigen::Map<const Matrix>(prints.thumbnails.data<float>(), n, pixels), detail(n, pixels);
  for (int64_t i = 0; i < n; i++)
    high_pass(x.row(i).data(), detail.row(i).data()), normalise(x.row(i).data()), normalise(detail.row(i).data());
  std::map<std::pair<int64_t, int64_t>, Duplicate> pairs;
  for (const Candidate& c : correlated(x, options.correlation)) {
    const double d = detail.row(c.a).dot(detail.row(c.b));
    if (d > options.detail) pairs[{c.a, c.b}] = {c.a, c.b, c.correlation, d, false};
  }
  std::map<uint64_t, std::vector<int64_t>> equal;
  for (int64_t i = 0; i < n; i++) equal[prints.hashes[static_cast<size_t>(i)]].push_back(i);
  for (const auto& [hash, members] : equal)
    for (size_t i = 0; i < members.size(); i++)
      for (size_t j = i + 1; j < members.size(); j++) pairs[{members[i], members[j]}] = {members[i], members[j], 1, 1, true};
  std::vector<Duplicate> all;
  for (const auto& [key, pair] : pairs) all.push_back(pair);
  return all;
}

std::vector<Duplicate> near_duplicates(const Dataset& data, const DuplicateOptions& options) {
  return near_duplicates(fingerprints(data), options);
}

Grouping leak_groups(const Dataset& data) {
  const auto n = static_cast<size_t>(data.size());
  Grouping g{{}, 0, near_duplicates(data)};
  Union sets(n);
  for (const Duplicate& d : g.duplicates) sets.join(static_cast<size_t>(d.a), static_cast<size_t>(d.b));
  std::map<std::string, size_t> first;  // of each patient and video
  for (size_t i = 0; i < n; i++) {
    const Meta meta = data.meta(static_cast<int64_t>(i));
    for (const std::string& key : {meta.patient.empty() ? "" : "patient " + meta.patient, meta.video.empty() ? "" : "video " + meta.video})
      if (!key.empty()) sets.join(first.try_emplace(key, i).first->second, i);
  }
  std::map<size_t, int64_t> numbers;
  for (size_t i = 0; i < n; i++) g.group.push_back(numbers.try_emplace(sets.root(i), static_cast<int64_t>(numbers.size())).first->second);
  g.groups = static_cast<int64_t>(numbers.size());
  return g;
}

std::string named(const Dataset& data, std::vector<Duplicate> pairs, size_t room) {
  const auto across = [&](const Duplicate& d) { return data.category(d.a) != data.category(d.b); };
  std::sort(pairs.begin(), pairs.end(), [&](const Duplicate& p, const Duplicate& q) {
    return std::make_tuple(!across(p), !p.identical, p.a, p.b) < std::make_tuple(!across(q), !q.identical, q.a, q.b);
  });
  std::vector<std::string> words;
  for (const Duplicate& d : pairs) words.push_back(shown(data.meta(d.a).id) + (d.identical ? " = " : " ~ ") + shown(data.meta(d.b).id));
  return listed(words, room);
}

}  // namespace sono::zoo
