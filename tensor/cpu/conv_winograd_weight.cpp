// The gradient of the weights of 3 x 3 convolutions by Winograd's algorithms: dw = G^T [ sum over tiles of V^T Z ] G, the transforms V of x
// and Z of dy (conv_winograd.cpp).
//
// The sums are 4 times the size of w. A few channels' stay in a thread's second-level cache: each thread makes V and Z of a few blocks of
// tiles and adds their products at every position. Many channels' do not: then V and Z of a group of blocks are made once, into memory that
// the third-level cache holds, and each position is one product over the group, whose sums are read and written once. 256 -> 256 channels
// at 32 x 32 on Zen 4: 250 % of the peak; in jobs with a part of the channels and positions each, 165 to 195 %.
#include <unistd.h>

#include "tensor/cpu/conv_winograd.h"
#include "tensor/cpu/scratch.h"
#include "tensor/parallel.h"

namespace sono::kernels::winograd {
namespace {

using cpu::scratch, cpu::simd;

// Of one plane of the kernel: (position, C / 16, O / 16, 16, 16), and 16 floats between positions.
int64_t sums_floats(const Winograd& f, int64_t C, int64_t O) { return f.positions * (sixteens(C) * sixteens(O) * 256 + 16); }

// Floats of this machine's second-level cache.
int64_t second_level_cache() {
  static const int64_t floats = [] {
    const auto bytes = static_cast<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE));
    return bytes > 0 ? bytes / 4 : cache;
  }();
  return floats;
}

// What one product needs: a block of tiles in a plane of y. Items are numbered block * Do + plane.
struct Item {
  int64_t block, plane;
};
Item item_at(const Shapes& s, int64_t i) { return {i / s.Do, i % s.Do}; }

// bias += the sums over the tiles of a block, of `channels` channels: position (1, 1) of Z is the sum of each tile.
void add_tile_sums(const Winograd& f, const float* z, int64_t tiles, int64_t channels, float* bias) {
  for (int64_t k = 0; k < channels; k += 16)
    simd().add_column_sums(z + k / 16 * f.block + (2 * f.size + 2) * f.step, tiles, std::min<int64_t>(16, channels - k), 16, bias + k);
}

// One job of a few channels: items [first, last), `batch` of them between two visits to the sums, which changes no order.
// sums (plane of the kernel, position, C / 16, O / 16, 16, 16).
struct WeightJob {
  const Blocks& blocks;
  const Image &x, &y;
  int64_t first, last, batch;
  float *sums, *bias;  // bias: where the sums of y are added, or null

  void run() const {
    const Winograd& f = blocks.f;
    const Shapes& s = blocks.s;
    // Planes of x that several of y read stay where they are, in a ring.
    const bool shared = s.kD > 1 && s.Do > 1;
    const int64_t ring = shared ? batch + s.kD - 1 : batch * s.kD, v_floats = sixteens(s.C) * f.block, z_floats = sixteens(s.O) * f.block;
    float *v = scratch(0, ring * v_floats), *z = scratch(1, batch * z_floats);
    const auto slot = [&](int64_t plane, int64_t j, int64_t top) { return shared ? plane % ring : j * s.kD + plane - top; };
    const int64_t size = sums_floats(f, s.C, s.O);
    std::vector<const float*> vs(batch), zs(batch);
    std::vector<int64_t> tiles(batch);
    std::vector<cpu::Ahead> ahead;
    int64_t item = first, ready = 0;
    do {
      int64_t n = std::min(batch, last - item);
      if (shared) n = std::min(n, s.Do - item % s.Do);
      for (int64_t j = 0; j < n; j++) {
        const auto [block, d] = item_at(s, item + j);
        const int64_t top = d - s.padding[0];
        blocks.gradient(y, block, d, 0, s.O, z + j * z_floats);
        if (bias) add_tile_sums(f, z + j * z_floats, blocks.tiles_of(block), s.O, bias);
        if (!shared || item + j == first || d == 0) ready = 0;
        for (ready = std::max(ready, top); ready < std::min(s.D, top + s.kD); ready++)
          blocks.input(x, block, ready, 0, s.C, v + slot(ready, j, top) * v_floats);
      }
      ahead.clear();
      for (int64_t i = item + batch; i < std::min(last, item + 2 * batch); i++) {
        const auto [block, d] = item_at(s, i);
        blocks.input_ahead(x, block, s.kD == 1 ? d : ready, ahead);
        blocks.output_ahead(y, block, d, 0, s.O, ahead);
      }
      for (int64_t tap = 0; tap < s.kD; tap++) {
        int64_t count = 0;
        for (int64_t j = 0; j < n; j++) {
          const auto [block, d] = item_at(s, item + j);
          const int64_t top = d - s.padding[0], plane = top + tap;
          if (plane < 0 || plane >= s.D) continue;
          vs[count] = v + slot(plane, j, top) * v_floats, zs[count] = z + j * z_floats;
          tiles[count++] = blocks.tiles_of(block);
        }
        simd().winograd_sums({f.positions, vs.data(), zs.data(), s.without_of(tap), tiles.data(), count, s.C, s.O, 0, f.positions,
                              item > first, sums + tap * size, ahead.data(), tap == 0 ? static_cast<int64_t>(ahead.size()) : 0});
      }
      item += n;
    } while (item < last);
  }
};

