// 3 x 3 convolutions of stride 1 by Winograd's algorithms F(4x4, 3x3) and F(2x2, 3x3): 4 and 2.25 times fewer multiplications.
//
// Blocks of up to 24 tiles (v4: 26) of m x m outputs go through three steps in one thread's second-level cache:
//   V = B^T x B     the inputs, transformed; zero outside of the image
//   M = V U         36 (or 16) matrix products with the transformed weights U
//   y = A^T M A     transformed back; bias, activation
// A volume's 3 x 3 x 3 kernel is transformed in the plane only: M sums over the kernel's planes before it is transformed back, and the V of
// a plane serves every plane of y that reads it.
// The gradient of x is the same with mirrored, transposed weights. That of w sums V^T Z over tiles, Z = A dy A^T; jobs are chunks of tiles
// x parts of positions x blocks of channels, and the chunks' sums are added in order. The gradient of the bias is in Z: position (1, 1) is
// the sum of a tile.
#include <algorithm>
#include <vector>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/parallel.h"

namespace sono::kernels::winograd {
namespace {

using cpu::scratch, cpu::simd, cpu::Winograd, cpu::WinogradRun;

template <int Tile>
const Winograd& algorithm() {
  return Tile == 4 ? *simd().winograd4 : *simd().winograd2;
}

int64_t sixteens(int64_t channels) { return (channels + 15) / 16; }

// y (N, Do, Ho, Wo, O), cut into tiles, over x (N, D, H, W, C) that starts at -padding.
struct Shapes {
  int64_t N, D, H, W, C, Do, Ho, Wo, O, kD;
  std::array<int64_t, 3> padding;
  int64_t tile, down = (Ho + tile - 1) / tile, across = (Wo + tile - 1) / tile;
  int64_t tiles() const { return N * down * across; }  // of one plane of each image
};

Shapes forward_shapes(const ConvArgs& a, int64_t tile) {
  return {a.x.dim(0), a.x.dim(1), a.x.dim(2), a.x.dim(3), a.x.dim(4),         a.y.dim(1),
          a.y.dim(2), a.y.dim(3), a.y.dim(4), a.w.dim(0), a.geometry.padding, tile};
}
Shapes input_shapes(const ConvArgs& a, int64_t tile) {
  const auto& p = a.geometry.padding;
  return {a.x.dim(0),
          a.y.dim(1),
          a.y.dim(2),
          a.y.dim(3),
          a.y.dim(4),
          a.x.dim(1),
          a.x.dim(2),
          a.x.dim(3),
          a.x.dim(4),
          a.w.dim(0),
          {a.w.dim(0) - 1 - p[0], 2 - p[1], 2 - p[2]},
          tile};
}

// Neighbouring tiles: the first one's number in its block, image, and row and column of y.
struct Run {
  int64_t at, tiles, image, row, column;
};

// The tiles [first, first + count) as runs of at most `most`.
template <class F>
void for_each_run(const Shapes& s, int64_t first, int64_t count, int64_t most, F f) {
  for (int64_t t = 0; t < count;) {
    const int64_t tile = first + t, column = tile % s.across, n = std::min({most, count - t, s.across - column});
    f(Run{t, n, tile / (s.down * s.across), tile / s.across % s.down * s.tile, column * s.tile});
    t += n;
  }
}

// Runs whose pixels stay in the first-level cache while 16 channels after the other are transformed.
int64_t longest_run(int64_t channels) { return std::clamp<int64_t>(256 / channels, 1, 8); }

// Blocks of tiles, and what their transforms need.
struct Blocks {
  const Winograd& f;
  const Shapes& s;
  int64_t tiles;  // of a block
  Tensor zeros = Tensor::zeros({std::max(s.W * s.C, s.Wo* s.O)});
  int64_t count() const { return (s.tiles() + tiles - 1) / tiles; }
  int64_t tiles_of(int64_t block) const { return std::min(tiles, s.tiles() - block * tiles); }

