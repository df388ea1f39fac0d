#pragma once
// What the files conv_winograd*.cpp share: the sizes, and the transforms of a block of tiles.
#include <algorithm>
#include <numeric>
#include <vector>

#include "tensor/cpu/conv.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/kernels.h"

namespace sono::kernels::winograd {

using cpu::Winograd, cpu::WinogradRun;

template <Algorithm A>
const Winograd& algorithm() {
  return A == Algorithm::tiles4 ? *cpu::simd().winograd4 : A == Algorithm::tiles2 ? *cpu::simd().winograd2 : *cpu::simd().winograd_stride2;
}

inline int64_t sixteens(int64_t channels) { return (channels + 15) / 16; }

// The pixels of a plane as tiles see them: all of its plane, or every second one of every second row. Distances are in pixels.
struct Plane {
  int64_t first, rows, columns;  // the first pixel's place in its image; how many there are
  int64_t row, column;           // from one row, and one column, to the next
  int64_t top, left;             // rows and columns that tiles see before the first pixel
};

// y (N, Do, Ho, Wo, O), cut into tiles, over x (N, D, H, W, C) that starts at -padding. With a stride of 2 (conv_winograd_stride2.cpp) the
// side that has it has four planes, each a phase of the one plane of its tensor.
struct Shapes {
  int64_t N, D, H, W, C, Do, Ho, Wo, O, kD;
  std::array<int64_t, 3> padding;
  int64_t tile, x_stride = 1, y_stride = 1;
  std::array<uint64_t, 4> without = {};  // with a stride: per plane of the kernel, the positions where it is zero, a bit each
  int64_t down = ((Ho + y_stride - 1) / y_stride + tile - 1) / tile, across = ((Wo + y_stride - 1) / y_stride + tile - 1) / tile;
  int64_t tiles() const { return N * down * across; }  // of one plane of each image
  bool strided() const { return x_stride > 1 || y_stride > 1; }
  uint64_t without_of(int64_t tap) const { return strided() ? without[static_cast<size_t>(tap)] : 0; }
  int64_t x_pixels() const { return D * H * W / (x_stride * x_stride); }
  int64_t y_pixels() const { return Do * Ho * Wo / (y_stride * y_stride); }
  Plane x_plane(int64_t p) const {
    return x_stride == 1 ? Plane{p * H * W, H, W, W, 1, padding[1], padding[2]} : phase(p, H, W, padding[1], padding[2]);
  }
  Plane y_plane(int64_t p) const { return y_stride == 1 ? Plane{p * Ho * Wo, Ho, Wo, Wo, 1, 0, 0} : phase(p, Ho, Wo, 0, 0); }
  // Phase p = 2 a + b: the pixels (2 i + a - top, 2 j + b - left) of H x W.
  static Plane phase(int64_t p, int64_t H, int64_t W, int64_t top, int64_t left) {
    const int64_t a = p / 2, b = p % 2, i = std::max<int64_t>(0, top - a + 1) / 2, j = std::max<int64_t>(0, left - b + 1) / 2;
    const int64_t row = 2 * i + a - top, column = 2 * j + b - left;
    return {row * W + column, (H - row + 1) / 2, (W - column + 1) / 2, 2 * W, 2, i, j};
  }
};

namespace stride2 {  // conv_winograd_stride2.cpp
Shapes forward_shapes(const ConvArgs& a);
Shapes input_shapes(const ConvArgs& a);
std::vector<int64_t> forward_taps();
std::vector<int64_t> input_taps(const ConvArgs& a);
}  // namespace stride2

template <Algorithm A>
Shapes forward_shapes(const ConvArgs& a) {
  if constexpr (A == Algorithm::stride2) return stride2::forward_shapes(a);
  return {a.x.dim(0), a.x.dim(1), a.x.dim(2), a.x.dim(3), a.w.dim(3),         a.y.dim(1),
          a.y.dim(2), a.y.dim(3), a.y.dim(4), a.w.dim(0), a.geometry.padding, A == Algorithm::tiles4 ? 4 : 2};
}
template <Algorithm A>
Shapes input_shapes(const ConvArgs& a) {
  if constexpr (A == Algorithm::stride2) return stride2::input_shapes(a);
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
          A == Algorithm::tiles4 ? 4 : 2};
}

