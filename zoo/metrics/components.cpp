#include "zoo/metrics/components.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

#include "zoo/metrics/distance.h"

namespace sono::zoo {

namespace {

struct Grid {
  Grid(const char* operation, const Tensor& mask, Neighbours neighbours)
      : extent(mask_extent(operation, mask)), values(mask.data<uint8_t>()) {
    const int64_t dz = mask.rank() == 3 ? 1 : 0;
    for (int64_t z = -dz; z <= dz; z++)
      for (int64_t y = -1; y <= 1; y++)
        for (int64_t x = -1; x <= 1; x++) {
          const int64_t apart = std::abs(z) + std::abs(y) + std::abs(x);
          if (apart == 1 || (apart > 1 && neighbours == Neighbours::all)) steps.push_back({z, y, x});
        }
    volume = dz == 1;
  }

  // Calls f(j) for each neighbour j inside the image of voxel i; says whether i lies at the image's edge.
  template <class F>
  bool around(int64_t i, F&& f) const {
    const int64_t x = i % extent.width, y = i / extent.width % extent.height, z = i / (extent.width * extent.height);
    for (const auto& [dz, dy, dx] : steps)
      if (z + dz >= 0 && z + dz < extent.depth && y + dy >= 0 && y + dy < extent.height && x + dx >= 0 && x + dx < extent.width)
        f(i + (dz * extent.height + dy) * extent.width + dx);
    return x == 0 || y == 0 || x + 1 == extent.width || y + 1 == extent.height || (volume && (z == 0 || z + 1 == extent.depth));
  }

  Extent extent;
  const uint8_t* values;
  std::vector<std::array<int64_t, 3>> steps;
  bool volume = false;
};

// Gives `number` to the piece of equal value around `seed` and calls visit(i) on each of its voxels. No recursion.
template <class Visit>
void flood(const Grid& grid, int64_t seed, int32_t number, int32_t* labels, std::vector<int64_t>& open, Visit visit) {
  labels[seed] = number;
  open.assign(1, seed);
  while (!open.empty()) {
    const int64_t i = open.back();
    open.pop_back();
    visit(i);
    grid.around(i, [&](int64_t j) {
      if (!labels[j] && grid.values[j] == grid.values[i]) labels[j] = number, open.push_back(j);
    });
  }
}

}  // namespace

Components components(const Tensor& mask, Neighbours neighbours) {
  const Grid grid("components", mask, neighbours);
  Components found{Tensor::zeros(mask.shape(), Dtype::i32), {}, {}};
  int32_t* labels = found.labels.data<int32_t>();
  std::vector<int64_t> open;
  for (int64_t i = 0; i < mask.size(); i++) {
    if (!grid.values[i] || labels[i]) continue;
    int64_t size = 0;
    flood(grid, i, static_cast<int32_t>(found.sizes.size() + 1), labels, open, [&](int64_t) { size++; });
    found.sizes.push_back(size), found.values.push_back(grid.values[i]);
  }
  return found;
}

Tensor largest_component(const Tensor& mask, Neighbours neighbours) {
  const Components found = components(mask, neighbours);
  std::map<uint8_t, size_t> largest;  // label value -> piece
  for (size_t k = 0; k < found.sizes.size(); k++) {
    const auto [at, is_new] = largest.try_emplace(found.values[k], k);
    if (!is_new && found.sizes[k] > found.sizes[at->second]) at->second = k;
  }
  Tensor result = Tensor::zeros(mask.shape(), Dtype::u8);
  const int32_t* labels = found.labels.data<int32_t>();
  for (int64_t i = 0; i < mask.size(); i++) {
    const auto k = static_cast<size_t>(labels[i]);
    if (k && largest[found.values[k - 1]] == k - 1) result.data<uint8_t>()[i] = found.values[k - 1];
  }
  return result;
}

Tensor fill_holes(const Tensor& mask) {
  const Grid grid("fill_holes", mask, Neighbours::faces);
  Tensor result = mask.clone(), seen = Tensor::zeros(mask.shape(), Dtype::i32);
  std::vector<int64_t> open, piece;
  for (int64_t i = 0; i < mask.size(); i++) {
    if (grid.values[i] || seen.data<int32_t>()[i]) continue;
    piece.clear();
    bool closed = true;
    uint8_t label = 0;
    flood(grid, i, 1, seen.data<int32_t>(), open, [&](int64_t at) {
      piece.push_back(at);
      const bool edge = grid.around(at, [&](int64_t j) {
        if (!grid.values[j]) return;
        closed = closed && (!label || label == grid.values[j]);
        label = grid.values[j];
      });
      closed = closed && !edge;
    });
    if (closed && label)
      for (int64_t at : piece) result.data<uint8_t>()[at] = label;
  }
  return result;
}

}  // namespace sono::zoo