// Many channels: one group of items after the other, each in two rounds of all threads.
class Group {
 public:
  Group(const Blocks& blocks, const Image& x, const Image& y, int64_t size)
      : blocks_(blocks), x_(x), y_(y), size_(size), v_({most_planes(blocks.s, size) * v_floats()}), z_({size * z_floats()}) {}

  // sums = those of all items (plane of the kernel, position, C / 16, O / 16, 16, 16); bias: where the sums of y are added, or null.
  void add(int64_t items, float* sums, float* bias) {
    int64_t first = 0;
    do {
      choose(first, std::min(size_, items - first));
      transform();
      multiply(first > 0, sums);
      for (size_t j = 0; bias && j < items_.size(); j++)
        add_tile_sums(blocks_.f, z(j), blocks_.tiles_of(items_[j].block), blocks_.s.O, bias);
      first += size_;
    } while (first < items);
  }

 private:
  struct Products {
    std::vector<const float*> v, z;
    std::vector<int64_t> tiles;
  };
  struct Transform {
    bool of_y;  // of an item, else of a plane of x
    size_t slot;
    int64_t first;  // channel of `share`
  };
  static constexpr int64_t share = 64;

  const Blocks& blocks_;
  const Image &x_, &y_;
  int64_t size_;
  Tensor v_, z_;                       // (plane of x, C / 16, block), (item, O / 16, block)
  std::vector<Item> items_, planes_;   // planes of x, each with its block
  std::vector<Transform> transforms_;  // in the order of the items: what one thread has written, one thread reads
  std::vector<Products> products_;     // of each plane of the kernel

  // What n items in turn read at most: a block's planes once.
  static int64_t most_planes(const Shapes& s, int64_t n) { return std::min(n * s.kD, n + (s.kD - 1) * (n / s.Do + 2)); }
  int64_t v_floats() const { return sixteens(blocks_.s.C) * blocks_.f.block; }
  int64_t z_floats() const { return sixteens(blocks_.s.O) * blocks_.f.block; }
  float* v(size_t plane) const { return v_.data<float>() + static_cast<int64_t>(plane) * v_floats(); }
  float* z(size_t item) const { return z_.data<float>() + static_cast<int64_t>(item) * z_floats(); }

  // Which planes of x the items [first, first + n) read, each once, and which is multiplied with which item.
  void choose(int64_t first, int64_t n) {
    const Shapes& s = blocks_.s;
    items_.clear(), planes_.clear(), transforms_.clear();
    products_.assign(static_cast<size_t>(s.kD), {});
    for (int64_t j = 0; j < n; j++) {
      const Item item = item_at(s, first + j);
      items_.push_back(item);
      for (int64_t o = 0; o < s.O; o += share) transforms_.push_back({true, items_.size() - 1, o});
      for (int64_t tap = 0; tap < s.kD; tap++) {
        const int64_t plane = item.plane - s.padding[0] + tap;
        if (plane < 0 || plane >= s.D) continue;
        if (planes_.empty() || planes_.back().block != item.block || planes_.back().plane < plane) {
          planes_.push_back({item.block, plane});
          for (int64_t c = 0; c < s.C; c += share) transforms_.push_back({false, planes_.size() - 1, c});
        }
        Products& p = products_[static_cast<size_t>(tap)];
        p.v.push_back(v(planes_.size() - 1 - static_cast<size_t>(planes_.back().plane - plane)));
        p.z.push_back(z(items_.size() - 1));
        p.tiles.push_back(blocks_.tiles_of(item.block));
      }
    }
  }
  void transform() {
    const Shapes& s = blocks_.s;
    parallel_for(static_cast<int64_t>(transforms_.size()), 1, [&](int64_t job, int64_t) {
      const auto [of_y, slot, c] = transforms_[static_cast<size_t>(job)];
      const auto [block, plane] = of_y ? items_[slot] : planes_[slot];
      const int64_t channels = std::min(share, (of_y ? s.O : s.C) - c);
      of_y ? blocks_.gradient(y_, block, plane, c, channels, z(slot) + c / 16 * blocks_.f.block)
           : blocks_.input(x_, block, plane, c, channels, v(slot) + c / 16 * blocks_.f.block);
    });
  }
  void multiply(bool accumulate, float* sums) {
    const Winograd& f = blocks_.f;
    const Shapes& s = blocks_.s;
    parallel_for(s.kD * f.positions, 1, [&](int64_t job, int64_t) {
      const int64_t tap = job / f.positions, position = job % f.positions;
      const Products& p = products_[static_cast<size_t>(tap)];
      simd().winograd_sums({f.positions, p.v.data(), p.z.data(), s.without_of(tap), p.tiles.data(), static_cast<int64_t>(p.v.size()), s.C,
                            s.O, position, position + 1, accumulate, sums + tap * sums_floats(f, s.C, s.O), nullptr, 0});
    });
  }
};