  // What input() of a block will read (but rows that the tiles above have read), gradient() will read, output() will write.
  void input_ahead(const float* x, int64_t block, int64_t plane, std::vector<cpu::Ahead>& list) const {
    if (block >= count() || plane >= s.D) return;
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const int64_t row = std::max<int64_t>(0, r.row - s.padding[1] + 2), rows = std::min(f.tile, s.H - row);
      const int64_t column = std::clamp<int64_t>(r.column - s.padding[2], 0, s.W), columns = std::min(r.tiles * f.tile, s.W - column);
      for (int64_t i = 0; i < rows; i++)
        list.push_back({x + (((r.image * s.D + plane) * s.H + row + i) * s.W + column) * s.C, (columns * s.C + 15) / 16, 16});
    });
  }
  void output_ahead(const float* y, int64_t block, int64_t plane, int64_t o, int64_t channels, std::vector<cpu::Ahead>& list) const {
    if (block >= count()) return;
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const int64_t columns = std::min(r.tiles * f.tile, s.Wo - r.column);
      for (int64_t i = 0; i < std::min(f.tile, s.Ho - r.row); i++) {
        const float* at = y + (((r.image * s.Do + plane) * s.Ho + r.row + i) * s.Wo + r.column) * s.O + o;
        if (channels == s.O)
          list.push_back({at, (columns * s.O + 15) / 16, 16});
        else
          for (int64_t c = 0; c < channels; c += 16) list.push_back({at + c, columns, s.O});
      }
    });
  }

  // v = the inputs of a block in one plane: `channels` of them from c on, parts [first, last) of the positions.
  void input(const float* x, int64_t block, int64_t plane, int64_t c, int64_t channels, int64_t first, int64_t last, float* v) const {
    for_each_run(s, block * tiles, tiles_of(block), longest_run(s.C), [&](const Run& r) {
      WinogradRun run{{}, r.column - s.padding[2], s.W, s.C, r.tiles};
      for (int64_t i = 0; i < f.tile + 2; i++) {
        const int64_t row = r.row - s.padding[1] + i;
        run.rows[i] = (row < 0 || row >= s.H ? zeros.data<float>() : x + ((r.image * s.D + plane) * s.H + row) * s.W * s.C) + c;
      }
      f.input(run, channels, first, last, v + r.at * 16);
    });
  }
  // z = the gradients of a block in one plane.
  void gradient(const float* y, int64_t block, int64_t plane, int64_t first, int64_t last, float* z) const {
    for_each_run(s, block * tiles, tiles_of(block), longest_run(s.O), [&](const Run& r) {
      WinogradRun run{{}, r.column, s.Wo, s.O, r.tiles};
      for (int64_t i = 0; i < f.tile; i++)
        run.rows[i] = r.row + i >= s.Ho ? zeros.data<float>() : y + ((r.image * s.Do + plane) * s.Ho + r.row + i) * s.Wo * s.O;
      f.gradient(run, s.O, first, last, z + r.at * 16);
    });
  }
  // y = the products of a block in one plane, channels [o, o + columns).
  void output(const float* m, int64_t block, int64_t plane, int64_t o, int64_t columns, const float* bias, bool relu, float* y) const {
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const WinogradRun run{{}, r.column, s.Wo, s.O, r.tiles};
      float* rows[4];
      const int64_t inside = std::min(f.tile, s.Ho - r.row);
      for (int64_t c = 0; c < columns; c += 16) {
        for (int64_t i = 0; i < inside; i++) rows[i] = y + ((r.image * s.Do + plane) * s.Ho + r.row + i) * s.Wo * s.O + o + c;
        f.output(m + c / 16 * f.block + r.at * 16, std::min<int64_t>(16, columns - c), bias ? bias + o + c : nullptr, relu, run, rows,
                 inside);
      }
    });
  }
};

// Transformed weights (kD, O / 16, position, C + 1, 16).
int64_t weight_block(const Winograd& f, int64_t C) { return f.positions * (C + 1) * 16; }

Tensor transform_weights(const Winograd& f, const float* w, int64_t kD, int64_t C, int64_t O) {
  const int64_t blocks = sixteens(O), size = weight_block(f, C);
  const Tensor u({kD * blocks * size});
  parallel_for(kD * blocks, std::max<int64_t>(1, 512 / C), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t o = i % blocks * 16;
      f.weight(w + i / blocks * 9 * C * O + o, C * O, C, std::min<int64_t>(16, O - o), O, u.data<float>() + i * size);
    }
  });
  return u;
}

