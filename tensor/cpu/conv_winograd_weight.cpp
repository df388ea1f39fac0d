// The gradient of the weights of 3 x 3 convolutions by Winograd's algorithms: dw = G^T [ sum over tiles of V^T Z ] G, the transforms V of x
// and Z of dy (conv_winograd.cpp).
//
// The sums are 4 times the size of w: with many channels no cache holds them. Then a job has one part of the positions, of the inputs'
// channels and of the outputs'; V is made again for each part of the outputs and Z for each part of the inputs, so that square parts cost
// least. 256 -> 256 channels at 32 x 32 on Zen 4: 190 % of the peak in parts of the inputs alone, 202 % in square ones with all blocks at
// once that the cache holds.
#include <unistd.h>

#include <limits>

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

// How the gradient of the weights is cut. From the problem alone, but `batch`: which sums are added in which order must not depend on
// threads or the machine.
struct Cut {
  int64_t taps;                    // a job's share: of the kernel's planes all, or one; with one, y has one plane
  int64_t pairs, parts, channels;  // all pairs of positions or one; of the input channels `channels`
  int64_t parts_o, outputs;        // and of the output channels `outputs`
  int64_t batch;                   // blocks of tiles between two visits to the sums, which changes no order
  int64_t per_chunk, chunks;       // of blocks x planes
  Cut(const Winograd& f, const Shapes& s, int64_t items) {
    constexpr int64_t room = cache * 27 / 32;  // of a job's sums, V and Z
    const int64_t sums = s.kD * sums_floats(f, s.C, s.O), blocks = sixteens(s.C), blocks_o = sixteens(s.O);
    // The phases of a stride see one plane each. One after the other, with y transformed for each, is 5 to 20 % faster from 48 channels on,
    // and with 8 to 16 up to 30 % slower (Zen 4).
    taps = s.strided() && (blocks > 2 || blocks * blocks_o >= 16) ? 1 : s.kD;
    const auto fits = [&](int64_t each, int64_t n, int64_t m) {
      const int64_t own = (blocks + n - 1) / n, own_o = (blocks_o + m - 1) / m;
      pairs = each, parts = n, parts_o = m;
      return (taps * f.positions * own * own_o * 256 + f.block * (taps * own + own_o)) / each <= room;
    };
    // All positions at once read x and y once, but their sums are large; one part of the positions and of the channels after the other does
    // not get slower by reading more often where there are many products for each value read.
    if (!fits(1, 1, 1) && !(blocks > 1 && fits(1, 2, 1))) {
      // With the least transforms: V is made m times, Z n times.
      int64_t best_n = std::min<int64_t>(16, blocks), best_m = std::min<int64_t>(16, blocks_o), least = std::numeric_limits<int64_t>::max();
      for (int64_t n = 1; n <= 16 && n < 2 * blocks; n *= 2)
        for (int64_t m = 1; m <= 16 && m < 2 * blocks_o; m *= 2)
          if (const int64_t made = m * blocks + n * blocks_o; made < least && fits(f.pairs, n, m)) best_n = n, best_m = m, least = made;
      fits(f.pairs, best_n, best_m);
    }
    channels = (blocks + parts - 1) / parts * 16, outputs = (blocks_o + parts_o - 1) / parts_o * 16;
    parts = (s.C + channels - 1) / channels, parts_o = (s.O + outputs - 1) / outputs;
    const int64_t own = f.block * ((s.Do == 1 ? taps : 1) * channels / 16 + outputs / 16) / pairs;
    const auto batch_in = [&](int64_t floats) { return std::clamp<int64_t>(floats * 3 / 8 / own, 1, 4); };
    batch = batch_in(second_level_cache());
    const int64_t wanted = std::clamp<int64_t>(std::min(items / (2 * batch_in(cache)), (int64_t{3} << 18) / sums), 1, 16);
    per_chunk = std::max<int64_t>(1, (items + wanted - 1) / wanted);
    chunks = std::max<int64_t>(1, (items + per_chunk - 1) / per_chunk);
  }
};

// One job: items [first, last) (block * Do + plane), parts [first_pair, last_pair) of the positions, `channels` inputs from c on and
// `outputs` outputs from o on, of the kernel's planes [first_tap, last_tap). s (plane, position, channels / 16, outputs / 16, 16, 16).
struct WeightJob {
  const Blocks& blocks;
  const Image &x, &y;
  int64_t first, last, first_tap, last_tap, first_pair, last_pair, c, channels, o, outputs, batch;
  float *sums, *bias;  // bias: where the sums of y's channel o and the next ones are added, or null

