// The gradient of the weights of 3 x 3 convolutions by Winograd's algorithms: dw = G^T [ sum over tiles of V^T Z ] G, the transforms V of x
// and Z of dy (conv_winograd.cpp).
//
#include "tensor/cpu/conv.h"
#include "tensor/cpu/conv_winograd.h"
#include "tensor/cpu/scratch.h"
#include "tensor/parallel.h"

namespace sono::kernels::winograd {
namespace {

using cpu::scratch, cpu::simd;

// Of one plane of the kernel: (position, C / 16, O / 16, 16, 16), and 16 floats between positions.
int64_t sums_floats(const Winograd& f, int64_t C, int64_t O) { return f.positions * (sixteens(C) * sixteens(O) * 256 + 16); }

// How the gradient of the weights is cut. From the problem alone: which sums are added in which order must not depend on threads.
struct Cut {
  int64_t pairs, parts, channels;  // a job's share: all pairs of positions or one; of the input channels `channels`
  int64_t batch;                   // blocks of tiles between two visits to the sums
  int64_t per_chunk, chunks;       // of blocks x planes
  Cut(const Winograd& f, const Shapes& s, int64_t items) {
    constexpr int64_t room = cache * 27 / 32;  // of a job's sums, V and Z
    const int64_t sums = s.kD * sums_floats(f, s.C, s.O), blocks = sixteens(s.C);
    // All positions at once read x and y once, but their sums are large; one part of the positions and of the channels after the other does
    // not get slower by reading more often where there are many products for each value read.
    const auto fits = [&](int64_t each, int64_t n) {
      const int64_t own = (blocks + n - 1) / n;
      pairs = each, parts = n;
      return (sums * own / blocks + f.block * (s.kD * own + sixteens(s.O))) / each <= room;
    };
    if (!fits(1, 1) && !(blocks > 1 && fits(1, 2)))
      for (int64_t n = 1; n <= 16 && !fits(f.pairs, n) && n < blocks; n *= 2) {}
    channels = (blocks + parts - 1) / parts * 16;
    parts = (s.C + channels - 1) / channels;
    const int64_t own = f.block * (channels / 16 + sixteens(s.O)) / pairs;
    batch = std::clamp<int64_t>(cache * 3 / 8 / own, 1, 4);
    const int64_t wanted = std::clamp<int64_t>(std::min(items / (2 * batch), (int64_t{3} << 18) / sums), 1, 16);
    per_chunk = std::max<int64_t>(1, (items + wanted - 1) / wanted);
    chunks = std::max<int64_t>(1, (items + per_chunk - 1) / per_chunk);
  }
};

// One job: items [first, last) (block * Do + plane), parts [first_pair, last_pair) of the positions,
// `channels` inputs from c on. s (kD, position, channels / 16, O / 16, 16, 16).
struct WeightJob {
  const Blocks& blocks;
  const Image &x, &y;
  int64_t first, last, first_pair, last_pair, c, channels, batch;
  float *sums, *bias;  // bias: where the sums of y are added, or null

  void run() const {
    const Winograd& f = blocks.f;
    const Shapes& s = blocks.s;
    const int64_t ring = batch + s.kD - 1, v_floats = sixteens(channels) * f.block, z_floats = sixteens(s.O) * f.block;
    float *v = scratch(0, ring * v_floats), *z = scratch(1, batch * z_floats);
    const int64_t size = sums_floats(f, channels, s.O), part = f.positions / f.pairs;
    std::vector<const float*> vs(batch), zs(batch);
    std::vector<int64_t> tiles(batch);
    std::vector<cpu::Ahead> ahead;
    int64_t item = first, ready = 0;
    do {
      int64_t n = std::min(batch, last - item);
      if (s.kD > 1) n = std::min(n, s.Do - item % s.Do);
      for (int64_t j = 0; j < n; j++) {
        const int64_t block = (item + j) / s.Do, d = (item + j) % s.Do, top = d - s.padding[0];
        blocks.gradient(y.parts[0].data, block, d, first_pair, last_pair, z + j * z_floats);
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
        simd().winograd_sums({f.positions, vs.data(), zs.data(), tiles.data(), count, channels, s.O, first_pair * part, last_pair * part,
                              item > first, sums + tap * size, ahead.data(), tap == 0 ? static_cast<int64_t>(ahead.size()) : 0});
      }
      item += n;
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
  const Blocks blocks{f, s, f.tiles, affine_of(a.norm)};
  const Image x(a.x, a.more), y(a.y);
  const int64_t items = blocks.count() * s.Do;
  const Cut cut(f, s, items);
  // (chunk, part, kD, position, channels / 16, O / 16, 16, 16)
  const int64_t part_floats = s.kD * sums_floats(f, cut.channels, s.O), chunk_floats = cut.parts * part_floats;
  const Tensor sums({cut.chunks * chunk_floats}), bias_sums = Tensor::zeros({cut.chunks, s.O});
  parallel_for(cut.chunks * cut.parts * cut.pairs, 1, [&](int64_t job, int64_t) {
    const int64_t pair = job % cut.pairs, part = job / cut.pairs % cut.parts, chunk = job / (cut.pairs * cut.parts),
                  c = part * cut.channels;
    const bool sums_y = a.bias && part == 0 && (cut.pairs == 1 || pair == 1);
    WeightJob{.blocks = blocks,
              .x = x,
              .y = y,
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
      const float* from = sums.data<float>() + part * part_floats + tap * sums_floats(f, channels, s.O);
      f.weight_gradient(from, chunk_floats, cut.chunks, c % cut.channels, channels, s.O, a.w.data<float>() + (tap * 9 * s.C + c) * s.O,
                        s.C * s.O);
    }
  });
  if (!a.bias) return;
  std::fill_n(a.bias.data<float>(), s.O, 0.0f);
  simd().add_column_sums(bias_sums.data<float>(), cut.chunks, s.O, s.O, a.bias.data<float>());
}

template <int Tile>
double weight_cost(const ConvArgs& a) {
  return weight_cost(algorithm<Tile>(), forward_shapes(a, Tile));
}

template void weight<4>(const ConvArgs&);
template void weight<2>(const ConvArgs&);
template double weight_cost<4>(const ConvArgs&);
template double weight_cost<2>(const ConvArgs&);

}  // namespace sono::kernels::winograd