Tensor forward_weights(const Winograd& f, const ConvArgs& a) {
  return transform_weights(f, a.w.data<float>(), a.w.dim(0), a.w.dim(3), a.w.dim(4));
}
Tensor input_weights(const Winograd& f, const ConvArgs& a) {
  const int64_t C = a.w.dim(3), O = a.w.dim(4), taps = a.w.dim(0) * 9;
  const Tensor mirrored({taps, O, C});
  for (int64_t tap = 0; tap < taps; tap++)
    simd().transpose(a.w.data<float>() + (taps - 1 - tap) * C * O, O, C, O, mirrored.data<float>() + tap * C * O, C);
  return transform_weights(f, mirrored.data<float>(), a.w.dim(0), O, C);
}

constexpr int64_t cache = 1 << 17;  // floats of a second-level cache of 512 KB

// y = the convolution of x with the transformed weights u.
void convolve(const Winograd& f, const Shapes& s, const float* x, const Tensor& u, const float* bias, bool relu, float* y) {
  const int64_t plane_floats = sixteens(s.C) * f.block, weight_floats = weight_block(f, s.C), tap_floats = sixteens(s.O) * weight_floats;
  int64_t tiles = f.tiles;
  while (tiles > 6 && s.kD * plane_floats * tiles / f.tiles > cache / 2) tiles /= 2;
  const Blocks blocks{f, s, tiles};
  const int64_t slab = s.kD == 1 ? 1 : std::min<int64_t>(s.Do, 16), slabs = (s.Do + slab - 1) / slab;
  const int64_t group = s.kD == 1 ? std::clamp<int64_t>(blocks.count() / 16, 1, 4) : 1, groups = (blocks.count() + group - 1) / group;
  parallel_for(groups * slabs, 1, [&](int64_t job, int64_t) {
    const int64_t first_block = job / slabs * group, last_block = std::min(blocks.count(), first_block + group);
    const int64_t d0 = job % slabs * slab, d1 = std::min(s.Do, d0 + slab), columns = simd().winograd_columns;
    float *v = scratch(0, s.kD * plane_floats), *m = scratch(1, columns / 16 * f.block);
    std::vector<const float*> vs(s.kD), us(s.kD);
    std::vector<cpu::Ahead> ahead;
    for (int64_t block = first_block; block < last_block; block++)
      for (int64_t d = d0, ready = std::max<int64_t>(0, d0 - s.padding[0]); d < d1; d++) {
        const int64_t first = std::max<int64_t>(0, d - s.padding[0]), last = std::min(s.D, d - s.padding[0] + s.kD);
        for (; ready < last; ready++) blocks.input(x, block, ready, 0, s.C, 0, f.pairs, v + ready % s.kD * plane_floats);
        for (int64_t o = 0; o < s.O; o += columns) {
          for (int64_t p = first; p < last; p++) {
            vs[p - first] = v + p % s.kD * plane_floats;
            us[p - first] = u.data<float>() + (p - d + s.padding[0]) * tap_floats + o / 16 * weight_floats;
          }
          const int64_t width = std::min(columns, s.O - o);
          ahead.clear();
          blocks.output_ahead(y, block, d, o, width, ahead);
          if (o + columns >= s.O) {
            if (d + 1 < d1)
              blocks.input_ahead(x, block, ready, ahead);
            else if (block + 1 < last_block)
              blocks.input_ahead(x, block + 1, std::max<int64_t>(0, d0 - s.padding[0]), ahead);
          }
          simd().winograd_products(f.positions, vs.data(), us.data(), std::max<int64_t>(0, last - first), s.C, blocks.tiles_of(block),
                                   width, weight_floats, m, ahead.data(), static_cast<int64_t>(ahead.size()));
          blocks.output(m, block, d, o, width, bias, relu, y);
        }
      }
  });
}

}  // namespace

template <int Tile>
bool fits(const ConvArgs& a) {
  const auto& [stride, padding, dilation, groups] = a.geometry;
  const bool epilogue = a.activation == Activation::none || a.activation == Activation::relu;
  if (a.y.dtype() != Dtype::f32 || !epilogue || a.w.dim(1) != 3 || a.w.dim(2) != 3 || groups != 1) return false;
  if (stride != std::array<int64_t, 3>{1, 1, 1} || dilation != stride || padding[0] >= a.w.dim(0) || padding[1] > 2 || padding[2] > 2)
    return false;
  const int64_t C = a.x.dim(4), O = a.y.dim(4), Ho = a.y.dim(2), Wo = a.y.dim(3);
  const int64_t in_tiles = (Ho + Tile - 1) / Tile * ((Wo + Tile - 1) / Tile) * Tile * Tile;
  return C >= 8 && O >= 8 && C + O >= 24 && 2 * in_tiles <= 3 * Ho * Wo;
}