  void run() const {
    const Winograd& f = blocks.f;
    const Shapes& s = blocks.s;
    // Planes of x that several of y read stay where they are, in a ring.
    const bool shared = s.kD > 1 && s.Do > 1;
    const int64_t taps = last_tap - first_tap, ring = shared ? batch + s.kD - 1 : batch * taps, v_floats = sixteens(channels) * f.block,
                  z_floats = sixteens(outputs) * f.block;
    float *v = scratch(0, ring * v_floats), *z = scratch(1, batch * z_floats);
    const auto slot = [&](int64_t plane, int64_t j, int64_t top) { return shared ? plane % ring : j * taps + plane - top; };
    const int64_t size = sums_floats(f, channels, outputs);
    std::vector<const float*> vs(batch), zs(batch);
    std::vector<int64_t> tiles(batch);
    std::vector<cpu::Ahead> ahead;
    int64_t item = first, ready = 0;
    do {
      int64_t n = std::min(batch, last - item);
      if (shared) n = std::min(n, s.Do - item % s.Do);
      for (int64_t j = 0; j < n; j++) {
        const int64_t block = (item + j) / s.Do, d = (item + j) % s.Do, top = d - s.padding[0] + first_tap;
        blocks.gradient(y, block, d, o, outputs, first_pair, last_pair, z + j * z_floats);
        if (bias) add_bias(z + j * z_floats, blocks.tiles_of(block));
        if (!shared || item + j == first || d == 0) ready = 0;
        for (ready = std::max(ready, top); ready < std::min(s.D, top + taps); ready++)
          blocks.input(x, block, ready, c, channels, first_pair, last_pair, v + slot(ready, j, top) * v_floats);
      }
      ahead.clear();
      for (int64_t i = item + batch; i < std::min(last, item + 2 * batch); i++) {
        blocks.input_ahead(x, i / s.Do, s.kD == 1 ? i % s.Do : ready, ahead);
        blocks.output_ahead(y, i / s.Do, i % s.Do, o, outputs, ahead);
      }
      for (int64_t tap = 0; tap < taps; tap++) {
        int64_t count = 0;
        for (int64_t j = 0; j < n; j++) {
          const int64_t top = (item + j) % s.Do - s.padding[0] + first_tap, plane = top + tap;
          if (plane < 0 || plane >= s.D) continue;
          vs[count] = v + slot(plane, j, top) * v_floats, zs[count] = z + j * z_floats;
          tiles[count++] = blocks.tiles_of((item + j) / s.Do);
        }
        simd().winograd_sums({f.positions, vs.data(), zs.data(), s.without_of(first_tap + tap), tiles.data(), count, channels, outputs,
                              first_pair * 2 * f.size, std::min(f.positions, last_pair * 2 * f.size), item > first, sums + tap * size,
                              ahead.data(), tap == 0 ? static_cast<int64_t>(ahead.size()) : 0});
      }
      item += n;
    } while (item < last);
  }
  // Position (1, 1) of Z is the sum of each tile.
  void add_bias(const float* z, int64_t tiles) const {
    const Winograd& f = blocks.f;
    for (int64_t k = 0; k < outputs; k += 16)
      simd().add_column_sums(z + k / 16 * f.block + (2 * f.size + 2) * f.step, tiles, std::min<int64_t>(16, outputs - k), 16, bias + k);
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
  // (chunk, part of the inputs, part of the outputs, kD, position, channels / 16, outputs / 16, 16, 16)
  const int64_t part_floats = s.kD * sums_floats(f, cut.channels, cut.outputs), parts = cut.parts * cut.parts_o,
                chunk_floats = parts * part_floats, turns = s.kD / cut.taps;
  const Tensor sums({cut.chunks * chunk_floats}), bias_sums = Tensor::zeros({cut.chunks, s.O});
  parallel_for(cut.chunks * parts * cut.pairs * turns, 1, [&](int64_t job, int64_t) {
    const int64_t turn = job % turns, pair = job / turns % cut.pairs, part = job / (turns * cut.pairs) % parts,
                  chunk = job / (turns * cut.pairs * parts);
    const int64_t c = part / cut.parts_o * cut.channels, o = part % cut.parts_o * cut.outputs, first_tap = turn * cut.taps;
    const int64_t channels = std::min(cut.channels, s.C - c), outputs = std::min(cut.outputs, s.O - o);
    const bool sums_y = a.bias && c == 0 && turn == 0 && (cut.pairs == 1 || pair == 1);
    WeightJob{.blocks = blocks,
              .x = x,
              .y = y,
              .first = chunk * cut.per_chunk,
              .last = std::min(items, (chunk + 1) * cut.per_chunk),
              .first_tap = first_tap,
              .last_tap = first_tap + cut.taps,
              .first_pair = pair,
              .last_pair = cut.pairs == 1 ? f.pairs : pair + 1,
              .c = c,
              .channels = channels,
              .o = o,
              .outputs = outputs,
              .batch = cut.batch,
              .sums = sums.data<float>() + chunk * chunk_floats + part * part_floats + first_tap * sums_floats(f, channels, outputs),
              .bias = sums_y ? bias_sums.data<float>() + chunk * s.O + o : nullptr}
        .run();
  });
  const std::vector<float*> taps = taps_at(a.w.data<float>(), s.C * s.O, forward_taps<A>(a));
  parallel_for(s.kD * s.C, std::max<int64_t>(1, 1024 / s.O), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t tap = i / s.C, c = i % s.C, part = c / cut.channels, channels = std::min(cut.channels, s.C - part * cut.channels);
      for (int64_t o = 0; o < s.O; o += cut.outputs) {
        const int64_t outputs = std::min(cut.outputs, s.O - o);
        const float* from =
            sums.data<float>() + (part * cut.parts_o + o / cut.outputs) * part_floats + tap * sums_floats(f, channels, outputs);
        f.weight_gradient(from, chunk_floats, cut.chunks, c % cut.channels, channels, outputs, s.without_of(tap),
                          taps.data() + tap * f.taps * f.taps, part * cut.channels * s.O + o, s.O);
      }
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
