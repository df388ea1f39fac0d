#pragma once
// What conv_winograd.cpp and conv_winograd_weight.cpp share: the sizes, and the transforms of a block of tiles.
#include <algorithm>
#include <vector>

#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"

namespace sono::kernels::winograd {

using cpu::Winograd, cpu::WinogradRun;

template <int Tile>
const Winograd& algorithm() {
  return Tile == 4 ? *cpu::simd().winograd4 : *cpu::simd().winograd2;
}

inline int64_t sixteens(int64_t channels) { return (channels + 15) / 16; }

// y (N, Do, Ho, Wo, O), cut into tiles, over x (N, D, H, W, C) that starts at -padding.
struct Shapes {
  int64_t N, D, H, W, C, Do, Ho, Wo, O, kD;
  std::array<int64_t, 3> padding;
  int64_t tile, down = (Ho + tile - 1) / tile, across = (Wo + tile - 1) / tile;
  int64_t tiles() const { return N * down * across; }  // of one plane of each image
};

inline Shapes forward_shapes(const ConvArgs& a, int64_t tile) {
  return {a.x.dim(0), a.x.dim(1), a.x.dim(2), a.x.dim(3), a.w.dim(3),         a.y.dim(1),
          a.y.dim(2), a.y.dim(3), a.y.dim(4), a.w.dim(0), a.geometry.padding, tile};
}
inline Shapes input_shapes(const ConvArgs& a, int64_t tile) {
  const auto& p = a.geometry.padding;
  return {a.x.dim(0),
          a.y.dim(1),
          a.y.dim(2),
          a.y.dim(3),
          a.y.dim(4),
          a.x.dim(1),
          a.x.dim(2),
          a.x.dim(3),
          a.w.dim(3),
          a.w.dim(0),
          {a.w.dim(0) - 1 - p[0], 2 - p[1], 2 - p[2]},
          tile};
}

// Where the channels of an image lie: all in one tensor, or the first ones (a multiple of 16) in one and the others in another.
struct Image {
  struct Part {
    float* data;
    int64_t first, channels;
  };
  std::array<Part, 2> parts;

  explicit Image(const Tensor& y) : Image(y, {}) {}
  Image(const Tensor& x, const Tensor& more)
      : parts{Part{x.data<float>(), 0, x.dim(4)}, Part{more ? more.data<float>() : nullptr, x.dim(4), more ? more.dim(4) : 0}} {}
  // Calls f(part, first, last) for the parts that have channels of [from, to): their channels [first, last).
  template <class F>
  void for_each(int64_t from, int64_t to, F f) const {
    for (const Part& p : parts)
      if (const int64_t first = std::max(from, p.first), last = std::min(to, p.first + p.channels); first < last)
        f(p, first - p.first, last - p.first);
  }
};

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
inline int64_t longest_run(int64_t channels) { return std::clamp<int64_t>(256 / channels, 1, 8); }

// Blocks of tiles, and what their transforms need.
struct Blocks {
  const Winograd& f;
  const Shapes& s;
  int64_t tiles;          // of a block
  cpu::Affine norm = {};  // what x is seen through; mean null: as it is
  Tensor zeros = Tensor::zeros({std::max(s.W * s.C, s.Wo* s.O)});
  int64_t count() const { return (s.tiles() + tiles - 1) / tiles; }
  int64_t tiles_of(int64_t block) const { return std::min(tiles, s.tiles() - block * tiles); }