template <int Tile>
void forward(const ConvArgs& a) {
  if (a.y.size() == 0) return;
  const Winograd& f = algorithm<Tile>();
  convolve(f, forward_shapes(a, Tile), a.x.data<float>(), a.packed ? a.packed : forward_weights(f, a),
           a.bias ? a.bias.data<float>() : nullptr, a.activation == Activation::relu, a.y.data<float>());
}

template <int Tile>
void input(const ConvArgs& a) {
  if (a.x.size() == 0) return;
  const Winograd& f = algorithm<Tile>();
  convolve(f, input_shapes(a, Tile), a.y.data<float>(), a.packed ? a.packed : input_weights(f, a), nullptr, false, a.x.data<float>());
}

namespace {

// How the gradient of the weights is cut. From the problem alone: which sums are added in which order must not depend on threads.
struct Cut {
  int64_t pairs, parts, channels;  // a job's share: all pairs of positions or one; of the input channels `channels`
  int64_t batch;                   // blocks of tiles between two visits to the sums
  int64_t per_chunk, chunks;       // of blocks x planes
  Cut(const Winograd& f, const Shapes& s, int64_t items) {
    const int64_t sums = s.kD * f.positions * sixteens(s.C) * sixteens(s.O) * 256,
                  buffers = f.block * (s.kD * sixteens(s.C) + sixteens(s.O));
    pairs = sums + buffers > cache ? f.pairs : 1;
    parts = std::clamp<int64_t>(sums / pairs / (3 << 15), 1, sixteens(s.C));
    channels = (sixteens(s.C) + parts - 1) / parts * 16;
    parts = (s.C + channels - 1) / channels;
    const int64_t own = f.block * (channels / 16 + sixteens(s.O)) / pairs;
    batch = std::clamp<int64_t>(cache * 3 / 8 / own, 1, 4);
    const int64_t wanted = std::clamp<int64_t>(std::min(items / (2 * batch), (int64_t{3} << 18) / sums), 1, 16);
    per_chunk = std::max<int64_t>(1, (items + wanted - 1) / wanted);
    chunks = std::max<int64_t>(1, (items + per_chunk - 1) / per_chunk);
  }
};

// One job of the gradient of the weights: items [first, last) (block * Do + plane), parts [first_pair, last_pair) of the positions,
// `channels` inputs from c on. s (kD, position, channels / 16, O / 16, 16, 16).
struct WeightJob {
  const Blocks& blocks;
  const float *x, *y;
  int64_t first, last, first_pair, last_pair, c, channels, batch;
  float *sums, *bias;  // bias: where the sums of y are added, or null

  void run() const {
    const Winograd& f = blocks.f;
    const Shapes& s = blocks.s;
    const int64_t ring = batch + s.kD - 1, v_floats = sixteens(channels) * f.block, z_floats = sixteens(s.O) * f.block;
    float *v = scratch(0, ring * v_floats), *z = scratch(1, batch * z_floats);
    const int64_t size = f.positions * sixteens(channels) * sixteens(s.O) * 256, part = f.positions / f.pairs;
    std::vector<const float*> vs(batch), zs(batch);
    std::vector<int64_t> tiles(batch);
    std::vector<cpu::Ahead> ahead;
    int64_t item = first, ready = 0;
    do {
      int64_t n = std::min(batch, last - item);
      if (s.kD > 1) n = std::min(n, s.Do - item % s.Do);
      for (int64_t j = 0; j < n; j++) {
        const int64_t block = (item + j) / s.Do, d = (item + j) % s.Do, top = d - s.padding[0];
        blocks.gradient(y, block, d, first_pair, last_pair, z + j * z_floats);
        if (bias) add_bias(z + j * z_floats, blocks.tiles_of(block));
        if (s.kD == 1 || item + j == first || d == 0) ready = 0;
        for (ready = std::max(ready, top); ready < std::min(s.D, top + s.kD); ready++)
          blocks.input(x, block, ready, c, channels, first_pair, last_pair, v + slot(ready, j, ring) * v_floats);
      }
      ahead.clear();
      for (int64_t i = item + batch; i < std::min(last, item + 2 * batch); i++) {
        blocks.input_ahead(x, i / s.Do, s.kD == 1 ? i % s.Do : ready, ahead);
        blocks.output_ahead(y, i / s.Do, i % s.Do, 0, s.O, ahead);
      }
      for (int64_t tap = 0; tap < s.kD; tap++) {
        int64_t count = 0;
        for (int64_t j = 0; j < n; j++) {
          const int64_t plane = (item + j) % s.Do + tap - s.padding[0];
          if (plane < 0 || plane >= s.D) continue;
          vs[count] = v + slot(plane, j, ring) * v_floats, zs[count] = z + j * z_floats;
          tiles[count++] = blocks.tiles_of((item + j) / s.Do);
        }
        simd().winograd_sums(f.positions, vs.data(), zs.data(), tiles.data(), count, channels, s.O, first_pair * part, last_pair * part,
                             item > first, sums + tap * size, ahead.data(), tap == 0 ? static_cast<int64_t>(ahead.size()) : 0);
      }
      item += batch;
    } while (item < last);
  }
  int64_t slot(int64_t plane, int64_t j, int64_t ring) const { return blocks.s.kD == 1 ? j : plane % ring; }
  // Position (1, 1) of Z is the sum of each tile.
  void add_bias(const float* z, int64_t tiles) const {
    const Winograd& f = blocks.f;
    for (int64_t o = 0; o < blocks.s.O; o += 16)
      simd().add_column_sums(z + o / 16 * f.block + (2 * (f.tile + 2) + 2) * f.step, tiles, std::min<int64_t>(16, blocks.s.O - o), 16,
                             bias + o);
  }
};

}  // namespace