// How the items are shared out. `chunks` from the problem alone: which sums are added in which order must not depend on threads or the
// machine; `batch` and `group` change no order.
struct Cut {
  bool grouped;               // one chunk, in groups; else one job for each chunk
  int64_t per_chunk, chunks;  // items
  int64_t batch, group;       // items of WeightJob, and of Group, at a time
  Cut(const Winograd& f, const Shapes& s, int64_t items) {
    grouped = in_groups(s);
    const int64_t planes = s.Do == 1 ? s.kD : 1;  // of x that an item reads and no other does
    const int64_t own = f.block * (planes * sixteens(s.C) + sixteens(s.O));
    const auto batch_in = [&](int64_t floats) { return std::clamp<int64_t>(floats * 3 / 8 / own, 1, 4); };
    batch = batch_in(second_level_cache());
    // A group's V and Z: what threads' caches hold, or twice the sums, which each group reads and writes.
    const int64_t floats = std::max<int64_t>(threads() * 4 * cache, 2 * s.kD * sums_floats(f, s.C, s.O));
    const int64_t most = std::max<int64_t>(2, floats / own), groups = std::max<int64_t>(1, (items + most - 1) / most);
    group = (items + groups - 1) / groups;
    const int64_t wanted =
        std::clamp<int64_t>(std::min(items / (2 * batch_in(cache)), (int64_t{1} << 20) / (s.kD * sums_floats(f, s.C, s.O))), 1, 16);
    per_chunk = grouped ? items : std::max<int64_t>(1, (items + wanted - 1) / wanted);
    chunks = grouped ? 1 : std::max<int64_t>(1, (items + per_chunk - 1) / per_chunk);
  }
};

}  // namespace

template <Algorithm A>
void weight(const ConvArgs& a) {
  const Winograd& f = algorithm<A>();
  const Shapes s = forward_shapes<A>(a);
  const Blocks blocks{f, s, f.tiles, affine_of(a.norm)};
  const Image x(a.x, a.more), y(a.y);
  const int64_t items = blocks.count() * s.Do;
  const Cut cut(f, s, items);
  const int64_t tap_floats = sums_floats(f, s.C, s.O), chunk_floats = s.kD * tap_floats;  // (chunk, kD, position, C / 16, O / 16, 16, 16)
  const Tensor sums({cut.chunks * chunk_floats}), bias_sums = Tensor::zeros({cut.chunks, s.O});
  float* bias = a.bias ? bias_sums.data<float>() : nullptr;
  if (cut.grouped)
    Group(blocks, x, y, cut.group).add(items, sums.data<float>(), bias);
  else
    parallel_for(cut.chunks, 1, [&](int64_t chunk, int64_t) {
      const int64_t first = chunk * cut.per_chunk, last = std::min(items, first + cut.per_chunk);
      WeightJob{blocks, x, y, first, last, cut.batch, sums.data<float>() + chunk * chunk_floats, bias ? bias + chunk * s.O : nullptr}.run();
    });
  const std::vector<float*> taps = taps_at(a.w.data<float>(), s.C * s.O, forward_taps<A>(a));
  parallel_for(s.kD * s.C, std::max<int64_t>(1, 1024 / s.O), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t tap = i / s.C, c = i % s.C;
      f.weight_gradient(sums.data<float>() + tap * tap_floats, chunk_floats, cut.chunks, c, s.C, s.O, s.without_of(tap),
                        taps.data() + tap * f.taps * f.taps);
    }
  });
  if (!a.bias) return;
  std::fill_n(a.bias.data<float>(), s.O, 0.0f);
  simd().add_column_sums(bias_sums.data<float>(), cut.chunks, s.O, s.O, a.bias.data<float>());
}

template <Algorithm A>
double weight_cost(const ConvArgs& a) {
  return weight_cost(algorithm<A>(), forward_shapes<A>(a));
}

template void weight<Algorithm::tiles4>(const ConvArgs&);
template void weight<Algorithm::tiles2>(const ConvArgs&);
template void weight<Algorithm::stride2>(const ConvArgs&);
template double weight_cost<Algorithm::tiles4>(const ConvArgs&);
template double weight_cost<Algorithm::tiles2>(const ConvArgs&);
template double weight_cost<Algorithm::stride2>(const ConvArgs&);

}  // namespace sono::kernels::winograd