  // What input() of a block will read (but rows that the tiles above have read), gradient() will read, output() will write.
  void input_ahead(const Image& x, int64_t block, int64_t plane, std::vector<cpu::Ahead>& list) const {
    if (block >= count() || plane >= s.D) return;
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const int64_t row = std::max<int64_t>(0, r.row - s.padding[1] + 2), rows = std::min(f.tile, s.H - row);
      const int64_t column = std::clamp<int64_t>(r.column - s.padding[2], 0, s.W), columns = std::min(r.tiles * f.tile, s.W - column);
      x.for_each(0, s.C, [&](const Image::Part& p, int64_t, int64_t) {
        for (int64_t i = 0; i < rows; i++)
          list.push_back(
              {p.data + (((r.image * s.D + plane) * s.H + row + i) * s.W + column) * p.channels, (columns * p.channels + 15) / 16, 16});
      });
    });
  }
  void output_ahead(const Image& y, int64_t block, int64_t plane, int64_t o, int64_t channels, std::vector<cpu::Ahead>& list) const {
    if (block >= count()) return;
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const int64_t columns = std::min(r.tiles * f.tile, s.Wo - r.column);
      y.for_each(o, o + channels, [&](const Image::Part& p, int64_t from, int64_t to) {
        for (int64_t i = 0; i < std::min(f.tile, s.Ho - r.row); i++) {
          const float* at = p.data + (((r.image * s.Do + plane) * s.Ho + r.row + i) * s.Wo + r.column) * p.channels;
          if (to - from == p.channels)
            list.push_back({at, (columns * p.channels + 15) / 16, 16});
          else
            for (int64_t c = from; c < to; c += 16) list.push_back({at + c, columns, p.channels});
        }
      });
    });
  }

  // v = the inputs of a block in one plane: `channels` of them from c on, parts [first, last) of the positions.
  void input(const Image& x, int64_t block, int64_t plane, int64_t c, int64_t channels, int64_t first, int64_t last, float* v) const {
    x.for_each(c, c + channels, [&](const Image::Part& p, int64_t from, int64_t to) {
      input_part(p, block, plane, from, to - from, first, last, v + (p.first + from - c) / 16 * f.block);
    });
  }
  void input_part(const Image::Part& x, int64_t block, int64_t plane, int64_t c, int64_t channels, int64_t first, int64_t last,
                  float* v) const {
    const int64_t C = x.channels;
    for_each_run(s, block * tiles, tiles_of(block), longest_run(C), [&](const Run& r) {
      WinogradRun run{{}, r.column - s.padding[2], s.W, C, r.tiles};
      const int64_t from = std::clamp<int64_t>(run.left, 0, s.W), seen = std::clamp(run.left + r.tiles * f.tile + 2, from, s.W) - from;
      float* normed = norm.mean ? cpu::scratch(2, (f.tile + 2) * seen * C) : nullptr;
      for (int64_t i = 0; i < f.tile + 2; i++) {
        const int64_t row = r.row - s.padding[1] + i;
        const bool inside = row >= 0 && row < s.H;
        const float* at = inside ? x.data + ((r.image * s.D + plane) * s.H + row) * s.W * C : zeros.data<float>();
        if (norm.mean && inside) {
          float* to = normed + i * seen * C;
          cpu::simd().normalize(at + from * C, nullptr, seen, C, norm, to);
          at = to - from * C;
        }
        run.rows[i] = at + c;
      }
      f.input(run, channels, first, last, v + r.at * 16);
    });
  }
  // z = the gradients of a block in one plane: `channels` of them from o on.
  void gradient(const float* y, int64_t block, int64_t plane, int64_t o, int64_t channels, int64_t first, int64_t last, float* z) const {
    for_each_run(s, block * tiles, tiles_of(block), longest_run(s.O), [&](const Run& r) {
      WinogradRun run{{}, r.column, s.Wo, s.O, r.tiles};
      for (int64_t i = 0; i < f.tile; i++)
        run.rows[i] = (r.row + i >= s.Ho ? zeros.data<float>() : y + ((r.image * s.Do + plane) * s.Ho + r.row + i) * s.Wo * s.O) + o;
      f.gradient(run, channels, first, last, z + r.at * 16);
    });
  }
  // y = the products of a block in one plane, channels [o, o + columns).
  void output(const float* m, int64_t block, int64_t plane, int64_t o, int64_t columns, const float* bias, Activation activation,
              const Image& y) const {
    y.for_each(o, o + columns, [&](const Image::Part& p, int64_t from, int64_t to) {
      const int64_t o_first = p.first + from;
      output_part(m + (o_first - o) / 16 * f.block, block, plane, from, to - from, bias ? bias + o_first : nullptr, activation, p);
    });
  }
  void output_part(const float* m, int64_t block, int64_t plane, int64_t o, int64_t columns, const float* bias, Activation activation,
                   const Image::Part& y) const {
    const int64_t O = y.channels;
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const WinogradRun run{{}, r.column, s.Wo, O, r.tiles};
      float* rows[4];
      const int64_t inside = std::min(f.tile, s.Ho - r.row);
      for (int64_t c = 0; c < columns; c += 16) {
        for (int64_t i = 0; i < inside; i++) rows[i] = y.data + ((r.image * s.Do + plane) * s.Ho + r.row + i) * s.Wo * O + o + c;
        const int64_t width = std::min<int64_t>(16, columns - c);
        f.output(m + c / 16 * f.block + r.at * 16, width, bias ? bias + c : nullptr, activation == Activation::relu, run, rows, inside);
        if (activation == Activation::sigmoid || activation == Activation::tanh)
          for (int64_t i = 0; i < inside; i++)
            cpu::simd().activate(rows[i] + r.column * O, O, std::min(r.tiles * s.tile, s.Wo - r.column), width,
                                 activation == Activation::tanh ? cpu::Epilogue::tanh : cpu::Epilogue::sigmoid);
      }
    });
  }
};

inline cpu::Affine affine_of(const InputNorm& n) {
  return n.mean ? cpu::Affine{n.mean.data<float>(), n.scale.data<float>(), n.shift.data<float>(), true} : cpu::Affine{};
}

constexpr int64_t cache = 1 << 17;  // floats of a second-level cache of 512 KB

// Predicted times in multiply-adds on whole vectors: conv_winograd_cost.cpp.
double convolution_cost(const Winograd& f, const Shapes& s, bool with_weights);
double weight_cost(const Winograd& f, const Shapes& s);

}  // namespace sono::kernels::winograd