template <int Tile>
void weight(const ConvArgs& a) {
  const Winograd& f = algorithm<Tile>();
  const Shapes s = forward_shapes(a, Tile);
  const Blocks blocks{f, s, f.tiles};
  const int64_t items = blocks.count() * s.Do;
  const Cut cut(f, s, items);
  // (chunk, part, kD, position, channels / 16, O / 16, 16, 16)
  const int64_t part_floats = s.kD * f.positions * sixteens(cut.channels) * sixteens(s.O) * 256, chunk_floats = cut.parts * part_floats;
  const Tensor sums({cut.chunks * chunk_floats}), bias_sums = Tensor::zeros({cut.chunks, s.O});
  parallel_for(cut.chunks * cut.parts * cut.pairs, 1, [&](int64_t job, int64_t) {
    const int64_t pair = job % cut.pairs, part = job / cut.pairs % cut.parts, chunk = job / (cut.pairs * cut.parts),
                  c = part * cut.channels;
    const bool sums_y = a.bias && part == 0 && (cut.pairs == 1 || pair == 1);
    WeightJob{.blocks = blocks,
              .x = a.x.data<float>(),
              .y = a.y.data<float>(),
              .first = chunk * cut.per_chunk,
              .last = std::min(items, (chunk + 1) * cut.per_chunk),
              .first_pair = pair,
              .last_pair = cut.pairs == 1 ? f.pairs : pair + 1,
              .c = c,
              .channels = std::min(cut.channels, s.C - c),
              .batch = cut.batch,
              .sums = sums.data<float>() + chunk * chunk_floats + part * part_floats,
              .bias = sums_y ? bias_sums.data<float>() + chunk * s.O : nullptr}
        .run();
  });
  parallel_for(s.kD * s.C, std::max<int64_t>(1, 1024 / s.O), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t tap = i / s.C, c = i % s.C, part = c / cut.channels, channels = std::min(cut.channels, s.C - part * cut.channels);
      const float* from = sums.data<float>() + part * part_floats + tap * f.positions * sixteens(channels) * sixteens(s.O) * 256;
      f.weight_gradient(from, chunk_floats, cut.chunks, c % cut.channels, channels, s.O, a.w.data<float>() + (tap * 9 * s.C + c) * s.O,
                        s.C * s.O);
    }
  });
  if (!a.bias) return;
  std::fill_n(a.bias.data<float>(), s.O, 0.0f);
  simd().add_column_sums(bias_sums.data<float>(), cut.chunks, s.O, s.O, a.bias.data<float>());
}

template bool fits<4>(const ConvArgs&);
template bool fits<2>(const ConvArgs&);
template void forward<4>(const ConvArgs&);
template void forward<2>(const ConvArgs&);
template void input<4>(const ConvArgs&);
template void input<2>(const ConvArgs&);
template void weight<4>(const ConvArgs&);
template void weight<2>(const ConvArgs&);

}  // namespace sono::kernels::winograd