// Which tap of w each of kD times taps^2 taps of the transformed kernel is; none: -1. Those of the gradient of x are mirrored.
template <Algorithm A>
std::vector<int64_t> forward_taps(const ConvArgs& a) {
  if constexpr (A == Algorithm::stride2) return stride2::forward_taps();
  std::vector<int64_t> taps(static_cast<size_t>(a.w.dim(0)) * 9);
  std::iota(taps.begin(), taps.end(), 0);
  return taps;
}
template <Algorithm A>
std::vector<int64_t> input_taps(const ConvArgs& a) {
  if constexpr (A == Algorithm::stride2) return stride2::input_taps(a);
  std::vector<int64_t> taps = forward_taps<A>(a);
  std::reverse(taps.begin(), taps.end());
  return taps;
}
// Where the numbered taps of w are, of `size` floats each; none: null.
template <class T>
std::vector<T*> taps_at(T* w, int64_t size, const std::vector<int64_t>& numbers) {
  std::vector<T*> taps;
  for (int64_t n : numbers) taps.push_back(n < 0 ? nullptr : w + n * size);
  return taps;
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
    if (block >= count() || plane >= s.D || (s.x_stride > 1 && plane > 0)) return;  // the phases share their cache lines
    const int64_t step = f.tile * s.x_stride, first_row = s.x_stride == 1 ? plane * s.H : 0;
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const int64_t row = std::max<int64_t>(0, r.row * s.x_stride - s.padding[1] + 2), rows = std::min(step, s.H - row);
      const int64_t column = std::clamp<int64_t>(r.column * s.x_stride - s.padding[2], 0, s.W),
                    columns = std::min(r.tiles * step, s.W - column);
      x.for_each(0, s.C, [&](const Image::Part& p, int64_t, int64_t) {
        const float* at = p.data + (r.image * s.x_pixels() + (first_row + row) * s.W + column) * p.channels;
        for (int64_t i = 0; i < rows; i++) list.push_back({at + i * s.W * p.channels, (columns * p.channels + 15) / 16, 16});
      });
    });
  }
  void output_ahead(const Image& y, int64_t block, int64_t plane, int64_t o, int64_t channels, std::vector<cpu::Ahead>& list) const {
    if (block >= count()) return;
    const Plane pixels = s.y_plane(plane);
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const int64_t columns = std::min(r.tiles * f.tile, pixels.columns - r.column);
      y.for_each(o, o + channels, [&](const Image::Part& p, int64_t from, int64_t to) {
        for (int64_t i = 0; i < std::min(f.tile, pixels.rows - r.row); i++) {
          const float* at = pixel(p, s.y_pixels(), pixels, r.image, r.row + i, r.column);
          if (to - from == p.channels && pixels.column == 1)
            list.push_back({at, (columns * p.channels + 15) / 16, 16});
          else
            for (int64_t c = from; c < to; c += 16) list.push_back({at + c, std::max<int64_t>(0, columns), p.channels * pixels.column});
        }
      });
    });
  }
  // Row i and column j of a plane, channel 0.
  static float* pixel(const Image::Part& p, int64_t image_pixels, const Plane& plane, int64_t image, int64_t i, int64_t j) {
    return p.data + (image * image_pixels + plane.first + i * plane.row + j * plane.column) * p.channels;
  }

  // v = the inputs of a block in one plane: `channels` of them from c on.
  void input(const Image& x, int64_t block, int64_t plane, int64_t c, int64_t channels, float* v) const {
    x.for_each(c, c + channels, [&](const Image::Part& p, int64_t from, int64_t to) {
      input_part(p, block, plane, from, to - from, v + (p.first + from - c) / 16 * f.block);
    });
  }
  void input_part(const Image::Part& x, int64_t block, int64_t plane, int64_t c, int64_t channels, float* v) const {
    const int64_t C = x.channels;
    const Plane pixels = s.x_plane(plane);
    const bool odd_row = s.x_stride > 1 && plane / 2 == 1, odd_column = s.x_stride > 1 && plane % 2 == 1;  // of one tap
    for_each_run(s, block * tiles, tiles_of(block), longest_run(C), [&](const Run& r) {
      WinogradRun run{{}, r.column - pixels.left, pixels.columns, pixels.column * C, r.tiles, odd_row, odd_column};
      const int64_t from = std::clamp<int64_t>(run.left, 0, s.W), seen = std::clamp(run.left + r.tiles * f.tile + 2, from, s.W) - from;
      float* normed = norm.mean ? cpu::scratch(2, f.size * seen * C) : nullptr;
      for (int64_t i = 0; i < f.size; i++) {
        const int64_t row = r.row - pixels.top + i;
        const bool inside = row >= 0 && row < pixels.rows;
        const float* at = inside ? pixel(x, s.x_pixels(), pixels, r.image, row, 0) : zeros.data<float>();
        if (norm.mean && inside) {
          float* to = normed + i * seen * C;
          cpu::simd().normalize(at + from * C, nullptr, seen, C, norm, to);
          at = to - from * C;
        }
        run.rows[i] = at + c;
      }
      f.input(run, channels, v + r.at * 16);
    });
  }
  // z = the gradients of a block in one plane: `channels` of them from o on.
  void gradient(const Image& y, int64_t block, int64_t plane, int64_t o, int64_t channels, float* z) const {
    const Plane pixels = s.y_plane(plane);
    for_each_run(s, block * tiles, tiles_of(block), longest_run(s.O), [&](const Run& r) {
      WinogradRun run{{}, r.column, s.Wo, s.O, r.tiles};
      for (int64_t i = 0; i < f.tile; i++)
        run.rows[i] = (r.row + i >= s.Ho ? zeros.data<float>() : pixel(y.parts[0], s.y_pixels(), pixels, r.image, r.row + i, 0)) + o;
      f.gradient(run, channels, z + r.at * 16);
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
    const Plane pixels = s.y_plane(plane);
    const int64_t step = pixels.column * y.channels;
    for_each_run(s, block * tiles, tiles_of(block), s.across, [&](const Run& r) {
      const WinogradRun run{{}, r.column, pixels.columns, step, r.tiles};
      float* rows[4];
      const int64_t inside = std::min(f.tile, pixels.rows - r.row);
      for (int64_t c = 0; c < columns; c += 16) {
        for (int64_t i = 0; i < inside; i++) rows[i] = pixel(y, s.y_pixels(), pixels, r.image, r.row + i, 0) + o + c;
        const int64_t width = std::min<int64_t>(16, columns - c);
        f.output(m + c / 16 * f.block + r.at * 16, width, bias ? bias + c : nullptr, activation == Activation::relu, run, rows, inside);
        if (activation == Activation::sigmoid || activation == Activation::tanh)
          for (int64_t i = 0; i < inside; i++)
            cpu::simd().activate(rows[i] + r.column * step, step, std::min(r.tiles * s.tile, pixels.columns - r.column), width,
                                 activation == Activation::tanh ? cpu::Epilogue::tanh : cpu::Epilogue::sigmoid);
      }
    });
  }
};

inline cpu::Affine affine_of(const InputNorm& n) {
  return n.mean ? cpu::Affine{n.mean.data<float>(), n.scale.data<float>(), n.shift.data<float>(), true} : cpu::Affine{};
}

constexpr int64_t cache = 1 << 17;  // floats of a second-level cache of 512 KB

// Whether the gradient of the weights is summed in groups of blocks (conv_winograd_weight.cpp). Where that is faster, of 1300 convolutions
// and 800 of volumes (Zen 4): 0.93 of the jobs' time on average, 0.6 at best. Of large images jobs fetch the next block's values ahead.
inline bool in_groups(const Shapes& s) {
  return sixteens(s.C) * sixteens(s.O) >= (s.strided() ? 6 : s.kD > 1 ? 4 : s.tiles() <= 1024 ? 6 : 16);
}

// Predicted times in multiply-adds on whole vectors: conv_winograd_cost.cpp.
double convolution_cost(const Winograd& f, const Shapes& s, bool with_weights);
double weight_cost(const Winograd& f, const Shapes& s);

}  // namespace sono::kernels::winograd
